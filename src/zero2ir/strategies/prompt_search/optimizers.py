"""Candidates from DSPy's optimizers: each compiles the query writer on the judged (document, query) pairs.

They score a prompt by the rank of a document in BM25's results for the query written for it, one LM call per example;
the search measures the effect of the prompt on training. Most LM calls are theirs, about ten per candidate.

Those that propose instructions also work for the parts of a model. An example is then a judged query, and its score is
the measure of the whole model's ranking.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from zero2ir.errors import InputError
from zero2ir.strategies.prompt_search.candidates import Origin, PartCandidate, PromptCandidate
from zero2ir.strategies.prompt_search.proposals import NothingProposed, PartTask, Proposer, WritingTask, without_fixed

if TYPE_CHECKING:
    import dspy

    from zero2ir.lm.factory import LanguageModel
    from zero2ir.strategies.prompt_search.programs import Metric

INSTRUCTION_TOKENS = 160  # maximum tokens of an answer with an instruction
MIN_JUDGED_PAIRS = 2


@dataclass(frozen=True)
class OptimizerInputs:
    """The inputs of an optimizer.

    Attributes:
        student: the program with the fixed prompt.
        validation_examples: those that are not in the fixed prompt; all if these are too few.
        max_demonstrations: maximum number of demonstrations; 0 if the optimizer does not choose them.
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
        """The language model with enough tokens for an instruction."""
        return self.language_model.lm.copy(max_tokens=INSTRUCTION_TOKENS)


class Optimizer(Proposer):
    """A proposer that compiles a student program on examples and a metric.

    Attributes:
        of_instructions: whether it proposes instructions from their scores alone, and so also for parts of models.
    """

    of_instructions: ClassVar[bool] = False

    def propose(self, task: WritingTask) -> list[PromptCandidate]:
        from zero2ir.strategies.prompt_search import programs

        examples = programs.training_examples(task)
        rest = [one for one in examples if one.query_id not in task.fixed.shown]
        inputs = OptimizerInputs(
            programs.writing_program(task.fixed),
            examples,
            rest if len(rest) >= MIN_JUDGED_PAIRS else examples,
            programs.RoundTripMetric(task),
            task.writer.language_model,
            max(1, len(task.fixed.demonstrations)),
            task.seed,
        )
        proposed = programs.candidates_from_programs(self._programs(inputs), task, self.origin)
        if not (candidates := without_fixed(task.fixed, proposed, task.number)):
            raise NothingProposed(f"{self.origin} found no prompt other than the fixed one")
        return candidates

    def propose_for_part(self, task: PartTask) -> list[PartCandidate]:
        from zero2ir.strategies.prompt_search import programs

        if not self.of_instructions:
            raise NothingProposed(f"{self.origin} proposes prompts for writing queries only")
        student, examples, metric = programs.part_program(task), programs.part_examples(task), programs.RankingMetric()
        inputs = OptimizerInputs(student, examples, examples, metric, task.language_model, 0, task.seed)
        proposed = programs.part_candidates_from_programs(self._programs(inputs), task, self.origin)
        if not (candidates := without_fixed(task.fixed, proposed, task.number)):
            raise NothingProposed(f"{self.origin} found no new prompt for a {task.part.kind}")
        return candidates

    def _programs(self, inputs: OptimizerInputs) -> list["dspy.Module"]:
        """Returns all compiled programs, the best first.

        Raises:
            NothingProposed: there are too few examples, or the language model's answers are unusable.
            InputError: the language model failed.
        """
        from dspy.utils.exceptions import AdapterParseError, LMError

        from zero2ir.lm.factory import is_unusable
        from zero2ir.strategies.prompt_search.programs import OptimizerStopped, optimizer_context

        if len(inputs.examples) < MIN_JUDGED_PAIRS:
            raise NothingProposed(f"{self.origin} needs {MIN_JUDGED_PAIRS} judged queries with a relevant document")
        try:
            with optimizer_context(inputs.language_model):
                return self.compiled(inputs)
        except (OptimizerStopped, AdapterParseError, LMError) as error:
            reason = error.__cause__ if isinstance(error, OptimizerStopped) else error
            if isinstance(reason, InputError):
                raise reason from None
            if is_unusable(reason):
                raise NothingProposed(f"{self.origin}: the LM wrote no instruction in the required form") from None
            raise inputs.language_model.failure(reason) from None

    @abstractmethod
    def compiled(self, inputs: OptimizerInputs) -> list["dspy.Module"]:
        """Returns compiled programs, the best first."""


class Bootstrap(Optimizer):
    """``dspy.BootstrapFewShotWithRandomSearch``: demonstrations with the LM's own successful queries.

    Args:
        candidates: number of random sets of demonstrations, beside those that it always tries.
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
    """``dspy.MIPROv2``: joint search over instructions that the LM proposes and sets of demonstrations.

    Args:
        candidates: number of instructions, and of sets of demonstrations.
        trials: number of combinations to try.
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
            seed=inputs.seed + 1,  # 0 would mean no seed
        )
        compiled = optimizer.compile(
            inputs.student,
            trainset=list(inputs.examples),
            valset=list(inputs.examples),
            num_trials=self.trials,
            minibatch=False,
            program_aware_proposer=False,  # the program's code is not informative,
            data_aware_proposer=False,  # and a small LM's summary is not, either
        )
        return _programs(compiled)


class Copro(Optimizer):
    """``dspy.COPRO``: the LM rewrites the instruction, in later rounds with the scores of earlier ones.

    Args:
        breadth: instructions per round, with the original one in the first.
        depth: number of rounds.
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

        sizes = {"breadth": self.breadth, "depth": self.depth}
        optimizer = dspy.COPRO(inputs.instructor, inputs.metric, init_temperature=self.temperature, **sizes)
        examples = list(inputs.validation_examples)
        return _programs(optimizer.compile(inputs.student, trainset=examples, eval_kwargs={"num_threads": 1}))


class GEPA(Optimizer):
    """``dspy.GEPA``: the LM writes a better instruction from textual feedback on its queries.

    Args:
        calls: maximum number of calls of the metric.
        temperature: of the proposals.
    """

    origin: ClassVar[Origin] = "gepa"

    def __init__(self, calls: int = 60, temperature: float = 1.0) -> None:
        self.calls = calls
        self.temperature = temperature

    def compiled(self, inputs: OptimizerInputs) -> list["dspy.Module"]:
        import dspy

        from zero2ir.strategies.prompt_search.programs import reflect

        def metric(gold: Any, pred: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None) -> Any:
            score, feedback = inputs.metric.judge(gold, pred)
            return dspy.Prediction(score=score, feedback=feedback)

        optimizer = dspy.GEPA(
            metric,
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
    """Returns all programs that an optimizer scored, the best first."""
    return [one["program"] for one in compiled.candidate_programs]
