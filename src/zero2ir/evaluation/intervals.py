"""Bootstrap intervals over queries, and over queries and draws of the judgments."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]

_SAME = 1e-12  # values this close are equal
BATCH_CELLS = 4_000_000  # 32 MB of resampling weights at a time, however many queries there are


class Interval(NamedTuple):
    """An estimate with its interval; ``n`` is the number of queries behind it."""

    mean: float
    ci_low: float
    ci_high: float
    n: int

    def rounded(self) -> dict[str, float]:
        """As it stands in metrics.json: six decimals, so that no other processor's last bit changes the file."""
        return {name: round(value, 6) for name, value in self._asdict().items()}


def bootstrap_interval(values: npt.ArrayLike, *, resamples: int, level: float, seed: int) -> Interval:
    """The mean with its bootstrap interval: over queries, or over queries and seeds.

    One row: BCa, bias-corrected and accelerated. Where all values are equal, as of a measure that nobody scores on,
    BCa is undefined; no resample differs then, and both bounds are that value.

    Several rows: the percentile interval of the bootstrap for crossed factors (Owen 2007, "The pigeonhole bootstrap"):
    seeds and queries are drawn with replacement, a query together with all its seeds, because every draw of the
    judgments meets the same queries. BCa's acceleration is not defined for two factors.

    Args:
        values: [queries] or [seeds, queries]; NaN where a seed did not test a query. Not everything may be NaN.
        resamples: how many resamples.
        level: the coverage wanted, e.g. 0.95.
        seed: of the resampling.
    """
    table = np.atleast_2d(np.asarray(values, dtype=float))
    table = table[:, ~np.isnan(table).all(axis=0)]
    known = ~np.isnan(table)
    filled = np.where(known, table, 0.0)
    found = []
    for draws, picks in crossed_weights(*table.shape, resamples=resamples, seed=seed):
        counts = ((draws @ known) * picks).sum(axis=1)
        sums = ((draws @ filled) * picks).sum(axis=1)
        found.append(sums[counts > 0] / counts[counts > 0])  # a resample may hold untested pairs only
    means = np.concatenate(found)
    low, high = bca(table[0], means, level) if len(table) == 1 else percentiles(means, level)
    return Interval(float(filled.sum() / known.sum()), low, high, table.shape[1])


def percentiles(estimates: FloatArray, level: float) -> tuple[float, float]:
    """The bounds of the percentile interval (Efron and Tibshirani 1993, chapter 13) of bootstrap estimates."""
    low, high = np.quantile(estimates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bca(values: FloatArray, means: FloatArray, level: float) -> tuple[float, float]:
    """The bounds of the BCa interval of a mean (Efron 1987; Efron and Tibshirani 1993, equations 14.9 to 14.15).

    As ``scipy.stats.bootstrap`` has it, but for the jackknife: a mean's is known in closed form, where scipy computes
    every one of its n means anew.

    Args:
        values: [queries], the sample.
        means: [resamples], its bootstrap means.
        level: the coverage wanted.
    """
    from scipy.special import ndtr, ndtri

    if np.ptp(values) <= _SAME:
        return float(values.min()), float(values.max())
    mean = values.mean()
    below, up_to = means < mean - _SAME, means <= mean + _SAME  # many resamples have the same mean but for rounding
    bias = ndtri((below.mean() + up_to.mean()) / 2)
    apart = values - mean  # what a value takes away from the mean by its absence, times n - 1
    acceleration = (apart**3).sum() / (6 * (apart**2).sum() ** 1.5)
    wanted = bias + ndtri([(1 - level) / 2, (1 + level) / 2])
    low, high = np.quantile(means, ndtr(bias + wanted / (1 - acceleration * wanted)))
    return float(low), float(high)


def share_interval(values: npt.ArrayLike, whole: npt.ArrayLike, *, resamples: int, level: float, seed: int) -> Interval:
    """The mean as a share of another system's on the same queries, with its percentile bootstrap interval.

    Args:
        values: [queries].
        whole: [queries], the other system's; their mean is above 0.
        resamples: how many resamples.
        level: the coverage wanted.
        seed: of the resampling.
    """
    pairs = np.stack([np.asarray(values, dtype=float), np.asarray(whole, dtype=float)], axis=1)
    sums = np.concatenate(
        [picks @ pairs for _, picks in crossed_weights(1, len(pairs), resamples=resamples, seed=seed)]
    )
    shares = sums[sums[:, 1] > 0]
    bounds = percentiles(shares[:, 0] / shares[:, 1], level)
    return Interval(float(pairs[:, 0].sum() / pairs[:, 1].sum()), *bounds, len(pairs))


def crossed_weights(seeds: int, queries: int, *, resamples: int, seed: int) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Batches of how often each resample holds each seed, [batch, seeds], and each query, [batch, queries]."""
    rng = np.random.default_rng(seed)
    batch = max(1, BATCH_CELLS // queries)
    for start in range(0, resamples, batch):
        size = min(batch, resamples - start)
        yield resample_counts(seeds, size, rng), resample_counts(queries, size, rng)


def resample_counts(n: int, resamples: int, rng: np.random.Generator) -> FloatArray:
    """How often each of ``n`` items stands in each of ``resamples`` samples with replacement, [resamples, n]."""
    cells = rng.integers(n, size=(resamples, n)) + n * np.arange(resamples)[:, None]
    return np.bincount(cells.ravel(), minlength=resamples * n).reshape(resamples, n).astype(float)
