"""The loop: a batch of queries is chosen, its documents are judged, the model is fitted again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from zero2ir.data.judgments import normalised
from zero2ir.data.records import JudgedDocument
from zero2ir.errors import InputError
from zero2ir.labelling.annotations import Annotation
from zero2ir.labelling.committee import Committee
from zero2ir.labelling.selection_state import FittedModel, SelectionState
from zero2ir.labelling.selections import Selection
from zero2ir.labelling.settings import LabellingSettings
from zero2ir.models.base import NO_DOCUMENT, Retriever
from zero2ir.program.training import calibrate, train_program
from zero2ir.strategies.base import Strategy, TrainingInputs

if TYPE_CHECKING:
    from zero2ir.program.program import Program


class AnnotationItem(NamedTuple):
    """What is asked: how relevant is this document to this query? ``repeat`` where it was asked before."""

    query_id: str
    query: str
    doc_id: str
    repeat: bool = False


class Progress(NamedTuple):
    """How far a labelling is.

    Attributes:
        documents: judged, those that were skipped among them.
        queries: judged.
        budget: of queries.
        batch: items of the present batch that are not answered.
    """

    documents: int
    queries: int
    budget: int
    batch: int


class BatchEffect(NamedTuple):
    """What the last batch changed.

    Attributes:
        moved: the mean share of the candidate queries' first ten documents that were not there before.
        before: the measure on the queries judged by then, cross-validated.
        after: the same with the batch, on all judged queries: on more of them than before.
        gain_before: how much of ``before`` was gained over the model as it was given; what stopping goes by.
        gain_after: the same of ``after``.
    """

    changed_share: float
    before: float
    after: float
    gain_before: float
    gain_after: float


class AnswerStore(Protocol):
    """Where answers stand: ``annotations.Annotations`` keeps them in a file."""

    @property
    def rows(self) -> Sequence[Annotation]:
        """What stands, in the order in which it was given."""
        ...

    def add(self, annotation: Annotation) -> None:
        """Keeps one more."""

    def undo(self) -> Any:
        """Takes the last one back."""


class Batch(NamedTuple):
    """One batch that was answered: how many answers stood before and after it."""

    start: int
    end: int


@dataclass
class LoopState:
    """Where a labelling stands after some answers.

    Attributes:
        start: how many answers stood when the present batch was chosen: what the present model is fitted to.
        batches: the finished ones.
        waiting: the items of the present batch that are not answered.
        stopped: why nothing is asked any more.
    """

    start: int
    batches: list[Batch]
    waiting: list[AnnotationItem]
    stopped: str | None = None


class Labelling:
    """Asks for the judgments that it chooses, and fits a model to the answers.

    All that it asks follows from the settings, the seed and the answers that stand, each batch from those before it: so
    it goes on where it was. Answers that it did not ask for, such as imported ones, are judgments like all others.

    Args:
        model: what is trained; indexed on the corpus.
        strategy: how.
        inputs: the corpus, the seed, how to tune, and the judgments that are there before anything is asked.
        queries: those that may be asked about, (id, text); those of which the committee finds nothing never are.
        members: the committee's, by name, indexed on the corpus.
        selection: which queries are next.
        answers: where the answers stand.
        settings: how it goes on.
        about: what the program shall say of itself.
    """

    def __init__(
        self,
        model: Retriever,
        strategy: Strategy,
        inputs: TrainingInputs,
        queries: Sequence[tuple[str, str]],
        members: Mapping[str, Retriever],
        selection: Selection,
        answers: AnswerStore,
        settings: LabellingSettings,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.strategy = strategy
        self.inputs = inputs
        self.queries = drawn_candidates(queries, settings.candidates, inputs.seed)
        self.committee = Committee(inputs.corpus, [text for _, text in self.queries], members)
        self.selection = selection
        self.answers = answers
        self.settings = settings
        self.about = dict(about or {})
        self._place = {query_id: place for place, (query_id, _) in enumerate(self.queries)}
        self._plans: dict[int, list[AnnotationItem]] = {}  # by the number of answers before them
        self._fits: dict[int, FittedModel] = {}
        self._moment: LoopState | None = None

    def next(self) -> AnnotationItem | None:
        """What is asked now, the same until it is answered; None where nothing is, and ``stopped`` says why."""
        return self.waiting[0] if self.waiting else None

    @property
    def waiting(self) -> Sequence[AnnotationItem]:
        """What is asked before the model is fitted again."""
        return self._now().waiting

    @property
    def stopped(self) -> str | None:
        """Why nothing is asked any more; None where something is."""
        return self._now().stopped

    def answer(self, grade: int | None, annotator: str) -> None:
        """Keeps the answer to what is asked, before anything else is done.

        Args:
            grade: 0 for not relevant, 1, 2, ...; None for an item that is skipped.
            annotator: who says so.

        Raises:
            InputError: nothing is asked.
        """
        moment = self._now()
        if not moment.waiting:
            raise InputError(f"nothing is asked: {moment.stopped}")
        item = moment.waiting[0]
        self.answers.add(Annotation(item.query_id, item.query, item.doc_id, grade, annotator, item.repeat))
        moment.waiting.pop(0)
        if not moment.waiting:
            self._moment = None

    def undo(self) -> AnnotationItem | None:
        """Takes the last answer back; what is asked then. None where there is no answer."""
        if not self.answers.rows:
            return None
        self.answers.undo()
        left = len(self.answers.rows)
        self._plans = {start: plan for start, plan in self._plans.items() if start <= left}
        self._fits = {start: fit for start, fit in self._fits.items() if start <= left}
        self._moment = None
        return self.next()

    def add(self, annotation: Annotation) -> None:
        """Keeps an answer that was not asked for, such as a second judgment or an imported one."""
        self.answers.add(annotation)
        self._moment = None

    @property
    def progress(self) -> Progress:
        """How far it is."""
        rows = self.answers.rows
        pairs = {(row.query_id, row.doc_id) for row in rows}
        return Progress(len(pairs), len({query for query, _ in pairs}), self.settings.budget, len(self.waiting))

    @property
    def effect(self) -> BatchEffect | None:
        """What the last finished batch changed; None before the first one."""
        batches = self._now().batches
        return self._effect(batches[-1]) if batches else None

    @property
    def fit(self) -> FittedModel:
        """The model as it was fitted after the last finished batch."""
        return self._fit(self._now().start)

    def ranking(self, query: str, k: int) -> list[str]:
        """The ids of the documents that the model, as it was last fitted, ranks first for any query."""
        numbers = self.fit.retriever.search([query], k).numbers[0]
        return [self.inputs.corpus.documents[number].doc_id for number in numbers if number != NO_DOCUMENT]

    def judgments(self) -> list[JudgedDocument]:
        """All that is judged: those that were there before, and the answers; the last grade of each pair counts."""
        return self._judgments(len(self.answers.rows))

    def program(self) -> "Program":
        """The model, trained on all judgments, as a program.

        Raises:
            InputError: there is no judgment, and the strategy needs some.
        """
        inputs = self.inputs.with_judgments(self.judgments())
        return train_program(self.model, self.strategy, inputs, self.about).program

    def _now(self) -> LoopState:
        if self._moment is None:
            self._moment = self._followed()
        return self._moment

    def _followed(self) -> LoopState:
        """Follows the answers from the first one: each batch is chosen by what stood before it, and looked for."""
        rows, start, batches = self.answers.rows, 0, list[Batch]()
        while True:
            while start < len(rows) and rows[start].query_id not in self._place:
                start += 1
            if start == len(rows) and (reason := self._reason(start, batches)):
                return LoopState(start, batches, [], reason)
            waiting = list(self._plan(start, batches))
            if start < len(rows) and _item(rows[start]) not in waiting:  # somebody else chose this query
                query_id = rows[start].query_id
                while start < len(rows) and rows[start].query_id == query_id:
                    start += 1
                continue
            end = start
            while waiting and end < len(rows):
                if (item := _item(rows[end])) in waiting:
                    waiting.remove(item)
                end += 1
            if waiting:
                return LoopState(start, batches, waiting)
            batches = [*batches, Batch(start, end)]
            start = end

    def _reason(self, start: int, batches: Sequence[Batch]) -> str | None:
        """Why nothing is asked after so many answers; None where something is."""
        judged = len(self._judged(start))
        if judged >= self.settings.budget:
            return f"the budget of {self.settings.budget} judged queries is spent"
        if not self._state(start, batches).open:
            silent = len(self.queries) - len(self._answered)
            return "every candidate query is judged" + (f", but {silent} that find no document" if silent else "")
        last = batches[-self.settings.patience :] if self.settings.patience else []
        if not last or len(last) < self.settings.patience or judged < self.settings.min_queries:
            return None
        effects = [self._effect(batch) for batch in last]
        moved = max(one.changed_share for one in effects)
        gain = max(abs(one.gain_after - one.gain_before) for one in effects)
        if moved > self.settings.max_changed_share or gain > self.settings.max_gain_change:
            return None
        return (
            f"the last {len(last)} batches moved {moved:.1%} of the first ten documents and changed the "
            f"cross-validated gain by {gain:.3f}: more labels change nothing"
        )

    def _plan(self, start: int, batches: Sequence[Batch]) -> list[AnnotationItem]:
        if start not in self._plans:
            self._plans[start] = list(self._planned(start, batches))
        return self._plans[start]

    def _planned(self, start: int, batches: Sequence[Batch]) -> Iterator[AnnotationItem]:
        """The batch that is chosen after so many answers: each query's documents, then what is shown again."""
        state = self._state(start, batches)
        number = min(self.settings.batch(len(batches)), self.settings.budget - len(state.judged))
        known = {(row.query_id, row.doc_id) for row in self.answers.rows[:start]}
        asked = 0
        for place in self.selection.choose(state, number) if number > 0 else []:
            query_id, query = self.queries[place]
            for document in self.committee.pool(place, self.settings.pooling, self.settings.depth):
                doc_id = self.inputs.corpus.documents[document].doc_id
                if (query_id, doc_id) not in known:
                    asked += 1
                    yield AnnotationItem(query_id, query, doc_id)
        yield from self._repeats(start, round(self.settings.repeats * asked))

    def _repeats(self, start: int, number: int) -> list[AnnotationItem]:
        """Answers of earlier batches that are to be given again, each at most once."""
        rows = self.answers.rows[:start]
        again = {(row.query_id, row.doc_id) for row in rows if row.repeat}
        known = [row for row in rows if row.grade is not None and row.doc_id in self.inputs.corpus.number_of]
        left = [row for row in known if (row.query_id, row.doc_id) not in again]
        drawn = np.random.default_rng([self.inputs.seed, start]).permutation(len(left))[:number]
        return [_item(left[place])._replace(repeat=True) for place in drawn]

    def _state(self, start: int, batches: Sequence[Batch]) -> SelectionState:
        return SelectionState(
            self.committee,
            self._judged(start),
            self.inputs.seed,
            fit=lambda: self._fit(start),
            changes=lambda: [self._fit(batch.end).gain - self._fit(batch.start).gain for batch in batches],
            within=self._answered,
        )

    @cached_property
    def _answered(self) -> list[int]:
        """The places of the candidate queries for which the committee finds anything to judge."""
        return [place for place in range(len(self.queries)) if self.committee.pool(place, self.settings.pooling, 1)]

    def _judged(self, start: int) -> list[int]:
        """The places of the candidate queries that anything is known of after so many answers."""
        given = {normalised(row.query) for row in self.inputs.judgments}
        before = [place for place, (_, text) in enumerate(self.queries) if normalised(text) in given]
        asked = [self._place[row.query_id] for row in self.answers.rows[:start] if row.query_id in self._place]
        return list(dict.fromkeys([*before, *asked]))

    def _judgments(self, start: int) -> list[JudgedDocument]:
        known = self.inputs.corpus.number_of
        graded = {
            (row.query_id, row.doc_id): JudgedDocument(row.query_id, row.query, row.doc_id, row.grade)
            for row in self.answers.rows[:start]
            if row.grade is not None and row.doc_id in known
        }
        return [*self.inputs.judgments, *graded.values()]

    def _fit(self, start: int) -> FittedModel:
        if start not in self._fits:
            self._fits[start] = self._fitted(self._judgments(start))
        return self._fits[start]

    def _fitted(self, judgments: Sequence[JudgedDocument]) -> FittedModel:
        texts = self.committee.queries
        if not judgments:
            return FittedModel(self.model, texts)
        inputs = self.inputs.with_judgments(judgments)
        fitted = self.strategy.fit(self.model, inputs)
        choice = fitted.report.get("choice", {})
        observed = float(fitted.values.mean()) if len(fitted.values) else 0.0
        default = choice.get("default", observed)
        gain = max(0.0, choice.get("honest", default) - default)
        confidence = calibrate(fitted.retriever, inputs, fitted.learner).confidence
        return FittedModel(fitted.retriever, texts, judgments, confidence, default + gain, gain)

    def _effect(self, batch: Batch) -> BatchEffect:
        before, after = self._fit(batch.start), self._fit(batch.end)
        return BatchEffect(after.changed_share(before), before.value, after.value, before.gain, after.gain)


def drawn_candidates(queries: Sequence[tuple[str, str]], number: int, seed: int) -> list[tuple[str, str]]:
    """So many queries of a log, in its order, each text once.

    Raises:
        InputError: there is none, or two different ones have one id.
    """
    texts: dict[str, tuple[str, str]] = {}
    for query_id, text in queries:
        if text.strip():
            texts.setdefault(normalised(text), (query_id, text))
    if not texts:
        raise InputError("queries: none given; give some that people ask, one a line")
    kept = list(texts.values())
    if len({query_id for query_id, _ in kept}) < len(kept):
        raise InputError("queries: two different ones have one id; give each its own")
    chosen = np.random.default_rng(seed).permutation(len(kept))[:number]
    return [kept[place] for place in sorted(chosen)]


def _item(row: Annotation) -> AnnotationItem:
    return AnnotationItem(row.query_id, row.query, row.doc_id, row.repeat)
