"""A retriever followed by a reranker."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example
from zero2ir.models.base import Reranker, Retriever
from zero2ir.models.capabilities import Tunable, learn, search_with_feedback, with_corpus
from zero2ir.models.encoder_based import encoders
from zero2ir.models.ranking import NO_DOCUMENT, Candidates, Ranking, moments
from zero2ir.models.wrapper import Wrapper


class Reranked(Tunable, Wrapper):
    """The first documents of a retriever, put in a new order by a reranker; the others follow as they were.

    The reranker's scores are put on the retriever's scale, with the mean and the deviation that the retriever's have
    over the candidates of a query, and both are added by weight. A candidate that the reranker could not score counts
    with the retriever's score alone.

    Args:
        retriever: any.
        reranker: any.
        depth: how many candidates are reranked: the budget of a query.
        weight: of the reranker, 0 (the retriever's order stays, and nothing is asked) to 1 (its order alone).
        alternatives: other weights worth trying when judgments are there. Whether it pays at all is always tried:
            every choice starts from weight 0.
    """

    kind = "reranked"
    order = 70
    tunable = ("weight",)

    def __init__(
        self,
        retriever: Retriever,
        reranker: Reranker,
        depth: int = 20,
        weight: float = 0.5,
        alternatives: Sequence[float] = (0.25, 0.5, 0.75, 1.0),
    ) -> None:
        if depth < 1 or not 0 <= weight <= 1:
            raise ValueError(f"depth={depth}, weight={weight}; rerank at least 1 candidate, with a weight of 0 to 1")
        self.retriever = retriever
        self.reranker = reranker
        self.depth = depth
        self.weight = weight
        self.alternatives = [float(weight) for weight in alternatives]

    def index(self, corpus: Corpus) -> Self:
        super().index(corpus)
        self.reranker.index(corpus)
        return self

    def with_corpus(self, corpus: Corpus, kept_numbers: np.ndarray) -> Self:
        reranked = super().with_corpus(corpus, kept_numbers)
        own = corpus.with_encoders(encoders(reranked.retriever))
        reranked.reranker = with_corpus(self.reranker, own, kept_numbers)
        return reranked

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        return self._reranked(queries, self.retriever.search(queries, max(k, self.depth + 1), candidates)).cut(k)

    def search_with_feedback(
        self,
        queries: Sequence[str],
        documents: np.ndarray,
        weight: float,
        k: int,
        candidates: Candidates | None = None,
    ) -> Ranking:
        """Moves the retriever's query; the reranker sees the query as it is."""
        moved = search_with_feedback(self.retriever, queries, documents, weight, max(k, self.depth + 1), candidates)
        return self._reranked(queries, moved).cut(k)

    def _reranked(self, queries: Sequence[str], ranking: Ranking) -> Ranking:
        return self._reordered(ranking, self._judged(queries, ranking)) if self.weight else ranking

    def _judged(self, queries: Sequence[str], ranking: Ranking) -> list[np.ndarray]:
        """The reranker's scores of the candidates, a row a query."""
        contents = self.corpus.contents
        candidates = [
            [contents[number] for number in row[: self.depth] if number != NO_DOCUMENT] for row in ranking.numbers
        ]
        return self.reranker.score(queries, candidates)

    def _reordered(self, ranking: Ranking, judged: Sequence[np.ndarray]) -> Ranking:
        numbers, scores = ranking.numbers.copy(), ranking.scores.copy()
        for row, opinion in enumerate(judged):
            if (n := len(opinion)) < 2:
                continue
            mixed = self._above_the_rest(self._mixed(ranking.scores[row, :n], opinion), ranking.scores[row, n:])
            order = np.lexsort((ranking.numbers[row, :n], -mixed))  # after the move, whose rounding can make equals
            numbers[row, :n] = ranking.numbers[row, :n][order]
            scores[row, :n] = mixed[order]
        return ranking._replace(numbers=numbers, scores=scores)

    def _mixed(self, scores: np.ndarray, opinion: np.ndarray) -> np.ndarray:
        """(n,) float32: the retriever's scores and the reranker's by weight, on the retriever's scale."""
        own = scores.astype(np.float64)
        given = np.isfinite(opinion)
        other = own.copy()
        if given.sum() > 1:  # as the retriever scores the same candidates; where those tie, all; where all do, by 1
            centre, spread = moments(own[given])
            spread = spread or moments(own)[1] or 1.0
            other[given] = _standardised(opinion[given].astype(np.float64)) * spread + centre
        return ((1 - self.weight) * own + self.weight * other).astype(np.float32)

    @staticmethod
    def _above_the_rest(mixed: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """Moves the candidates' scores above those that follow, so that the ranking stays in order."""
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
        """The retriever's own order first, then each weight; both are asked once for all of them."""
        ranking = self.retriever.search(queries, max(k, self.depth + 1), candidates)
        judged = self._judged(queries, ranking)
        yield {"weight": 0.0}, ranking.cut(k)
        for settings in [self.settings(), *self.alternative_settings()]:
            if settings["weight"]:
                yield settings, self.with_settings(settings)._reordered(ranking, judged).cut(k)

    def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
        """Lets both learn."""
        learned = learn(self.retriever, examples, seed), learn(self.reranker, examples, seed)
        if learned == (None, None):
            return None
        return self.with_params(retriever=learned[0] or self.retriever, reranker=learned[1] or self.reranker)

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        reranked = super().load(folder, corpus)
        reranked.reranker.corpus = corpus.with_encoders(encoders(reranked.retriever))  # it may go on learning
        return reranked


def _standardised(scores: np.ndarray) -> np.ndarray:
    mean, deviation = moments(scores)
    return (scores - mean) / (deviation or 1.0)
