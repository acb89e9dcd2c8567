"""Ranks documents by the words that they share with the query."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from zero2ir.encoders.corpus import Corpus
from zero2ir.models.capabilities import Tunable
from zero2ir.models.ranking import Candidates, Ranking, top_k


class Overlap(Tunable):
    """The Dice coefficient of the query's words and the document's.

    Args:
        min_length: shorter words do not count.
        alternatives: other lengths worth trying when judgments are there.
    """

    kind = "overlap"
    order = 5  # reports list it before sparse
    tunable = ("min_length",)

    def __init__(self, min_length: int = 3, alternatives: Sequence[int] = (1, 5)) -> None:
        self.min_length = min_length
        self.alternatives = list(alternatives)

    def index(self, corpus: Corpus) -> Self:
        self.corpus = corpus
        return self

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        scores = np.stack(self.score(queries, [self.corpus.contents] * len(queries)))
        return top_k(scores, k, scores > 0, candidates)

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        return [
            np.array([self.overlap(query, text) for text in texts], dtype=np.float32)
            for query, texts in zip(queries, candidates, strict=True)
        ]

    def words(self, text: str) -> set[str]:
        return {word for word in text.lower().split() if len(word) >= self.min_length}

    def overlap(self, query: str, text: str) -> float:
        asked, words = self.words(query), self.words(text)
        return 2 * len(asked & words) / max(len(asked) + len(words), 1)

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        return super().load(folder, corpus).index(corpus)
