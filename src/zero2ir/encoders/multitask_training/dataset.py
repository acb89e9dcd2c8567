"""What each task learns from: rows of text made of the documents, and of the judged queries where there are some."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np

from zero2ir.data.answers import answer_places
from zero2ir.data.records import Document
from zero2ir.encoders.examples import Example
from zero2ir.encoders.multitask import TaskName, joined, pieces, token_places
from zero2ir.encoders.multitask_training.cloze import Cloze, cloze
from zero2ir.encoders.multitask_training.labels import TITLES, Labels
from zero2ir.encoders.multitask_training.settings import MultitaskSettings
from zero2ir.encoders.pretext.adjacency import Adjacency
from zero2ir.encoders.pretext.inverse_cloze import InverseCloze
from zero2ir.encoders.pretext.tasks import PairTasks
from zero2ir.encoders.pretext.title import Title

Row = tuple[Any, ...]
COLUMNS: Mapping[TaskName, tuple[str, ...]] = {
    "rank": ("anchor", "positive"),
    "passages": ("anchor", "positive"),
    "answer": ("pair", "label"),
    "classify_query": ("text", "label"),
    "classify_document": ("text", "label"),
}
NONE = (0, 0)  # the first token: no answer
UNANSWERED = 0.25  # share of the questions that are asked of another passage
NEIGHBOURS = Adjacency(sentences=2)


@dataclass(frozen=True)
class Lessons:
    """Makes the rows of every task; nothing of a query is looked at that is not judged.

    Attributes:
        documents: to learn from.
        labels: of these documents.
        judged: judged queries; their document numbers are places in ``documents``.
        pairs: which pretext pairs teach to rank.
        settings: of the training.
        tokenizer: the network's.
        prompts: what stands before queries and before documents.
    """

    documents: Sequence[Document]
    labels: Labels
    judged: Sequence[Example]
    pairs: PairTasks
    settings: MultitaskSettings
    tokenizer: Any
    prompts: tuple[str, str] = ("", "")

    def epoch(self, task: TaskName, rng: np.random.Generator) -> list[Row]:
        """One pass over the documents, judged queries spread evenly among them."""
        makers: Mapping[TaskName, tuple[Callable[..., Iterator[Row]], Callable[..., Iterator[Row]]]] = {
            "rank": (self._rank, self._judged_rank),
            "passages": (self._passages, self._judged_passages),
            "answer": (self._answers, self._judged_answers),
            "classify_query": (self._classified_queries, self._judged_classes),
            "classify_document": (self._classified_documents, lambda _: iter(())),
        }
        rows, judged = (list(make(rng)) for make in makers[task])
        return mingled(rows, [judged[number] for number in rng.permutation(len(judged))], self.settings.judged)

    def _pair(self, query: str, text: str) -> Row:
        before_query, before_document = self.prompts
        return before_query + query, before_document + text

    def _rank(self, rng: np.random.Generator) -> Iterator[Row]:
        shared = self.labels.source == TITLES  # such a title finds many documents, and so teaches nothing of one
        tasks = [task for task in self.pairs.on if not (shared and isinstance(task, Title))]
        rows = [self._pair(*pair) for task in tasks for pair in task.pairs(self.documents, rng)]
        yield from (rows[number] for number in rng.permutation(len(rows)))

    def _judged_rank(self, rng: np.random.Generator) -> Iterator[Row]:
        for example in self.judged:
            yield self._pair(example.query, self.documents[example.positive].content)

    def _passages(self, rng: np.random.Generator) -> Iterator[Row]:
        yield from (self._pair(*pair) for pair in NEIGHBOURS.pairs(self.documents, rng))

    def _judged_passages(self, rng: np.random.Generator) -> Iterator[Row]:
        for example in self.judged:
            text = self.documents[example.positive].body
            for places in answer_places(text, example.answers)[:1]:
                yield self._pair(example.query, text[slice(*self._piece_with(text, *places))])

    def questions(self, rng: np.random.Generator) -> Iterator[tuple[str, Cloze]]:
        """A passage of each document, and a question that it answers."""
        for number in rng.permutation(len(self.documents)):
            passage = self._some_passage(self.documents[number], rng)
            if (made := cloze(passage, rng)) is not None:
                yield passage, made

    def _answers(self, rng: np.random.Generator) -> Iterator[Row]:
        for passage, made in self.questions(rng):
            if rng.random() < UNANSWERED:
                other = self._some_passage(self.documents[int(rng.integers(len(self.documents)))], rng)
                yield joined(self.tokenizer, made.question, other), NONE
            elif (row := self._answered(passage, made)) is not None:
                yield row

    def _judged_answers(self, rng: np.random.Generator) -> Iterator[Row]:
        for example in self.judged:
            text = self.documents[example.positive].body
            for places in answer_places(text, example.answers)[:1]:
                start, end = self._piece_with(text, *places)
                asked = Cloze(example.query, places[0] - start, min(places[1], end) - start)
                if (row := self._answered(text[start:end], asked)) is not None:
                    yield row

    def _piece_with(self, text: str, start: int, end: int) -> tuple[int, int]:
        """The passage in which something starts."""
        return next(piece for piece in reversed(pieces(text, self.settings.piece_words)) if piece[0] <= start)

    def _answered(self, passage: str, asked: Cloze) -> Row | None:
        """A question of a passage with the tokens of its answer; None where these are cut off."""
        text = joined(self.tokenizer, asked.question, passage)
        (places,) = token_places(self.tokenizer, [text], self.settings.max_tokens)
        places = places - (len(text) - len(passage))
        inside = (places[:, 0] < asked.end) & (places[:, 1] > asked.start) & (places[:, 1] > places[:, 0])
        if not inside.any() or places[:, 1].max() < asked.end:
            return None
        return text, (int(inside.argmax()), int(len(inside) - 1 - inside[::-1].argmax()))

    def _classified_queries(self, rng: np.random.Generator) -> Iterator[Row]:
        for document, label in self._labelled(rng):
            made = cloze(self._some_passage(document, rng), rng) if rng.random() < 0.5 else None
            if made is not None:
                yield self.prompts[0] + made.question, label
            elif (pair := InverseCloze().pair(document, rng)) is not None:
                yield self.prompts[0] + pair[0], label

    def _judged_classes(self, rng: np.random.Generator) -> Iterator[Row]:
        for example in self.judged:
            if (label := int(self.labels.of[example.positive])) >= 0:
                yield self.prompts[0] + example.query, label

    def _classified_documents(self, rng: np.random.Generator) -> Iterator[Row]:
        for document, label in self._labelled(rng):
            yield self.prompts[1] + self._some_passage(document, rng), label

    def _labelled(self, rng: np.random.Generator) -> Iterator[tuple[Document, int]]:
        for number in rng.permutation(len(self.documents)):
            if (label := int(self.labels.of[number])) >= 0:
                yield self.documents[number], label

    def _some_passage(self, document: Document, rng: np.random.Generator) -> str:
        """A passage of a document's text; its title may be the class, or the answer to too much."""
        passages = pieces(document.body, self.settings.piece_words)
        return document.body[slice(*passages[rng.integers(len(passages))])]


def mingled(rows: Sequence[Row], judged: Sequence[Row], share: float) -> list[Row]:
    """Rows with others among them, evenly, which come again and again until they have their share."""
    if not judged or not share:
        return list(rows)
    if not rows:
        return list(judged)
    number = max(1, round(share * len(rows)))
    again = cycle(judged)
    places = np.linspace(0, len(rows), number, endpoint=False).astype(int)
    found = list(rows)
    for place in reversed(places):
        found.insert(place, next(again))
    return found


def schedule(sizes: Sequence[int], steps: int, temperature: float, rng: np.random.Generator) -> np.ndarray:
    """(steps,) int64 which task each step is of: a task with rows has its share of the steps, one at least.

    Args:
        sizes: rows of each task.
        steps: in all.
        temperature: shares are those of the sizes' T-th roots.
        rng: the order.
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
