"""Pseudo-relevance feedback around any retriever."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from zero2ir.io.settings import Fraction, PositiveInt
from zero2ir.models.base import Retriever
from zero2ir.models.capabilities import Shardable, Tunable, search_with_feedback
from zero2ir.models.ranking import Candidates, Ranking
from zero2ir.models.wrapper import Wrapper


class PseudoRelevanceFeedback(Tunable, Shardable, Wrapper):
    """Searches, and searches again with the query moved toward the best documents of the first search.

    The retriever moves the query: Rocchio for vectors, RM3 for BM25; in a hybrid each part moves its own query toward
    the documents that the whole hybrid ranks first.

    Args:
        retriever: any.
        documents: number of feedback documents, at least 1.
        weight: of the documents beside the query, 0 (no feedback) to 1.
        alternatives: other (documents, weight) to try on judgments; weight 0 switches feedback off.
    """

    kind = "feedback"
    order = 60
    tunable = ("documents", "weight")

    def __init__(
        self,
        retriever: Retriever,
        documents: PositiveInt = 5,
        weight: Fraction = 0.3,
        alternatives: Sequence[tuple[PositiveInt, Fraction]] = (),
    ) -> None:
        self.retriever = retriever
        self.documents = documents
        self.weight = weight
        self.alternatives = list(alternatives)

    def coordinates(self, settings: Mapping[str, Any]) -> dict[str, float]:
        """Returns coordinates in which all numbers of documents are alike without weight."""
        weight = settings["weight"]
        return {"weight": weight, "weight of ln documents": weight * math.log(settings["documents"])}

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        first = self.retriever.search(queries, self.documents if self.weight else k, candidates)
        return self._second(queries, first.numbers, k, candidates) if self.weight else first

    def _second(self, queries: Sequence[str], first: np.ndarray, k: int, candidates: Candidates | None) -> Ranking:
        if not self.weight:
            return self.retriever.search(queries, k, candidates)
        return search_with_feedback(self.retriever, queries, first[:, : self.documents], self.weight, k, candidates)

    def sweep(
        self, queries: Sequence[str], k: int, candidates: Candidates | None = None
    ) -> Iterator[tuple[dict[str, Any], Ranking]]:
        """Yields each setting's ranking; all settings share the first search."""
        tried = [self.settings(), *self.alternative_settings()]
        first = self.retriever.search(queries, max(settings["documents"] for settings in tried), candidates).numbers
        for settings in tried:
            yield settings, self.with_settings(settings)._second(queries, first, k, candidates)
