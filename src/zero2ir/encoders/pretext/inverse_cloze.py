"""Inverse cloze: a sentence should retrieve the rest of its document."""

from typing import Annotated

import numpy as np
from pydantic import Field

from zero2ir.data.records import Document
from zero2ir.data.words import join_words, split_words
from zero2ir.encoders.pretext.base import MIN_PRETEXT_WORDS, DocumentTask, TextPair, split_sentences


class InverseCloze(DocumentTask):
    """A random sentence and the rest of its document; for single sentences, a random third of the words.

    Attributes:
        keep: share of pairs whose sentence stays in the document, so that exact matches are learned as well.

    Source: Lee, Chang and Toutanova, ACL 2019, arXiv 1906.00300, section 4.
    """

    keep: Annotated[float, Field(ge=0, le=1)] = 0.1

    def pair(self, document: Document, rng: np.random.Generator) -> TextPair | None:
        pieces = split_sentences(document.text)
        if len(pieces) < 2:
            words = split_words(document.text)
            if len(words) < 2 * MIN_PRETEXT_WORDS:
                return None
            length = max(MIN_PRETEXT_WORDS, len(words) // 3)
            start = int(rng.integers(len(words) - length + 1))
            query = join_words(words[start : start + length])
            rest = join_words(words[:start] + words[start + length :])
        else:
            chosen = int(rng.integers(len(pieces)))
            query = pieces[chosen]
            rest = " ".join(pieces[:chosen] + pieces[chosen + 1 :])
        body = document.text if rng.random() < self.keep else rest
        return query, f"{document.title}\n{body}".strip()
