"""Paired comparisons of two systems on the same queries.

Scores of one system come as seed → query id → value. A query is paired with itself under the same seed only, because
with another seed it met another draw of the judgments.
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
)

ScoresBySeed = Mapping[int, Mapping[str, float]]

EXACT_BELOW = 17  # 2^16 sign patterns take a moment; beyond, they are drawn
_SAME = 1e-9  # closer means differ by rounding only
SIGNIFICANCE_LEVEL = 0.05  # of a test, after Holm's correction


class Comparison(NamedTuple):
    """System minus the system it is compared with.

    Everything beside the intervals counts a query once, by its mean over the seeds. ``effect_size`` is the mean
    difference over its standard deviation ``sd`` (Cohen's d for pairs); these, the effect's interval and the t-test's
    p-value are NaN where one query, or queries that all differ by the same amount, leave them undefined.
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
        """The smallest true difference that a test at ``level`` finds with 80 % power; NaN without a spread."""
        return detectable_difference(self.sd, self.difference.n, level=level)


def score_table(scores: ScoresBySeed) -> FloatArray:
    """One system's values as [seeds, queries], in sorted order; NaN where a seed did not test a query."""
    queries = sorted({query_id for values in scores.values() for query_id in values})
    return np.array([[scores[seed].get(query_id, math.nan) for query_id in queries] for seed in sorted(scores)])


def paired_differences(system: ScoresBySeed, other: ScoresBySeed) -> FloatArray:
    """System minus other, [seeds, queries], over the seeds and queries that both have.

    Raises:
        InputError: they share no query under any seed.
    """
    differences = {
        seed: {query_id: system[seed][query_id] - other[seed][query_id] for query_id in shared}
        for seed in system.keys() & other.keys()
        if (shared := system[seed].keys() & other[seed].keys())
    }
    if not differences:
        raise InputError("comparison: the two systems share no query under the same seed; evaluate both alike")
    return score_table(differences)


def compare_scores(system: ScoresBySeed, other: ScoresBySeed, *, resamples: int, level: float, seed: int) -> Comparison:
    """Compares two systems pair by pair.

    The intervals account for queries and seeds. The tests count whole queries, each with all its seeds, since the seeds
    of a query are no independent evidence: their p-values speak about these draws of the judgments.

    Raises:
        InputError: they share no query under any seed.
    """
    table = paired_differences(system, other)
    by_query = np.nanmean(table, axis=0)
    sd = float(by_query.std(ddof=1)) if len(by_query) > 1 else math.nan
    sd = sd if sd > _SAME else math.nan
    effect_low, effect_high = _effect_bounds(table, resamples=resamples, level=level, seed=seed)
    return Comparison(
        difference=bootstrap_interval(table, resamples=resamples, level=level, seed=seed),
        p_value=sign_flip_p(by_query, resamples=resamples, seed=seed),
        effect_size=float(by_query.mean()) / sd,
        sd=sd,
        wins=int((by_query > _SAME).sum()),
        ties=int((np.abs(by_query) <= _SAME).sum()),
        losses=int((by_query < -_SAME).sum()),
        effect_low=effect_low,
        effect_high=effect_high,
        t_p_value=t_test_p(by_query),
    )


def _effect_bounds(table: FloatArray, *, resamples: int, level: float, seed: int) -> tuple[float, float]:
    """The percentile interval of the effect size over queries and seeds, [seeds, queries].

    A resample whose differences are all equal has no effect size and is left out; NaN where all are.
    """
    known = ~np.isnan(table)
    filled = np.where(known, table, 0.0)
    found = []
    for draws, picks in crossed_weights(*table.shape, resamples=resamples, seed=seed):
        tested = draws @ known  # [batch, queries]: how many of the drawn seeds tested the query
        by_query = (draws @ filled) / np.maximum(tested, 1)
        picks = picks * (tested > 0)
        n = picks.sum(axis=1)
        mean = (picks * by_query).sum(axis=1) / np.maximum(n, 1)
        squares = (picks * (by_query - mean[:, None]) ** 2).sum(axis=1)
        spread = np.sqrt(squares / np.maximum(n - 1, 1))
        found.append(mean[spread > _SAME] / spread[spread > _SAME])
    effects = np.concatenate(found)
    return percentiles(effects, level) if len(effects) else (math.nan, math.nan)


def t_test_p(differences: npt.ArrayLike) -> float:
    """Two-sided p-value of the paired t-test (Student 1908): 1 without a difference, NaN without a spread."""
    from scipy.stats import ttest_1samp

    values = np.asarray(differences, dtype=float)
    if not (np.abs(values) > _SAME).any():
        return 1.0
    if np.ptp(values) <= _SAME:
        return math.nan
    return float(ttest_1samp(values, 0.0).pvalue)


def sign_flip_p(differences: npt.ArrayLike, *, resamples: int, seed: int) -> float:
    """Two-sided p-value of the paired randomisation test (Fisher 1935; for IR: Smucker et al. 2007).

    Under the null hypothesis each difference could as well have the other sign. With up to 16 differences other than
    zero every sign pattern is counted, so that p is exact; with more, ``resamples`` patterns are drawn, and the
    observed one counts among them (Phipson and Smyth 2010), so that p is never 0.
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
    """P-values adjusted for all comparisons of one family (Holm 1979), in the order given."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]


def detectable_difference(sd: float, queries: int, *, level: float = 0.05, power: float = 0.8) -> float:
    """The smallest true mean difference that a two-sided paired test finds with this power (normal approximation).

    Args:
        sd: standard deviation of the differences per query.
        queries: how many there are.
        level: the test's level, divided by the number of comparisons for a whole family.
        power: the probability of finding it.
    """
    normal = NormalDist()
    return (normal.inv_cdf(1 - level / 2) + normal.inv_cdf(power)) * sd / math.sqrt(queries)
