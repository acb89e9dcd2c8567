"""The programs, examples and metrics for DSPy's optimizers."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

import dspy
import numpy as np
from dspy.utils.exceptions import AdapterParseError, LMError

from zero2ir.data.judgments import normalised
from zero2ir.errors import InputError
from zero2ir.lm.adapter import escape_untrusted_text
from zero2ir.lm.factory import LanguageModel, is_unusable
from zero2ir.strategies.prompt_search.candidates import Demonstration, Origin, PartCandidate, PromptCandidate
from zero2ir.strategies.prompt_search.proposals import PartTask, WritingTask
from zero2ir.synthetic.prompts import most_relevant
from zero2ir.writing.filters import FilterInputs, objections
from zero2ir.writing.settings import FilterName
from zero2ir.writing.styles import query_writer

ROUND_TRIP_DEPTH = 100  # documents beyond this rank count as not found
MAX_INSTRUCTION_WORDS = 80  # longer instructions are cut
# Filters that need nothing but the query.
PER_QUERY_FILTERS: tuple[FilterName, ...] = ("empty", "too_short", "too_long", "copied", "substring", "language")


class OptimizerStopped(BaseException):
    """The language model failed, for the reason that is the cause.

    Optimizers take an ``Exception`` for a bad prompt: they score it with 0 and go on asking.
    """


class WritingProgram(dspy.Module):
    """Writes a query for a document; an unusable answer gives an empty query, a failure stops the optimizer."""

    def __init__(self, writer: dspy.Predict) -> None:
        super().__init__()
        self.write = writer

    def forward(self, document: str) -> dspy.Prediction:
        """Returns a prediction with ``query``."""
        try:
            return self.write(document=document)
        except (AdapterParseError, LMError) as error:
            if is_unusable(error):
                return dspy.Prediction(query="")
            raise OptimizerStopped from error


def writing_program(candidate: PromptCandidate) -> WritingProgram:
    """Returns the program with a candidate's prompt."""
    return WritingProgram(query_writer(candidate.prompt, logprobs=False))


def training_examples(task: WritingTask) -> list[dspy.Example]:
    """Returns the judged (document, query) pairs in random order, since some optimizers have a fixed seed."""
    pairs = [task.pairs[number] for number in np.random.default_rng(task.seed).permutation(len(task.pairs))]
    examples = [one._asdict() | {"document": escape_untrusted_text(one.document)} for one in pairs]
    return [dspy.Example(**one).with_inputs("document") for one in examples]


class Metric(ABC):
    """Scores predictions for an optimizer."""

    def __call__(self, example: dspy.Example, prediction: Any, trace: Any = None) -> float:
        """Returns the score, 0 to 1."""
        return self.judge(example, prediction)[0]

    @abstractmethod
    def judge(self, example: dspy.Example, prediction: Any) -> tuple[float, str]:
        """Returns the score and textual feedback."""


class PartProgram(dspy.Module):
    """Measures a model with this program's instruction in one of its parts.

    The predictor never runs: an optimizer changes its instruction, and the model's part uses it.

    Args:
        instruction: of the part.
        value: measures an instruction on a judged query.
    """

    def __init__(self, instruction: str, value: Callable[[str, str], float]) -> None:
        super().__init__()
        self.predictor = dspy.Predict(dspy.Signature("query -> answer", instruction))
        self.value = value

    def forward(self, query_id: str) -> dspy.Prediction:
        """Returns a prediction with ``value``."""
        try:
            return dspy.Prediction(value=self.value(_instruction(self), query_id))
        except InputError as error:
            raise OptimizerStopped from error


class RankingMetric(Metric):
    """The measure of the ranking, from the program's prediction."""

    def judge(self, example: dspy.Example, prediction: Any) -> tuple[float, str]:
        value = float(getattr(prediction, "value", 0.0))
        return value, f"The ranking has a value of {value:.3f}."


def part_program(task: PartTask) -> PartProgram:
    """Returns the program of a task's model and part."""

    def value(instruction: str, query_id: str) -> float:
        return task.value(task.fixed.prompt._replace(instruction=instruction, optimized=True), query_id)

    return PartProgram(task.fixed.prompt.instruction, value)


def part_examples(task: PartTask) -> list[dspy.Example]:
    """Returns the judged queries as examples."""
    return [dspy.Example(query_id=query_id).with_inputs("query_id") for query_id in task.queries]


def part_candidates_from_programs(
    programs: Sequence[dspy.Module], task: PartTask, origin: Origin
) -> list[PartCandidate]:
    """Returns the candidates of compiled programs, with the part's demonstrations."""
    fixed, instructions = task.fixed, filter(None, map(_instruction, programs))
    prompts = [fixed.prompt._replace(instruction=instruction, optimized=True) for instruction in instructions]
    return [PartCandidate(fixed.part, fixed.style, prompt, origin) for prompt in prompts]


