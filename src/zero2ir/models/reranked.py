"""A retriever followed by a reranker."""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, Self

import numpy as np

from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example
from zero2ir.models.base import (
    NO_DOCUMENT,
    Candidates,
    Ranking,
    Reader,
    Reranker,
    Retriever,
    moments,
    read_state,
    stored_settings,
    write_state,
)
from zero2ir.models.prompted import PartPrompt, Prompted

RERANKER = "reranker"


class Reranked(Retriever):
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
        self._alternatives = [float(weight) for weight in alternatives]

    def needs(self) -> set[str]:
        return self.retriever.needs() | self.reranker.needs()

    def parts(self) -> list[Retriever]:
        return [self.retriever]

    def with_parts(self, parts: Sequence[Retriever]) -> Self:
        (retriever,) = parts
        return self._of(retriever, self.reranker, self.weight)

    def prompted_parts(self) -> dict[str, Prompted]:
        own = {RERANKER: self.reranker} if isinstance(self.reranker, Prompted) else {}
        return {**super().prompted_parts(), **own}

    def with_prompts(self, prompts: Mapping[str, PartPrompt]) -> Self:
        changed = super().with_prompts(prompts)
        if RERANKER not in prompts or not isinstance(self.reranker, Prompted):
            return changed
        return changed._of(changed.retriever, self.reranker.with_prompt(prompts[RERANKER]), self.weight)

    def _of(self, retriever: Retriever, reranker: Reranker, weight: float) -> Self:
        changed = type(self)(retriever, reranker, self.depth, weight, self._alternatives)
        changed.corpus = self.corpus
        return changed

    def reindexed(self, corpus: Corpus) -> Self:
        return self._of(self.retriever.reindexed(corpus), copy(self.reranker), self.weight).index(corpus)

    def index(self, corpus: Corpus) -> Self:
        self.corpus = corpus
        self.retriever.index(corpus)
        self.reranker.index(corpus)
        return self

    def updated(self, corpus: Corpus, kept: np.ndarray) -> Self:
        retriever = self.retriever.updated(corpus, kept)
        reranker = self.reranker.updated(corpus.with_encoders(retriever.encoders()), kept)
        reranked = self._of(retriever, reranker, self.weight)
        reranked.corpus = corpus
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
        moved = self.retriever.search_with_feedback(queries, documents, weight, max(k, self.depth + 1), candidates)
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

    def reader(self) -> Reader | None:
        return self.reranker if isinstance(self.reranker, Reader) else super().reader()

    def settings(self) -> dict[str, Any]:
        return {"weight": self.weight}

    def alternatives(self) -> list[dict[str, Any]]:
        return [{"weight": weight} for weight in self._alternatives if weight != self.weight]

    def with_settings(self, settings: Mapping[str, Any]) -> Self:
        return self._of(self.retriever, self.reranker, settings["weight"])

    def sweep(
        self, queries: Sequence[str], k: int, candidates: Candidates | None = None
    ) -> Iterator[tuple[dict[str, Any], Ranking]]:
        """The retriever's own order first, then each weight; both are asked once for all of them."""
        ranking = self.retriever.search(queries, max(k, self.depth + 1), candidates)
        judged = self._judged(queries, ranking)
        yield {"weight": 0.0}, ranking.cut(k)
        for settings in [self.settings(), *self.alternatives()]:
            if settings["weight"]:
                yield settings, self.with_settings(settings)._reordered(ranking, judged).cut(k)

    def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
        """Lets both learn."""
        retriever, reranker = self.retriever.learn(examples, seed), self.reranker.learn(examples, seed)
        if retriever is None and reranker is None:
            return None
        return self._of(retriever or self.retriever, reranker or self.reranker, self.weight)

    def save(self, folder: Path) -> None:
        write_state(folder, self, depth=self.depth, alternatives=self._alternatives)
        self.retriever.save(folder / "retriever")
        self.reranker.save(folder / "reranker")

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        from zero2ir.models.loading import load_reranker, load_retriever

        state = read_state(folder)
        retriever = load_retriever(folder / "retriever", corpus)
        reranker = load_reranker(
            folder / "reranker", corpus.with_encoders(retriever.encoders())
        )  # it may go on learning
        reranked = cls(retriever, reranker, **state["settings"], **stored_settings(state, ("depth", "alternatives")))
        reranked.corpus = corpus
        return reranked


def _standardised(scores: np.ndarray) -> np.ndarray:
    mean, deviation = moments(scores)
    return (scores - mean) / (deviation or 1.0)
