"""The labelling loop: choose a batch of queries, have their documents judged, refit the model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from zero2ir.data.judgments import normalised
from zero2ir.data.records import JudgedDocument
from zero2ir.errors import InputError
from zero2ir.io.values import grade_value
from zero2ir.labelling.annotations import Annotation
from zero2ir.labelling.committee import Committee
from zero2ir.labelling.selection_state import FittedModel, SelectionState
from zero2ir.labelling.selections import Selection
from zero2ir.labelling.settings import LabellingSettings
from zero2ir.models.base import Retriever
from zero2ir.models.ranking import NO_DOCUMENT
from zero2ir.program.training import calibrate, train_program
from zero2ir.strategies.base import Strategy, TrainingInputs

if TYPE_CHECKING:
    from zero2ir.program.program import Program


class AnnotationItem(NamedTuple):
    """A query-document pair to judge; ``repeat`` if it was judged before."""

    query_id: str
    query: str
    doc_id: str
    repeat: bool = False


class Progress(NamedTuple):
    """Numbers of judged (or skipped) documents, judged queries, queries to judge, and open items of the batch."""

    documents: int
    queries: int
    budget: int
    batch: int


class BatchEffect(NamedTuple):
    """Effect of one batch on the model.

    Attributes:
        changed_share: mean share of the candidate queries' first ten documents that are new.
        before: expected measure on the queries judged before the batch.
        after: expected measure on all judged queries, i.e. on more queries than ``before``.
        gain_before: gain over the model before training that ``before`` contains; the stopping rule uses the gains.
        gain_after: the same for ``after``.
    """

    changed_share: float
    before: float
    after: float
    gain_before: float
    gain_after: float


class AnswerStore(Protocol):
    """Stores answers; ``annotations.Annotations`` stores them in a file."""

    @property
    def rows(self) -> Sequence[Annotation]:
        """The valid answers, oldest first."""
        ...

    def add(self, annotation: Annotation) -> None: ...
    def undo(self) -> Any: ...


class Batch(NamedTuple):
    """The numbers of answers before and after a batch."""

    start: int
    end: int


@dataclass
class LoopState:
    """State of the loop after some answers.

    Attributes:
        start: number of answers when the current batch was chosen; the current model is fitted to them.
        batches: the finished batches.
        waiting: unanswered items of the current batch.
        stopped: why the loop has stopped; None while it runs.
    """

    start: int
    batches: list[Batch]
    waiting: list[AnnotationItem]
    stopped: str | None = None


class Labelling:
    """Chooses queries to judge and fits a model to the answers.

    Each batch depends only on the settings, the seed and the answers before it, so a labelling can be resumed. Answers
    outside the batches, e.g. imported ones, count as ordinary judgments.

    Args:
        model: the retriever to train, indexed on the corpus.
        strategy: the training strategy.
        inputs: corpus, seed, tuning settings and the judgments available at the start.
        queries: candidate queries, (id, text); queries for which the committee retrieves nothing are never chosen.
        members: committee members by name, indexed on the corpus.
        selection: chooses the next queries.
        answers: store of the answers.
        settings: batch sizes and stopping rules.
        about: metadata for the program.
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
        own = inputs.own_of([query_id for query_id, _ in self.queries])
        self.committee = Committee(inputs.corpus, [text for _, text in self.queries], members, own)
        self.selection = selection
        self.answers = answers
        self.settings = settings
        self.about = dict(about or {})
        self._place = {query_id: place for place, (query_id, _) in enumerate(self.queries)}
        self._plans: dict[int, list[AnnotationItem]] = {}  # by the number of answers before them
        self._fits: dict[int, FittedModel] = {}
        self._moment: LoopState | None = None

    def next(self) -> AnnotationItem | None:
        """Returns the current item, the same until it is answered; None if the loop has stopped (see ``stopped``)."""
        return self.waiting[0] if self.waiting else None

    @property
    def waiting(self) -> Sequence[AnnotationItem]:
        """Unanswered items of the current batch."""
        return self._now().waiting

    @property
    def stopped(self) -> str | None:
        """Why the loop has stopped; None while it runs."""
        return self._now().stopped

    def answer(self, grade: int | None, annotator: str) -> None:
        """Stores the answer to the current item before anything else happens; see ``Annotation``.

        Raises:
            InputError: there is no item to answer, or the grade is not a whole number of at least 0.
        """
        grade = None if grade is None else grade_value(grade, "grade")
        if grade is not None and grade < 0:
            raise InputError(f"grade {grade} is negative; pass 0 for not relevant, or None to skip the item")
        moment = self._now()
        if not moment.waiting:
            raise InputError(f"nothing to judge: {moment.stopped}")
        item = moment.waiting[0]
        self.answers.add(Annotation(item.query_id, item.query, item.doc_id, grade, annotator, item.repeat))
        moment.waiting.pop(0)
        if not moment.waiting:
            self._moment = None

    def undo(self) -> AnnotationItem | None:
        """Undoes the last answer and returns the item to answer then; None if there is no answer."""
        if not self.answers.rows:
            return None
        self.answers.undo()
        left = len(self.answers.rows)
        self._plans = {start: plan for start, plan in self._plans.items() if start <= left}
        self._fits = {start: fit for start, fit in self._fits.items() if start <= left}
        self._moment = None
        return self.next()

    def add(self, annotation: Annotation) -> None:
        """Stores an answer outside the current batch, e.g. a regraded or imported one."""
        self.answers.add(annotation)
        self._moment = None

    @property
    def progress(self) -> Progress:
        """Progress so far."""
        rows = self.answers.rows
        pairs = {(row.query_id, row.doc_id) for row in rows}
        return Progress(len(pairs), len({query for query, _ in pairs}), self.settings.budget, len(self.waiting))

    @property
    def effect(self) -> BatchEffect | None:
        """Effect of the last finished batch; None before the first."""
        batches = self._now().batches
        return self._effect(batches[-1]) if batches else None

    @property
    def fit(self) -> FittedModel:
        """The model fitted after the last finished batch."""
        return self._fit(self._now().start)

    def ranking(self, query: str, k: int) -> list[str]:
        """Returns the ids of the ``k`` documents that the current model ranks first for a query."""
        numbers = self.fit.retriever.search([query], k).numbers[0]
        return [self.inputs.corpus.documents[number].doc_id for number in numbers if number != NO_DOCUMENT]

    def judgments(self) -> list[JudgedDocument]:
        """Returns all judgments: the initial ones and the answers; the last grade of each pair counts."""
        return self._judgments(len(self.answers.rows))

    def program(self) -> "Program":
        """Trains the model on all judgments; raises InputError if the strategy needs some and there are none."""
        inputs = self.inputs.with_judgments(self.judgments())
        return train_program(self.model, self.strategy, inputs, self.about).program

    def _now(self) -> LoopState:
        if self._moment is None:
            self._moment = self._followed()
        return self._moment

    def _followed(self) -> LoopState:
        """Replays the answers: chooses each batch from the answers before it and matches it with those after it."""
        rows, start, batches = self.answers.rows, 0, list[Batch]()
        while True:
            while start < len(rows) and rows[start].query_id not in self._place:
                start += 1
            if start == len(rows) and (reason := self._reason(start, batches)):
                return LoopState(start, batches, [], reason)
            waiting = list(self._plan(start, batches))
            if start < len(rows) and _item(rows[start]) not in waiting:  # answer to a query outside the batch
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
        """Returns why the loop stops; None if it continues."""
        judged = len(self._judged(start))
        if judged >= self.settings.budget:
            return f"the budget of {self.settings.budget} judged queries is used up"
        if not self._state(start, batches).open:
            silent = len(self.queries) - len(self._answered)
            exception = f", except {silent} without retrieved documents" if silent else ""
            return f"every candidate query is judged{exception}"
        last = batches[-self.settings.patience :] if self.settings.patience else []
        if not last or len(last) < self.settings.patience or judged < self.settings.min_queries:
            return None
        effects = [self._effect(batch) for batch in last]
        moved = max(one.changed_share for one in effects)
        gain = max(abs(one.gain_after - one.gain_before) for one in effects)
        if moved > self.settings.max_changed_share or gain > self.settings.max_gain_change:
            return None
        return (
            f"the last {len(last)} batches changed {moved:.1%} of the first ten documents and the "
            f"expected gain by {gain:.3f}: more judgments make no difference"
        )

    def _plan(self, start: int, batches: Sequence[Batch]) -> list[AnnotationItem]:
        if start not in self._plans:
            self._plans[start] = list(self._planned(start, batches))
        return self._plans[start]

    def _planned(self, start: int, batches: Sequence[Batch]) -> Iterator[AnnotationItem]:
        state = self._state(start, batches)
        number = min(self.settings.batch(len(batches)), self.settings.budget - len(state.judged))
        answered = {(row.query_id, row.doc_id) for row in self.answers.rows[:start]}
        new_items = 0
        for place in self.selection.choose(state, number) if number > 0 else []:
            query_id, query = self.queries[place]
            for document in self.committee.pool(place, self.settings.pooling, self.settings.depth):
                doc_id = self.inputs.corpus.documents[document].doc_id
                if (query_id, doc_id) not in answered:
                    new_items += 1
                    yield AnnotationItem(query_id, query, doc_id)
        yield from self._repeats(start, round(self.settings.repeats * new_items))

    def _repeats(self, start: int, number: int) -> list[AnnotationItem]:
        rows = self.answers.rows[:start]
        again = {(row.query_id, row.doc_id) for row in rows if row.repeat}
        graded = [row for row in rows if row.grade is not None and row.doc_id in self.inputs.corpus.number_of]
        left = [row for row in graded if (row.query_id, row.doc_id) not in again]
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
        """Positions of the candidate queries for which the committee retrieves any document."""
        return [place for place in range(len(self.queries)) if self.committee.pool(place, self.settings.pooling, 1)]

    def _judged(self, start: int) -> list[int]:
        judged_texts = {normalised(row.query) for row in self.inputs.judgments}
        before = [place for place, (_, text) in enumerate(self.queries) if normalised(text) in judged_texts]
        answered = [self._place[row.query_id] for row in self.answers.rows[:start] if row.query_id in self._place]
        return list(dict.fromkeys([*before, *answered]))

    def _judgments(self, start: int) -> list[JudgedDocument]:
        numbers = self.inputs.corpus.number_of
        graded = {
            (row.query_id, row.doc_id): JudgedDocument(row.query_id, row.query, row.doc_id, row.grade)
            for row in self.answers.rows[:start]
            if row.grade is not None and row.doc_id in numbers
        }
        return [*self.inputs.judgments, *graded.values()]

    def _fit(self, start: int) -> FittedModel:
        if start not in self._fits:
            self._fits[start] = self._fitted(self._judgments(start))
        return self._fits[start]

    def _fitted(self, judgments: Sequence[JudgedDocument]) -> FittedModel:
        texts, own = self.committee.queries, self.committee.own
        if not judgments:
            return FittedModel(self.model, texts, confidence=calibrate(self.model, self.inputs), own=own)
        inputs = self.inputs.with_judgments(judgments)
        fitted = self.strategy.fit(self.model, inputs)
        observed = float(fitted.values.mean()) if len(fitted.values) else 0.0
        default, gain = (
            fitted.report.get(name, other) for name, other in (("default", observed), ("expected_gain", 0.0))
        )
        confidence = calibrate(fitted.retriever, inputs, fitted.learner)
        return FittedModel(fitted.retriever, texts, judgments, confidence, default + gain, gain, own)

    def _effect(self, batch: Batch) -> BatchEffect:
        before, after = self._fit(batch.start), self._fit(batch.end)
        return BatchEffect(after.changed_share(before), before.value, after.value, before.gain, after.gain)


def drawn_candidates(queries: Sequence[tuple[str, str]], number: int, seed: int) -> list[tuple[str, str]]:
    """Draws up to ``number`` queries of a log, in log order and without duplicate texts.

    Raises:
        InputError: there is no query, or two different queries share an id.
    """
    texts: dict[str, tuple[str, str]] = {}
    for query_id, text in queries:
        if text.strip():
            texts.setdefault(normalised(text), (query_id, text))
    if not texts:
        raise InputError("queries: none given; give real user queries, one per line")
    kept = list(texts.values())
    if len({query_id for query_id, _ in kept}) < len(kept):
        raise InputError("queries: two different queries share one id; give each query its own id")
    chosen = np.random.default_rng(seed).permutation(len(kept))[:number]
    return [kept[place] for place in sorted(chosen)]


def _item(row: Annotation) -> AnnotationItem:
    return AnnotationItem(row.query_id, row.query, row.doc_id, row.repeat)
