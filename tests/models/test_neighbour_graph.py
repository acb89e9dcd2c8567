"""Graphs over shards: they measure themselves, grow, and are the same on any number of cores."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.errors import InputError
from zero2ir.models import neighbour_graph
from zero2ir.models.neighbour_graph import GONE, SHARDS, NeighbourGraph

DIMENSION = 24


def vectors_of(number: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(number, DIMENSION)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def built(vectors: np.ndarray) -> NeighbourGraph:
    return NeighbourGraph.built(vectors.__getitem__, len(vectors), DIMENSION)


def recall(graph: NeighbourGraph, vectors: np.ndarray, k: int = 10) -> float:
    """The share of the nearest vectors of all vectors that the graph finds."""
    best = np.argsort(-(vectors @ vectors.T), axis=1, kind="stable")[:, :k]
    found = [numbers for numbers, _ in graph.nearest(vectors, k)]
    return float(np.mean([np.isin(row, near).mean() for row, near in zip(best, found, strict=True)]))


def numbers_in(graph: NeighbourGraph) -> list[int]:
    numbers = np.concatenate([shard.numbers for shard in graph.shards])
    return sorted(numbers[numbers != GONE].tolist())


def files(graph: NeighbourGraph, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    graph.save(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_graphs_do_not_depend_on_the_number_of_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    saved = []
    for cores in (1, 8):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        saved.append(files(built(vectors_of(500)), tmp_path / str(cores)))
    assert saved[0] == saved[1]
    assert len(saved[0]) == SHARDS + 2


@given(data=st.data())
def test_a_changed_graph_finds_what_is_there_and_leaves_the_old_one(data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 9))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbour_graph, "GROWN", data.draw(st.sampled_from([5, 40])))
        vectors = vectors_of(data.draw(st.integers(1, 60)), seed)
        graph = built(vectors)
        for step in range(data.draw(st.integers(1, 4))):
            added = vectors_of(data.draw(st.integers(0, 30)), seed + 100 + step)
            kept = np.array(sorted(data.draw(st.sets(st.integers(0, len(vectors) - 1)))), dtype=np.int64)
            if data.draw(st.booleans()):
                kept = np.arange(len(vectors))
            if not len(kept) + len(added):
                continue
            before, old = numbers_in(graph), graph
            vectors = np.concatenate([vectors[kept], added])
            graph = old.changed(kept, vectors.__getitem__, len(vectors))
            assert numbers_in(old) == before
            assert numbers_in(graph) == list(range(len(vectors)))
            assert len(graph) == len(vectors)
            assert recall(graph, vectors) >= 0.95


def test_an_addition_shares_what_it_does_not_change() -> None:
    vectors = vectors_of(300)
    graph = built(vectors)
    more = np.concatenate([vectors, vectors_of(3, 1)])
    grown = graph.changed(np.arange(300), more.__getitem__, 303)
    assert [one.graph for one in grown.shards[:SHARDS]] == [one.graph for one in graph.shards]
    further = grown.changed(np.arange(303), np.concatenate([more, vectors_of(2, 2)]).__getitem__, 305)
    assert len(further.shards) == len(grown.shards) == SHARDS + 1
    assert (len(grown.shards[-1].graph), len(further.shards[-1].graph)) == (3, 5)


def test_too_low_a_recall_deepens_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = vectors_of(3000)
    monkeypatch.setattr(neighbour_graph, "DEPTHS", (2, 64))
    monkeypatch.setattr(neighbour_graph, "SHARDS", 2)
    graph = built(vectors)
    assert (graph.depth, graph.expansion) == (64, 128)
    assert recall(graph, vectors) >= 0.97


def test_where_no_depth_is_enough_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbour_graph, "DEPTHS", (1, 2))
    monkeypatch.setattr(neighbour_graph, "EXPANSIONS", (2, 4))
    monkeypatch.setattr(neighbour_graph, "SHARDS", 1)
    with pytest.warns(
        UserWarning, match=r"^the graph over 2,000 vectors finds \d+% of a vector's 10 nearest, .*; raise"
    ):
        graph = built(vectors_of(2000))
    assert (graph.depth, graph.expansion) == (2, 4)


def test_a_changed_graph_is_saved_and_a_wrong_number_is_refused(tmp_path: Path) -> None:
    vectors = vectors_of(100)
    kept = np.arange(0, 100, 3)
    left = np.concatenate([vectors[kept], vectors_of(9, 1)])
    graph = built(vectors).changed(kept, left.__getitem__, len(left))
    graph.save(tmp_path)
    loaded = NeighbourGraph.load(tmp_path, len(left), DIMENSION)
    for (one, far), (other, near) in zip(graph.nearest(left, 5), loaded.nearest(left, 5), strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(far, near)
    with pytest.raises(InputError, match=r"graph\.npy"):
        NeighbourGraph.load(tmp_path, len(left) + 1, DIMENSION)
    numbers = np.load(tmp_path / "graph.npy")
    numbers[0] = numbers[1]
    np.save(tmp_path / "graph.npy", numbers)
    with pytest.raises(InputError, match=r"graph\.npy: does not hold each of 43 vectors once"):
        NeighbourGraph.load(tmp_path, len(left), DIMENSION)
