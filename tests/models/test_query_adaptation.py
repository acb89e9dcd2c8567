import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.models.dense import Dense
from zero2ir.models.query_adaptation import AdaptationSettings, apply_adaptation, fit_adaptation
from zero2ir.models.vector_index import Moments

VALUES = st.floats(-1, 1, width=32)


def test_centre_and_whitening_by_hand() -> None:
    moments = Moments(np.array([1.0, 0.0]), np.diag([3.0, 1.0]), 5)  # mean eigenvalue 2: relative variances 1.5 and 0.5
    settings = AdaptationSettings(centring=1.0, power=0.5, ridge=0.5, pseudo_queries=3, pseudo_documents=0)
    affine = fit_adaptation(moments, np.array([3.0, 4.0]), 1, settings)
    whitening = np.diag([2.0**-0.5, 1.0])
    np.testing.assert_allclose(affine[:-1], whitening, atol=1e-6)
    np.testing.assert_allclose(affine[-1], -np.array([1.5, 1.0]) @ whitening, atol=1e-6)  # (3 documents + query) / 4


def test_without_power_and_pseudo_queries_only_the_mean_of_the_queries_goes() -> None:
    queries = np.array([[0.6, 0.8], [1.0, 0.0]], np.float32)
    settings = AdaptationSettings(centring=1.0, power=0.0, pseudo_queries=0)
    moments = Moments(np.ones(2), np.eye(2), 9)
    moved = apply_adaptation(queries, fit_adaptation(moments, queries.mean(axis=0), 2, settings))
    expected = (queries - queries.mean(axis=0)) / np.linalg.norm(queries - queries.mean(axis=0), axis=1)[:, None]
    np.testing.assert_allclose(moved, expected, atol=1e-6)


@given(arrays(np.float32, (7, 3), elements=VALUES), arrays(np.float32, (4, 3), elements=VALUES), st.floats(0, 1))
def test_vectors_stay_of_unit_length_and_nothing_stays_nothing(
    documents: np.ndarray, queries: np.ndarray, power: float
) -> None:
    affine = fit_adaptation(Moments.of([documents]), queries.mean(axis=0), 4, AdaptationSettings(power=power))
    moved = apply_adaptation(queries, affine)
    assert moved.dtype == np.float32
    assert np.isfinite(moved).all()
    norms = np.linalg.norm(moved, axis=1)
    assert ((abs(norms - 1) < 1e-3) | (norms < 1e-3)).all()
    assert not moved[~queries.any(axis=1)].any()


@given(arrays(np.float32, (9, 3), elements=VALUES), st.integers(1, 8))
def test_moments_do_not_depend_on_the_blocks(rows: np.ndarray, at: int) -> None:
    mean, covariance, number = Moments.of([rows[:at], rows[at:]])
    assert number == 9
    np.testing.assert_allclose(mean, rows.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(covariance, np.cov(rows.T, bias=True), atol=1e-6)


def test_a_hub_that_is_near_to_every_query_loses_its_rank() -> None:
    rng = np.random.default_rng(0)
    documents = np.concatenate([np.eye(8), np.full((1, 8), 8**-0.5)]).astype(np.float32)  # the last one is the hub
    queries = (np.full((8, 8), 0.6) + np.eye(8) + rng.normal(0, 0.01, (8, 8))).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    assert (np.argmax(queries @ documents.T, axis=1) == 8).all()
    settings = AdaptationSettings(centring=1.0, pseudo_queries=2)
    affine = fit_adaptation(Moments.of([documents]), queries.mean(axis=0), 8, settings)
    assert (np.argmax(apply_adaptation(queries, affine) @ documents.T, axis=1) == np.arange(8)).all()


@pytest.mark.parametrize("queries", [[], ["open a file", "sort a list"]])
def test_queries_without_labels_change_the_ranking_only_through_their_mean(
    queries: list[str], docstrings: list[Document], tiny_encoder: DenseEncoder
) -> None:
    corpus = Corpus(docstrings, {"static": tiny_encoder}).with_queries(queries)
    dense, plain = Dense("static").index(corpus), Dense("static", adaptation=None).index(corpus)
    mean = tiny_encoder.encode_queries(queries).sum(axis=0) / max(len(queries), 1)
    affine = fit_adaptation(dense.nearest.vectors.moments(), mean, len(queries), AdaptationSettings())
    wanted = apply_adaptation(plain.encode_queries(["read a line"]), affine)
    np.testing.assert_allclose(dense.encode_queries(["read a line"]), wanted, atol=1e-6)


def test_a_handful_of_documents_changes_little() -> None:
    rng = np.random.default_rng(0)
    documents = rng.normal(0, 1, (3, 8)).astype(np.float32)
    queries = np.eye(8, dtype=np.float32)
    moved = apply_adaptation(queries, fit_adaptation(Moments.of([documents]), np.zeros(8), 0, AdaptationSettings()))
    assert (moved @ queries.T).diagonal().min() > 0.95
