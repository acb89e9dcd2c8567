"""Nearest-neighbour search over document embeddings: exact, or by a graph for large collections."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.lib.format import dtype_to_descr, open_memmap, write_array_header_1_0

from zero2ir.encoders.dense import MOST_AT_ONCE, save_embeddings
from zero2ir.io.arrays import map_array, read_array
from zero2ir.io.files import finished_file
from zero2ir.models.neighbour_graph import GRAPH_FILE, NeighbourGraph, write_graph
from zero2ir.models.ranking import (
    Candidates,
    Ranking,
    concatenate_rankings,
    rank_in_blocks,
    rank_listed,
    row_blocks,
)

Precision = Literal["float32", "int8"]

ROWS_AT_ONCE = 1 << 13  # vectors converted to or from float32
QUERIES_AT_ONCE = 32
REACH = 100  # documents that may have a new one among their own nearest
VECTORS, SCALE, MOMENTS = "embeddings.npy", "scale.npy", "moments.npy"
STEPS = "embeddings.int8.npy"  # while shards are joined


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

    def combined(self, other: Self, share: int) -> Self:
        """Returns the moments with the other vectors (``share`` 1), or without them (-1)."""
        number = self.number + share * other.number
        if not number:
            return type(self).of([])
        means = [(one.number * one.mean) for one in (self, other)]
        products = [one.number * (one.covariance + np.outer(one.mean, one.mean)) for one in (self, other)]
        mean = (means[0] + share * means[1]) / number
        return type(self)(mean, (products[0] + share * products[1]) / number - np.outer(mean, mean), number)


class Vectors:
    """One vector per document, stored as it was encoded or as int8, a quarter of the bytes of float32.

    Args:
        values: (n_documents, dimension) float32 or float16, or int8 with a scale.
        scale: (1, dimension) float32, the factor of int8 values: a dimension's largest magnitude / 127.
    """

    def __init__(self, values: np.ndarray, scale: np.ndarray | None = None) -> None:
        self.values = values
        self.scale = scale

    @classmethod
    def kept(cls, vectors: np.ndarray, precision: Precision, empty: Callable[..., np.ndarray] = np.empty) -> Self:
        """Returns vectors in a precision; ``empty`` makes the array of int8 values of a shape and a type."""
        if precision == "float32":
            return cls(vectors)
        greatest = np.maximum(vectors.max(axis=0, keepdims=True), -vectors.min(axis=0, keepdims=True))
        scale = np.maximum(greatest.astype(np.float32), 1e-12) / np.float32(127)
        values = empty(vectors.shape, dtype=np.int8)
        for block in row_blocks(len(vectors), ROWS_AT_ONCE):
            values[block] = np.rint(vectors[block] / scale)
        return cls(values, scale)

    def changed(self, kept: np.ndarray, added: np.ndarray) -> "Vectors":
        """Returns the vectors of the numbers ``kept``, then (n_added, dimension) float32 ones; int8 is rounded again.

        Only a copy of bytes is proportional to the kept ones, unless an added value is beyond the scale of int8.
        """
        if self.scale is not None:
            steps = np.rint(added / self.scale)
            if np.abs(steps).max(initial=0) > 127:
                return Vectors.kept(np.concatenate([self[kept], added]), "int8")
            added = steps
        values = np.empty((len(kept) + len(added), self.dimension), dtype=self.values.dtype)
        np.take(self.values, kept, axis=0, out=values[: len(kept)], mode="clip")  # "raise" would buffer
        values[len(kept) :] = added
        return Vectors(values, self.scale)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def dimension(self) -> int:
        return int(self.values.shape[1])

    def __getitem__(self, numbers: np.ndarray | Sequence[int] | slice) -> np.ndarray:
        """Returns the float32 vectors of some documents."""
        rows = self.values[numbers].astype(np.float32, copy=False)
        return rows if self.scale is None else rows * self.scale

    def blocks(self) -> list[slice]:
        return row_blocks(len(self), ROWS_AT_ONCE)

    def products(self, queries: np.ndarray) -> np.ndarray:
        """Returns (n_queries, n_documents) float32 inner products with (n_queries, dimension) queries."""
        if self.values.dtype == np.float32:
            return queries @ self.values.T
        products = np.empty((len(queries), len(self)), dtype=np.float32)
        scaled = queries if self.scale is None else queries * self.scale  # cheaper than scaling the documents
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
    def load(cls, folder: Path, rows: int, precision: Precision, mapped: bool = False) -> Self:
        """Loads saved vectors, or maps them into memory.

        Raises:
            InputError: a file is damaged, or has another number of vectors.
        """
        kinds = precision if precision == "int8" else "float16|float32"
        values = (map_array if mapped else read_array)(folder / VECTORS, (kinds, (rows, None)))
        scale = read_array(folder / SCALE, ("float32", (1, values.shape[1]))) if precision == "int8" else None
        return cls(values, scale)


class ExactIndex:
    """Compares a query with every document.

    Args:
        vectors: of the documents.
        moments: of the vectors, if they are known.
    """

    def __init__(self, vectors: Vectors, moments: Moments | None = None) -> None:
        self.vectors = vectors
        self._known = moments

    def moments(self) -> Moments:
        """Returns the moments of the documents' vectors."""
        if self._known is None:
            self._known = self.vectors.moments()
        return self._known

    def changed(self, kept: np.ndarray, added: np.ndarray, exact_limit: int) -> "ExactIndex":
        """Returns an index of the documents with numbers ``kept``, then of (n_added, dimension) float32 vectors.

        A graph replaces it, or it a graph, where the number of documents crosses ``exact_limit``.
        """
        vectors = self.vectors.changed(kept, added)
        if len(vectors) > exact_limit:
            return GraphIndex.built(vectors)
        return ExactIndex(vectors, self._changed_moments(kept, vectors))

    def _changed_moments(self, kept: np.ndarray, vectors: Vectors) -> Moments | None:
        """Updates known moments, unless most documents change."""
        gone = np.ones(len(self.vectors), dtype=bool)
        gone[kept] = False
        if self._known is None or gone.sum() + len(vectors) - len(kept) > len(kept):
            return None
        changes = [(Moments.of([self.vectors[gone]]), -1), (Moments.of([vectors[len(kept) :]]), 1)]
        moments = self._known
        for change, share in changes:
            moments = moments.combined(change, share) if change.number else moments
        return moments

    def search(self, queries: np.ndarray, k: int, candidates: Candidates | None = None) -> Ranking:
        """Returns the ``k`` documents of the highest inner products with each of (n_queries, dimension) queries."""
        return rank_in_blocks(
            len(queries), len(self.vectors), lambda block: self.vectors.products(queries[block]), k, candidates
        )

    def at_least(self, queries: np.ndarray, least: np.ndarray) -> Iterator[np.ndarray]:
        """Yields, for each query, the numbers of documents whose inner product with it reaches their own ``least``.

        Args:
            queries: (n_queries, dimension) float32.
            least: (n_documents,) float32.
        """
        for block in row_blocks(len(queries), QUERIES_AT_ONCE):
            yield from map(np.flatnonzero, self.vectors.products(queries[block]) >= least)

    def save(self, folder: Path) -> None:
        self.vectors.save(folder)


