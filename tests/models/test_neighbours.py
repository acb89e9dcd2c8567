"""Neighbours are kept up as documents come and go."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.records import Document
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.models.neighbours import changed_neighbours, neighbours_of
from zero2ir.models.vector_index import ExactIndex, Vectors, build_vector_index


def test_neighbours_are_the_nearest_without_the_document_itself(
    docstrings: list[Document], tiny_encoder: DenseEncoder
) -> None:
    vectors = tiny_encoder.encode([document.content for document in docstrings])
    near, similarities = neighbours_of(ExactIndex(Vectors(vectors)), 4)
    products = vectors @ vectors.T
    np.fill_diagonal(products, -np.inf)
    np.testing.assert_array_equal(near, np.argsort(-products, axis=1, kind="stable")[:, :4])
    np.testing.assert_allclose(similarities, np.sort(products, axis=1)[:, ::-1][:, :4], atol=1e-3)


def test_few_documents_and_empty_ones_have_fewer_neighbours() -> None:
    vectors = np.array([[1, 0], [0.6, 0.8], [0, 0], [-1, 0]], dtype=np.float32)
    near, similarities = neighbours_of(ExactIndex(Vectors(vectors)), 3)
    assert near.tolist() == [[1, 0, 0], [0, 1, 1], [2, 2, 2], [3, 3, 3]]
    np.testing.assert_allclose(similarities[:, 0], [0.6, 0.6, 0, 0], atol=1e-3)
    assert not similarities[:, 1:].any()


@pytest.mark.parametrize("exact_limit", [1000, 0])
@given(data=st.data())
def test_changed_neighbours_are_those_of_all_documents(exact_limit: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    vectors = unit(rng, data.draw(st.integers(1, 30)))
    kept = np.array(sorted(data.draw(st.sets(st.integers(0, len(vectors) - 1)))), dtype=np.int64)
    added = unit(rng, data.draw(st.integers(1, 9)))
    index = build_vector_index(vectors, "float32", exact_limit).changed(kept, added, exact_limit)
    found = changed_neighbours(*neighbours_of(ExactIndex(Vectors(vectors)), 3), kept, index)
    expected = neighbours_of(ExactIndex(Vectors(np.concatenate([vectors[kept], added]))), 3)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], atol=1e-3)


def unit(rng: np.random.Generator, number: int) -> np.ndarray:
    rows = rng.normal(size=(number, 4)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
