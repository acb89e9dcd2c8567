"""Nearest-neighbour search over document embeddings: exact, or by a graph for large collections."""

import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

import numpy as np

from zero2ir.encoders.dense import save_embeddings
from zero2ir.errors import InputError
from zero2ir.io.arrays import read_array
from zero2ir.io.files import finished_file
from zero2ir.models.graph_file import load_graph
from zero2ir.models.ranking import (
    Candidates,
    Ranking,
    concatenate_rankings,
    empty_ranking,
    rank_in_blocks,
    row_blocks,
    top_k,
)

if TYPE_CHECKING:
    from usearch.index import Index

Precision = Literal["float32", "int8"]

DEQUANTIZED_ROWS = 1 << 13  # int8 vectors converted to float32 at once
VECTORS, SCALE, GRAPH, MOMENTS = "embeddings.npy", "scale.npy", "graph.usearch", "moments.npy"
CONNECTIVITY = 16  # M, efConstruction and ef of the paper: recall@10 is 0.999 on beir/scifact, 0.995 on nfcorpus
EXPANSION_ADD = 128
EXPANSION_SEARCH = 128


class Moments(NamedTuple):
    """Moments of vectors.

    Attributes:
        mean: (dimension,) float64.
        covariance: (dimension, dimension) float64.
        number: of the vectors.
    """

    mean: np.ndarray
    covariance: np.ndarray
    number: int

    @classmethod
    def of(cls, blocks: Iterable[np.ndarray]) -> Self:
        """Computes the moments of the rows of all blocks."""
        number, total, products = 0, np.zeros(1), np.zeros(1)
        for block in blocks:
            rows = block.astype(np.float64)
            number, total, products = number + len(rows), total + rows.sum(axis=0), products + rows.T @ rows
        mean = total / max(number, 1)
        return cls(mean, products / max(number, 1) - np.outer(mean, mean), number)


class Vectors:
    """One vector per document, stored as float32 or as int8, a quarter of the bytes.

    Args:
        values: (n_documents, dimension) float32, or int8 with a scale.
        scale: (1, dimension) float32, the factor of int8 values: a dimension's largest magnitude / 127.
    """

    def __init__(self, values: np.ndarray, scale: np.ndarray | None = None) -> None:
        self.values = values
        self.scale = scale

    @classmethod
    def kept(cls, vectors: np.ndarray, precision: Precision) -> Self:
        if precision == "float32":
            return cls(vectors)
        scale = np.maximum(np.abs(vectors).max(axis=0, keepdims=True), 1e-12) / np.float32(127)
        return cls(np.rint(vectors / scale).astype(np.int8), scale)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, numbers: np.ndarray | Sequence[int] | slice) -> np.ndarray:
        """Returns the float32 vectors of some documents."""
        rows = self.values[numbers]
        return rows if self.scale is None else rows * self.scale

    def blocks(self) -> list[slice]:
        return row_blocks(len(self), DEQUANTIZED_ROWS)

    def products(self, queries: np.ndarray) -> np.ndarray:
        """Returns (n_queries, n_documents) float32 inner products with (n_queries, dimension) queries."""
        if self.scale is None:
            return queries @ self.values.T
        products = np.empty((len(queries), len(self)), dtype=np.float32)
        scaled = queries * self.scale  # cheaper than scaling the documents
        for block in self.blocks():
            products[:, block] = scaled @ self.values[block].astype(np.float32).T
        return products

    def moments(self) -> Moments:
        return Moments.of(self[block] for block in self.blocks())

    def save(self, folder: Path) -> None:
        save_embeddings(folder / VECTORS, self.values)
        if self.scale is not None:
            save_embeddings(folder / SCALE, self.scale)

    @classmethod
    def load(cls, folder: Path, rows: int, precision: Precision) -> Self:
        """Loads saved vectors; raises an InputError for a damaged file or another number of vectors."""
        values = read_array(folder / VECTORS, (precision, (rows, None)))
        scale = read_array(folder / SCALE, ("float32", (1, values.shape[1]))) if precision == "int8" else None
        return cls(values, scale)


class ExactIndex:
    """Compares a query with every document."""

    def __init__(self, vectors: Vectors) -> None:
        self.vectors = vectors

    def moments(self) -> Moments:
        """Returns the moments of the documents' vectors."""
        return self.vectors.moments()

    def search(self, queries: np.ndarray, k: int, candidates: Candidates | None = None) -> Ranking:
        """Returns the ``k`` documents of the highest inner products with each of (n_queries, dimension) queries."""
        return rank_in_blocks(
            len(queries), len(self.vectors), lambda block: self.vectors.products(queries[block]), k, candidates
        )

    def save(self, folder: Path) -> None:
        self.vectors.save(folder)


