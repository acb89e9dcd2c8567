"""Approximate nearest neighbours: graphs over shards of the vectors, which are built side by side and grow.

The first shards are an even, random division of the vectors, each built by one thread: the same vectors give the same
graphs on any number of cores. Vectors that come later go to further shards of limited size, so that an addition copies
one of them at most. Removed vectors stay in the graphs, without a number, until half of a shard is gone.
"""

import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

from zero2ir.encoders.dense import save_embeddings
from zero2ir.errors import InputError
from zero2ir.io.arrays import check_range, read_array
from zero2ir.io.files import finished_file, write_json
from zero2ir.io.settings import Settings, read_state
from zero2ir.models.graph_file import load_graph
from zero2ir.models.ranking import row_blocks

if TYPE_CHECKING:
    from usearch.index import Index

Rows = Callable[[np.ndarray], np.ndarray]  # the float32 vectors of some numbers

GRAPH_FILE, NUMBERS_FILE, STATE_FILE = "graph.{}.usearch", "graph.npy", "graph.json"
SHARDS = 8  # of an index; the most cores that build it
GROWN = 1 << 14  # vectors of a shard of later ones, the most that an addition copies
BLOCK = 1 << 13  # vectors in float32 at once
GONE = -1  # in place of the number of a removed vector
CONNECTIVITY = 16  # M of the paper
EXPANSIONS = (128, 256)  # at building, efConstruction of the paper
DEPTHS = (16, 32, 64, 128, 256, 512)  # vectors that a search looks for in each shard, at least
SAMPLE, NEAREST, MIN_RECALL = 200, 10, 0.98  # of the measurement of recall
TOLERANCE = 1e-5  # of inner products of unit vectors in float32


class GraphState(Settings):
    """The schema of ``graph.json``.

    Attributes:
        even: number of the first shards, which divide their vectors evenly.
        lengths: vectors of each shard, with removed ones.
        depth: vectors that a search looks for in each shard, at least.
        expansion: at building.
    """

    even: NonNegativeInt
    lengths: list[PositiveInt]
    depth: PositiveInt
    expansion: PositiveInt


def empty_graph(dimension: int, expansion: int) -> "Index":
    """Returns a graph that keeps unit vectors in int8, a quarter of the bytes of float32.

    On vectors of the encoder from scratch it finds as many of the nearest as in half precision, and is built twice as
    fast.
    """
    from usearch.index import Index

    return Index(
        ndim=dimension,
        metric="ip",
        dtype="i8",
        connectivity=CONNECTIVITY,
        expansion_add=expansion,
        expansion_search=DEPTHS[0],  # a search for more looks at more
        enable_key_lookups=False,
    )