def _instruction(program: dspy.Module) -> str:
    """Returns the instruction of a program's only predictor, escaped, as one line of limited length."""
    (predictor,) = program.predictors()
    return " ".join(escape_untrusted_text(predictor.signature.instructions).split()[:MAX_INSTRUCTION_WORDS])


class RoundTripMetric(Metric):
    """The reciprocal rank of a document by BM25 for the query written for it; 0 for a query that a filter rejects."""

    def __init__(self, task: WritingTask) -> None:
        self.writer = task.writer
        self.best = most_relevant(task.writer.judgments)
        filters = tuple(name for name in task.writer.settings.filters if name in PER_QUERY_FILTERS)
        self.settings = task.writer.settings.model_copy(update={"filters": filters})

    def judge(self, example: dspy.Example, prediction: Any) -> tuple[float, str]:
        query = escape_untrusted_text(str(getattr(prediction, "query", "") or ""))
        number = self.writer.corpus.number_of[self.best[example.query_id].doc_id]
        if reasons := self._objections(query, example.document, self.writer.corpus.contents[number]):
            return 0.0, f"The query is of no use: {', '.join(reasons).replace('_', ' ')}."
        places = np.flatnonzero(self.writer.sparse.search([query], ROUND_TRIP_DEPTH).numbers[0] == number)
        if not len(places):
            return 0.0, "A search with the query does not find the document; use more of its specific terms."
        rank = int(places[0]) + 1
        wanted = f"People who need this document searched with: {example.query}"
        return 1.0 / rank, f"A search with the query finds the document at rank {rank}. {wanted}"

    def _objections(self, query: str, passage: str, content: str) -> list[str]:
        figures = np.ones(1)
        judged = [row.query for row in self.writer.judgments]
        written = FilterInputs([query], [passage], [content], [""], figures, figures, figures, judged)
        return objections(written, self.settings)[0]


class BetterInstruction(dspy.Signature):
    """An instruction makes a language model write search queries for documents. Read what was said of its queries, and
    write a better instruction, in one sentence."""

    instruction: str = dspy.InputField()
    queries: list[str] = dspy.InputField()
    better_instruction: str = dspy.OutputField()


def reflect(
    candidate: dict[str, str],
    reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
    components_to_update: list[str],
) -> dict[str, str]:
    """Writes better instructions for GEPA, whose own prompt is too long for a small LM, by the adapter in use.

    ``candidate`` has each predictor's instruction, which stays without a usable answer.
    """
    ask = dspy.Predict(BetterInstruction)
    better = {}
    for name in components_to_update:
        queries = [
            f"{one['Inputs'].get('document', '')} Query: {_written(one['Generated Outputs'])} {one['Feedback']}"
            for one in reflective_dataset[name]
        ]
        try:
            better[name] = str(ask(instruction=candidate[name], queries=queries).better_instruction)
        except (AdapterParseError, LMError) as error:
            if not is_unusable(error):
                raise OptimizerStopped from error
            better[name] = candidate[name]
    return better


def _written(outputs: Any) -> str:
    """Returns the query of an answer in GEPA's records, where an unparsed answer is a text."""
    return str(outputs.get("query", "")) if isinstance(outputs, Mapping) else str(outputs)


def candidates_from_programs(
    programs: Sequence[dspy.Module], task: WritingTask, origin: Origin
) -> list[PromptCandidate]:
    """Returns the candidates of compiled programs with an instruction.

    An LM's instruction is untrusted: it becomes one line without control characters. A candidate reveals the judged
    queries that its instruction quotes, and those of a document that it demonstrates with a query by the LM.
    """
    fixed, escape, candidates = task.fixed, escape_untrusted_text, list[PromptCandidate]()
    for program in programs:
        if not (instruction := _instruction(program)):
            continue
        (predictor,) = program.predictors()
        demonstrations = tuple(
            Demonstration(escape(demo.document), escape(demo.query), demo.get("query_id", ""))
            for demo in predictor.demos
        )
        written_for = {one.document for one in demonstrations if not one.query_id}
        quoted = frozenset(
            one.query_id
            for one in task.pairs
            if escape(one.document) in written_for or normalised(one.query) in normalised(instruction)
        )
        words, temperature = fixed.document_words, fixed.temperature
        candidates.append(PromptCandidate(fixed.style, instruction, demonstrations, words, temperature, origin, quoted))
    return candidates


@contextmanager
def optimizer_context(language_model: LanguageModel) -> Iterator[None]:
    """Runs an optimizer with a language model, and suppresses its output and logging."""
    loggers = [logging.getLogger(name) for name in ("dspy", "optuna")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        used = dspy.context(lm=language_model.lm, adapter=language_model.adapter)
        with used, redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
