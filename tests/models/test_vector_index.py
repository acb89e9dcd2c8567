"""Vectors as int8, and search through a graph: both beside exact search in float32."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.pydocs.documents import read_pydocs
from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.examples import Example
from zero2ir.errors import InputError
from zero2ir.models.base import load_retriever
from zero2ir.models.dense import Dense
from zero2ir.models.neighbour_graph import SHARDS
from zero2ir.models.vector_index import (
    ExactIndex,
    GraphIndex,
    Precision,
    Vectors,
    build_vector_index,
    load_vector_index,
)


@pytest.fixture(scope="module")
def documents(tiny_encoder: DenseEncoder) -> np.ndarray:
    """Some three thousand real vectors of 16 dimensions."""
    return tiny_encoder.encode([Document(*row).content for row in read_pydocs()[0]])


@pytest.fixture(scope="module")
def queries(tiny_encoder: DenseEncoder) -> np.ndarray:
    return tiny_encoder.encode_queries([Document(*row).title for row in read_pydocs()[0][::30]])


@pytest.fixture(scope="module")
def graph(documents: np.ndarray) -> GraphIndex:
    return GraphIndex.built(Vectors(documents))


def recall(found: np.ndarray, expected: np.ndarray) -> float:
    """The share of the expected numbers, (n_queries, k), that were found."""
    return float(np.mean([len(set(row) & set(right)) / len(right) for row, right in zip(found, expected, strict=True)]))


def test_int8_by_hand() -> None:
    vectors = np.array([[1.27, 0.0, -0.5], [0.635, 0.0, 1.0], [-0.004, 0.0, 0.25]], dtype=np.float32)
    kept = Vectors.kept(vectors, "int8")
    assert kept.values.dtype == np.int8
    assert kept.values[:, 0].tolist() == [127, 64, 0]  # 63.5 is rounded to the even neighbour
    assert kept.values[:, 1].tolist() == [0, 0, 0]
    assert kept.values[:, 2].tolist() == [-64, 127, 32]
    assert kept[[0]][0].tolist() == pytest.approx([1.27, 0.0, -64 / 127])


@given(st.lists(st.lists(st.floats(-2, 2, width=32), min_size=3, max_size=3), min_size=1, max_size=9))
def test_int8_is_off_by_at_most_half_a_step(rows: list[list[float]]) -> None:
    vectors = np.array(rows, dtype=np.float32)
    step = np.abs(vectors).max(axis=0) / 127
    assert (np.abs(Vectors.kept(vectors, "int8")[:] - vectors) <= step * 0.501 + 1e-12).all()


def test_int8_takes_a_quarter_and_finds_nearly_the_same(documents: np.ndarray, queries: np.ndarray) -> None:
    exact, kept = ExactIndex(Vectors(documents)), ExactIndex(Vectors.kept(documents, "int8"))
    assert kept.vectors.values.nbytes == documents.nbytes // 4
    one, other = exact.search(queries, 10), kept.search(queries, 10)
    assert 0.9 < recall(other.numbers, one.numbers) < 1
    np.testing.assert_allclose(other.scores, one.scores, atol=0.01)
    np.testing.assert_allclose(other.deviation, one.deviation, rtol=0.01)


def test_int8_is_searched_in_blocks(
    documents: np.ndarray, queries: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Vectors.kept(documents, "int8")
    expected = queries @ kept[:].T
    monkeypatch.setattr("zero2ir.models.vector_index.ROWS_AT_ONCE", 1000)
    assert len(kept.blocks()) > 2
    np.testing.assert_allclose(kept.products(queries), expected, atol=1e-5)


def test_the_graph_finds_what_exact_search_finds(graph: GraphIndex, documents: np.ndarray, queries: np.ndarray) -> None:
    expected, found = ExactIndex(Vectors(documents)).search(queries, 10), graph.search(queries, 10)
    assert recall(found.numbers, expected.numbers) >= 0.95
    np.testing.assert_allclose(found.mean, expected.mean, atol=1e-6)
    np.testing.assert_allclose(found.deviation, expected.deviation, rtol=1e-4)
    same = found.numbers == expected.numbers
    np.testing.assert_allclose(found.scores[same], expected.scores[same], atol=1e-6)  # not those of half precision


def test_moments_by_hand() -> None:
    mean, covariance, _ = Vectors(np.array([[1, 0], [3, 4]], dtype=np.float32)).moments()
    assert mean.tolist() == [2, 2]
    assert covariance.tolist() == [[1, 2], [2, 4]]


@pytest.mark.parametrize("row", [[0.3, 0.4], [0.0, 0.0]])
def test_equal_documents_deviate_by_nothing(row: list[float]) -> None:
    built = GraphIndex.built(Vectors(np.array([row] * 7, dtype=np.float32)))
    ranking = built.search(np.array([[0.6, 0.8], [0.0, 0.0]], dtype=np.float32), 3)
    assert ranking.deviation.tolist() == [0, 0]
    assert ranking.mean.tolist() == pytest.approx([float(np.dot(row, [0.6, 0.8])), 0])
    assert ranking.numbers.tolist() == [[0, 1, 2], [0, 1, 2]]


def test_a_graph_is_built_beyond_the_limit_and_is_the_same_again(documents: np.ndarray, tmp_path: Path) -> None:
    few = documents[:300]
    assert type(build_vector_index(few, "float32", exact_limit=300)) is ExactIndex
    built = [build_vector_index(few, "int8", exact_limit=299) for _ in range(2)]
    for number, one in enumerate(built):
        assert type(one) is GraphIndex
        one.save(tmp_path / str(number))
    files = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("0", "1")]
    assert files[0] == files[1]
    loaded = load_vector_index(tmp_path / "0", 300, "int8", exact_limit=299)
    for one, other in zip(loaded.search(documents[:9], 20), built[0].search(documents[:9], 20), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("cut", [True, False])
def test_a_damaged_graph_is_rejected(cut: bool, documents: np.ndarray, tmp_path: Path) -> None:
    build_vector_index(documents[:50], "float32", exact_limit=10).save(tmp_path)
    path = tmp_path / "graph.0.usearch"
    content = path.read_bytes()
    path.unlink()
    if cut:
        path.write_bytes(content[:-9])
    with pytest.raises(InputError, match=r"graph\.0\.usearch: (missing or damaged|not a graph over 7 vectors)"):
        load_vector_index(tmp_path, 50, "float32", exact_limit=10)


def test_an_altered_graph_is_rejected_or_leads_only_to_its_documents(documents: np.ndarray, tmp_path: Path) -> None:
    """usearch itself follows edges to nodes that do not exist, and crashes the process."""
    n_documents, dimension = 300, documents.shape[1]
    build_vector_index(documents[:n_documents], "float32", exact_limit=10).save(tmp_path)
    path = tmp_path / "graph.0.usearch"
    content = path.read_bytes()
    vectors_end = 8 + -(-n_documents // SHARDS) * dimension * 2
    rng = np.random.default_rng(24)
    rejected = 0
    for number in range(200):
        altered = bytearray(content)
        first, last = (0, 8) if number % 10 == 0 else (vectors_end, vectors_end + 110 if number % 2 else len(content))
        place = int(rng.integers(first, last))
        size = int(rng.choice([1, 2, 4]))
        altered[place : place + size] = rng.choice([b"\xff" * size, bytes(size), rng.bytes(size)])
        path.write_bytes(bytes(altered))
        try:
            loaded = load_vector_index(tmp_path, n_documents, "float32", exact_limit=10)
        except InputError:
            rejected += 1
            continue
        for ranking in (loaded.search(documents[:20], 10), loaded.search(documents[-20:], 300)):
            assert ranking.numbers.max() < n_documents
            assert not np.isnan(ranking.scores).any()
    assert rejected > 100


@pytest.mark.parametrize("options", [{"vectors": "int8"}, {"exact_limit": 10}, {"vectors": "int8", "exact_limit": 10}])
def test_dense_learns_and_moves_toward_documents_as_with_exact_search(
    options: dict, docstrings: list[Document], tiny_encoder: DenseEncoder, tmp_path: Path
) -> None:
    corpus = Corpus(docstrings, {"static": tiny_encoder})
    examples, toward = [Example("gumbo zydeco", 7, (1, 2))], np.array([[3, 5, -1]])
    adapter = {"steps": 40, "learning_rate": 0.05, "penalty": 0.001}
    plain = Dense("static", adapter=adapter).index(corpus)
    other = Dense("static", adapter=adapter, **options).index(corpus)
    learned = [model.learn(examples, seed=0) for model in (plain, other)]
    assert learned[0] is not None
    assert learned[1] is not None
    assert learned[1].nearest is other.nearest  # the documents' side is shared, not built again
    for one, same in ((plain, other), learned):
        expected = one.search_with_feedback(["open a file"], toward, 0.5, 10)
        found = same.search_with_feedback(["open a file"], toward, 0.5, 10)
        assert recall(found.numbers, expected.numbers) >= 0.9
        np.testing.assert_allclose(found.scores, expected.scores, atol=0.02)
        np.testing.assert_allclose([found.mean, found.deviation], [expected.mean, expected.deviation], atol=0.005)
    learned[1].save(tmp_path)
    loaded = load_retriever(tmp_path, corpus)
    np.testing.assert_array_equal(loaded.search(["zydeco"], 5).scores, learned[1].search(["zydeco"], 5).scores)


def test_an_unknown_precision_is_rejected() -> None:
    with pytest.raises(InputError, match=r"Dense\.vectors: Input should be 'float32' or 'int8', not 'int4'"):
        Dense(vectors="int4")  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", ["float32", "int8"])
@given(data=st.data())
def test_documents_come_and_go_as_if_indexed_at_once(precision: Precision, data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    vectors = rng.normal(size=(data.draw(st.integers(1, 12)), 3)).astype(np.float32)
    index = build_vector_index(vectors, precision, exact_limit=99)
    index.moments()
    for _ in range(data.draw(st.integers(1, 3))):
        added = rng.normal(size=(data.draw(st.integers(1, 5)), 3)).astype(np.float32)
        kept = np.array(sorted(data.draw(st.sets(st.integers(0, len(vectors) - 1)))), dtype=np.int64)
        vectors = np.concatenate([vectors[kept], added])
        index = index.changed(kept, added, exact_limit=99)
    expected = build_vector_index(vectors, precision, exact_limit=99)
    step = np.abs(index.vectors.scale).max() if index.vectors.scale is not None else 0.0
    np.testing.assert_allclose(index.vectors[:], vectors, atol=2 * step)
    if precision == "float32":
        for one, other in zip(index.search(vectors, 5), expected.search(vectors, 5), strict=True):
            np.testing.assert_array_equal(one, other)
        for one, other in zip(index.moments(), expected.moments(), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-12)


def test_a_graph_replaces_exact_search_where_the_documents_become_too_many(documents: np.ndarray) -> None:
    index = build_vector_index(documents[:300], "float32", exact_limit=310)
    grown = index.changed(np.arange(300), documents[300:320], exact_limit=310)
    more = grown.changed(np.arange(320), documents[320:400], exact_limit=310)
    less = more.changed(np.arange(200), documents[:0], exact_limit=310)
    assert [type(one) for one in (index, grown, more, less)] == [ExactIndex, GraphIndex, GraphIndex, ExactIndex]
    found, expected = more.search(documents[:50], 10), ExactIndex(Vectors(documents[:400])).search(documents[:50], 10)
    assert recall(found.numbers, expected.numbers) >= 0.98
    np.testing.assert_allclose(found.deviation, expected.deviation, rtol=1e-4)


def test_half_precision_is_kept_and_searched_in_blocks(
    documents: np.ndarray, queries: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zero2ir.models.vector_index.ROWS_AT_ONCE", 1000)
    half = documents.astype(np.float16)
    index = build_vector_index(half, "float32", exact_limit=len(half))
    assert index.vectors.values is half
    expected = ExactIndex(Vectors(half.astype(np.float32))).search(queries, 10)
    found = index.search(queries, 10)
    assert recall(found.numbers, expected.numbers) > 0.99
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    np.testing.assert_allclose(found.deviation, expected.deviation, rtol=1e-4)
    index.save(tmp_path)
    loaded = load_vector_index(tmp_path, len(half), "float32", exact_limit=len(half))
    assert (loaded.search(queries, 10).numbers == found.numbers).all()


def test_half_precision_stays_as_documents_come_and_go(documents: np.ndarray) -> None:
    kept, added = np.arange(5, 50), documents[50:60]
    changed = Vectors(documents[:50].astype(np.float16)).changed(kept, added)
    assert changed.values.dtype == np.float16
    np.testing.assert_allclose(changed[:], documents[5:60], atol=2**-11)


def test_int8_of_half_precision_is_that_of_float32(documents: np.ndarray) -> None:
    half = documents.astype(np.float16)
    one, other = Vectors.kept(half, "int8"), Vectors.kept(half.astype(np.float32), "int8")
    assert (one.values == other.values).all()
