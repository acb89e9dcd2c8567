"""Score smoothing over neighbouring documents around any retriever."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import save_embeddings
from zero2ir.errors import InputError
from zero2ir.io.arrays import check_range, read_array
from zero2ir.io.settings import Fraction, NonNegativeInt, PositiveInt
from zero2ir.models.base import Retriever, parts
from zero2ir.models.capabilities import Shardable, Tunable, search_with_feedback
from zero2ir.models.dense import Dense
from zero2ir.models.neighbours import changed_neighbours, neighbours_of
from zero2ir.models.normalization import ScoreStatistics
from zero2ir.models.ranking import (
    Candidates,
    Ranking,
    concatenate_rankings,
    rank_documents,
    search_scope,
    top_k,
)
from zero2ir.models.vector_index import ExactIndex, build_vector_index
from zero2ir.models.wrapper import Wrapper

NEIGHBOURS_FILE, SIMILARITIES_FILE = "neighbours.npy", "similarities.npy"


class Smoothed(Tunable, Shardable, Wrapper):
    """Moves each document's score toward the scores of its nearest documents.

    A document is more likely to be relevant if its neighbours are. Unlike feedback this depends on no single document
    and needs no second search. Scores are z-scores over the collection, as in a hybrid. A neighbour's weight is the
    square of its cosine.

    Args:
        retriever: any.
        encoder: the role of the encoder whose embeddings define the neighbours.
        neighbours: number of neighbours of a document, at least 1.
        weight: of the neighbours beside the document itself, 0 (no smoothing) to 1.
        depth: number of the retriever's documents that are smoothed.
        alternatives: other (neighbours, weight) to try on judgments; weight 0 switches smoothing off.
        exact_limit: number of documents above which a graph finds the neighbours, unless a part of the retriever
            searches the same embeddings: then its index finds them.

    Source: score regularisation, Diaz, CIKM 2005, doi:10.1145/1099554.1099722, one step of its iteration; the cluster
    hypothesis, van Rijsbergen 1979, chapter 3.
    """

    kind = "smoothed"
    order = 62
    tunable = ("neighbours", "weight")

    def __init__(
        self,
        retriever: Retriever,
        encoder: str = "pretrained",
        neighbours: PositiveInt = 5,
        weight: Fraction = 0.3,
        depth: PositiveInt = 1000,
        alternatives: Sequence[tuple[PositiveInt, Fraction]] = (),
        exact_limit: NonNegativeInt = 200_000,
    ) -> None:
        self.retriever = retriever
        self.encoder = encoder
        self.neighbours = neighbours
        self.weight = weight
        self.depth = depth
        self.alternatives = list(alternatives)
        self.exact_limit = exact_limit

    def needs(self) -> set[str]:
        return super().needs() | {self.encoder}

    def index(self, corpus: Corpus) -> Self:
        super().index(corpus)
        index = _index(self, self.encoder) or build_vector_index(
            corpus.encoded(self.encoder), "float32", self.exact_limit
        )
        self.near, self.similarities = neighbours_of(index, self._most())
        return self._shared()

    def _most(self) -> int:
        return max(self.neighbours, *(neighbours for neighbours, _ in self.alternatives), 0)

    def with_corpus(self, corpus: Corpus, kept_numbers: np.ndarray) -> Self:
        """Finds the neighbours that change, by the vectors of the part that has this encoder."""
        smoothed = super().with_corpus(corpus, kept_numbers)
        index = _index(smoothed, self.encoder)
        if index is None:
            raise InputError(
                f"smoothed: no part has the vectors of encoder {self.encoder}; train it again with all documents"
            )
        smoothed.near, smoothed.similarities = changed_neighbours(self.near, self.similarities, kept_numbers, index)
        return smoothed._shared()

    def of_shards(self, corpus: Corpus, shards: Sequence[Path], folder: Path) -> Self:
        """Joins the parts, and searches the neighbours of each document in the joined index, in this process."""
        joined = super().of_shards(corpus, shards, folder)
        index = _index(joined, self.encoder)
        if index is None:
            raise InputError(
                f"smoothed: no part has the vectors of encoder {self.encoder}, so that shards give no neighbours; "
                "set model.encoder to that of a part"
            )
        joined.near, joined.similarities = neighbours_of(index, self._most())
        return joined._shared()

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        if not self.weight:
            return self.retriever.search(queries, k, candidates)
        return self._smoothed(self.retriever.search(queries, *self._scope(candidates)), k, candidates)

    def search_with_feedback(
        self, queries: Sequence[str], documents: np.ndarray, weight: float, k: int, candidates: Candidates | None = None
    ) -> Ranking:
        if not self.weight:
            return search_with_feedback(self.retriever, queries, documents, weight, k, candidates)
        depth, scored = self._scope(candidates)
        moved = search_with_feedback(self.retriever, queries, documents, weight, depth, scored)
        return self._smoothed(moved, k, candidates)

    def _scope(self, candidates: Candidates | None = None) -> tuple[int, Candidates | None]:
        """Returns the retriever's depth and candidates, with their neighbours."""
        near = None if candidates is None else [np.union1d(numbers, self.near[numbers]) for numbers in candidates]
        return search_scope(self.depth, len(self.near), near)

    def _smoothed(self, ranking: Ranking, k: int, candidates: Candidates | None) -> Ranking:
        if not len(ranking.numbers):
            return top_k(np.zeros((0, len(self.near))), k)
        references = [ScoreStatistics.from_ranking(ranking, row) for row in range(len(ranking.numbers))]
        wanted = [None] * len(references) if candidates is None else candidates
        rows = [self._smoothed_row(one, k, numbers) for one, numbers in zip(references, wanted, strict=True)]
        return concatenate_rankings(rows)

    def coordinates(self, settings: Mapping[str, Any]) -> dict[str, float]:
        """Returns coordinates in which all numbers of neighbours are alike without weight."""
        weight = settings["weight"]
        return {"weight": weight, "weight of ln neighbours": weight * math.log(settings["neighbours"])}

    def with_settings(self, settings: Mapping[str, Any]) -> Self:
        return super().with_settings(settings)._shared()

    def _shared(self) -> Self:
        self.shares = shares(self.similarities[:, : self.neighbours])
        return self

    def _smoothed_row(self, reference: ScoreStatistics, k: int, candidates: np.ndarray | None) -> Ranking:
        near, shares = self.near[:, : self.neighbours], self.shares
        own = reference.spread(len(near), "z-score")
        around = np.einsum("dn,dn->d", own[near], shares)
        total = (1 - self.weight) * own + self.weight * around
        found = np.zeros(len(near), dtype=bool)
        found[reference.numbers] = True
        found |= (found[near] & (shares > 0)).any(axis=1)
        return rank_documents(total, k, found, candidates)

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """Scores texts without neighbours, on the scale of ``search``."""
        scores = self.retriever.score(queries, candidates)
        if not self.weight or not len(queries):
            return scores
        ranking = self.retriever.search(queries, *self._scope())
        return [
            ScoreStatistics.from_ranking(ranking, row).normalize(values, "z-score").astype(np.float32)
            for row, values in enumerate(scores)
        ]

    def sweep(
        self, queries: Sequence[str], k: int, candidates: Candidates | None = None
    ) -> Iterator[tuple[dict[str, Any], Ranking]]:
        """Yields each setting's ranking; the retriever searches once for all settings."""
        ranking = self.retriever.search(queries, *self._scope(candidates))
        for settings in [self.settings(), *self.alternative_settings()]:
            one = self.with_settings(settings)
            yield settings, one._smoothed(ranking, k, candidates) if one.weight else one.search(queries, k, candidates)

    def save(self, folder: Path) -> None:
        super().save(folder)
        save_embeddings(folder / NEIGHBOURS_FILE, self.near)
        save_embeddings(folder / SIMILARITIES_FILE, self.similarities)

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        smoothed = super().load(folder, corpus)
        most, n_documents = smoothed._most(), len(corpus.documents)
        smoothed.near = read_array(folder / NEIGHBOURS_FILE, ("int32", (n_documents, most)))
        check_range(str(folder / NEIGHBOURS_FILE), smoothed.near, n_documents)
        smoothed.similarities = read_array(folder / SIMILARITIES_FILE, ("float16", (n_documents, most)))
        return smoothed._shared()


def shares(similarities: np.ndarray) -> np.ndarray:
    """Returns (n_documents, neighbours) float32 weights, the squared cosines divided by their sum per document.

    A document without neighbours is its own neighbour.
    """
    squares = np.square(similarities.astype(np.float32))
    squares[squares.sum(axis=1) == 0, 0] = 1.0
    return squares / np.maximum(squares.sum(axis=1, keepdims=True), 1e-12)


def _index(retriever: Retriever, encoder: str) -> ExactIndex | None:
    """Returns the index of a part that searches the embeddings of an encoder; None if there is none."""
    for part in parts(retriever):
        if isinstance(part, Dense) and part.encoder == encoder:
            return part.nearest
        if (index := _index(part, encoder)) is not None:
            return index
    return None
