import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test, ttest_rel

from zero2ir.errors import InputError
from zero2ir.evaluation.significance import (
    compare_scores,
    detectable_difference,
    holm,
    paired_differences,
    score_table,
    sign_flip_p,
    t_test_p,
)

OPTIONS = {"resamples": 2000, "level": 0.95, "seed": 0}
DIFFERENCES = st.lists(st.integers(-4, 4).map(lambda n: n / 4), min_size=1, max_size=9)


@given(DIFFERENCES)
def test_the_exact_test_counts_every_sign_pattern(differences):
    observed = abs(sum(differences))
    patterns = list(itertools.product((-1, 1), repeat=len(differences)))
    extreme = sum(abs(sum(s * d for s, d in zip(p, differences, strict=True))) >= observed - 1e-9 for p in patterns)
    assert sign_flip_p(differences, resamples=10, seed=0) == pytest.approx(extreme / len(patterns))


def test_the_drawn_test_agrees_with_scipy():
    differences = np.random.default_rng(3).normal(0.15, 1, size=80)
    theirs = permutation_test(
        (differences,), lambda d, axis: d.mean(axis=axis), permutation_type="samples", n_resamples=20_000, rng=0
    )
    assert sign_flip_p(differences, resamples=20_000, seed=1) == pytest.approx(theirs.pvalue, abs=0.015)


def test_p_is_never_zero_and_one_without_a_difference():
    assert sign_flip_p(np.ones(100), resamples=999, seed=0) == 1 / 1000
    assert sign_flip_p(np.zeros(100), resamples=999, seed=0) == 1.0


def test_it_rejects_a_true_null_as_often_as_its_level_says():
    rng = np.random.default_rng(0)
    p = [sign_flip_p(rng.normal(size=40), resamples=400, seed=i) for i in range(400)]
    assert 0.025 <= np.mean(np.array(p) < 0.05) <= 0.08


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_only_raises_and_keeps_the_order(p_values):
    adjusted = holm(p_values)
    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))
    ranked = [a for _, a in sorted(zip(p_values, adjusted, strict=True))]
    assert ranked == sorted(ranked)


def test_queries_are_paired_within_a_seed_only():
    system = {0: {"a": 1.0, "b": 0.5}, 1: {"a": 0.0, "c": 1.0}, 2: {"a": 1.0}}
    other = {0: {"a": 0.5, "b": 0.5, "c": 9.0}, 1: {"b": 9.0, "c": 0.5}}
    assert paired_differences(system, other) == {0: {"a": 0.5, "b": 0.0}, 1: {"c": 0.5}}
    with pytest.raises(InputError, match="no seed and query in common"):
        paired_differences({0: {"a": 1.0}}, {1: {"a": 1.0}})


def test_a_comparison_by_hand():
    found = compare_scores({0: {"a": 1.0, "b": 0.5, "c": 0.25}}, {0: {"a": 0.5, "b": 0.5, "c": 0.5}}, **OPTIONS)
    assert (found.wins, found.ties, found.losses) == (1, 1, 1)
    assert found.difference.mean == pytest.approx(0.25 / 3)
    assert found.sd == pytest.approx(np.std([0.5, 0, -0.25], ddof=1))
    assert found.effect_size == pytest.approx(0.25 / 3 / found.sd)
    assert found.p_value == 1.0  # of four patterns of .5 and -.25 all sum to at least .25


def test_seeds_of_a_query_are_no_further_evidence():
    rng = np.random.default_rng(0)
    gains = {f"q{i}": float(value) for i, value in enumerate(rng.normal(0.1, 0.5, size=12))}
    nothing = dict.fromkeys(gains, 0.0)
    once = compare_scores({0: gains}, {0: nothing}, **OPTIONS)
    often = compare_scores(dict.fromkeys(range(5), gains), dict.fromkeys(range(5), nothing), **OPTIONS)
    assert often.p_value == pytest.approx(once.p_value)
    assert often.effect_size == pytest.approx(once.effect_size)


def test_no_spread_leaves_the_effect_size_undefined():
    found = compare_scores({0: {"a": 1.0, "b": 1.0}}, {0: {"a": 0.5, "b": 0.5}}, **OPTIONS)
    assert math.isnan(found.effect_size)
    assert math.isnan(found.sd)


def test_the_score_table_is_sorted_and_marks_what_is_missing():
    table = score_table({1: {"b": 0.2}, 0: {"b": 0.1, "a": 0.3}})
    assert np.array_equal(table, [[0.3, 0.1], [np.nan, 0.2]], equal_nan=True)


def test_the_detectable_difference_is_detected_as_often_as_said():
    difference = detectable_difference(0.3, 64)
    assert difference == pytest.approx((1.95996 + 0.84162) * 0.3 / 8, rel=1e-4)
    rng = np.random.default_rng(0)
    found = [sign_flip_p(rng.normal(difference, 0.3, 64), resamples=400, seed=i) < 0.05 for i in range(300)]
    assert 0.73 <= np.mean(found) <= 0.87


def test_the_t_test_is_scipy_s_on_pairs():
    rng = np.random.default_rng(0)
    one, two = rng.random(40), rng.random(40)
    assert t_test_p(one - two) == pytest.approx(ttest_rel(one, two).pvalue, abs=1e-12)
    assert t_test_p([0.0, 0.0]) == 1.0
    assert math.isnan(t_test_p([0.5, 0.5]))
    assert math.isnan(t_test_p([0.5]))


