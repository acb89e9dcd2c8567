"""Pseudo-relevance feedback around any retriever: the best documents of a first search move the query of a second."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example
from zero2ir.models.base import Candidates, Ranking, Retriever, read_state, stored_settings, write_state


class PseudoRelevanceFeedback(Retriever):
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
        self._alternatives = [(int(documents), float(weight)) for documents, weight in alternatives]

    def parts(self) -> list[Retriever]:
        return [self.retriever]

    def with_parts(self, parts: Sequence[Retriever]) -> Self:
        (retriever,) = parts
        return type(self)(retriever, self.documents, self.weight, self._alternatives)

    def index(self, corpus: Corpus) -> Self:
        self.retriever.index(corpus)
        return self

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        if not self.weight:
            return self.retriever.search(queries, k, candidates)
        return self._second(queries, self.retriever.search(queries, self.documents, candidates).numbers, k, candidates)

    def _second(self, queries: Sequence[str], first: np.ndarray, k: int, candidates: Candidates | None) -> Ranking:
        if not self.weight:
            return self.retriever.search(queries, k, candidates)
        return self.retriever.search_with_feedback(queries, first[:, : self.documents], self.weight, k, candidates)

    def search_with_feedback(
        self,
        queries: Sequence[str],
        documents: np.ndarray,
        weight: float,
        k: int,
        candidates: Candidates | None = None,
    ) -> Ranking:
        """One move, toward the documents given."""
        return self.retriever.search_with_feedback(queries, documents, weight, k, candidates)

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """Scores by the unmoved query: texts alone have no collection to take feedback from."""
        return self.retriever.score(queries, candidates)

    def settings(self) -> dict[str, Any]:
        return {"documents": self.documents, "weight": self.weight}

    def alternatives(self) -> list[dict[str, Any]]:
        return [
            {"documents": documents, "weight": weight}
            for documents, weight in self._alternatives
            if (documents, weight) != (self.documents, self.weight)
        ]

    def with_settings(self, settings: Mapping[str, Any]) -> Self:
        return type(self)(self.retriever, **settings, alternatives=self._alternatives)

    def sweep(
        self, queries: Sequence[str], k: int, candidates: Candidates | None = None
    ) -> Iterator[tuple[dict[str, Any], Ranking]]:
        """As every sweep, but the first search is shared."""
        tried = [self.settings(), *self.alternatives()]
        first = self.retriever.search(queries, max(settings["documents"] for settings in tried), candidates).numbers
        for settings in tried:
            yield settings, self.with_settings(settings)._second(queries, first, k, candidates)

    def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
        """Lets the retriever learn."""
        learned = self.retriever.learn(examples, seed)
        return None if learned is None else self.with_parts([learned])

    def save(self, folder: Path) -> None:
        write_state(folder, self, alternatives=self._alternatives)
        self.retriever.save(folder / "retriever")

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        from zero2ir.models.loading import load_retriever

        state = read_state(folder)
        retriever = load_retriever(folder / "retriever", corpus)
        return cls(retriever, **state["settings"], **stored_settings(state, ("alternatives",)))
