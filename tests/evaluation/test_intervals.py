from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap

from zero2ir.evaluation.intervals import (
    bca,
    bootstrap_interval,
    crossed_weights,
    interval_over_collections,
    resample_counts,
    share_interval,
    topics_of,
)

OPTIONS = {"resamples": 500, "level": 0.95, "seed": 0}
VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def test_coverage_of_the_true_mean_is_about_the_level():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        interval = bootstrap_interval(rng.beta(0.5, 1.0, size=60), **OPTIONS)  # skewed, as nDCG is; mean 1/3
        hits += interval.ci_low <= 1 / 3 <= interval.ci_high
    assert 0.91 <= hits / 400 <= 0.98


def test_with_several_seeds_coverage_holds_where_queries_alone_would_fail():
    rng = np.random.default_rng(0)
    crossed = queries_only = 0
    for _ in range(300):
        table = 0.5 + 0.1 * rng.normal(size=(8, 1)) + 0.1 * rng.normal(size=(1, 60)) + 0.05 * rng.normal(size=(8, 60))
        wide, narrow = bootstrap_interval(table, **OPTIONS), bootstrap_interval(table.mean(axis=0), **OPTIONS)
        crossed += wide.ci_low <= 0.5 <= wide.ci_high
        queries_only += narrow.ci_low <= 0.5 <= narrow.ci_high
    assert crossed / 300 > 0.85
    assert queries_only / 300 < 0.7


@given(VALUES)
def test_an_interval_contains_the_mean_and_stays_within_the_values(values):
    interval = bootstrap_interval(values, **OPTIONS)
    assert interval.n == len(values)
    assert interval.mean == pytest.approx(np.mean(values))
    assert min(values) - 1e-9 <= interval.ci_low <= interval.mean + 1e-9
    assert interval.mean - 1e-9 <= interval.ci_high <= max(values) + 1e-9


@given(VALUES, st.integers(2, 4))
def test_equal_seeds_do_not_change_the_interval(values, seeds):
    one = bootstrap_interval(values, **OPTIONS)
    many = bootstrap_interval([values] * seeds, **OPTIONS)
    assert many.mean == pytest.approx(one.mean)
    assert many.n == one.n


def test_untested_pairs_are_left_out():
    table = [[1.0, np.nan, 0.0], [1.0, 0.5, np.nan], [np.nan] * 3]
    interval = bootstrap_interval(table, **OPTIONS)
    assert interval.mean == pytest.approx(2.5 / 4)
    assert interval.n == 3
    assert not np.isnan([interval.ci_low, interval.ci_high]).any()


def test_the_seed_decides():
    values = np.random.default_rng(0).random(50)
    assert bootstrap_interval(values, **OPTIONS) == bootstrap_interval(values, **OPTIONS)
    assert bootstrap_interval(values, **OPTIONS) != bootstrap_interval(values, **{**OPTIONS, "seed": 1})


def test_large_sets_of_queries_go_in_batches():
    interval = bootstrap_interval(np.tile([0.0, 1.0], 50_000), resamples=100, level=0.95, seed=0)
    assert interval.ci_high - interval.ci_low == pytest.approx(2 * 1.96 * 0.5 / 100_000**0.5, rel=0.3)


def test_resamples_are_samples_with_replacement():
    counts = resample_counts(7, 300, np.random.default_rng(0))
    assert counts.shape == (300, 7)
    assert (counts.sum(axis=1) == 7).all()
    assert counts.var() == pytest.approx(6 / 7, abs=0.1)


def test_a_share_is_paired_by_query():
    rng = np.random.default_rng(0)
    whole = rng.random(80)
    assert share_interval(0.8 * whole, whole, **OPTIONS) == pytest.approx((0.8, 0.8, 0.8, 80))
    noisy = share_interval(np.clip(0.8 * whole + 0.2 * rng.normal(size=80), 0, 1), whole, **OPTIONS)
    assert 0.6 < noisy.ci_low < noisy.mean < noisy.ci_high < 1


def test_shares_of_mostly_zero_values_are_finite():
    interval = share_interval([1.0, 0.0, 0.0], [1.0, 0.0, 0.0], **OPTIONS)
    assert interval == pytest.approx((1.0, 1.0, 1.0, 3))


@given(st.lists(st.floats(0, 1), min_size=3, max_size=30).filter(lambda values: np.ptp(values) > 0.01))
def test_the_bounds_of_one_seed_equal_scipy_s_bca(values):
    means = resample_counts(len(values), 500, np.random.default_rng(0)) @ np.array(values) / len(values)
    means[np.isclose(means, np.mean(values), rtol=0, atol=1e-12)] = np.mean(values)  # scipy minds the last bit
    drawn = SimpleNamespace(bootstrap_distribution=means)
    theirs = bootstrap((values,), np.mean, method="BCa", n_resamples=0, bootstrap_result=drawn).confidence_interval
    assert bca(np.array(values), means, 0.95) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@pytest.mark.parametrize("value", [0.0, 1.0, 1 / 3])
