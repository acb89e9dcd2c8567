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
from zero2ir.models.vector_index import mean_and_covariance

VALUES = st.floats(-1, 1, width=32)


def test_centre_and_whitening_by_hand() -> None:
    moments = np.array([1.0, 0.0]), np.diag([3.0, 1.0])  # mean eigenvalue 2: relative variances 1.5 and 0.5
    affine = fit_adaptation(moments, np.array([[3.0, 4.0]]), AdaptationSettings(power=0.5, ridge=0.5, pseudo_queries=3))
    whitening = np.diag([2.0**-0.5, 1.0])
    np.testing.assert_allclose(affine[:-1], whitening, atol=1e-6)
    np.testing.assert_allclose(affine[-1], -np.array([1.5, 1.0]) @ whitening, atol=1e-6)  # (3 documents + query) / 4


def test_without_power_and_pseudo_queries_only_the_mean_of_the_queries_goes() -> None:
    queries = np.array([[0.6, 0.8], [1.0, 0.0]], np.float32)
    settings = AdaptationSettings(power=0.0, pseudo_queries=0)
    moved = apply_adaptation(queries, fit_adaptation((np.ones(2), np.eye(2)), queries, settings))
    expected = (queries - queries.mean(axis=0)) / np.linalg.norm(queries - queries.mean(axis=0), axis=1)[:, None]
    np.testing.assert_allclose(moved, expected, atol=1e-6)


@given(arrays(np.float32, (7, 3), elements=VALUES), arrays(np.float32, (4, 3), elements=VALUES), st.floats(0, 1))
def test_vectors_stay_of_unit_length_and_nothing_stays_nothing(
    documents: np.ndarray, queries: np.ndarray, power: float
) -> None:
    affine = fit_adaptation(mean_and_covariance([documents]), queries[:2], AdaptationSettings(power=power))
    moved = apply_adaptation(queries, affine)
    assert moved.dtype == np.float32
    assert np.isfinite(moved).all()
    norms = np.linalg.norm(moved, axis=1)
    assert ((abs(norms - 1) < 1e-3) | (norms < 1e-3)).all()
    assert not moved[~queries.any(axis=1)].any()


@given(arrays(np.float32, (9, 3), elements=VALUES), st.integers(1, 8))
def test_mean_and_covariance_do_not_depend_on_the_blocks(rows: np.ndarray, at: int) -> None:
    mean, covariance = mean_and_covariance([rows[:at], rows[at:]])
    np.testing.assert_allclose(mean, rows.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(covariance, np.cov(rows.T, bias=True), atol=1e-6)


def test_a_hub_that_is_near_to_every_query_loses_its_rank() -> None:
    rng = np.random.default_rng(0)
    documents = np.concatenate([np.eye(8), np.full((1, 8), 8**-0.5)]).astype(np.float32)  # the last one is the hub
    queries = (np.full((8, 8), 0.6) + np.eye(8) + rng.normal(0, 0.01, (8, 8))).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    assert (np.argmax(queries @ documents.T, axis=1) == 8).all()
    affine = fit_adaptation(mean_and_covariance([documents]), queries, AdaptationSettings(pseudo_queries=2))
    assert (np.argmax(apply_adaptation(queries, affine) @ documents.T, axis=1) == np.arange(8)).all()


@pytest.mark.parametrize("queries", [[], ["open a file", "sort a list"]])
def test_queries_without_labels_change_the_ranking_only_through_their_mean(
    queries: list[str], docstrings: list[Document], tiny_encoder: DenseEncoder
) -> None:
    corpus = Corpus(docstrings, {"static": tiny_encoder}).with_queries(queries)
    dense, plain = Dense("static").index(corpus), Dense("static", adaptation=None).index(corpus)
    moments = mean_and_covariance([dense.nearest.vectors[:]])
    affine = fit_adaptation(moments, tiny_encoder.encode_queries(queries), AdaptationSettings())
    wanted = apply_adaptation(plain.encode_queries(["read a line"]), affine)
    np.testing.assert_allclose(dense.encode_queries(["read a line"]), wanted, atol=1e-6)