class GraphIndex(ExactIndex):
    """Approximate search by graphs of neighbours.

    The documents that it finds have the scores of ``ExactIndex``; mean and deviation of the whole collection come from
    the vectors' mean m and covariance C: q'm and the root of q'Cq.

    Args:
        vectors: of the documents.
        graph: over the same, in int8.
        moments: of the vectors.
    """

    def __init__(self, vectors: Vectors, graph: NeighbourGraph, moments: Moments) -> None:
        super().__init__(vectors, moments)
        self.graph = graph

    @classmethod
    def built(cls, vectors: Vectors) -> Self:
        graph = NeighbourGraph.built(vectors.__getitem__, len(vectors), vectors.dimension)
        return cls(vectors, graph, vectors.moments())

    def changed(self, kept: np.ndarray, added: np.ndarray, exact_limit: int) -> ExactIndex:
        vectors = self.vectors.changed(kept, added)
        moments = self._changed_moments(kept, vectors)
        if len(vectors) <= exact_limit:
            return ExactIndex(vectors, moments)
        graph = self.graph.changed(kept, vectors.__getitem__, len(vectors))
        return GraphIndex(vectors, graph, moments or vectors.moments())

    def search(self, queries: np.ndarray, k: int, candidates: Candidates | None = None) -> Ranking:
        if not len(queries):
            return super().search(queries, k)
        if candidates is None:
            candidates = [numbers for numbers, _ in self.graph.nearest(queries, k)]
        rows = [
            rank_listed(numbers, self.vectors[numbers] @ query, k, len(self.vectors))
            for query, numbers in zip(queries, candidates, strict=True)
        ]
        mean, covariance, _ = self.moments()
        variance = np.einsum("qi,ij,qj->q", queries, covariance, queries, optimize=True)
        deviation = np.sqrt(np.where(variance > 1e-12, variance, 0.0))  # lower values are rounding errors
        return concatenate_rankings(rows)._replace(mean=queries @ mean, deviation=deviation)

    def at_least(self, queries: np.ndarray, least: np.ndarray) -> Iterator[np.ndarray]:
        """As for exact search, among each query's nearest documents."""
        near = self.graph.nearest(queries, REACH) if len(queries) else []
        for query, (numbers, _) in zip(queries, near, strict=True):
            yield numbers[self.vectors[numbers] @ query >= least[numbers]]

    def save(self, folder: Path) -> None:
        super().save(folder)
        mean, covariance, _ = self.moments()
        save_embeddings(folder / MOMENTS, np.vstack([mean, covariance]))
        self.graph.save(folder)

    @classmethod
    def load(cls, folder: Path, vectors: Vectors, mapped: bool = False) -> Self:
        """Loads a saved graph, or maps it into memory; raises an InputError for a damaged file."""
        dimension = vectors.dimension
        moments = read_array(folder / MOMENTS, ("float64", (1 + dimension, dimension)))
        graph = NeighbourGraph.load(folder, len(vectors), dimension, mapped)
        return cls(vectors, graph, Moments(moments[0], moments[1:], len(vectors)))


