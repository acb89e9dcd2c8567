"""Pseudo-relevance feedback around any retriever: the best documents of a first search move the query of a second."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from zero2ir.models.base import Retriever
from zero2ir.models.capabilities import Tunable, search_with_feedback
from zero2ir.models.ranking import Candidates, Ranking
from zero2ir.models.wrapper import Wrapper


class PseudoRelevanceFeedback(Tunable, Wrapper):
    """Searches, takes the best documents for relevant, and searches again with the query moved toward them.

    How a query moves is its retriever's own matter: Rocchio for vectors, RM3 for BM25, each part of a hybrid by its
    way toward the documents that the whole hybrid found.

    Args:
        retriever: any.
        documents: how many of the first search are taken for relevant, at least 1.
        weight: of the documents beside the query, 0 (no feedback) to 1.
        alternatives: other (documents, weight) worth trying when judgments are there; weight 0 switches it off.
    """

    kind = "feedback"
    order = 60
    tunable = ("documents", "weight")

    def __init__(
        self,
        retriever: Retriever,
        documents: int = 5,
        weight: float = 0.3,
        alternatives: Sequence[Sequence[float]] = (),
    ) -> None:
        if documents < 1 or not 0 <= weight <= 1:
            raise ValueError(
                f"documents={documents}, weight={weight}; take at least 1 document, and a weight of 0 to 1"
            )
        self.retriever = retriever
        self.documents = documents
        self.weight = weight
        self.alternatives = [(int(documents), float(weight)) for documents, weight in alternatives]

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        if not self.weight:
            return self.retriever.search(queries, k, candidates)
        return self._second(queries, self.retriever.search(queries, self.documents, candidates).numbers, k, candidates)

    def _second(self, queries: Sequence[str], first: np.ndarray, k: int, candidates: Candidates | None) -> Ranking:
        if not self.weight:
            return self.retriever.search(queries, k, candidates)
        return search_with_feedback(self.retriever, queries, first[:, : self.documents], self.weight, k, candidates)

    def sweep(
        self, queries: Sequence[str], k: int, candidates: Candidates | None = None
    ) -> Iterator[tuple[dict[str, Any], Ranking]]:
        """As every sweep, but the first search is shared."""
        tried = [self.settings(), *self.alternative_settings()]
        first = self.retriever.search(queries, max(settings["documents"] for settings in tried), candidates).numbers
        for settings in tried:
            yield settings, self.with_settings(settings)._second(queries, first, k, candidates)
