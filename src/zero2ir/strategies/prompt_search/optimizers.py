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
from zero2ir.strategies.prompt_search.proposals import NothingProposed, PartTask, Proposer, WritingTask, first_distinct

if TYPE_CHECKING:
    import dspy

    from zero2ir.lm.factory import LanguageModel
    from zero2ir.strategies.prompt_search.programs import Metric

INSTRUCTION_TOKENS = 160  # that an LM may write as one instruction, and as what its form asks for beside it
MIN_JUDGED_PAIRS = 2


@dataclass(frozen=True)
class OptimizerInputs:
    """What an optimizer is given.

    Attributes:
        student: the program with the fixed prompt.
        examples: all of them.
        validation_examples: those that the fixed prompt does not show; all where there are too few others.
        metric: says what a prediction is worth.
        language_model: proposes.
        max_demonstrations: how many demonstrations a prompt has; none where they are not the optimizer's to choose.
        seed: of everything that draws.
    """

    student: "dspy.Module"
    examples: Sequence["dspy.Example"]
    validation_examples: Sequence["dspy.Example"]
    metric: "Metric"
    language_model: "LanguageModel"
    max_demonstrations: int
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
        from zero2ir.strategies.prompt_search.programs import (
            RoundTripMetric,
            candidates_from_programs,
            training_examples,
            writing_program,
        )

        examples = training_examples(task)
        rest = [one for one in examples if one.query_id not in task.fixed.shown]
        inputs = OptimizerInputs(
            writing_program(task.fixed),
            examples,
            rest if len(rest) >= MIN_JUDGED_PAIRS else examples,
            RoundTripMetric(task),
            task.writer.language_model,
            max(1, len(task.fixed.demonstrations)),
            task.seed,
        )
        found = first_distinct(
            [task.fixed, *candidates_from_programs(self._programs(inputs), task, self.origin)], task.number + 1
        )
        if len(found) == 1:
            raise NothingProposed(f"{self.origin} found no other prompt than the fixed one")
        return found[1:]

    def propose_for_part(self, task: PartTask) -> list[PartCandidate]:
        from zero2ir.strategies.prompt_search.programs import (
            RankingMetric,
            part_candidates_from_programs,
            part_examples,
            part_program,
        )

        if not self.of_instructions:
            raise NothingProposed(f"{self.origin} has to see each question: it proposes for writing queries alone")
        examples = part_examples(task)
        inputs = OptimizerInputs(
            part_program(task), examples, examples, RankingMetric(), task.language_model, 0, task.seed
        )
        found = first_distinct(
            [task.fixed, *part_candidates_from_programs(self._programs(inputs), task, self.origin)], task.number + 1
        )
        if len(found) == 1:
            raise NothingProposed(f"{self.origin} found no other prompt than the one that a {task.part.kind} has")
        return found[1:]

    def _programs(self, inputs: OptimizerInputs) -> list["dspy.Module"]:
        """All programs that come of it, the best first.

        Raises:
            NothingProposed: there are too few examples, or the language model cannot do it.
        """
        from dspy.utils.exceptions import AdapterParseError

        from zero2ir.strategies.prompt_search.programs import optimizer_context

        if len(inputs.examples) < MIN_JUDGED_PAIRS:
            raise NothingProposed(f"{self.origin} needs {MIN_JUDGED_PAIRS} judged queries with a relevant document")
        try:
            with optimizer_context(inputs.language_model):
                return self.compiled(inputs)
        except AdapterParseError:
            raise NothingProposed(f"{self.origin}: the LM wrote no instruction in the form asked for") from None

    @abstractmethod
    def compiled(self, inputs: OptimizerInputs) -> list["dspy.Module"]:
        """Compiled programs, the best first."""


class Bootstrap(Optimizer):
    """``dspy.BootstrapFewShotWithRandomSearch``: demonstrations with queries that the LM itself wrote well.

    Args:
        candidates: sets of demonstrations to draw, beside those that it always tries.
    """

    origin: ClassVar[Origin] = "bootstrap"

    def __init__(self, candidates: int = 4) -> None:
        self.candidates = candidates

    def compiled(self, inputs: OptimizerInputs) -> list["dspy.Module"]:
        import dspy

        optimizer = dspy.BootstrapFewShotWithRandomSearch(
            inputs.metric,
            max_bootstrapped_demos=max(1, inputs.max_demonstrations // 2),
            max_labeled_demos=inputs.max_demonstrations,
            num_candidate_programs=self.candidates,
            num_threads=1,
        )
        return _programs(optimizer.compile(inputs.student, trainset=list(inputs.examples)))


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

    def compiled(self, inputs: OptimizerInputs) -> list["dspy.Module"]:
        import dspy

        optimizer = dspy.MIPROv2(
            inputs.metric,
            prompt_model=inputs.instructor,
            task_model=inputs.language_model.lm,
            max_bootstrapped_demos=(inputs.max_demonstrations + 1) // 2,
            max_labeled_demos=inputs.max_demonstrations,
            auto=None,
            num_candidates=self.candidates,
            num_threads=1,
            init_temperature=self.temperature,
            seed=inputs.seed + 1,  # 0 would be taken for "none given"
        )
        compiled = optimizer.compile(
            inputs.student,
            trainset=list(inputs.examples),
            valset=list(inputs.examples),
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

    def compiled(self, inputs: OptimizerInputs) -> list["dspy.Module"]:
        import dspy

        optimizer = dspy.COPRO(
            prompt_model=inputs.instructor,
            metric=inputs.metric,
            breadth=self.breadth,
            depth=self.depth,
            init_temperature=self.temperature,
        )
        compiled = optimizer.compile(
            inputs.student, trainset=list(inputs.validation_examples), eval_kwargs={"num_threads": 1}
        )
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

    def compiled(self, inputs: OptimizerInputs) -> list["dspy.Module"]:
        import dspy

        from zero2ir.strategies.prompt_search.programs import reflect

        def told(gold: Any, pred: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None) -> Any:
            score, feedback = inputs.metric.judge(gold, pred)
            return dspy.Prediction(score=score, feedback=feedback)

        optimizer = dspy.GEPA(
            told,
            max_metric_calls=self.calls,
            reflection_lm=inputs.instructor.copy(temperature=self.temperature),
            instruction_proposer=reflect,
            num_threads=1,
            use_merge=False,  # there is one predictor
            track_stats=True,
            seed=inputs.seed,
        )
        results = optimizer.compile(inputs.student, trainset=list(inputs.validation_examples)).detailed_results
        order = sorted(range(len(results.candidates)), key=lambda one: -results.val_aggregate_scores[one])
        return [results.candidates[number] for number in order]


def _programs(compiled: Any) -> list["dspy.Module"]:
    """All programs that an optimizer scored, the best first."""
    return [one["program"] for one in compiled.candidate_programs]
