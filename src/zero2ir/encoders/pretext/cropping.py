"""Cropping: a span of a document should retrieve another span of it."""

from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from zero2ir.data.records import Document
from zero2ir.data.words import join_words, split_words
from zero2ir.encoders.pretext.base import MIN_PRETEXT_WORDS, DocumentTask, TextPair


class Cropping(DocumentTask):
    """Two independent random spans of a document, which may overlap.

    Attributes:
        shortest: minimum length of a span as a share of the document's words; a span has at least three words.
        longest: maximum length; lengths are uniformly distributed.

    Source: Contriever, Izacard et al., TMLR 2022, arXiv 2112.09118, section 3.1.
    """

    shortest: Annotated[float, Field(gt=0, le=1)] = 0.05
    longest: Annotated[float, Field(gt=0, le=1)] = 0.5

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.shortest > self.longest:
            raise ValueError(f"shortest={self.shortest} is greater than longest={self.longest}; swap them")
        return self

    def pair(self, document: Document, rng: np.random.Generator) -> TextPair | None:
        words = split_words(document.content)
        if len(words) < 2 * MIN_PRETEXT_WORDS:
            return None
        return self._span(words, rng), self._span(words, rng)

    def _span(self, words: list[str], rng: np.random.Generator) -> str:
        length = max(MIN_PRETEXT_WORDS, round(len(words) * rng.uniform(self.shortest, self.longest)))
        start = int(rng.integers(len(words) - length + 1))
        return join_words(words[start : start + length])
