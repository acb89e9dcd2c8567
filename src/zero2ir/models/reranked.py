"""A retriever followed by a reranker."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example
from zero2ir.io.settings import Fraction, PositiveInt
from zero2ir.models.base import Reranker, Retriever
from zero2ir.models.capabilities import Tunable, learn, search_with_feedback, with_corpus
from zero2ir.models.encoder_based import encoders
from zero2ir.models.ranking import NO_DOCUMENT, Candidates, Ranking, moments
from zero2ir.models.wrapper import Wrapper


class Reranked(Tunable, Wrapper):
    """Reranks the first documents of a retriever; the others follow in the retriever's order.

    The reranker's scores are scaled to the mean and deviation of the retriever's scores of a query's candidates, and
    the weighted mean of both ranks them. A candidate that the reranker cannot score keeps the retriever's score.

    Args:
        retriever: any.
        reranker: any.
        depth: number of reranked candidates per query.
        weight: of the reranker, 0 (the retriever alone; the reranker does not run) to 1 (the reranker alone).
        alternatives: other weights to try on judgments; weight 0 is always the default of tuning.
    """

    kind = "reranked"
    order = 70
    tunable = ("weight",)

    def __init__(
        self,
        retriever: Retriever,
        reranker: Reranker,
        depth: PositiveInt = 20,
        weight: Fraction = 0.5,
        alternatives: Sequence[Fraction] = (0.25, 0.5, 0.75, 1.0),
    ) -> None:
        self.retriever = retriever
        self.reranker = reranker
        self.depth = depth
        self.weight = weight
        self.alternatives = list(alternatives)

    def with_corpus(self, corpus: Corpus, kept_numbers: np.ndarray) -> Self:
        reranked = super().with_corpus(corpus, kept_numbers)
        own = corpus.with_encoders(encoders(reranked.retriever))
        reranked.reranker = with_corpus(self.reranker, own, kept_numbers)
        return reranked

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        return self._reranked(queries, self.retriever.search(queries, max(k, self.depth + 1), candidates)).cut(k)

    def search_with_feedback(
        self, queries: Sequence[str], documents: np.ndarray, weight: float, k: int, candidates: Candidates | None = None
    ) -> Ranking:
        """Moves the retriever's query; the reranker sees the original query."""
        moved = search_with_feedback(self.retriever, queries, documents, weight, max(k, self.depth + 1), candidates)
        return self._reranked(queries, moved).cut(k)

    def _reranked(self, queries: Sequence[str], ranking: Ranking) -> Ranking:
        return self._reordered(ranking, self._judged(queries, ranking)) if self.weight else ranking

    def _judged(self, queries: Sequence[str], ranking: Ranking) -> list[np.ndarray]:
        """Returns the reranker's scores of each query's candidates."""
        contents = self.corpus.contents
        first = ranking.cut(self.depth).numbers
        return self.reranker.score(queries, [[contents[number] for number in row[row != NO_DOCUMENT]] for row in first])

    def _reordered(self, ranking: Ranking, judged: Sequence[np.ndarray]) -> Ranking:
        numbers, scores = ranking.numbers.copy(), ranking.scores.copy()
        for row, opinion in enumerate(judged):
            if (n := len(opinion)) < 2:
                continue
            mixed = self._above_the_rest(self._mixed(ranking.scores[row, :n], opinion), ranking.scores[row, n:])
            order = np.lexsort((ranking.numbers[row, :n], -mixed))  # last, since rounding can produce ties
            numbers[row, :n] = ranking.numbers[row, :n][order]
            scores[row, :n] = mixed[order]
        return ranking._replace(numbers=numbers, scores=scores)

    def _mixed(self, scores: np.ndarray, opinion: np.ndarray) -> np.ndarray:
        """Returns (n,) float32, the weighted mean of both scores on the retriever's scale."""
        own = scores.astype(np.float64)
        scored = np.isfinite(opinion)
        other = own.copy()
        if scored.sum() > 1:  # the scale of the same candidates; if those tie, of all candidates, or else 1
            centre, spread = moments(own[scored])
            spread = spread or moments(own)[1] or 1.0
            mean, deviation = moments(opinion[scored].astype(np.float64))
            other[scored] = (opinion[scored].astype(np.float64) - mean) / (deviation or 1.0) * spread + centre
        return ((1 - self.weight) * own + self.weight * other).astype(np.float32)

    @staticmethod
    def _above_the_rest(mixed: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """Shifts the candidates' scores above those of the documents that follow."""
        following = rest[np.isfinite(rest)]
        if not len(following):
            return mixed
        return mixed - mixed.min() + np.nextafter(following.max(), np.float32(np.inf), dtype=np.float32)

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        own = self.retriever.score(queries, candidates)
        if not self.weight:
            return own
        return [
            self._mixed(one, other) if len(one) > 1 else one
            for one, other in zip(own, self.reranker.score(queries, candidates), strict=True)
        ]

    def sweep(
        self, queries: Sequence[str], k: int, candidates: Candidates | None = None
    ) -> Iterator[tuple[dict[str, Any], Ranking]]:
        """Yields the retriever's own ranking first, then each weight's; retriever and reranker run once."""
        ranking = self.retriever.search(queries, max(k, self.depth + 1), candidates)
        judged = self._judged(queries, ranking)
        yield {"weight": 0.0}, ranking.cut(k)
        for settings in [self.settings(), *self.alternative_settings()]:
            if settings["weight"]:
                yield settings, self.with_settings(settings)._reordered(ranking, judged).cut(k)

    def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
        """Trains the retriever and the reranker."""
        learned = learn(self.retriever, examples, seed), learn(self.reranker, examples, seed)
        if learned == (None, None):
            return None
        return self.with_params(retriever=learned[0] or self.retriever, reranker=learned[1] or self.reranker)

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        reranked = super().load(folder, corpus)
        reranked.reranker.corpus = corpus.with_encoders(encoders(reranked.retriever))  # for further training
        return reranked
