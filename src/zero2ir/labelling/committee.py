"""A committee of untrained retrievers: its rankings form the judgment pool, its disagreement selects queries."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from zero2ir.encoders.corpus import Corpus
from zero2ir.labelling.settings import Pooling
from zero2ir.models.base import Retriever, encoder_roles
from zero2ir.models.capabilities import search_without
from zero2ir.models.normalization import RECIPROCAL_RANK_CONSTANT
from zero2ir.models.ranking import NO_DOCUMENT, Candidates, Ranking

COMMITTEE_DEPTH = 100  # depth of the members' rankings
TOP_DOCUMENTS = 10  # documents that represent the ranking of a query


class Committee:
    """Rankings of all candidate queries by several retrievers; each ranking is computed once.

    Args:
        corpus: the documents; needs an encoder with one vector per text if ``features`` are used.
        queries: (n_queries,) texts.
        members: retrievers by name, indexed on ``corpus``.
        own: (n_queries,) numbers of the queries' own documents, -1 for none; None if no query has one.
        candidates: the documents that each query ranks; None for the whole collection.
    """

    def __init__(
        self,
        corpus: Corpus,
        queries: Sequence[str],
        members: Mapping[str, Retriever],
        own: np.ndarray | None = None,
        candidates: Candidates | None = None,
    ) -> None:
        self.corpus = corpus
        self.queries = list(queries)
        self.members = dict(members)
        self.own = np.full(len(queries), NO_DOCUMENT) if own is None else own
        self.candidates = candidates

    @cached_property
    def rankings(self) -> dict[str, Ranking]:
        """Each member's ranking, (n_queries, 100)."""
        return {
            name: search_without(member, self.queries, COMMITTEE_DEPTH, self.candidates, self.own)
            for name, member in self.members.items()
        }

    def pool(self, place: int, how: Pooling, depth: int) -> list[int]:
        """Returns the document numbers to judge for one query, best first.

        Args:
            place: position of the query.
            how: "round-robin" takes each member's next document in turn, "reciprocal-rank" sums 1 / (60 + rank).
            depth: number of documents.

        Source: Cormack, Clarke and Buettcher, SIGIR 2009, doi:10.1145/1571941.1572114, for reciprocal ranks; pooling
        by Sparck Jones and van Rijsbergen 1975, "Report on the need for and provision of an ideal test collection".
        """
        rows = [ranking.numbers[place] for ranking in self.rankings.values()]
        member_documents = [row[row != NO_DOCUMENT].tolist() for row in rows]
        if how == "round-robin":
            turns = (numbers[rank] for rank in range(depth) for numbers in member_documents if rank < len(numbers))
            return list(dict.fromkeys(turns))[:depth]
        total: dict[int, float] = {}
        for numbers in member_documents:
            for rank, number in enumerate(numbers, 1):
                total[number] = total.get(number, 0.0) + 1 / (RECIPROCAL_RANK_CONSTANT + rank)
        return sorted(total, key=lambda number: (-total[number], number))[:depth]

    @cached_property
    def features(self) -> np.ndarray:
        """(n_queries, 2 * dimension) float32: unit vectors of each query and of the mean of its top documents."""
        role = next((role for member in self.members.values() for role in encoder_roles(member)), None)
        queries = self.corpus.encoder(role or "pretrained").encode_queries(self.queries)
        vectors = self.corpus.encoded(role or "pretrained")
        pools = [self.pool(place, "round-robin", TOP_DOCUMENTS) for place in range(len(self.queries))]
        documents = np.stack([vectors[pool].mean(axis=0) if pool else np.zeros(vectors.shape[1]) for pool in pools])
        return np.concatenate([_unit(queries), _unit(documents)], axis=1).astype(np.float32)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
