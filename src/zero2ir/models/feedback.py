"""Pseudo-relevance feedback around any retriever: the best documents of a first search move the query of a second."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from zero2ir.corpus import Corpus
from zero2ir.models.base import Example, Ranking, Retriever, read_state, write_state


class Feedback(Retriever):
    """Searches, takes the best documents for relevant, and searches again with the query moved toward them.

    How a query moves is its retriever's own matter: Rocchio for vectors, RM3 for BM25, each part of a hybrid by its
    way toward the documents that the whole hybrid found.

    Args:
        retriever: any.
        first: whose best documents are taken for relevant, e.g. a hybrid for a dense retriever's feedback; the
            retriever itself where None.
        documents: how many of them, at least 1.
        weight: of the documents beside the query, 0 (no feedback) to 1.
        alternatives: other (documents, weight) worth trying when judgments are there; weight 0 switches it off.
    """

    kind = "feedback"

    def __init__(
        self,
        retriever: Retriever,
        first: Retriever | None = None,
        documents: int = 5,
        weight: float = 0.3,
        alternatives: Sequence[Sequence[float]] = (),
    ) -> None:
        if documents < 1 or not 0 <= weight <= 1:
            raise ValueError(
                f"documents={documents}, weight={weight}; take at least 1 document, and a weight of 0 to 1"
            )
        self.retriever = retriever
        self.first = first
        self.documents = documents
        self.weight = weight
        self._alternatives = [(int(documents), float(weight)) for documents, weight in alternatives]

    def parts(self) -> list[Retriever]:
        return [self.retriever, *([self.first] if self.first else [])]

    def with_parts(self, parts: Sequence[Retriever]) -> Self:
        retriever, first = parts[0], parts[1] if self.first else None
        return type(self)(retriever, first, self.documents, self.weight, self._alternatives)

    def index(self, corpus: Corpus) -> Self:
        for part in self.parts():
            part.index(corpus)
        return self

    def search(self, queries: Sequence[str], k: int) -> Ranking:
        if not self.weight:
            return self.retriever.search(queries, k)
        return self._second(queries, self._relevant(queries, self.documents), k)

    def _relevant(self, queries: Sequence[str], documents: int) -> np.ndarray:
        """(n_queries, documents) what is taken for relevant."""
        return (self.first or self.retriever).search(queries, documents).numbers

    def _second(self, queries: Sequence[str], relevant: np.ndarray, k: int) -> Ranking:
        if not self.weight:
            return self.retriever.search(queries, k)
        return self.retriever.search_toward(queries, relevant[:, : self.documents], self.weight, k)

    def search_toward(self, queries: Sequence[str], documents: np.ndarray, weight: float, k: int) -> Ranking:
        """One move, toward the documents given."""
        return self.retriever.search_toward(queries, documents, weight, k)

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
        return type(self)(self.retriever, self.first, **settings, alternatives=self._alternatives)

    def sweep(self, queries: Sequence[str], k: int) -> Iterator[tuple[dict[str, Any], Ranking]]:
        """As every sweep, but the first search is shared."""
        tried = [self.settings(), *self.alternatives()]
        relevant = self._relevant(queries, max(settings["documents"] for settings in tried))
        for settings in tried:
            yield settings, self.with_settings(settings)._second(queries, relevant, k)

    def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
        """Lets both learn."""
        learned = [part.learn(examples, seed) for part in self.parts()]
        if all(one is None for one in learned):
            return None
        return self.with_parts([new or old for new, old in zip(learned, self.parts(), strict=True)])

    def save(self, folder: Path) -> None:
        write_state(folder, self, parts=len(self.parts()))
        for number, part in enumerate(self.parts()):
            part.save(folder / str(number))

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        from zero2ir.models import load_retriever

        state = read_state(folder)
        parts = [load_retriever(folder / str(number), corpus) for number in range(state["parts"])]
        return cls(parts[0], parts[1] if len(parts) > 1 else None, **state["settings"])
