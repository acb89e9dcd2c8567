"""Feedback: the second search is the first one's, moved toward what it found."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.errors import InputError
from zero2ir.models.base import load_retriever
from zero2ir.models.dense import Dense
from zero2ir.models.feedback import PseudoRelevanceFeedback
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.sparse import Sparse, tokenize

QUERIES = ["open a file", "sort the items of a list"]


@pytest.fixture(scope="module")
def corpus(docstrings: list[Document], tiny_encoder: DenseEncoder) -> Corpus:
    return Corpus(docstrings, {"static": tiny_encoder})


def test_rocchio_is_the_weighted_mean_of_query_and_documents(corpus: Corpus) -> None:
    dense = Dense("static").index(corpus)
    first = dense.search(QUERIES, 3).numbers
    moved = 0.6 * dense.network.encode_queries(QUERIES) + 0.4 * dense.nearest.vectors[first].mean(axis=1)
    moved = dense.adapted(moved / np.linalg.norm(moved, axis=1, keepdims=True))
    expected = np.sort(moved @ dense.nearest.vectors.values.T, axis=1)[:, ::-1][:, :10]
    ranking = PseudoRelevanceFeedback(dense, documents=3, weight=0.4).index(corpus).search(QUERIES, 10)
    np.testing.assert_allclose(ranking.scores, expected, rtol=1e-5)


class Narrow:
    """An encoder whose vectors have other dimensions than the documents'."""

    def __init__(self, encoder: DenseEncoder) -> None:
        self.settings = encoder.settings
        self._encoder = encoder

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        return self._encoder.encode_queries(texts)[:, :3]


def test_an_encoder_of_another_dimension_is_refused_in_one_line(corpus: Corpus) -> None:
    dense = Dense("static").index(corpus)
    dense.network = Narrow(dense.network)  # type: ignore[assignment]
    documents = np.zeros((1, 1), dtype=np.int64)
    for search in (lambda: dense.search(["a"], 3), lambda: dense.search_with_feedback(["a"], documents, 0.5, 3)):
        with pytest.raises(InputError, match="gives vectors of 3 dimensions, but those of the documents have"):
            search()


def test_rm3_by_hand() -> None:
    corpus = Corpus([Document("0", "", "apple pear pear"), Document("1", "", "pear plum"), Document("2", "", "fig")])
    sparse = Sparse().index(corpus)
    term = {name: sparse.postings.vocabulary[tokenize([name])[0][0]] for name in ("apple", "pear", "plum")}
    alone = {name: sparse.search([name], 3) for name in term}
    weight = {name: np.zeros(3) for name in term}
    for name, ranking in alone.items():
        kept = ranking.numbers[0] >= 0
        weight[name][ranking.numbers[0][kept]] = ranking.scores[0][kept]
    moved = sparse.search_with_feedback(["apple"], np.array([[0, -1]]), 0.5, 3)
    expected = (0.5 + 0.5 / 3) * weight["apple"] + 0.5 * 2 / 3 * weight["pear"]
    assert moved.numbers[0].tolist() == [0, 1, -1]
    assert moved.scores[0, :2].tolist() == pytest.approx([expected[0], expected[1]])


def test_only_the_most_frequent_terms_join(corpus: Corpus) -> None:
    few, all_terms = Sparse(feedback_terms=1).index(corpus), Sparse(feedback_terms=10_000).index(corpus)
    near = np.array([[3], [4]])
    assert (few.search_with_feedback(QUERIES, near, 0.5, 60).numbers >= 0).sum() < (
        all_terms.search_with_feedback(QUERIES, near, 0.5, 60).numbers >= 0
    ).sum()


@pytest.mark.parametrize("build", [Sparse, lambda: Dense("static"), lambda: Hybrid([Sparse(), Dense("static")])])
def test_weight_nought_and_no_document_are_the_plain_search(build, corpus: Corpus) -> None:
    plain = build().index(corpus).search(QUERIES, 20)
    off = PseudoRelevanceFeedback(build(), weight=0.0).index(corpus).search(QUERIES, 20)
    nothing = build().index(corpus).search_with_feedback(QUERIES, np.full((2, 3), -1), 0.4, 20)
    np.testing.assert_array_equal(off.numbers, plain.numbers)
    np.testing.assert_array_equal(nothing.numbers, plain.numbers)
    np.testing.assert_allclose(nothing.scores, plain.scores, rtol=1e-5)


def test_each_part_of_a_hybrid_moves_as_far_as_it_takes_part(corpus: Corpus) -> None:
    sparse, dense = Sparse().index(corpus), Dense("static").index(corpus)
    hybrid = Hybrid([sparse, dense], [0.5, 0.5], depth=60, feedback_weights=[0.0, 0.5]).index(corpus)
    near = hybrid.search(QUERIES, 4).numbers
    fused = hybrid._fuse([sparse.search(QUERIES, 60), dense.search_with_feedback(QUERIES, near, 0.2, 60)], 10)
    ranking = PseudoRelevanceFeedback(hybrid, documents=4, weight=0.4).search(QUERIES, 10)
    np.testing.assert_array_equal(ranking.numbers, fused.numbers)
    np.testing.assert_allclose(ranking.scores, fused.scores, rtol=1e-6)


def test_the_sweep_is_what_each_setting_finds_alone(corpus: Corpus) -> None:
    feedback = PseudoRelevanceFeedback(Sparse(), 3, 0.2, alternatives=[(3, 0.2), (5, 0.4), (1, 0.0)]).index(corpus)
    swept = list(feedback.sweep(QUERIES, 10))
    assert [settings for settings, _ in swept] == [
        {"documents": 3, "weight": 0.2},
        {"documents": 5, "weight": 0.4},
        {"documents": 1, "weight": 0.0},
    ]
    for settings, ranking in swept:
        np.testing.assert_array_equal(ranking.numbers, feedback.with_settings(settings).search(QUERIES, 10).numbers)


def test_it_is_saved_with_its_settings(corpus: Corpus, tmp_path: Path) -> None:
    feedback = PseudoRelevanceFeedback(Sparse(feedback_terms=3), 2, 0.25).index(corpus)
    feedback.save(tmp_path)
    loaded = load_retriever(tmp_path, corpus)
    assert loaded.settings() == {"documents": 2, "weight": 0.25}
    np.testing.assert_array_equal(loaded.search(QUERIES, 9).scores, feedback.search(QUERIES, 9).scores)


@pytest.mark.parametrize("wrong", [{"documents": 0}, {"weight": 1.5}, {"weight": -0.1}])
def test_settings_out_of_range_are_rejected(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"^PseudoRelevanceFeedback.{next(iter(wrong))}: Input should be "):
        PseudoRelevanceFeedback(Sparse(), **wrong)  # type: ignore[arg-type]
