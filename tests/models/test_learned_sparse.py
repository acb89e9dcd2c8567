"""Learned sparse retrieval: an exact inverted index, readable terms, and what it learns from examples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_matrix

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example
from zero2ir.encoders.sparse import SparseEncoder
from zero2ir.errors import InputError
from zero2ir.models.learned_sparse import LearnedSparse
from zero2ir.models.ranking import top_k
from zero2ir.models.term_factors import TermFactorSettings, fit_factors

QUERIES = ["open a file", "sort the items of a list", "a string in lower case"]


@pytest.fixture(scope="module")
def corpus(docstrings: list[Document], tiny_sparse_encoder: SparseEncoder) -> Corpus:
    return Corpus(docstrings, {"learned_sparse": tiny_sparse_encoder})


@pytest.fixture
def model(corpus: Corpus) -> LearnedSparse:
    return LearnedSparse().index(corpus)


weights = st.sampled_from([0.0, 0.0, 0.25, 0.5, 1.0, 3.0])  # sums of their products are exact
matrices = arrays(np.float32, (7, 12), elements=weights)


@given(matrices, arrays(np.float32, (3, 12), elements=weights), st.integers(1, 9))
def test_the_inverted_index_returns_exactly_what_brute_force_does(
    documents: np.ndarray, queries: np.ndarray, k: int
) -> None:
    model = LearnedSparse()
    model._over(None, None, csr_matrix(documents))  # type: ignore[arg-type]  # neither texts nor a network take part
    scores = queries @ documents.T
    for one, other in zip(model._ranked(csr_matrix(queries), k, None), top_k(scores, k, scores > 0), strict=True):
        np.testing.assert_array_equal(one, other)


def test_search_is_the_brute_force_product_of_the_encoders_rows(model: LearnedSparse, corpus: Corpus) -> None:
    network = corpus.encoder("learned_sparse")
    scores = network.encode_queries(QUERIES).toarray() @ network.encode(corpus.contents).toarray().T
    ranking = model.search(QUERIES, 60)
    for row, numbers in enumerate(ranking.numbers):
        kept = numbers[numbers >= 0]
        assert set(kept) == set(np.flatnonzero(scores[row] > 0))
        np.testing.assert_allclose(ranking.scores[row, : len(kept)], scores[row, kept], rtol=1e-5)


def test_many_queries_are_searched_in_blocks(model: LearnedSparse, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = model.search(QUERIES, 7)
    monkeypatch.setattr("zero2ir.models.ranking.MAX_BLOCK_SCORES", 2 * 60)  # two queries at once
    for one, other in zip(model.search(QUERIES, 7), whole, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_querys_terms_need_no_network(model: LearnedSparse, monkeypatch: pytest.MonkeyPatch) -> None:
    before = model.search(QUERIES, 5)
    monkeypatch.setattr("zero2ir.encoders.sparse.bert", None)  # nothing can read a text
    np.testing.assert_array_equal(model.search(QUERIES, 5).numbers, before.numbers)
    with pytest.raises(TypeError):
        LearnedSparse(queries="network").index(model.corpus).search(QUERIES, 5)


def test_the_terms_of_a_text_can_be_looked_at(model: LearnedSparse) -> None:
    terms = model.top_terms("Open the file, the FILE!", n=500)
    found = dict(terms)
    assert {"open", "file"} <= set(found)
    assert [weight for _, weight in terms] == sorted(found.values(), reverse=True)
    assert len(terms) > 4  # more than stand there
    assert model.top_terms("Open the file, the FILE!", n=2) == terms[:2]
    scored = model.score(["file"], [["Open the file, the FILE!"]])[0][0]
    assert found["file"] == pytest.approx(scored, rel=1e-5)


def test_rocchio_by_hand(model: LearnedSparse) -> None:
    importance = model.network.lexicon.importance
    query = model.encode_queries(QUERIES[:1]).toarray()[0]
    near = model.rows[[3, 8]].toarray().mean(axis=0) * importance
    near[np.argsort(-near, kind="stable")[50:]] = 0.0
    moved = 0.6 * query + 0.4 * np.linalg.norm(query) * near / np.linalg.norm(near)
    expected = np.sort(model.rows.toarray() @ moved)[::-1][:10]
    ranking = model.search_with_feedback(QUERIES[:1], np.array([[3, 8, -1]]), 0.4, 10)
    np.testing.assert_allclose(ranking.scores[0], expected, rtol=1e-5)
    alone, plain = model.search_with_feedback(QUERIES, np.full((3, 2), -1), 0.4, 9), model.search(QUERIES, 9)
    np.testing.assert_array_equal(alone.scores, plain.scores)


def test_factors_are_learned_for_the_terms_that_tell_documents_apart() -> None:
    documents = csr_matrix(np.array([[1.0, 0.0, 0.5, 0.0], [0.0, 1.0, 0.5, 0.0]], dtype=np.float32))
    queries = csr_matrix(np.array([[2.0, 2.0, 2.0, 0.0]], dtype=np.float32))
    factors = fit_factors(queries, documents, [Example("q", 0, (1,))], TermFactorSettings(penalty=0.01))
    assert factors[0] > 1.1
    assert 0 <= factors[1] < 0.9
    assert factors[2:].tolist() == pytest.approx([1, 1], abs=1e-4)  # in both alike; in no query


@given(matrices, st.integers(0, 6), st.floats(0.01, 10))
def test_factors_are_never_negative_and_stay_near_1_under_a_heavy_penalty(
    documents: np.ndarray, positive: int, penalty: float
) -> None:
    queries = csr_matrix(np.full((1, 12), 5.0, dtype=np.float32))
    wanted = [Example("q", positive, tuple(number for number in range(7) if number != positive))]
    factors = fit_factors(queries, csr_matrix(documents), wanted, TermFactorSettings(penalty=penalty))
    assert (factors >= 0).all()
    assert np.square(factors - 1).sum() <= (np.log(7) + 0.3 * 5 * 12 * 3) / penalty  # the greatest loss at 1
    heavy = fit_factors(queries, csr_matrix(documents), wanted, TermFactorSettings(penalty=1e6))
    np.testing.assert_allclose(heavy, 1.0, atol=1e-3)


@pytest.mark.parametrize("learning", ["terms", "encoder"])
def test_learning_lifts_the_positives_and_leaves_the_original(learning: str, corpus: Corpus) -> None:
    fit = {"epochs": 10, "batch_size": 3, "learning_rate": 0.01}
    model = LearnedSparse(learning=learning, terms={"penalty": 0.001}, fit=fit).index(corpus)  # type: ignore[arg-type]
    before = model.search(QUERIES, 60)
    wanted = [Example(query, int(row[6])) for query, row in zip(QUERIES, before.numbers, strict=True)]
    learned = model.learn(wanted, seed=0)
    assert learned is not None
    after = learned.search(QUERIES, 60)
    places = [row.tolist().index(one.positive) for row, one in zip(after.numbers, wanted, strict=True)]
    assert np.mean(places) < 6
    np.testing.assert_array_equal(model.search(QUERIES, 60).scores, before.scores)
    assert (learned.rows is model.rows) == (learning == "terms")
    same = model.learn([*wanted, Example("sort a list", 50, weight=0.0)], seed=0)
    assert same is not None
    np.testing.assert_array_equal(same.search(QUERIES, 60).scores, after.scores)
    assert model.learn([Example("sort a list", 50, weight=0.0)], seed=0) is None


def test_a_new_document_is_found_by_a_term_that_no_other_has(model: LearnedSparse, corpus: Corpus) -> None:
    importance = model.network.lexicon.importance
    unknown = (
        word for word in model.network.terms(np.flatnonzero(importance == 0)) if word.isalpha() and len(word) > 6
    )
    word = next(unknown)
    assert (model.search([word], 3).numbers == -1).all()
    changed = model.with_corpus(Corpus([*corpus.documents, Document("new", "", f"open the {word}")]), np.arange(60))
    assert changed.search([word], 3).numbers.tolist() == [[60, -1, -1]]
    old = importance > 0
    np.testing.assert_array_equal(changed.network.lexicon.importance[old], importance[old])
    assert (model.search([word], 3).numbers == -1).all()  # it stays as it was


def test_wrong_settings_are_rejected() -> None:
    with pytest.raises(InputError, match=r"LearnedSparse\.queries: Input should be 'inference-free' or 'network'"):
        LearnedSparse(queries="free")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="penalty"):
        LearnedSparse(terms={"penalty": 0.0})
