"""An approximate index of token vectors for large collections."""

from pathlib import Path
from typing import Self

import numpy as np

from zero2ir.encoders.tokens import Tokens
from zero2ir.models.neighbour_graph import NeighbourGraph


class TokenGraph:
    """Graphs over token vectors, one byte per component; a vector's number is its row."""

    def __init__(self, graph: NeighbourGraph) -> None:
        self._graph = graph

    @classmethod
    def from_documents(cls, documents: Tokens) -> Self:
        """Builds the graphs."""
        return cls(NeighbourGraph.built(documents.float_rows, len(documents.vectors), documents.vectors.shape[1]))

    def changed(self, kept: np.ndarray, documents: Tokens) -> Self:
        """Returns graphs over the token vectors of other documents, of which the first are those of rows ``kept``."""
        return type(self)(self._graph.changed(kept, documents.float_rows, len(documents.vectors)))

    def nearest(self, vectors: np.ndarray, k: int) -> np.ndarray:
        """Returns the rows of the ``k`` nearest vectors of each of (n, dimension) vectors, concatenated."""
        if not len(vectors):
            return np.zeros(0, dtype=np.int64)
        units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        found = self._graph.nearest(units, k)
        return np.concatenate([rows[np.argsort(distances, kind="stable")[:k]] for rows, distances in found])

    def save(self, folder: Path) -> None:
        self._graph.save(folder)

    @classmethod
    def load(cls, folder: Path, documents: Tokens) -> Self:
        """Loads saved graphs; raises an InputError for a damaged file."""
        return cls(NeighbourGraph.load(folder, len(documents.vectors), documents.vectors.shape[1]))
