"""What every pair task is: its settings, and how it makes (query, document) training pairs from documents alone."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np

from zero2ir.data.records import Document
from zero2ir.encoders.sentences import SENTENCE_END
from zero2ir.io.settings import Settings

MIN_PRETEXT_WORDS = 3  # of a query

TextPair = tuple[str, str]  # query, document text


class PairTask(Settings, ABC):
    """A pretext task of the form "this text should find that one"; its fields are its settings."""

    @abstractmethod
    def pairs(self, documents: Sequence[Document], rng: np.random.Generator) -> Iterator[TextPair]:
        """One epoch of pairs, in random order.

        Args:
            documents: in the collection's order.
            rng: the source of chance.
        """

    def check(self, documents: Sequence[Document]) -> None:
        """Fails where the task makes no sense with these documents.

        Raises:
            InputError: says why, and what to do.
        """


class DocumentTask(PairTask):
    """A task that looks at one document at a time."""

    @abstractmethod
    def pair(self, document: Document, rng: np.random.Generator) -> TextPair | None:
        """(query, document text), or None where the document gives no pair."""

    def pairs(self, documents: Sequence[Document], rng: np.random.Generator) -> Iterator[TextPair]:
        for number in rng.permutation(len(documents)):
            pair = self.pair(documents[number], rng)
            if pair is not None:
                yield pair


def split_sentences(text: str) -> list[str]:
    """Splits a text after full stops, question and exclamation marks and at blank lines; drops very short pieces."""
    return [piece for piece in SENTENCE_END.split(text) if len(piece.split()) >= MIN_PRETEXT_WORDS]
