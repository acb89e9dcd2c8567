"""Candidates from DSPy's optimizers: each compiles the query writer on the judged (document, query) pairs.

They score a prompt by how well BM25 finds a document by the query written for it, which costs one LM call an example;
what the prompt is worth in training is for the search to find out. The larger part of the cost is theirs: an optimizer
calls the LM some ten times for each of its candidates.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from zero2ir.prompts.candidates import Origin, PromptCandidate
from zero2ir.prompts.proposals import NothingProposed, Proposer, WritingTask, distinct

if TYPE_CHECKING:
    import dspy

    from zero2ir.prompts.programs import RoundTrip, WritingProgram

INSTRUCTION_TOKENS = 160  # that an LM may write as one instruction, and as what its form asks for beside it
LEAST_PAIRS = 2


class Optimizer(Proposer):
    """What they have in common: a student, examples and a metric go in, and compiled programs come out."""

    def propose(self, task: WritingTask) -> list[PromptCandidate]:
        from dspy.utils.exceptions import AdapterParseError

        from zero2ir.prompts.programs import RoundTrip, compiling, read_off, training_examples, writing_program

        if len(task.pairs) < LEAST_PAIRS:
            raise NothingProposed(f"{self.origin} needs {LEAST_PAIRS} judged queries with a relevant document")
        student, examples = writing_program(task.fixed), training_examples(task)
        try:
            with compiling(task.writer.language_model):
                programs = self.compiled(student, examples, RoundTrip(task), task)
        except AdapterParseError:
            raise NothingProposed(f"{self.origin}: the LM wrote no instruction in the form asked for") from None
        found = distinct([task.fixed, *read_off(programs, task, self.origin)], task.number + 1)
        if len(found) == 1:
            raise NothingProposed(f"{self.origin} found no other prompt than the fixed one")
        return found[1:]

    @abstractmethod
    def compiled(
        self, student: "WritingProgram", examples: Sequence["dspy.Example"], metric: "RoundTrip", task: WritingTask
    ) -> list["dspy.Module"]:
        """Compiled programs, the best first."""


class Bootstrap(Optimizer):
    """``dspy.BootstrapFewShotWithRandomSearch``: demonstrations with queries that the LM itself wrote well.

    Args:
        candidates: sets of demonstrations to draw, beside those that it always tries.
    """

    origin: ClassVar[Origin] = "bootstrap"

    def __init__(self, candidates: int = 4) -> None:
        self.candidates = candidates

    def compiled(
        self, student: "WritingProgram", examples: Sequence["dspy.Example"], metric: "RoundTrip", task: WritingTask
    ) -> list["dspy.Module"]:
        import dspy

        shown = max(1, len(task.fixed.demonstrations))
        optimizer = dspy.BootstrapFewShotWithRandomSearch(
            metric,
            max_bootstrapped_demos=max(1, shown // 2),
            max_labeled_demos=shown,
            num_candidate_programs=self.candidates,
            num_threads=1,
        )
        return _programs(optimizer.compile(student, trainset=list(examples)))


class Mipro(Optimizer):
    """``dspy.MIPROv2``: instructions that the LM proposes and sets of demonstrations, searched together.

    Args:
        candidates: instructions, and as many sets of demonstrations.
        trials: combinations to try.
        temperature: of the proposals.
    """

    origin: ClassVar[Origin] = "mipro"

    def __init__(self, candidates: int = 4, trials: int = 8, temperature: float = 1.0) -> None:
        self.candidates = candidates
        self.trials = trials
        self.temperature = temperature

    def compiled(
        self, student: "WritingProgram", examples: Sequence["dspy.Example"], metric: "RoundTrip", task: WritingTask
    ) -> list["dspy.Module"]:
        import dspy

        shown = max(1, len(task.fixed.demonstrations))
        optimizer = dspy.MIPROv2(
            metric,
            prompt_model=_instructor(task),
            task_model=task.writer.language_model.lm,
            max_bootstrapped_demos=max(1, shown // 2),
            max_labeled_demos=shown,
            auto=None,
            num_candidates=self.candidates,
            num_threads=1,
            init_temperature=self.temperature,
            seed=task.seed + 1,  # 0 would be taken for "none given"
        )
        compiled = optimizer.compile(
            student,
            trainset=list(examples),
            valset=list(examples),
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

    def __init__(self, breadth: int = 4, depth: int = 1, temperature: float = 1.0) -> None:
        self.breadth = breadth
        self.depth = depth
        self.temperature = temperature

    def compiled(
        self, student: "WritingProgram", examples: Sequence["dspy.Example"], metric: "RoundTrip", task: WritingTask
    ) -> list["dspy.Module"]:
        import dspy

        optimizer = dspy.COPRO(
            prompt_model=_instructor(task),
            metric=metric,
            breadth=self.breadth,
            depth=self.depth,
            init_temperature=self.temperature,
        )
        return _programs(optimizer.compile(student, trainset=_unseen(examples, task), eval_kwargs={"num_threads": 1}))


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

    def compiled(
        self, student: "WritingProgram", examples: Sequence["dspy.Example"], metric: "RoundTrip", task: WritingTask
    ) -> list["dspy.Module"]:
        import dspy

        from zero2ir.prompts.programs import reflect

        def told(gold: Any, pred: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None) -> Any:
            score, feedback = metric.judge(gold, pred)
            return dspy.Prediction(score=score, feedback=feedback)

        optimizer = dspy.GEPA(
            told,
            max_metric_calls=self.calls,
            reflection_lm=_instructor(task).copy(temperature=self.temperature),
            instruction_proposer=reflect,
            num_threads=1,
            use_merge=False,  # there is one predictor
            track_stats=True,
            seed=task.seed,
        )
        results = optimizer.compile(student, trainset=_unseen(examples, task)).detailed_results
        order = sorted(range(len(results.candidates)), key=lambda one: -results.val_aggregate_scores[one])
        return [results.candidates[number] for number in order]


def _programs(compiled: Any) -> list["dspy.Module"]:
    """All programs that an optimizer scored, the best first."""
    return [one["program"] for one in compiled.candidate_programs]


def _unseen(examples: Sequence["dspy.Example"], task: WritingTask) -> list["dspy.Example"]:
    """The examples that the fixed prompt does not show; all of them where there are too few others."""
    rest = [one for one in examples if one.query_id not in task.fixed.shown]
    return rest if len(rest) >= LEAST_PAIRS else list(examples)


def _instructor(task: WritingTask) -> Any:
    """The language model with room for an instruction."""
    return task.writer.language_model.lm.copy(max_tokens=INSTRUCTION_TOKENS)
