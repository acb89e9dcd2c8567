"""The measures of drift: by hand, against each other, and false as rarely as they claim."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.online.monitoring.drift import distribution_p, stability_index, vectors_p

RNG = np.random.default_rng


def test_the_stability_index_by_hand():
    reference = np.arange(10.0)
    assert stability_index(reference, reference) == 0.0
    current = np.array([0.0] * 5 + [9.0] * 5)  # half in the first tenth, half in the last
    expected = 2 * (0.5 - 0.1) * math.log(0.5 / 0.1) + 8 * (0.001 - 0.1) * math.log(0.001 / 0.1)
    assert stability_index(reference, current) == pytest.approx(expected)


@given(st.lists(st.integers(0, 3).map(float), min_size=1), st.lists(st.integers(0, 3).map(float), min_size=1))
def test_the_index_is_never_negative_and_zero_for_equal_samples(one, other):
    assert stability_index(np.array(one), np.array(other)) >= 0
    assert stability_index(np.array(one), np.array(one)) == pytest.approx(0)


def test_distributions_and_rates_have_different_tests():
    rng = RNG(0)
    assert distribution_p(rng.normal(size=200), rng.normal(1, size=100)) < 1e-4
    assert distribution_p(np.repeat([0.0, 1.0], [95, 5]), np.repeat([0.0, 1.0], [30, 20])) < 1e-4
    assert distribution_p(np.zeros(30), np.zeros(30)) == 1.0


def test_moved_vectors_are_detected_and_the_new_ones_rank_first():
    rng = RNG(0)
    reference, same = rng.normal(size=(150, 8)), rng.normal(size=(60, 8))
    current = np.concatenate([same[:30], rng.normal(2, 0.5, size=(30, 8))])
    p_value, foreign = vectors_p(reference, current, permutations=999, seed=0)
    assert p_value == 1 / 1000
    assert foreign[30:].min() > foreign[:30].mean()
    assert vectors_p(reference, same, permutations=999, seed=0)[0] > 0.01
    assert vectors_p(reference, current, permutations=999, seed=0)[0] == p_value


def test_the_discrepancy_test_keeps_its_level():
    rng = RNG(1)
    sides = [(rng.normal(size=(30, 4)), rng.normal(size=(20, 4))) for _ in range(300)]
    p_values = [vectors_p(*pair, permutations=99, seed=seed)[0] for seed, pair in enumerate(sides)]
    assert 0.02 <= np.mean(np.array(p_values) <= 0.05) <= 0.085


def test_many_vectors_are_sampled():
    rng = RNG(2)
    p_value, foreign = vectors_p(rng.normal(size=(900, 4)), rng.normal(1, size=(500, 4)), permutations=999, seed=0)
    assert p_value == 1 / 1000
    assert len(foreign) == 500
