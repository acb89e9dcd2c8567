"""Training rows of each task, from the documents and from judged queries, if any."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np

from zero2ir.data.answers import answer_spans
from zero2ir.data.records import Document
from zero2ir.encoders.examples import Example
from zero2ir.encoders.multitask import TaskName, pieces, question_with_passage, token_offsets
from zero2ir.encoders.multitask_training.cloze import Cloze, cloze
from zero2ir.encoders.multitask_training.labels import SOURCE_TITLES, Labels
from zero2ir.encoders.multitask_training.settings import MultitaskSettings
from zero2ir.encoders.pretext.adjacency import Adjacency
from zero2ir.encoders.pretext.inverse_cloze import InverseCloze
from zero2ir.encoders.pretext.tasks import PairTasks
from zero2ir.encoders.pretext.title import Title

TrainingRow = tuple[Any, ...]
COLUMNS: Mapping[TaskName, tuple[str, ...]] = {
    "rank": ("anchor", "positive"),
    "passages": ("anchor", "positive"),
    "answer": ("pair", "label"),
    "classify_query": ("text", "label"),
    "classify_document": ("text", "label"),
}
NO_ANSWER_SPAN = (0, 0)  # the first token
UNANSWERABLE_SHARE = 0.25  # share of the questions that are paired with a random passage
PASSAGE_PAIRS = Adjacency(sentences=2)


@dataclass(frozen=True)
class MultitaskDataset:
    """Makes the training rows of every task; uses no queries other than the judged ones.

    Attributes:
        documents: the training documents.
        labels: classes of these documents.
        judged: judged queries; document numbers are indices of ``documents``.
        pairs: pretext tasks for ranking.
        settings: training settings.
        tokenizer: the network's tokenizer.
        prompts: prefixes of queries and of documents.
    """

    documents: Sequence[Document]
    labels: Labels
    judged: Sequence[Example]
    pairs: PairTasks
    settings: MultitaskSettings
    tokenizer: Any
    prompts: tuple[str, str] = ("", "")

    def epoch(self, task: TaskName, rng: np.random.Generator) -> list[TrainingRow]:
        """Returns the rows of one pass over the documents, with rows of judged queries spread evenly among them."""
        makers: Mapping[TaskName, tuple[Callable[..., Iterator[TrainingRow]], Callable[..., Iterator[TrainingRow]]]] = {
            "rank": (self._rank, self._judged_rank),
            "passages": (self._passages, self._judged_passages),
            "answer": (self._answers, self._judged_answers),
            "classify_query": (self._classified_queries, self._judged_classes),
            "classify_document": (self._classified_documents, lambda _: iter(())),
        }
        rows, judged = (list(make(rng)) for make in makers[task])
        return interleave_judged_rows(
            rows, [judged[number] for number in rng.permutation(len(judged))], self.settings.judged_share
        )

    def _pair(self, query: str, text: str) -> TrainingRow:
        before_query, before_document = self.prompts
        return before_query + query, before_document + text

    def _rank(self, rng: np.random.Generator) -> Iterator[TrainingRow]:
        shared = self.labels.source == SOURCE_TITLES  # many documents share a title, which then identifies none of them
        tasks = [task for task in self.pairs.enabled if not (shared and isinstance(task, Title))]
        rows = [self._pair(*pair) for task in tasks for pair in task.pairs(self.documents, rng)]
        yield from (rows[number] for number in rng.permutation(len(rows)))

    def _judged_rank(self, rng: np.random.Generator) -> Iterator[TrainingRow]:
        for example in self.judged:
            yield self._pair(example.query, self.documents[example.positive].content)

    def _passages(self, rng: np.random.Generator) -> Iterator[TrainingRow]:
        yield from (self._pair(*pair) for pair in PASSAGE_PAIRS.pairs(self.documents, rng))

    def _judged_passages(self, rng: np.random.Generator) -> Iterator[TrainingRow]:
        for example in self.judged:
            text = self.documents[example.positive].body
            for places in answer_spans(text, example.answers)[:1]:
                yield self._pair(example.query, text[slice(*self._piece_with(text, *places))])

    def questions(self, rng: np.random.Generator) -> Iterator[tuple[str, Cloze]]:
        """Yields a passage of each document and a question that it answers."""
        for number in rng.permutation(len(self.documents)):
            passage = self._some_passage(self.documents[number], rng)
            if (cloze_question := cloze(passage, rng)) is not None:
                yield passage, cloze_question

    def _answers(self, rng: np.random.Generator) -> Iterator[TrainingRow]:
        for passage, cloze_question in self.questions(rng):
            if rng.random() < UNANSWERABLE_SHARE:
                other = self._some_passage(self.documents[int(rng.integers(len(self.documents)))], rng)
                yield question_with_passage(self.tokenizer, cloze_question.question, other), NO_ANSWER_SPAN
            elif (row := self._answered(passage, cloze_question)) is not None:
                yield row

    def _judged_answers(self, rng: np.random.Generator) -> Iterator[TrainingRow]:
        for example in self.judged:
            text = self.documents[example.positive].body
            for places in answer_spans(text, example.answers)[:1]:
                start, end = self._piece_with(text, *places)
                asked = Cloze(example.query, places[0] - start, min(places[1], end) - start)
                if (row := self._answered(text[start:end], asked)) is not None:
                    yield row

    def _piece_with(self, text: str, start: int, end: int) -> tuple[int, int]:
        """Returns the passage in which a span starts."""
        return next(piece for piece in reversed(pieces(text, self.settings.passage_words)) if piece[0] <= start)

    def _answered(self, passage: str, asked: Cloze) -> TrainingRow | None:
        """Returns a question and passage with the answer's tokens; None if these are truncated."""
        text = question_with_passage(self.tokenizer, asked.question, passage)
        (places,) = token_offsets(self.tokenizer, [text], self.settings.max_tokens)
        places = places - (len(text) - len(passage))
        inside = (places[:, 0] < asked.end) & (places[:, 1] > asked.start) & (places[:, 1] > places[:, 0])
        if not inside.any() or places[:, 1].max() < asked.end:
            return None
        return text, (int(inside.argmax()), int(len(inside) - 1 - inside[::-1].argmax()))

    def _classified_queries(self, rng: np.random.Generator) -> Iterator[TrainingRow]:
        for document, label in self._labelled(rng):
            cloze_question = cloze(self._some_passage(document, rng), rng) if rng.random() < 0.5 else None
            if cloze_question is not None:
                yield self.prompts[0] + cloze_question.question, label
            elif (pair := InverseCloze().pair(document, rng)) is not None:
                yield self.prompts[0] + pair[0], label

    def _judged_classes(self, rng: np.random.Generator) -> Iterator[TrainingRow]:
        for example in self.judged:
            if (label := int(self.labels.class_ids[example.positive])) >= 0:
                yield self.prompts[0] + example.query, label

    def _classified_documents(self, rng: np.random.Generator) -> Iterator[TrainingRow]:
        for document, label in self._labelled(rng):
            yield self.prompts[1] + self._some_passage(document, rng), label

    def _labelled(self, rng: np.random.Generator) -> Iterator[tuple[Document, int]]:
        for number in rng.permutation(len(self.documents)):
            if (label := int(self.labels.class_ids[number])) >= 0:
                yield self.documents[number], label

    def _some_passage(self, document: Document, rng: np.random.Generator) -> str:
        """Draws a passage without the title, which may be the class."""
        passages = pieces(document.body, self.settings.passage_words)
        return document.body[slice(*passages[rng.integers(len(passages))])]