class Shard(NamedTuple):
    """A graph over some of the vectors.

    Attributes:
        graph: its keys are 0, 1, ...
        numbers: (n_keys,) int64, the number of each key's vector, or ``GONE``.
        left: how many are not gone.
    """

    graph: "Index"
    numbers: np.ndarray
    left: int

    @classmethod
    def built(cls, vectors: Rows, numbers: np.ndarray, empty: "Index") -> Self:
        return cls(empty, numbers[:0], 0).extended(vectors, numbers)

    def extended(self, vectors: Rows, numbers: np.ndarray) -> Self:
        """Adds vectors to the graph itself, on one thread, since it depends on the order of insertions."""
        start = len(self.numbers)
        for block in row_blocks(len(numbers), BLOCK):
            rows = vectors(numbers[block])
            self.graph.add(np.arange(start + block.start, start + block.start + len(rows)), rows, threads=1)
        return type(self)(self.graph, np.concatenate([self.numbers, numbers]), self.left + len(numbers))

    def renumbered(self, place: np.ndarray) -> Self:
        """Returns a copy with ``place[number]`` in place of each number."""
        numbers = np.where(self.numbers == GONE, GONE, place[self.numbers])
        return type(self)(self.graph, numbers, int((numbers != GONE).sum()))

    def nearest(self, queries: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns (n_queries, width) numbers, ``GONE`` where there is none, and their distances."""
        width = min(len(self.numbers), ceil(most * len(self.numbers) / self.left))
        found = self.graph.search(queries, width, threads=1)
        if not hasattr(found, "counts"):  # of a single query
            keys, distances = found.keys[None], found.distances[None]
            return self.numbers[keys.astype(np.int64)], distances
        real = np.arange(width) < found.counts[:, None]
        numbers = self.numbers[np.where(real, found.keys, 0).astype(np.int64)]
        return np.where(real, numbers, GONE), found.distances


class NeighbourGraph:
    """Finds the vectors of about the highest inner products.

    Args:
        dimension: of the vectors, unit vectors.
        shards: of all vectors; together their numbers are 0, 1, ...
        even: how many of the first shards divide their vectors evenly.
        depth: vectors that a search looks for in each shard, at least.
        expansion: at building.

    Source: hierarchical navigable small worlds, Malkov and Yashunin, TPAMI 2020, arXiv 1603.09320, by usearch.
    """

    def __init__(self, dimension: int, shards: Sequence[Shard], even: int, depth: int, expansion: int) -> None:
        self.dimension = dimension
        self.shards = list(shards)
        self.even = even
        self.depth = depth
        self.expansion = expansion

    def __len__(self) -> int:
        return sum(shard.left for shard in self.shards)

    @classmethod
    def built(cls, vectors: Rows, n_vectors: int, dimension: int, seed: int = 0) -> Self:
        """Builds graphs that find at least ``MIN_RECALL`` of the ten nearest of sampled vectors, or warns.

        Too low a recall raises the depth of the search, then that of building.
        """
        rng = np.random.default_rng(seed)
        divided = [np.sort(part) for part in np.array_split(rng.permutation(n_vectors), min(SHARDS, n_vectors))]
        sample = Sample.drawn(vectors, n_vectors, rng)
        for expansion in EXPANSIONS:
            graph = cls(dimension, [], len(divided), DEPTHS[0], expansion)  # lets go of a former one first
            graph.shards = _side_by_side(vectors, divided, dimension, expansion)
            if (recall := graph._deepened(sample, vectors)) >= MIN_RECALL:
                return graph
        graph._warn_of(recall)
        return graph

    @classmethod
    def joined(
        cls, paths: Sequence[Path], lengths: Sequence[int], vectors: Rows, dimension: int, seed: int = 0
    ) -> Self:
        """Maps graphs into memory that ``write_graph`` wrote over consecutive ranges of the vectors.

        Since the nearest may all be in one range, each graph is searched for all of them. Too low a recall raises the
        depth of the search, or warns.

        Args:
            paths: a file for each range, in their order.
            lengths: of the ranges.
            vectors: all of them.
            dimension: of the vectors.
            seed: draws the vectors by which recall is measured.
        """
        starts, expansion = np.cumsum([0, *lengths]), EXPANSIONS[0]
        shards = [
            Shard(
                load_graph(path, empty_graph(dimension, expansion), number, mapped=True),
                np.arange(number) + start,
                number,
            )
            for path, number, start in zip(paths, lengths, starts, strict=False)
        ]
        graph = cls(dimension, shards, 0, DEPTHS[0], expansion)
        sample = Sample.drawn(vectors, len(graph), np.random.default_rng(seed))
        if (recall := graph._deepened(sample, vectors)) < MIN_RECALL:
            graph._warn_of(recall)
        return graph

    def _deepened(self, sample: "Sample", vectors: Rows) -> float:
        """Raises the depth of the search until it suffices, or to the last one; returns the recall."""
        for self.depth in DEPTHS:
            if (recall := sample.recall(self, vectors)) >= MIN_RECALL:
                break
        return recall

    def _warn_of(self, recall: float) -> None:
        warnings.warn(
            f"the graph over {len(self):,} vectors finds {recall:.0%} of a vector's {NEAREST} nearest, less than "
            f"{MIN_RECALL:.0%}; raise exact_limit to compare queries with all of them",
            stacklevel=3,
        )

    def changed(self, kept: np.ndarray, vectors: Rows, n_vectors: int) -> Self:
        """Returns a copy over other vectors; it inserts the new ones, and shares the shards that do not change.

        Args:
            kept: (n,) the present numbers of the first vectors, in order.
            vectors: the vectors after the change.
            n_vectors: their number; those after the kept ones are new.
        """
        place = np.full(len(self), GONE, dtype=np.int64)
        place[kept] = np.arange(len(kept))
        same = np.array_equal(place, np.arange(len(place)))
        shards = self.shards if same else [shard.renumbered(place) for shard in self.shards]
        even = sum(shard.left > 0 for shard in shards[: self.even])
        shards = [self._lightened(shard, vectors) for shard in shards if shard.left]
        added = np.arange(len(kept), n_vectors)
        if len(shards) > even and (room := max(0, GROWN - len(shards[-1].numbers))) and len(added):
            last = shards.pop()
            shards.append(last._replace(graph=last.graph.copy()).extended(vectors, added[:room]))
            added = added[room:]
        parts = [added[block] for block in row_blocks(len(added), GROWN)]
        shards += _side_by_side(vectors, parts, self.dimension, self.expansion)
        return type(self)(self.dimension, shards, even, self.depth, self.expansion)

    def _lightened(self, shard: Shard, vectors: Rows) -> Shard:
        """Returns the shard, or builds it again if more than half of its vectors are gone."""
        if 2 * shard.left >= len(shard.numbers):
            return shard
        return Shard.built(vectors, shard.numbers[shard.numbers != GONE], empty_graph(self.dimension, self.expansion))

    def nearest(self, queries: np.ndarray, k: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Returns, for each of (n_queries, dimension) queries, at least ``k`` numbers if they are found, and distances.

        Among the even shards the nearest are divided evenly, too: about k / even in each.
        """
        found = []
        for place, shard in enumerate(self.shards):
            fair = self.depth + 2 * ceil(k / self.even) if place < self.even else k
            found.append(shard.nearest(queries, max(self.depth, min(k, fair))))
        numbers, distances = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
        return [(row[row != GONE], far[row != GONE]) for row, far in zip(numbers, distances, strict=True)]

    def save(self, folder: Path) -> None:
        lengths = [len(shard.numbers) for shard in self.shards]
        state = GraphState(even=self.even, lengths=lengths, depth=self.depth, expansion=self.expansion)
        write_json(folder / STATE_FILE, state.model_dump())
        save_embeddings(folder / NUMBERS_FILE, np.concatenate([shard.numbers for shard in self.shards]))
        for place, shard in enumerate(self.shards):
            _write(shard.graph, folder / GRAPH_FILE.format(place))

    @classmethod
    def load(cls, folder: Path, n_vectors: int, dimension: int, mapped: bool = False) -> Self:
        """Loads saved graphs, or maps them into memory; raises an InputError for a damaged file."""
        state = read_state(folder / STATE_FILE, GraphState)
        path = folder / NUMBERS_FILE
        numbers = read_array(path, ("int64", (sum(state.lengths),)))
        check_range(str(path), numbers + 1, n_vectors + 1)
        parts = np.split(numbers, np.cumsum(state.lengths)[:-1])
        left = [int((part != GONE).sum()) for part in parts]
        once = np.array_equal(np.sort(numbers[numbers != GONE]), np.arange(n_vectors))
        if not once or not all(left) or state.even > len(parts):
            raise InputError(f"{path}: does not hold each of {n_vectors} vectors once; create or get it again")
        shards = [
            Shard(
                load_graph(
                    folder / GRAPH_FILE.format(place), empty_graph(dimension, state.expansion), len(part), mapped
                ),
                part,
                own,
            )
            for place, (part, own) in enumerate(zip(parts, left, strict=True))
        ]
        return cls(dimension, shards, state.even, state.depth, state.expansion)


class Sample(NamedTuple):
    """Sampled vectors and their exact nearest ones.

    Attributes:
        queries: (n_sample, dimension) float32.
        least: (n_sample, 1) the inner product of the last of a vector's nearest, not counting the very nearest.
        nearest: how many.
    """

    queries: np.ndarray
    least: np.ndarray
    nearest: int

    @classmethod
    def drawn(cls, vectors: Rows, n_vectors: int, rng: np.random.Generator) -> Self:
        queries = vectors(np.sort(rng.permutation(n_vectors)[:SAMPLE]))
        nearest = min(NEAREST + 1, n_vectors)
        best = np.full((len(queries), nearest), -np.inf, dtype=np.float32)
        for block in row_blocks(n_vectors, BLOCK):
            products = queries @ vectors(np.arange(n_vectors)[block]).T
            best = -np.partition(-np.hstack([best, products]), nearest - 1, axis=1)[:, :nearest]
        return cls(queries, best.min(axis=1, keepdims=True), nearest)

    def recall(self, graph: NeighbourGraph, vectors: Rows) -> float:
        """Returns the share of the nearest vectors, without the very nearest, the vector itself, that are found."""
        found = 0
        for query, least, (numbers, _) in zip(
            self.queries, self.least, graph.nearest(self.queries, self.nearest), strict=True
        ):
            near = int((vectors(numbers) @ query >= least - TOLERANCE).sum())
            found += max(0, min(near, self.nearest) - 1)
        return found / max(1, len(self.queries) * (self.nearest - 1)) if self.nearest > 1 else 1.0


def write_graph(path: Path, vectors: Rows, n_vectors: int, dimension: int) -> None:
    """Builds a graph over some vectors on one thread, and writes it for ``NeighbourGraph.joined``."""
    _write(Shard.built(vectors, np.arange(n_vectors), empty_graph(dimension, EXPANSIONS[0])).graph, path)


def _write(graph: "Index", path: Path) -> None:
    with finished_file(path, "wb") as file:
        file.write(graph.save())


def _side_by_side(vectors: Rows, parts: Sequence[np.ndarray], dimension: int, expansion: int) -> list[Shard]:
    """Builds shards of some numbers each, one core for one at a time."""
    with ThreadPoolExecutor(max(1, min(len(parts), os.cpu_count() or 1))) as pool:
        return list(pool.map(lambda part: Shard.built(vectors, part, empty_graph(dimension, expansion)), parts))
