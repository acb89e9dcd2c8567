"""The base classes of pretext tasks that make (query, document) pairs from documents."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np

from zero2ir.data.records import Document
from zero2ir.data.words import split_words
from zero2ir.encoders.sentences import SENTENCE_END
from zero2ir.io.settings import Settings

MIN_PRETEXT_WORDS = 3  # of a query

TextPair = tuple[str, str]  # query, document text


class PairTask(Settings, ABC):
    """A pretext task that makes pairs of texts, of which one should retrieve the other; its fields are its settings."""

    @abstractmethod
    def pairs(self, documents: Sequence[Document], rng: np.random.Generator) -> Iterator[TextPair]:
        """Yields the pairs of one epoch in random order; ``documents`` are in the collection's order."""

    def check(self, documents: Sequence[Document]) -> None:
        """Raises ``InputError`` if the task does not apply to these documents."""


class DocumentTask(PairTask):
    """A task whose pairs come from single documents."""

    @abstractmethod
    def pair(self, document: Document, rng: np.random.Generator) -> TextPair | None:
        """Returns a pair from a document, or None."""

    def pairs(self, documents: Sequence[Document], rng: np.random.Generator) -> Iterator[TextPair]:
        for number in rng.permutation(len(documents)):
            if (pair := self.pair(documents[number], rng)) is not None:
                yield pair


def split_sentences(text: str) -> list[str]:
    """Splits a text after sentence-final punctuation and at blank lines; drops very short pieces."""
    return [piece for piece in SENTENCE_END.split(text) if len(split_words(piece)) >= MIN_PRETEXT_WORDS]
