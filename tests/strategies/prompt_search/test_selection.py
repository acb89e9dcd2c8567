"""Choosing a prompt: examples by hand, noise, and properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.strategies.prompt_search.selection import (
    PRIOR_DEGREES,
    Evidence,
    GainPrior,
    choose_prompt,
    gains,
    simplest_of_best,
    survivors,
)

TRUST = GainPrior(0.02, 0.02)
value = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
known = st.one_of(value, value, value, st.just(float("nan")))


@st.composite
def evidence(draw: st.DrawFn) -> Evidence:
    """Some candidates on some judged queries, not all of them known, and on some synthetic ones."""
    n, queries, synthetic = draw(st.integers(1, 5)), draw(st.integers(0, 6)), draw(st.integers(1, 6))
    judged = np.array([[draw(known) for _ in range(queries)] for _ in range(n)]).reshape(n, queries)
    return Evidence(judged, np.array([[draw(value) for _ in range(synthetic)] for _ in range(n)]))


def complexity(n: int) -> list[tuple[int, ...]]:
    return [(number > 0, number % 3) for number in range(n)]


def only_judged(judged: np.ndarray) -> Evidence:
    return Evidence(judged, np.zeros((len(judged), 0)))


def only_synthetic(values: np.ndarray) -> Evidence:
    return Evidence(np.zeros((len(values), 0)), values)


def test_expected_gains_by_hand() -> None:
    nan = float("nan")
    judged = np.array([[0.5, 0.5, 0.5, nan], [0.7, 0.6, 0.5, 1.0], [nan, nan, 0.9, 0.9]])
    synthetic = np.array([[0.0, 0.0], [0.1, 0.3], [0.0, 0.0]])
    squares, shared = 0.02, 0.02 / 2  # of candidate 1 on the judged queries
    judged_variance = (PRIOR_DEGREES * shared + squares) / (PRIOR_DEGREES + 2) / 3
    synthetic_shared = 0.02 / 2
    synthetic_variance = (PRIOR_DEGREES * synthetic_shared + 0.02) / (PRIOR_DEGREES + 1) / 2 + 0.1**2
    weights = np.array([1 / 0.05**2, 1 / judged_variance, 1 / synthetic_variance])
    found = gains(Evidence(judged, synthetic), GainPrior(0.05, 0.1))
    assert found.mean[1] == pytest.approx(weights @ [0, 0.1, 0.2] / weights.sum())
    assert found.error[1] == pytest.approx(weights.sum() ** -0.5)
    assert found.mean[2] == 0  # one query tells nothing, and the synthetic ones no difference
    assert (found.mean[0], found.error[0]) == (0, 0)


def test_the_weight_of_synthetic_queries_is_limited() -> None:
    few, many = (only_synthetic(np.stack([np.zeros(n), np.full(n, 0.1)])) for n in (10, 10_000))
    assert gains(many, TRUST).mean[1] == pytest.approx(0.1 / 2)  # as the two deviations allow, which are equal
    assert gains(many, GainPrior(0.02, 0.1)).mean[1] < gains(many, TRUST).mean[1]
    assert gains(few, TRUST).mean[1] == pytest.approx(gains(many, TRUST).mean[1])  # nothing varies in either


def test_a_clear_winner_is_chosen_and_noise_hardly_ever() -> None:
    rng = np.random.default_rng(0)
    order = [(number > 0, 5) for number in range(16)]
    wrong, naive, right = 0, 0, 0
    for _ in range(100):
        hard, harder = rng.uniform(0.2, 0.6, 10), rng.uniform(0.2, 0.6, 100)
        judged = hard + rng.normal(0, 0.15, (16, 10))
        synthetic = harder + rng.normal(0, 0.15, (16, 100))
        judged[0], synthetic[0] = hard, harder
        wrong += choose_prompt([Evidence(judged, synthetic)], TRUST, order, []).index != 0
        naive += int(judged.mean(axis=1).argmax()) != 0
        judged[3] += 0.2
        synthetic[3] += 0.2
        right += choose_prompt([Evidence(judged, synthetic)], TRUST, order, []).index == 3
    assert right > 90
    assert naive > 85  # the best of fifteen that are no better
    assert wrong < naive / 2


def test_the_optimism_of_a_choice_is_reported() -> None:
    rng = np.random.default_rng(1)
    optimism = []
    for _ in range(100):
        lucky = only_judged(rng.normal(0.4, 0.15, (16, 10)))
        choice = choose_prompt([lucky, lucky], GainPrior(0.1, 0.1), complexity(16), [4])
        if choice.index:
            optimism.append(choice.as_dict()["optimism"])
            assert optimism[-1] == pytest.approx(choice.observed_gain - choice.cross_validated_gain, abs=1e-4)
    assert len(optimism) > 10
    assert np.mean(optimism) > 0.03  # all are alike, so that whatever was observed is luck


def test_a_query_shown_in_a_prompt_does_not_count() -> None:
    nan = float("nan")
    judged = np.array([[0.2, 0.4, 0.6, 0.1], [nan, 0.4, 0.6, 0.1]])
    shown = Evidence(judged, np.zeros((2, 3)))
    assert gains(shown, TRUST).mean[1] == 0
    earned = shown._replace(judged=np.array([[0.2, 0.4, 0.6, 0.1], [1.0, 0.4, 0.6, 0.1]]))
    assert gains(earned, TRUST).mean[1] > 0


@given(evidence(), st.sampled_from([0.01, 0.1]), st.sampled_from([0.01, 0.1]))
def test_the_choice_was_measured_and_loses_nothing(found: Evidence, prior: float, further: float) -> None:
    trust, order = GainPrior(prior, further), complexity(len(found.judged))
    choice = choose_prompt([found, found], trust, order, [3])
    assert found.measured[choice.index]
    assert choice.expected_gain >= 0
    mean, error = gains(found, trust)
    best = int(mean.argmax())
    assert mean[choice.index] >= mean[best] - error[best]
    simpler = [one for one in range(len(order)) if order[one] < order[choice.index]]
    assert all(mean[one] < mean[best] - error[best] for one in simpler)


@given(evidence(), st.integers(-4, 4))
def test_adding_a_constant_to_all_values_changes_nothing(found: Evidence, eighths: int) -> None:
    order = complexity(len(found.judged))
    moved = Evidence(found.judged + eighths / 8, found.synthetic + eighths / 8)
    assert simplest_of_best(found, TRUST, order) == simplest_of_best(moved, TRUST, order)
    np.testing.assert_allclose(gains(found, TRUST).mean, gains(moved, TRUST).mean, atol=1e-12)


@given(evidence(), st.integers(1, 5))
def test_survivors_are_the_best_and_the_fixed_prompt(found: Evidence, number: int) -> None:
    order = complexity(len(found.judged))
    alive = survivors(found, TRUST, order, number)
    mean = gains(found, TRUST).mean
    assert alive[0] == 0
    assert len(alive) == min(number, len(order))
    gone = [one for one in range(len(order)) if one not in alive]
    assert all(mean[one] <= min(mean[alive[1:]], default=np.inf) for one in gone)


@given(evidence(), st.permutations(range(5)))
def test_the_order_of_the_queries_changes_nothing(found: Evidence, order: list[int]) -> None:
    queries = [place for place in order if place < found.judged.shape[1]]
    queries += list(range(5, found.judged.shape[1]))
    turned = found._replace(judged=found.judged[:, queries])
    np.testing.assert_allclose(gains(found, TRUST).mean, gains(turned, TRUST).mean, atol=1e-12)


def test_an_unmeasured_candidate_is_not_chosen() -> None:
    judged = np.array([[0.5, 0.5, 0.5], [np.nan] * 3, [0.4, 0.5, 0.4]])
    found = only_judged(judged)
    assert gains(found, TRUST).mean[1] == -np.inf
    assert survivors(found, TRUST, complexity(3), 3).tolist() == [0, 2]
    assert choose_prompt([found], TRUST, [(1,), (0,), (1,)], []).index == 0