class GraphIndex(ExactIndex):
    """Approximate search by a graph of neighbours.

    The documents that it finds have the scores of ``ExactIndex``; mean and deviation of the whole collection come from
    the vectors' mean m and covariance C: q'm and the root of q'Cq.

    Args:
        vectors: of the documents.
        graph: over the same, in half precision.
        moments: of the vectors.

    Source: hierarchical navigable small worlds, Malkov and Yashunin, TPAMI 2020, arXiv 1603.09320, by usearch.
    """

    def __init__(self, vectors: Vectors, graph: "Index", moments: Moments) -> None:
        super().__init__(vectors)
        self.graph = graph
        self._moments = moments

    def moments(self) -> Moments:
        return self._moments

    @classmethod
    def built(cls, vectors: Vectors) -> Self:
        """Builds the graph on one thread, since it depends on the order of insertions."""
        graph = _empty(vectors.values.shape[1])
        for block in vectors.blocks():
            rows = vectors[block]
            graph.add(np.arange(block.start, block.start + len(rows)), rows, threads=1)
        return cls(vectors, graph, vectors.moments())

    def search(self, queries: np.ndarray, k: int, candidates: Candidates | None = None) -> Ranking:
        if not len(queries):
            return super().search(queries, k)
        if candidates is None:
            rows = [self._ranked(query, self._near(query, k), k) for query in queries]
        else:
            rows = [self._ranked(query, numbers, k) for query, numbers in zip(queries, candidates, strict=True)]
        variance = np.einsum("qi,ij,qj->q", queries, self._moments.covariance, queries, optimize=True)
        deviation = np.sqrt(np.where(variance > 1e-12, variance, 0.0))  # lower values are rounding errors
        return concatenate_rankings(rows)._replace(mean=queries @ self._moments.mean, deviation=deviation)

    def _near(self, query: np.ndarray, k: int) -> np.ndarray:
        return self.graph.search(query, min(max(k, EXPANSION_SEARCH), len(self.vectors))).keys.astype(np.int64)

    def _ranked(self, query: np.ndarray, numbers: np.ndarray, k: int) -> Ranking:
        numbers = np.sort(numbers)
        found = top_k((self.vectors[numbers] @ query)[None], k)
        ranking = empty_ranking(1, min(k, len(self.vectors)))
        width = found.numbers.shape[1]
        ranking.numbers[:, :width], ranking.scores[:, :width] = numbers[found.numbers], found.scores
        return ranking

    def save(self, folder: Path) -> None:
        super().save(folder)
        save_embeddings(folder / MOMENTS, np.vstack([self._moments.mean, self._moments.covariance]))
        with finished_file(folder / GRAPH, "wb") as file:
            file.write(self.graph.save())

    @classmethod
    def load(cls, folder: Path, vectors: Vectors) -> Self:
        """Loads a saved graph; raises an InputError for a damaged file."""
        dimension = vectors.values.shape[1]
        moments = read_array(folder / MOMENTS, ("float64", (1 + dimension, dimension)))
        graph = load_graph(folder / GRAPH, _empty(dimension), len(vectors))
        return cls(vectors, graph, Moments(moments[0], moments[1:], len(vectors)))


def build_vector_index(vectors: np.ndarray, precision: Precision, exact_limit: int) -> ExactIndex:
    """Builds the index of (n_documents, dimension) float32 vectors; a graph for more than ``exact_limit`` documents."""
    kept = Vectors.kept(vectors, precision)
    return ExactIndex(kept) if len(kept) <= exact_limit else GraphIndex.built(kept)


def load_vector_index(folder: Path, rows: int, precision: Precision, exact_limit: int) -> ExactIndex:
    """Loads a saved index; raises an InputError for a damaged file, or if usearch is not installed."""
    check_searchable(rows, exact_limit)
    kept = Vectors.load(folder, rows, precision)
    return ExactIndex(kept) if rows <= exact_limit else GraphIndex.load(folder, kept)


def check_searchable(documents: int, exact_limit: int) -> None:
    """Raises an InputError if so many documents need a graph, and usearch is not installed."""
    if documents > exact_limit and importlib.util.find_spec("usearch") is None:
        raise InputError(
            f"{documents:,} documents are too many for exact search, and usearch is not installed; "
            "pip install 'zero2ir[hnsw]', or raise the dense model's exact_limit"
        )


def _empty(dimension: int) -> "Index":
    from usearch.index import Index

    return Index(
        ndim=dimension,
        metric="ip",
        dtype="f16",
        connectivity=CONNECTIVITY,
        expansion_add=EXPANSION_ADD,
        expansion_search=EXPANSION_SEARCH,
        enable_key_lookups=False,
    )
