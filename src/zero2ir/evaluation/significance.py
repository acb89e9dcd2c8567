"""Paired comparisons of two systems on the same queries.

The scores of a system are seed → query id → value. Pairs have the same query and the same seed, because seeds differ in
the draw of the judgments.

``topics`` are the topics of queries by query id (see ``intervals``): intervals resample whole topics, and tests take
the sums of the topics' differences as the observations. None, or no entry, if a query is a topic of its own.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zero2ir.errors import InputError
from zero2ir.evaluation.intervals import (
    BATCH_CELLS,
    FloatArray,
    Interval,
    bootstrap_interval,
    crossed_weights,
    percentiles,
    sum_by_topic,
    topics_of,
)

ScoresBySeed = Mapping[int, Mapping[str, float]]

EXACT_BELOW = 17  # number of differences; up to 2^16 sign patterns are enumerated, otherwise patterns are sampled
_SAME = 1e-9  # smaller differences are rounding errors
SIGNIFICANCE_LEVEL = 0.05  # after Holm's correction


class Comparison(NamedTuple):
    """The comparison of a system with another one; differences are system minus other.

    All figures but the intervals use each query's mean over the seeds. ``effect_size`` is the mean difference over its
    standard deviation (Cohen's d for pairs). ``sd`` is this standard deviation, too, for the difference that can be
    detected; if queries share topics, the one that gives as many independent queries the same standard error.
    ``effect_size`` with its interval, ``sd`` and the t-test's p-value are NaN if there is one query or all queries
    differ by the same amount.
    """

    difference: Interval
    p_value: float  # of the randomisation test
    effect_size: float
    sd: float
    wins: int
    ties: int
    losses: int
    effect_low: float = math.nan
    effect_high: float = math.nan
    t_p_value: float = math.nan

    def detectable(self, level: float) -> float:
        """Returns the smallest true difference that a test at ``level`` detects with 80 % power; NaN if sd is NaN."""
        return detectable_difference(self.sd, self.difference.n, level=level)


def score_table(scores: ScoresBySeed) -> FloatArray:
    """Returns a system's values as [seeds, queries], both sorted; NaN if a seed did not test a query."""
    queries = sorted({query_id for values in scores.values() for query_id in values})
    return np.array([[scores[seed].get(query_id, math.nan) for query_id in queries] for seed in sorted(scores)])


def mean_interval(
    scores: ScoresBySeed, *, resamples: int, level: float, seed: int, topics: Mapping[str, str] | None = None
) -> Interval:
    """Returns the mean of a system's values with its ``bootstrap_interval``."""
    return bootstrap_interval(
        score_table(scores), resamples=resamples, level=level, seed=seed, topics=table_topics(scores, topics)
    )


def table_topics(scores: ScoresBySeed, topics: Mapping[str, str] | None) -> list[str] | None:
    """Returns the topic of each query of ``score_table``, [queries]; None if there are no topics."""
    return topics_of(sorted({query_id for values in scores.values() for query_id in values}), topics)


def paired_differences(system: ScoresBySeed, other: ScoresBySeed) -> ScoresBySeed:
    """Returns system minus other, over the seeds and queries that both have.

    Raises:
        InputError: the systems have no seed and query in common.
    """
    differences = {
        seed: {query_id: system[seed][query_id] - other[seed][query_id] for query_id in shared}
        for seed in system.keys() & other.keys()
        if (shared := system[seed].keys() & other[seed].keys())
    }
    if not differences:
        raise InputError(
            "comparison: the systems have no seed and query in common; evaluate both with the same seeds and queries"
        )
    return differences


def compare_scores(
    system: ScoresBySeed,
    other: ScoresBySeed,
    *,
    resamples: int,
    level: float,
    seed: int,
    topics: Mapping[str, str] | None = None,
) -> Comparison:
    """Compares two systems on paired scores.

    The intervals account for queries and seeds. The tests use each query's mean over the seeds, because the seeds of a
    query are not independent; their p-values are conditional on these draws of the judgments.

    Raises:
        InputError: the systems have no seed and query in common.
    """
    differences = paired_differences(system, other)
    table, labels = score_table(differences), table_topics(differences, topics)
    by_query = np.nanmean(table, axis=0)
    by_topic = sum_by_topic(by_query, labels)
    spread = float(by_query.std(ddof=1)) if len(by_query) > 1 else math.nan
    spread = spread if spread > _SAME else math.nan
    effect_low, effect_high = _effect_bounds(table, labels, resamples=resamples, level=level, seed=seed)
    return Comparison(
        difference=bootstrap_interval(table, resamples=resamples, level=level, seed=seed, topics=labels),
        p_value=sign_flip_p(by_topic, resamples=resamples, seed=seed),
        effect_size=float(by_query.mean()) / spread,
        sd=spread if labels is None else _clustered_sd(by_query, labels),
        wins=int((by_query > _SAME).sum()),
        ties=int((np.abs(by_query) <= _SAME).sum()),
        losses=int((by_query < -_SAME).sum()),
        effect_low=effect_low,
        effect_high=effect_high,
        t_p_value=t_test_p(by_topic),
    )


def _clustered_sd(by_query: FloatArray, topics: Sequence[str]) -> float:
    """Returns the standard deviation that gives as many independent queries the standard error of these topics' mean.

    Source: the variance of a ratio, here of the topics' sums and numbers of queries; Cochran 1977, section 6.4.
    """
    influence = sum_by_topic(by_query - by_query.mean(), topics)
    if len(influence) < 2:
        return math.nan
    sd = math.sqrt(len(influence) / (len(influence) - 1) * float((influence**2).sum()) / len(by_query))
    return sd if sd > _SAME else math.nan


def _effect_bounds(
    table: FloatArray, topics: Sequence[str] | None, *, resamples: int, level: float, seed: int
) -> tuple[float, float]:
    """Returns the percentile interval of the effect size over queries and seeds; ``table`` is [seeds, queries].

    Resamples with equal differences have no effect size and are left out; NaN if none is left.
    """
    known = ~np.isnan(table)
    filled = np.where(known, table, 0.0)
    estimates = []
    for draws, picks in crossed_weights(*table.shape, resamples=resamples, seed=seed, topics=topics):
        tested = draws @ known  # [batch, queries]: number of drawn seeds that tested the query
        by_query = (draws @ filled) / np.maximum(tested, 1)
        picks = picks * (tested > 0)
        n = picks.sum(axis=1)
        mean = (picks * by_query).sum(axis=1) / np.maximum(n, 1)
        squares = (picks * (by_query - mean[:, None]) ** 2).sum(axis=1)
        spread = np.sqrt(squares / np.maximum(n - 1, 1))
        estimates.append(mean[spread > _SAME] / spread[spread > _SAME])
    effects = np.concatenate(estimates)
    return percentiles(effects, level) if len(effects) else (math.nan, math.nan)


def t_test_p(differences: npt.ArrayLike) -> float:
    """Returns the two-sided p-value of the paired t-test (Student 1908): 1 if all are 0, NaN if all are equal."""
    from scipy.stats import ttest_1samp

    values = np.asarray(differences, dtype=float)
    if not (np.abs(values) > _SAME).any():
        return 1.0
    if np.ptp(values) <= _SAME:
        return math.nan
    return float(ttest_1samp(values, 0.0).pvalue)


def sign_flip_p(differences: npt.ArrayLike, *, resamples: int, seed: int) -> float:
    """Returns the two-sided p-value of the paired randomisation test (Fisher 1935; for IR: Smucker et al. 2007).

    Under the null hypothesis, both signs of a difference are equally likely. With up to 16 non-zero differences, all
    sign patterns are enumerated and p is exact. With more, ``resamples`` patterns are sampled and the observed one is
    added (Phipson and Smyth 2010), so that p is never 0.
    """
    values = np.asarray(differences, dtype=float)
    values = values[np.abs(values) > _SAME]
    if not values.size:
        return 1.0
    extreme = abs(values.sum()) - _SAME
    if len(values) < EXACT_BELOW:
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=len(values))))
        return float((np.abs(signs @ values) >= extreme).mean())
    rng = np.random.default_rng(seed)
    hits, batch = 0, max(1, BATCH_CELLS // len(values))
    for start in range(0, resamples, batch):
        flips = rng.integers(0, 2, size=(min(batch, resamples - start), len(values)), dtype=np.int8)
        hits += int((np.abs((2.0 * flips - 1.0) @ values) >= extreme).sum())
    return (hits + 1) / (resamples + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns the p-values of a family of comparisons, adjusted (Holm 1979), in the same order."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]


def detectable_difference(sd: float, queries: int, *, level: float = 0.05, power: float = 0.8) -> float:
    """Returns the smallest true mean difference that a two-sided paired test detects (normal approximation).

    ``sd`` is the standard deviation of the differences per query, ``level`` the level of the test (in a family, divided
    by the number of comparisons) and ``power`` the probability of detection.
    """
    return _quantiles(level, power) * sd / math.sqrt(queries)


def needed_queries(sd: float, difference: float, *, level: float = 0.05, power: float = 0.8) -> float:
    """Returns the number of queries from which that test detects a true mean difference; infinite for 0, NaN if sd is.

    The arguments are those of ``detectable_difference``.
    """
    if math.isnan(sd) or difference == 0:
        return sd if math.isnan(sd) else math.inf
    return math.ceil((_quantiles(level, power) * sd / difference) ** 2)


def _quantiles(level: float, power: float) -> float:
    normal = NormalDist()
    return normal.inv_cdf(1 - level / 2) + normal.inv_cdf(power)