def interleave_judged_rows(
    rows: Sequence[TrainingRow], judged: Sequence[TrainingRow], share: float
) -> list[TrainingRow]:
    """Inserts judged rows evenly among the others, repeated until they have their share."""
    if not judged or not share:
        return list(rows)
    if not rows:
        return list(judged)
    places = np.linspace(0, len(rows), max(1, round(share * len(rows))), endpoint=False).astype(int)
    output = list(rows)
    for place, row in zip(reversed(places), cycle(judged)):  # the cycle has no end
        output.insert(place, row)
    return output


def schedule(sizes: Sequence[int], steps: int, temperature: float, rng: np.random.Generator) -> np.ndarray:
    """Draws the task of each step, (steps,) int64; every task with rows has at least one step.

    Args:
        sizes: number of rows of each task.
        steps: number of steps.
        temperature: T; a task's share of the steps is proportional to the T-th root of its size.
        rng: draws the order.
    """
    shares = np.array(sizes, dtype=np.float64) ** (1 / temperature) * (np.array(sizes) > 0)
    wanted = steps * shares / shares.sum()
    counts = np.floor(wanted).astype(int)
    counts[np.argsort(counts - wanted, kind="stable")[: steps - counts.sum()]] += 1
    for task in np.flatnonzero((counts == 0) & (shares > 0)):
        if counts.max() > 1:
            counts[counts.argmax()] -= 1
            counts[task] += 1
    return rng.permutation(np.repeat(np.arange(len(sizes)), counts))