def test_coverage_of_the_effect_size_is_about_the_level():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        gains = {f"q{i}": float(value) for i, value in enumerate(rng.normal(0.5, 1, size=60))}
        found = compare_scores({0: gains}, {0: dict.fromkeys(gains, 0.0)}, resamples=300, level=0.95, seed=0)
        assert found.effect_low < found.effect_size < found.effect_high
        hits += found.effect_low <= 0.5 <= found.effect_high
    assert 0.9 <= hits / 200 <= 0.99


def test_the_interval_of_the_effect_size_widens_with_the_variance_between_seeds():
    rng = np.random.default_rng(0)
    nothing = {f"q{i:02}": 0.0 for i in range(40)}
    luck = [0.5, -0.3, 0.4, -0.2]
    gains = {seed: {q: gain + float(rng.normal(0.1, 0.3)) for q in nothing} for seed, gain in enumerate(luck)}
    lucky = compare_scores(gains, dict.fromkeys(gains, nothing), **OPTIONS)
    mean = {q: float(np.mean([gains[seed][q] for seed in gains])) for q in nothing}
    settled = compare_scores({0: mean}, {0: nothing}, **OPTIONS)
    assert lucky.effect_size == pytest.approx(settled.effect_size)
    assert lucky.effect_low < 0 < settled.effect_low


def test_the_detectable_difference_depends_on_the_comparison_s_own_spread():
    found = compare_scores({0: {"a": 1.0, "b": 0.5, "c": 0.25}}, {0: {"a": 0.5, "b": 0.5, "c": 0.5}}, **OPTIONS)
    assert found.detectable(0.05) == pytest.approx(detectable_difference(found.sd, 3))
    assert found.detectable(0.01) > found.detectable(0.05)
    same = compare_scores({0: {"a": 1.0}}, {0: {"a": 1.0}}, **OPTIONS)
    assert math.isnan(same.detectable(0.05))
    assert math.isnan(same.effect_low)
    assert same.t_p_value == 1.0


def test_without_topics_the_figures_are_those_before_there_were_any():
    rng = np.random.default_rng(0)
    values, queries = rng.random((3, 20)).round(3), [f"q{i:02}" for i in range(20)]
    one = {seed: dict(zip(queries, row, strict=True)) for seed, row in enumerate(values)}
    other = {seed: dict(zip(queries, rng.permutation(row), strict=True)) for seed, row in enumerate(values)}
    for topics in (None, {}, {query: query for query in queries}):
        found = compare_scores(one, other, resamples=500, level=0.95, seed=3, topics=topics)
        assert found.difference == (-7.401486830834377e-18, -0.1664375, 0.15233958333333333, 20)
        assert found.sd == pytest.approx(0.29351236562013844, abs=1e-12)
        assert (found.effect_low, found.effect_high) == (-0.5078827639621039, 0.4535876387647957)
        assert (found.wins, found.losses, found.p_value) == (9, 11, 1.0)


@given(DIFFERENCES.filter(lambda values: np.ptp(values) > 0), st.integers(2, 4))
def test_a_topic_of_many_equal_queries_counts_once(differences, copies):
    topics = {f"t{i}-{copy}": f"t{i}" for i in range(len(differences)) for copy in range(copies)}
    single = {f"t{i}": value for i, value in enumerate(differences)}
    many = {query: single[topic] for query, topic in topics.items()}
    once = compare_scores({0: single}, {0: dict.fromkeys(single, 0.0)}, **OPTIONS)
    found = compare_scores({0: many}, {0: dict.fromkeys(many, 0.0)}, **OPTIONS, topics=topics)
    assert found.difference[:3] == pytest.approx(once.difference[:3])
    assert found.difference.n == copies * len(differences)
    assert found.p_value == once.p_value
    assert found.t_p_value == pytest.approx(once.t_p_value)
    assert found.detectable(0.05) == pytest.approx(once.detectable(0.05))


def test_with_topics_it_rejects_a_true_null_as_often_as_its_level_says():
    rng, rejected = np.random.default_rng(0), {True: 0, False: 0}
    topics = {f"q{i}": f"t{i % 20}" for i in range(80)}
    for _ in range(200):
        gains = rng.normal(size=20)
        scores = {query: float(gains[int(topic[1:])] + rng.normal(0, 0.3)) for query, topic in topics.items()}
        for known in rejected:
            found = compare_scores(
                {0: scores},
                {0: dict.fromkeys(scores, 0.0)},
                **OPTIONS | {"resamples": 100},
                topics=topics if known else {},
            )
            rejected[known] += found.p_value < 0.05
    assert rejected[True] <= 16 < 50 < rejected[False]


def test_one_topic_shows_nothing():
    scores = {"a": 1.0, "b": 0.5}
    found = compare_scores({0: scores}, {0: {"a": 0.0, "b": 0.0}}, **OPTIONS, topics={"a": "t", "b": "t"})
    assert found.p_value == 1.0
    assert math.isnan(found.sd)
    assert found.difference[:3] == (0.75, 0.75, 0.75)
