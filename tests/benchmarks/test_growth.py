"""The exponents of growth, and the vectors that stand in for encoded ones."""

import numpy as np
import pytest

from benchmarks.growth import FITTED_FROM, TOKENS, exponent, random_query_tokens, random_vectors


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_an_exponent_is_that_of_the_large_sizes(power: float) -> None:
    sizes = (FITTED_FROM, 3 * FITTED_FROM, 10 * FITTED_FROM)
    rows = {size: {"index": 5.0 * size**power} for size in sizes} | {100: {"index": 1e9}}
    assert exponent(rows, "index") == pytest.approx(power)


def test_one_size_has_no_exponent() -> None:
    assert np.isnan(exponent({FITTED_FROM: {"index": 1.0}}, "index"))


def test_random_vectors_are_unit_vectors() -> None:
    vectors = random_vectors(50, seed=1)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(50), abs=1e-5)
    tokens = random_query_tokens(3, seed=1)
    assert tokens.lengths.tolist() == [TOKENS] * 3
    assert np.linalg.norm(tokens.vectors, axis=1) == pytest.approx(np.ones(3 * TOKENS), abs=1e-5)
