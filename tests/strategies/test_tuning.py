"""Choosing on few judgments: examples by hand, noise, and properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.records import Document, Judgment
from zero2ir.encoders.corpus import Corpus
from zero2ir.models.ranking import Ranking
from zero2ir.strategies.tuning import TuningSettings, choose, expected_gains, judged_values

# Eighths add up exactly, so that ties are ties.
tables = (
    st.integers(1, 5)
    .flatmap(
        lambda n: st.lists(
            st.lists(st.integers(0, 8).map(lambda x: x / 8), min_size=n, max_size=n), min_size=1, max_size=6
        )
    )
    .map(np.array)
)


def test_expected_gains_by_hand() -> None:
    values = np.array([[0.2, 0.4, 0.6], [0.3, 0.5, 0.9], [0.2, 0.4, 0.6], [0.0, 0.2, 0.4]])
    noise = (2 * (0.1 - 0.5 / 3) ** 2 + (0.3 - 0.5 / 3) ** 2) / 2 / 3
    gains = expected_gains(values, prior_deviation=0.1)
    assert gains.tolist() == pytest.approx([0, 0.5 / 3 * 0.01 / (0.01 + noise), 0, -0.2])  # a sure loss is not shrunk


def test_a_single_query_gains_nothing() -> None:
    values = np.array([[0.0], [1.0]])
    assert expected_gains(values, 0.02).tolist() == [0, 0]
    assert choose(values, 0.02).index == 0


def test_more_queries_and_a_wider_prior_shrink_less() -> None:
    values = np.array([[0.0, 0.0, 0.0, 0.0], [0.5, 0.1, 0.4, 0.2]])
    assert expected_gains(np.tile(values, 4), 0.1)[1] > expected_gains(values, 0.1)[1] > 0
    assert 0.3 > expected_gains(values, 1.0)[1] > expected_gains(values, 0.1)[1]


def test_a_clear_winner_is_chosen() -> None:
    rng = np.random.default_rng(0)
    default = rng.uniform(0.2, 0.6, 10)
    values = np.stack([default, default + rng.normal(0, 0.02, 10), default + 0.2 + rng.normal(0, 0.05, 10)])
    choice = choose(values, 0.02)
    assert choice.index == 2
    assert choice.cross_validated > choice.default + 0.1
    assert 0 < choice.expected_gain < choice.observed - choice.default


def test_an_insignificant_gain_is_not_chosen() -> None:
    default = np.full(10, 0.5)
    few = default.copy()
    few[:2] += 0.1  # t = 1.5 with nine degrees of freedom: p = 0.08
    choice = choose(np.stack([default, few]), 0.1)
    assert expected_gains(np.stack([default, few]), 0.1)[1] > 0.01
    assert (choice.index, choice.expected_gain, choice.cross_validated) == (0, 0.0, 0.5)
    some = few.copy()
    some[2] += 0.1  # t = 1.96: p = 0.04
    assert choose(np.stack([default, some]), 0.1).observed == pytest.approx(0.53)
    least = np.stack([default, default + 0.001])  # as little as it is, each time
    assert choose(least, 0.1).index == 1


def test_noise_is_rarely_chosen() -> None:
    rng = np.random.default_rng(0)
    changed, naive = 0, 0
    for _ in range(200):
        values = rng.uniform(0.2, 0.6, 10) + rng.normal(0, 0.2, (11, 10))
        values[0] += 0.05  # the default is truly better than every other
        changed += choose(values, 0.02).index != 0
        naive += int(values.mean(axis=1).argmax()) != 0
    assert naive > 130
    assert changed < naive / 4


def test_a_choice_without_a_cross_validated_gain_is_rejected() -> None:
    values = np.vstack([np.zeros(10), 0.2 - 0.5 * np.eye(10)])  # whoever is best without a query loses on it
    choice = choose(values, 0.5)
    assert choice.expected_gain > 0
    assert choice.observed > choice.default
    assert choice.cross_validated == pytest.approx(-0.3)
    assert choice.index == 0
    assert choice.as_dict()["optimism"] == pytest.approx(choice.observed - choice.cross_validated, abs=1e-4)


@given(tables, st.sampled_from([0.01, 0.1, 1.0]))
def test_the_choice_is_one_of_the_candidates_and_no_loss(values: np.ndarray, prior: float) -> None:
    choice = choose(values, prior)
    assert 0 <= choice.index < len(values)
    assert choice.expected_gain >= 0
    assert choice.default == values[0].mean()
    if choice.index:
        assert values[choice.index].mean() > values[0].mean()
        assert choice.cross_validated > choice.default


@given(tables, st.integers(0, 5))
def test_a_twin_of_the_default_is_never_chosen_instead(values: np.ndarray, number: int) -> None:
    twins = np.vstack([values, values[:1]])
    assert choose(twins, 0.1).index < len(values)
    assert choose(np.repeat(values[:1], number + 1, axis=0), 0.1).index == 0


@given(tables, st.integers(-8, 8), st.sampled_from([0.01, 0.1, 1.0]))
def test_adding_a_constant_to_all_values_changes_nothing(values: np.ndarray, eighths: int, prior: float) -> None:
    plain, shifted = choose(values, prior), choose(values + eighths / 8, prior)
    assert shifted.index == plain.index
    assert shifted.expected_gain == pytest.approx(plain.expected_gain)
    assert shifted.cross_validated == pytest.approx(plain.cross_validated + eighths / 8)


def test_judged_values_are_in_the_order_of_the_queries() -> None:
    corpus = Corpus([Document(f"d{number}", "", "text") for number in range(3)])
    ranking = Ranking(
        np.array([[1, 0], [2, -1], [-1, -1]]), np.array([[2, 1], [1, -np.inf], [-np.inf] * 2]), *np.zeros((2, 3))
    )
    qrels = [Judgment("a", "d2", 1), Judgment("b", "d0", 1), Judgment("b", "d1", 0), Judgment("c", "d0", 1)]
    qrels.append(Judgment("elsewhere", "d0", 1))
    values = judged_values(ranking, corpus, ["b", "a", "c"], qrels, "nDCG@10")
    assert values.tolist() == pytest.approx([1 / np.log2(3), 1.0, 0.0])  # nothing found counts as nothing


@pytest.mark.parametrize("settings", [{"folds": 1}, {"prior_deviation": 0}, {"depth": 0}, {"fold": 3}])
def test_invalid_settings_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        TuningSettings.model_validate(settings)
