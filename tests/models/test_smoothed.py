"""Smoothing: a score moves toward those of the nearest documents, and a document joins its neighbours."""

from pathlib import Path

import numpy as np
import pytest

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.errors import InputError
from zero2ir.models.base import load_retriever
from zero2ir.models.dense import Dense
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.neighbours import neighbours_of
from zero2ir.models.smoothed import Smoothed
from zero2ir.models.sparse import Sparse
from zero2ir.models.vector_index import ExactIndex, GraphIndex, Vectors

QUERIES = ["open a file", "sort the items of a list"]


@pytest.fixture(scope="module")
def corpus(docstrings: list[Document], tiny_encoder: DenseEncoder) -> Corpus:
    return Corpus(docstrings, {"static": tiny_encoder})


def test_a_smoothed_score_by_hand(corpus: Corpus) -> None:
    dense = Dense("static").index(corpus)
    vectors = corpus.encoded("static")
    scores = dense.encode_queries(QUERIES) @ vectors.T
    own = (scores - scores.mean(axis=1, keepdims=True)) / scores.std(axis=1, keepdims=True)
    near, similarities = neighbours_of(ExactIndex(Vectors(vectors)), 2)
    shares = similarities.astype(np.float32) ** 2
    around = (own[:, near] * shares).sum(axis=2) / shares.sum(axis=1)
    expected = np.sort(0.75 * own + 0.25 * around, axis=1)[:, ::-1]
    ranking = Smoothed(dense, "static", neighbours=2, weight=0.25).index(corpus).search(QUERIES, 60)
    np.testing.assert_allclose(ranking.scores, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(ranking.deviation, expected.std(axis=1), rtol=1e-3)


def test_the_graph_of_a_part_finds_the_neighbours(corpus: Corpus) -> None:
    dense = Dense("static", exact_limit=10)
    smoothed = Smoothed(Hybrid([Sparse(), dense]), "static").index(corpus)
    assert isinstance(dense.nearest, GraphIndex)
    for found, expected in zip((smoothed.near, smoothed.similarities), neighbours_of(dense.nearest, 5), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_neighbour_of_what_was_found_joins(corpus: Corpus) -> None:
    plain = Sparse().index(corpus).search(["file"], 60).numbers[0]
    smoothed = Smoothed(Sparse(), "static", neighbours=1).index(corpus)
    joined = smoothed.search(["file"], 60).numbers[0]
    assert set(plain[plain >= 0]) < set(joined[joined >= 0])
    for number in set(joined[joined >= 0]) - set(plain):
        assert smoothed.near[number, 0] in plain


def test_weight_nought_is_the_plain_search_and_nothing_found_stays_nothing(corpus: Corpus) -> None:
    plain, off = Sparse().index(corpus), Smoothed(Sparse(), "static", weight=0.0).index(corpus)
    np.testing.assert_array_equal(off.search(QUERIES, 20).numbers, plain.search(QUERIES, 20).numbers)
    np.testing.assert_array_equal(off.score(QUERIES, [["open"], []])[0], plain.score(QUERIES, [["open"], []])[0])
    assert (Smoothed(Sparse(), "static").index(corpus).search(["gumbo"], 5).numbers == -1).all()


def test_the_sweep_is_what_each_setting_finds_alone(corpus: Corpus) -> None:
    smoothed = Smoothed(Sparse(), "static", 3, 0.2, alternatives=[(3, 0.2), (5, 0.4), (1, 0.0)]).index(corpus)
    swept = list(smoothed.sweep(QUERIES, 10))
    assert [settings for settings, _ in swept] == [
        {"neighbours": 3, "weight": 0.2},
        {"neighbours": 5, "weight": 0.4},
        {"neighbours": 1, "weight": 0.0},
    ]
    for settings, ranking in swept:
        alone = Smoothed(Sparse(), "static", **settings).index(corpus).search(QUERIES, 10)
        np.testing.assert_array_equal(ranking.numbers, alone.numbers)


def test_saved_neighbours_are_checked(corpus: Corpus, tmp_path: Path) -> None:
    Smoothed(Sparse(), "static").index(corpus).save(tmp_path / "model")
    loaded = load_retriever(tmp_path / "model", Corpus(corpus.documents))
    assert loaded.settings() == {"neighbours": 5, "weight": 0.3}
    assert (tmp_path / "model" / "neighbours.npy").stat().st_size < 60 * 5 * 4 + 200


@pytest.mark.parametrize("options", [{"neighbours": 0}, {"weight": 1.1}, {"weight": -0.1}])
def test_settings_out_of_range_are_rejected(options: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"^Smoothed.{next(iter(options))}: Input should be "):
        Smoothed(Sparse(), **options)