def test_equal_values_have_no_interval_but_themselves(value):
    assert bootstrap_interval([value] * 7, **OPTIONS) == pytest.approx((value, value, value, 7))
    assert bootstrap_interval([value], **OPTIONS) == pytest.approx((value, value, value, 1))


def test_a_skewed_sample_moves_the_bounds_towards_its_tail():
    values = [0.0] * 18 + [0.5, 1.0]
    interval = bootstrap_interval(values, **OPTIONS)
    assert interval.ci_high - interval.mean > interval.mean - interval.ci_low > 0


def test_without_topics_the_figures_are_those_before_there_were_any():
    values, options = np.random.default_rng(0).random((3, 20)).round(3), {"resamples": 500, "level": 0.95, "seed": 3}
    assert bootstrap_interval(values[0], **options) == (
        0.5124500000000001,
        0.36751688734741345,
        0.6578403529745398,
        20,
    )
    assert bootstrap_interval(values, **options) == (0.5053, 0.3833275, 0.6231383333333332, 20)
    assert share_interval(values[0] / 2, values[1] + 0.1, **options) == (
        0.38769102738689665,
        0.26394784368434754,
        0.5427120423310711,
        20,
    )


def test_queries_of_a_topic_are_drawn_together():
    ((draws, picks),) = crossed_weights(2, 5, resamples=200, seed=0, topics=["b", "a", "b", "c", "a"])
    assert draws.shape == (200, 2)
    assert (picks[:, 0] == picks[:, 2]).all()
    assert (picks[:, 1] == picks[:, 4]).all()
    assert (picks[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_coverage_holds_where_queries_share_topics():
    rng, topics = np.random.default_rng(0), [f"t{i % 20}" for i in range(100)]
    by_topic = by_query = 0
    for _ in range(200):
        values = 0.5 + np.tile(0.1 * rng.normal(size=20), 5) + 0.05 * rng.normal(size=100)
        wide, narrow = bootstrap_interval(values, **OPTIONS, topics=topics), bootstrap_interval(values, **OPTIONS)
        by_topic += wide.ci_low <= 0.5 <= wide.ci_high
        by_query += narrow.ci_low <= 0.5 <= narrow.ci_high
    assert by_topic / 200 > 0.88
    assert by_query / 200 < 0.7


def test_topics_of_untested_queries_are_left_out():
    table = [[1.0, np.nan, 0.0, 0.5], [0.5, np.nan, 1.0, 0.0]]
    without = bootstrap_interval(np.delete(table, 1, axis=1), **OPTIONS, topics=["a", "b", "b"])
    assert bootstrap_interval(table, **OPTIONS, topics=["a", "c", "b", "b"]) == without


def test_a_query_without_a_topic_is_one():
    assert topics_of(["a", "b"], {"a": "t"}) == ["t", "b"]
    assert topics_of(["a", "b"], {}) is None


def test_collections_weigh_the_same_and_are_resampled_with_their_draws_and_topics():
    rng = np.random.default_rng(0)
    few, many = rng.normal(0.0, 0.1, (2, 6)), rng.normal(1.0, 0.1, (3, 40))
    few[0, 1] = np.nan
    fixed = interval_over_collections([few, many], [None, None], **OPTIONS, resample_collections=False)
    both = interval_over_collections([few, many], [None, None], **OPTIONS)
    assert fixed.mean == both.mean == pytest.approx((np.nanmean(few) + many.mean()) / 2)
    assert fixed.ci_high - fixed.ci_low < 0.2
    assert (both.ci_low, both.ci_high) == pytest.approx((0, 1), abs=0.15)  # both resamples may be of one collection
    topics = [f"t{number % 4}" for number in range(40)]
    shared = [np.tile(rng.normal(size=4), (1, 10)) for _ in range(2)]
    wide, narrow = (interval_over_collections(shared, [one] * 2, **OPTIONS) for one in (topics, None))
    assert wide.ci_high - wide.ci_low > 1.5 * (narrow.ci_high - narrow.ci_low)


def test_a_collection_that_is_drawn_twice_has_two_resamples_of_its_queries():
    values = np.random.default_rng(0).normal(size=(1, 50))
    one = interval_over_collections([values], [None], **OPTIONS)
    same = interval_over_collections([values] * 16, [None] * 16, **OPTIONS)
    assert same.ci_high - same.ci_low == pytest.approx((one.ci_high - one.ci_low) / 4, rel=0.2)