def build_vector_index(vectors: np.ndarray, precision: Precision, exact_limit: int) -> ExactIndex:
    """Builds the index of (n_documents, dimension) float32 vectors; a graph for more than ``exact_limit`` documents."""
    kept = Vectors.kept(vectors, precision)
    return ExactIndex(kept) if len(kept) <= exact_limit else GraphIndex.built(kept)


def load_vector_index(
    folder: Path, rows: int, precision: Precision, exact_limit: int, mapped: bool = False
) -> ExactIndex:
    """Loads a saved index; raises an InputError for a damaged file.

    Vectors and graphs are read into memory, or ``mapped`` into it.
    """
    kept = Vectors.load(folder, rows, precision, mapped)
    return ExactIndex(kept) if rows <= exact_limit else GraphIndex.load(folder, kept, mapped)


def write_vector_shard(
    folder: Path, blocks: Iterable[np.ndarray], shape: tuple[int, int], n_documents: int, exact_limit: int
) -> None:
    """Writes the vectors of a range of the documents, and a graph over them if all documents need graphs.

    Args:
        folder: of the shard.
        blocks: (n, dimension) float32 unit vectors, in order.
        shape: number and dimension of all of these.
        n_documents: of all shards; as ``DenseEncoder.encode``, so many decide whether vectors are float16.
        exact_limit: as for ``build_vector_index``.
    """
    kind = np.float16 if n_documents > MOST_AT_ONCE else np.float32
    values = open_memmap(folder / VECTORS, "w+", kind, shape)
    start = 0
    for rows in blocks:
        values[start : start + len(rows)] = rows
        start += len(rows)
    values.flush()
    if n_documents > exact_limit:
        write_graph(folder / GRAPH_FILE.format(0), Vectors(values).__getitem__, *shape)


def join_vector_shards(shards: Sequence[Path], folder: Path, precision: Precision, exact_limit: int) -> ExactIndex:
    """Returns the index over the vectors of all shards, which one file in ``folder`` joins and maps into memory.

    Exact search gives the scores of ``build_vector_index`` to the last bit. The products with vectors of two files
    would not: the last bit depends on the length of the array.
    """
    lengths = _join_arrays([shard / VECTORS for shard in shards], folder / VECTORS)
    values = map_array(folder / VECTORS, ("float16|float32", (sum(lengths), None)))
    kept = Vectors.kept(values, precision, lambda shape, dtype: open_memmap(folder / STEPS, "w+", dtype, shape))
    if len(kept) <= exact_limit:
        return ExactIndex(kept)
    graphs = [shard / GRAPH_FILE.format(0) for shard in shards]
    graph = NeighbourGraph.joined(graphs, lengths, kept.__getitem__, kept.dimension)
    return GraphIndex(kept, graph, kept.moments())


def _join_arrays(paths: Sequence[Path], joined: Path) -> list[int]:
    """Writes the rows of several files of arrays one after another to one file; returns their numbers."""
    parts = [np.load(path, mmap_mode="r", allow_pickle=False) for path in paths]
    lengths = list(map(len, parts))
    shape = sum(lengths), *parts[0].shape[1:]
    head = {"descr": dtype_to_descr(parts[0].dtype), "fortran_order": False, "shape": shape}
    with finished_file(joined, "wb") as file:
        write_array_header_1_0(file, head)
        while parts:
            file.write(parts.pop(0).data)  # whose pages leave the memory with it
    return lengths
