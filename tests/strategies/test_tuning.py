"""Choosing on few judgments: examples by hand, noise, and properties."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.records import Document, Judgment
from zero2ir.encoders.corpus import Corpus
from zero2ir.models.ranking import Ranking
from zero2ir.strategies.prior import Prior, expected_maximum, generic_prior
from zero2ir.strategies.tuning import Choice, TuningSettings, choose, judged_values

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


def chosen(values: np.ndarray, deviation: float = 0.05) -> Choice:
    return choose(values, generic_prior(values - values[:1], deviation))


def known(mean: Sequence[float], spread: float, noise: float) -> Prior:
    """A prior of independent gains."""
    other = np.diag([0.0] + [1.0] * (len(mean) - 1))
    return Prior(np.array(mean), other * spread**2, 0 * other, other * noise**2, 12)


def test_a_choice_by_hand() -> None:
    values = np.array([[0.2, 0.4, 0.6], [0.3, 0.5, 0.9]])
    choice = choose(values, known([0.0, 0.02], 0.1, 0.3))
    weight = 0.01 / (0.01 + 0.09 / 3)
    assert choice.expected == pytest.approx(0.02 + weight * (0.5 / 3 - 0.02), abs=1e-6)  # one alternative: no caution
    assert choice.deviation == pytest.approx(np.sqrt(0.01 * (1 - weight)), abs=1e-6)
    assert (choice.index, choice.queries, choice.collections) == (1, 3, 12)
    assert choice.as_dict() == {
        "prior": 0.02,
        "observed": 0.1667,
        "expected_gain": 0.0567,
        "low": -0.1131,
        "high": 0.2264,
        "queries": 3,
        "collections": 12,
    }
    assert str(choice) == (
        "an expected gain of +0.057 [-0.113, +0.226]: +0.020 by 12 other collections, +0.167 on 3 judged queries"
    )


def test_the_best_of_several_is_taken_with_caution() -> None:
    values = np.array([[0.2, 0.4, 0.6], [0.3, 0.5, 0.9], [0.3, 0.5, 0.9]])
    prior = known([0.0, 0.02, 0.02], 0.1, 0.3)
    two, three = choose(values[:2], known([0.0, 0.02], 0.1, 0.3)), choose(values, prior)
    assert three.best == 1
    assert three.expected == pytest.approx(two.expected - expected_maximum(2) * two.deviation, abs=1e-6)


def test_alternatives_that_are_one_need_no_caution() -> None:
    values = np.array([[0.2, 0.4, 0.6], [0.25, 0.45, 0.75], [0.3, 0.5, 0.9]])
    shared = np.outer([0, 0.5, 1], [0, 0.5, 1])  # half and all of the same thing
    nested = Prior(np.array([0.0, 0.01, 0.02]), shared * 0.01, 0 * shared, shared * 0.09, 12)
    assert choose(values, nested).expected == pytest.approx(
        choose(values[[0, 2]], known([0.0, 0.02], 0.1, 0.3)).expected, abs=1e-4
    )


def test_without_judged_queries_the_prior_decides() -> None:
    values = np.zeros((2, 0))
    assert choose(values, known([0.0, 0.02], 0.01, 0.3)).index == 1
    assert choose(values, known([0.0, -0.02], 0.01, 0.3)).index == 0


def test_one_query_moves_little_and_fifty_much() -> None:
    prior = known([0.0, -0.01], 0.02, 0.15)
    assert [choose(np.tile([[0.5], [0.6]], n), prior).index for n in (0, 1, 5, 50)] == [0, 0, 0, 1]


def test_a_clear_winner_is_chosen() -> None:
    rng = np.random.default_rng(0)
    default = rng.uniform(0.2, 0.6, 10)
    values = np.stack([default, default + rng.normal(0, 0.02, 10), default + 0.2 + rng.normal(0, 0.05, 10)])
    choice = chosen(values)
    assert choice.index == 2
    assert 0 < choice.expected < choice.observed


def test_where_alternatives_are_mostly_worse_a_prior_chooses_better_than_the_mean() -> None:
    rng = np.random.default_rng(0)
    prior = known([0.0] + [-0.03] * 10, 0.02, 0.2)
    gain, naive = 0.0, 0.0
    for _ in range(200):
        true = np.append(0, rng.normal(-0.03, 0.02, 10))
        values = 0.4 + true[:, None] + rng.normal(0, 0.2, (11, 10)) * (np.arange(11) > 0)[:, None]
        gain += true[choose(values, prior).index]
        naive += true[int(values.mean(axis=1).argmax())]
    assert naive < -3
    assert gain > -0.5


@given(tables, st.sampled_from([0.01, 0.1, 1.0]))
def test_the_choice_is_one_of_the_candidates_that_gain(values: np.ndarray, deviation: float) -> None:
    choice = chosen(values, deviation)
    assert 0 <= choice.index < len(values)
    if choice.index:
        assert choice.expected > 0
        assert values[choice.index].mean() > values[0].mean()


@given(tables, st.integers(0, 5))
def test_a_twin_of_the_default_is_never_chosen_instead(values: np.ndarray, number: int) -> None:
    twins = np.vstack([values, values[:1]])
    assert chosen(twins).index < len(values)
    assert chosen(np.repeat(values[:1], number + 1, axis=0)).index == 0


@given(tables, st.integers(-8, 8), st.sampled_from([0.01, 0.1, 1.0]))
def test_adding_a_constant_to_all_values_changes_nothing(values: np.ndarray, eighths: int, deviation: float) -> None:
    plain, shifted = chosen(values, deviation), chosen(values + eighths / 8, deviation)
    assert shifted.index == plain.index
    assert shifted.expected == pytest.approx(plain.expected)


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
