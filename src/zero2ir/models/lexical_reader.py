"""A zero-shot reader: nearness to question terms, and the answer type of the question."""

import math
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Self

import numpy as np

from zero2ir.data.answer_words import answer_kind, parse_text
from zero2ir.data.answers import NO_SPAN, Span
from zero2ir.data.words import tokenize
from zero2ir.encoders.corpus import Corpus
from zero2ir.models.base import Reader

PROXIMITY_DECAY_WORDS = 12.0  # distance in words at which a question term's influence falls to 1/e
LENGTH_NORMALIZATION = 0.8  # 0 sums over a span's words, 1 averages; on xquad F1 0.28, 0.22 with 1, 0.22 with 0.4


class LexicalReader(Reader):
    """Extracts the span nearest to the question's rare terms that has the question's answer type.

    English question words determine the type (name, number, date); in other languages nearness alone decides.

    Source: the sliding window with distances of Richardson et al., EMNLP 2013, "MCTest", section 4.1; answer types as
    in Hirschman et al., ACL 1999, doi:10.3115/1034678.1034731, section 3.
    """

    kind = "lexical_reader"

    def index(self, corpus: Corpus) -> Self:
        self.corpus = corpus
        vars(self).pop("_rarity", None)  # cached for the previous documents
        return self

    @property
    def language(self) -> str:
        """The language of the documents."""
        return self.corpus.language

    @cached_property
    def _rarity(self) -> dict[str, float]:
        """The inverse document frequency of each stem, log(1 + n_documents / frequency)."""
        split = tokenize(self.corpus.contents, self.language, grams=(1,))
        counts = Counter(stem for stems in split for stem in set(stems))
        return {stem: math.log(1 + len(self.corpus.contents) / count) for stem, count in counts.items()}

    def read(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[list[Span]]:
        return [
            [best_span(text, self.values(query, text), self.language) for text in texts]
            for query, texts in zip(queries, candidates, strict=True)
        ]

    def values(self, query: str, text: str) -> np.ndarray:
        """Returns (n_spans,), each span's evidence, normalised by its length."""
        near, fits, own = self.evidence(query, text).T
        worth = np.concatenate([[0.0], np.cumsum(near * (1 + fits) * (1 - own))])
        first, behind = parse_text(text, self.language).spans.T
        return (worth[behind] - worth[first]) / (behind - first) ** LENGTH_NORMALIZATION

    def evidence(self, query: str, text: str) -> np.ndarray:
        """Returns (n_words, 3): nearness to the question's terms (0 to 1), of the answer type, is a question term."""
        words = parse_text(text, self.language)
        n = len(words.stems)
        unseen = math.log(1 + len(self.corpus.contents))
        terms = {stem: self._rarity.get(stem, unseen) for stem in tokenize([query], self.language, grams=(1,))[0]}
        places: dict[str, list[int]] = {}
        for number, stem in enumerate(words.stems):
            if stem in terms:
                places.setdefault(stem, []).append(number)
        near, own = np.zeros(n), np.zeros(n)
        for stem, numbers in places.items():
            near += terms[stem] * np.exp(-_distances(np.array(numbers), n) / PROXIMITY_DECAY_WORDS)
            own[numbers] = 1.0
        kind = answer_kind(query)
        fits = words.kinds[kind] if kind else np.zeros(n, dtype=bool)
        return np.stack([near / max(sum(terms.values()), 1e-9), fits.astype(float), own], axis=1)


def _distances(places: np.ndarray, n: int) -> np.ndarray:
    """Returns (n,), the distance of each of 0, 1, ... from the nearest of the sorted places."""
    here = np.arange(n)
    behind = np.searchsorted(places, here).clip(max=len(places) - 1)
    return np.minimum(np.abs(here - places[behind]), np.abs(here - places[np.maximum(behind - 1, 0)]))


def best_span(text: str, values: np.ndarray, language: str) -> Span:
    """Returns the span of a text with the highest of the (n_spans,) values, the first of ties."""
    if not len(values):
        return NO_SPAN
    words = parse_text(text, language)
    first, behind = words.spans[values.argmax()]
    start, end = int(words.places[first, 0]), int(words.places[behind - 1, 1])
    return Span(text[start:end], start, end, float(values.max()))
