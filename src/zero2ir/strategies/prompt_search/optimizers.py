"""Candidates from DSPy's optimizers: each compiles the query writer on the judged (document, query) pairs.

They score a prompt by how well BM25 finds a document by the query written for it, which costs one LM call an example;
what the prompt is worth in training is for the search to find out. The larger part of the cost is theirs: an optimizer
calls the LM some ten times for each of its candidates.

Those that propose instructions do so for the parts of a model, too: an example is a judged query then, and its score is
what the whole model ranks like.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from zero2ir.strategies.prompt_search.candidates import Origin, PartCandidate, PromptCandidate
from zero2ir.strategies.prompt_search.proposals import NothingProposed, PartTask, Proposer, WritingTask, distinct

if TYPE_CHECKING:
    import dspy

    from zero2ir.lm.factory import LanguageModel
    from zero2ir.strategies.prompt_search.programs import Metric

INSTRUCTION_TOKENS = 160  # that an LM may write as one instruction, and as what its form asks for beside it
LEAST_PAIRS = 2


@dataclass(frozen=True)
class Compilation:
    """What an optimizer is given.

    Attributes:
        student: the program with the fixed prompt.
        examples: all of them.
        unseen: those that the fixed prompt does not show; all where there are too few others.
        metric: says what a prediction is worth.
        language_model: proposes.
        shown: how many demonstrations a prompt has; none where they are not the optimizer's to choose.
        seed: of everything that draws.
    """

    student: "dspy.Module"
    examples: Sequence["dspy.Example"]
    unseen: Sequence["dspy.Example"]
    metric: "Metric"
    language_model: "LanguageModel"
    shown: int
    seed: int

    @property
    def instructor(self) -> Any:
        """The language model with room for an instruction."""
        return self.language_model.lm.copy(max_tokens=INSTRUCTION_TOKENS)


class Optimizer(Proposer):
    """What they have in common: a student, examples and a metric go in, and compiled programs come out.

    Attributes:
        of_instructions: whether it proposes instructions from their scores alone: then for parts of models, too.
    """

    of_instructions: ClassVar[bool] = False

    def propose(self, task: WritingTask) -> list[PromptCandidate]:
        from zero2ir.strategies.prompt_search.programs import RoundTrip, read_off, training_examples, writing_program

        examples = training_examples(task)
        rest = [one for one in examples if one.query_id not in task.fixed.shown]
        given = Compilation(
            writing_program(task.fixed),
            examples,
            rest if len(rest) >= LEAST_PAIRS else examples,
            RoundTrip(task),
            task.writer.language_model,
            max(1, len(task.fixed.demonstrations)),
            task.seed,
        )
        found = distinct([task.fixed, *read_off(self._programs(given), task, self.origin)], task.number + 1)
        if len(found) == 1:
            raise NothingProposed(f"{self.origin} found no other prompt than the fixed one")
        return found[1:]

    def propose_for_part(self, task: PartTask) -> list[PartCandidate]:
        from zero2ir.strategies.prompt_search.programs import Ranked, part_examples, part_program, read_off_part

        if not self.of_instructions:
            raise NothingProposed(f"{self.origin} has to see each question: it proposes for writing queries alone")
        examples = part_examples(task)
        given = Compilation(part_program(task), examples, examples, Ranked(), task.language_model, 0, task.seed)
        found = distinct([task.fixed, *read_off_part(self._programs(given), task, self.origin)], task.number + 1)
        if len(found) == 1:
            raise NothingProposed(f"{self.origin} found no other prompt than the one that a {task.part.kind} has")
        return found[1:]

    def _programs(self, given: Compilation) -> list["dspy.Module"]:
        """All programs that come of it, the best first.

        Raises:
            NothingProposed: there are too few examples, or the language model cannot do it.
        """
        from dspy.utils.exceptions import AdapterParseError

        from zero2ir.strategies.prompt_search.programs import compiling

        if len(given.examples) < LEAST_PAIRS:
            raise NothingProposed(f"{self.origin} needs {LEAST_PAIRS} judged queries with a relevant document")
        try:
            with compiling(given.language_model):
                return self.compiled(given)
        except AdapterParseError:
            raise NothingProposed(f"{self.origin}: the LM wrote no instruction in the form asked for") from None

    @abstractmethod
    def compiled(self, given: Compilation) -> list["dspy.Module"]:
        """Compiled programs, the best first."""


class Bootstrap(Optimizer):
    """``dspy.BootstrapFewShotWithRandomSearch``: demonstrations with queries that the LM itself wrote well.

    Args:
        candidates: sets of demonstrations to draw, beside those that it always tries.
    """

    origin: ClassVar[Origin] = "bootstrap"

    def __init__(self, candidates: int = 4) -> None:
        self.candidates = candidates

    def compiled(self, given: Compilation) -> list["dspy.Module"]:
        import dspy

        optimizer = dspy.BootstrapFewShotWithRandomSearch(
            given.metric,
            max_bootstrapped_demos=max(1, given.shown // 2),
            max_labeled_demos=given.shown,
            num_candidate_programs=self.candidates,
            num_threads=1,
        )
        return _programs(optimizer.compile(given.student, trainset=list(given.examples)))


class Mipro(Optimizer):
    """``dspy.MIPROv2``: instructions that the LM proposes and sets of demonstrations, searched together.

    Args:
        candidates: instructions, and as many sets of demonstrations.
        trials: combinations to try.
        temperature: of the proposals.
    """

    origin: ClassVar[Origin] = "mipro"
    of_instructions: ClassVar[bool] = True

    def __init__(self, candidates: int = 4, trials: int = 8, temperature: float = 1.0) -> None:
        self.candidates = candidates
        self.trials = trials
        self.temperature = temperature

    def compiled(self, given: Compilation) -> list["dspy.Module"]:
        import dspy

        optimizer = dspy.MIPROv2(
            given.metric,
            prompt_model=given.instructor,
            task_model=given.language_model.lm,
            max_bootstrapped_demos=(given.shown + 1) // 2,
            max_labeled_demos=given.shown,
            auto=None,
            num_candidates=self.candidates,
            num_threads=1,
            init_temperature=self.temperature,
            seed=given.seed + 1,  # 0 would be taken for "none given"
        )
        compiled = optimizer.compile(
            given.student,
            trainset=list(given.examples),
            valset=list(given.examples),
            num_trials=self.trials,
            minibatch=False,
            program_aware_proposer=False,  # there is no code to learn from,
            data_aware_proposer=False,  # and a small LM makes a riddle of a summary
        )
        return _programs(compiled)


class Copro(Optimizer):
    """``dspy.COPRO``: the LM rewrites the instruction, and then again with the scores of what it wrote.

    Args:
        breadth: instructions a round, the first round's own among them.
        depth: rounds.
        temperature: of the proposals.
    """

    origin: ClassVar[Origin] = "copro"
    of_instructions: ClassVar[bool] = True

    def __init__(self, breadth: int = 4, depth: int = 1, temperature: float = 1.0) -> None:
        self.breadth = breadth
        self.depth = depth
        self.temperature = temperature

    def compiled(self, given: Compilation) -> list["dspy.Module"]:
        import dspy

        optimizer = dspy.COPRO(
            prompt_model=given.instructor,
            metric=given.metric,
            breadth=self.breadth,
            depth=self.depth,
            init_temperature=self.temperature,
        )
        compiled = optimizer.compile(given.student, trainset=list(given.unseen), eval_kwargs={"num_threads": 1})
        return _programs(compiled)


class GEPA(Optimizer):
    """``dspy.GEPA``: the LM reads in words what is wrong with the queries, and writes a better instruction.

    Args:
        calls: of the metric, in all.
        temperature: of the proposals.
    """

    origin: ClassVar[Origin] = "gepa"

    def __init__(self, calls: int = 60, temperature: float = 1.0) -> None:
        self.calls = calls
        self.temperature = temperature

    def compiled(self, given: Compilation) -> list["dspy.Module"]:
        import dspy

        from zero2ir.strategies.prompt_search.programs import reflect

        def told(gold: Any, pred: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None) -> Any:
            score, feedback = given.metric.judge(gold, pred)
            return dspy.Prediction(score=score, feedback=feedback)

        optimizer = dspy.GEPA(
            told,
            max_metric_calls=self.calls,
            reflection_lm=given.instructor.copy(temperature=self.temperature),
            instruction_proposer=reflect,
            num_threads=1,
            use_merge=False,  # there is one predictor
            track_stats=True,
            seed=given.seed,
        )
        results = optimizer.compile(given.student, trainset=list(given.unseen)).detailed_results
        order = sorted(range(len(results.candidates)), key=lambda one: -results.val_aggregate_scores[one])
        return [results.candidates[number] for number in order]


def _programs(compiled: Any) -> list["dspy.Module"]:
    """All programs that an optimizer scored, the best first."""
    return [one["program"] for one in compiled.candidate_programs]
