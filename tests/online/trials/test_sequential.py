"""Tests for daily looks: closed forms, agreement with what is known, and errors as rare as they claim."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from zero2ir.errors import InputError
from zero2ir.online.trials.sequential import BET_SHARES, MEANS, always_valid_p, confidence_sequence, e_values, sign_test

OUTCOMES = st.lists(st.sampled_from([0.0, 0.3, 0.5, 1.0]), max_size=40)


@given(OUTCOMES, st.sampled_from([0.2, 0.5, 0.8]))
def test_the_capital_is_the_mean_over_bets_of_products(outcomes, mean):
    bets = [*(BET_SHARES / mean), *(-BET_SHARES / (1 - mean))]
    expected = np.mean([np.prod([1 + bet * (x - mean) for x in outcomes]) for bet in bets])
    found = e_values(outcomes, mean)
    assert len(found) == len(outcomes)
    assert (found[-1] if outcomes else 1.0) == pytest.approx(expected)


@given(st.integers(1, 8), st.sampled_from([0.2, 0.5]))
def test_the_expected_capital_is_one_where_the_mean_is_true(n, mean):
    worlds = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    chances = np.prod(np.where(worlds == 1, mean, 1 - mean), axis=1)
    assert sum(chances * [e_values(world, mean)[-1] for world in worlds]) == pytest.approx(1.0)


@settings(max_examples=15)
@given(OUTCOMES)
def test_p_never_rises_and_the_interval_holds_the_mean(outcomes):
    p = always_valid_p(outcomes)
    assert ((p > 0) & (p <= 1)).all()
    assert (np.diff(p) <= 0).all()
    interval = confidence_sequence(outcomes)
    assert 0 <= interval.ci_low <= interval.ci_high <= 1
    if outcomes:
        assert interval.ci_low <= np.mean(outcomes) <= interval.ci_high


def test_batches_make_no_difference(monkeypatch):
    outcomes = np.random.default_rng(0).random(100)
    whole = e_values(outcomes)
    monkeypatch.setattr("zero2ir.online.trials.sequential._BATCH", 7)
    assert e_values(outcomes) == pytest.approx(whole)


def test_the_interval_is_what_is_not_rejected():
    outcomes = np.random.default_rng(1).integers(0, 2, 300)
    interval = confidence_sequence(outcomes, 0.95)
    for mean in MEANS[1:-1:25]:
        inside = interval.ci_low < mean < interval.ci_high
        assert inside == (e_values(outcomes, mean)[-1] < 20)


def test_looking_after_every_outcome_keeps_the_level():
    rng = np.random.default_rng(2)
    ever = [always_valid_p(rng.choice([0, 0.5, 1], 300, p=[0.3, 0.4, 0.3]))[-1] <= 0.05 for _ in range(400)]
    assert np.mean(ever) <= 0.05


def test_the_interval_covers_over_all_looks():
    rng = np.random.default_rng(3)
    missed = [
        any(not low <= 0.3 <= high for low, high in (confidence_sequence(row[:n], 0.9)[1:3] for n in (20, 60, 200)))
        for row in (rng.random((100, 200)) < 0.3).astype(float)
    ]
    assert np.mean(missed) <= 0.1


def test_a_true_effect_is_found():
    rng = np.random.default_rng(4)
    p = [always_valid_p(rng.random(500) < 0.65)[-1] for _ in range(100)]
    assert np.mean(np.array(p) <= 0.05) >= 0.95


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_mid_p_value_counts_half_of_equal_outcomes(wins, losses):
    exact = binomtest(wins, wins + losses, 0.5).pvalue if wins + losses else 1.0
    assert sign_test(wins, losses) == sign_test(losses, wins)
    assert exact / 2 - 1e-12 <= sign_test(wins, losses) <= exact + 1e-12


def test_the_sign_test_by_hand():
    assert sign_test(0, 0) == sign_test(3, 3) == pytest.approx(1.0)
    assert sign_test(5, 0) == pytest.approx(1 / 32)
    assert sign_test(4, 1) == pytest.approx(2 * (1 + 5 / 2) / 32)


def test_outcomes_out_of_range_are_refused():
    with pytest.raises(InputError, match="from 0 to 1"):
        e_values([0.5, 1.5])
    with pytest.raises(InputError, match="from 0 to 1"):
        confidence_sequence([float("nan")])
