"""An approximate index of token vectors for large collections."""

from pathlib import Path
from typing import Any

import numpy as np

from zero2ir.encoders.tokens import Tokens
from zero2ir.errors import InputError
from zero2ir.models.graph_file import load_graph


class TokenGraph:
    """A navigable small-world graph over token vectors, one byte per component, by usearch.

    One thread builds it, since the graph depends on the order of insertions.

    Source: Malkov and Yashunin, TPAMI 2020, arXiv 1603.09320.
    """

    def __init__(self, graph: Any) -> None:
        self._graph = graph

    @classmethod
    def from_documents(cls, documents: Tokens) -> "TokenGraph":
        """Builds the graph; a vector's key is its row. Raises an InputError if usearch is not installed."""
        graph = cls._empty(documents)
        graph.add(np.arange(len(documents.vectors)), documents.floats(0, len(documents.vectors)), threads=1)
        return cls(graph)

    @staticmethod
    def _empty(documents: Tokens) -> Any:
        try:
            from usearch.index import Index
        except ImportError:
            raise InputError("index_type=graph needs the package usearch; pip install 'zero2ir[hnsw]'") from None
        return Index(ndim=documents.vectors.shape[1], metric="ip", dtype="i8", expansion_search=128)

    def nearest(self, vectors: np.ndarray, k: int) -> np.ndarray:
        """Returns the keys of the ``k`` nearest vectors of each of (n, dimension) vectors, concatenated."""
        if not len(vectors):
            return np.zeros(0, dtype=np.int64)
        units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        keys = [self._graph.search(unit, min(k, len(self._graph)), threads=1).keys for unit in units]
        return np.concatenate(keys).astype(np.int64)

    def save(self, path: Path) -> None:
        self._graph.save(str(path))

    @classmethod
    def load(cls, path: Path, documents: Tokens) -> "TokenGraph":
        """Loads a saved graph; raises an InputError for a damaged file, or if usearch is not installed."""
        return cls(load_graph(path, cls._empty(documents), len(documents.vectors)))
