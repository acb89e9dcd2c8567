"""Bootstrap intervals over queries, or over queries and seeds (draws of the judgments).

In all functions, ``resamples`` is the number of resamples, ``level`` the confidence level of the interval (e.g. 0.95)
and ``seed`` the seed of the resampling. ``topics`` is the topic of each query, [queries]; None if each query is a topic
of its own. Queries of one topic are not independent, so that whole topics are resampled (the cluster bootstrap: Field
and Welsh 2007, "Bootstrapping clustered data").
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]

_SAME = 1e-12  # values this close are equal
BATCH_CELLS = 4_000_000  # limits a batch of resampling weights to 32 MB


class Interval(NamedTuple):
    """An estimate with its interval; ``n`` is the number of queries."""

    mean: float
    ci_low: float
    ci_high: float
    n: int

    def rounded(self) -> dict[str, float]:
        """Returns the values as written to metrics.json: six decimals, so that processors give the same file."""
        return {name: round(value, 6) for name, value in self._asdict().items()}


def topics_of(query_ids: Iterable[str], topics: Mapping[str, str] | None) -> list[str] | None:
    """Returns the topic of each query from those by query id; None if there are none. Other queries are topics."""
    return [topics.get(query_id, query_id) for query_id in query_ids] if topics else None


def bootstrap_interval(
    values: npt.ArrayLike, *, resamples: int, level: float, seed: int, topics: Sequence[str] | None = None
) -> Interval:
    """Returns the mean with its bootstrap interval over queries, or over queries and seeds.

    One row: BCa, bias-corrected and accelerated. BCa is undefined if all values are equal; then both bounds are that
    value.

    Several rows: the percentile interval of the bootstrap for crossed factors (Owen 2007, "The pigeonhole bootstrap").
    Seeds and queries are drawn with replacement, a query together with all its seeds, because all draws of the
    judgments share the same queries. BCa's acceleration is not defined for two factors.

    ``values`` is [queries] or [seeds, queries], with NaN if a seed did not test a query, and not NaN throughout.
    """
    table = np.atleast_2d(np.asarray(values, dtype=float))
    tested = ~np.isnan(table).all(axis=0)
    table, topics = table[:, tested], None if topics is None else np.asarray(topics)[tested].tolist()
    means = resampled_means(table, resamples=resamples, seed=seed, topics=topics)
    means = means[~np.isnan(means)]
    low, high = bca(table[0], means, level, topics) if len(table) == 1 else percentiles(means, level)
    known = ~np.isnan(table)
    return Interval(float(np.where(known, table, 0.0).sum() / known.sum()), low, high, table.shape[1])


def interval_over_collections(
    tables: Sequence[FloatArray],
    topics: Sequence[Sequence[str] | None],
    *,
    resamples: int,
    level: float,
    seed: int,
    resample_collections: bool = True,
) -> Interval:
    """Returns the mean of the collections' means with its percentile interval.

    Args:
        tables: of each collection, [seeds, queries] as in ``bootstrap_interval``.
        topics: of each collection's queries.
        resamples: see above.
        level: see above.
        seed: see above.
        resample_collections: whether to resample collections as well as the seeds and queries of each. The interval is
            for the mean over all collections of which these are a sample; otherwise for these collections.
    """
    pairs = enumerate(zip(tables, topics, strict=True), seed)
    means = np.stack([resampled_means(one, resamples=resamples, seed=own, topics=its) for own, (one, its) in pairs])
    if resample_collections:
        drawn = np.random.default_rng(seed).integers(len(means), size=means.shape)
        shifted = (np.arange(resamples) + np.arange(len(means))[:, None]) % resamples
        means = means[drawn, shifted]  # a collection that is drawn twice has two resamples of its queries
    estimates = means.mean(axis=0)
    low, high = percentiles(estimates[~np.isnan(estimates)], level)
    mean = float(np.mean([np.nanmean(table) for table in tables]))
    return Interval(mean, low, high, sum(table.shape[1] for table in tables))


def resampled_means(table: FloatArray, *, resamples: int, seed: int, topics: Sequence[str] | None = None) -> FloatArray:
    """Returns the mean of each resample of seeds and queries, [resamples]; NaN if it has untested pairs only.

    ``table`` is [seeds, queries], with NaN if a seed did not test a query.
    """
    known = ~np.isnan(table)
    filled = np.where(known, table, 0.0)
    means = []
    for draws, picks in crossed_weights(*table.shape, resamples=resamples, seed=seed, topics=topics):
        counts = ((draws @ known) * picks).sum(axis=1)
        sums = ((draws @ filled) * picks).sum(axis=1)
        means.append(np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0))
    return np.concatenate(means)


def percentiles(estimates: FloatArray, level: float) -> tuple[float, float]:
    """Returns the bounds of the percentile interval of bootstrap estimates (Efron and Tibshirani 1993, chapter 13)."""
    low, high = np.quantile(estimates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bca(
    values: FloatArray, means: FloatArray, level: float, topics: Sequence[str] | None = None
) -> tuple[float, float]:
    """Returns the bounds of the BCa interval of a mean (Efron 1987; Efron and Tibshirani 1993, eq. 14.9 to 14.15).

    ``values`` is the sample, [queries], ``means`` its bootstrap means, [resamples]. Equals ``scipy.stats.bootstrap``,
    but uses the closed form of a mean's jackknife, which scipy computes from n means.
    """
    from scipy.special import ndtr, ndtri

    if np.ptp(values) <= _SAME:
        return float(values.min()), float(values.max())
    mean = values.mean()
    influence = sum_by_topic(
        values - mean, topics
    )  # jackknife: how much leaving out a query lowers the mean, times n - 1
    if np.abs(influence).max() <= _SAME:
        return float(mean), float(mean)
    below, up_to = means < mean - _SAME, means <= mean + _SAME  # many resamples have the same mean up to rounding
    bias = ndtri((below.mean() + up_to.mean()) / 2)
    acceleration = (influence**3).sum() / (6 * (influence**2).sum() ** 1.5)
    z = bias + ndtri([(1 - level) / 2, (1 + level) / 2])
    low, high = np.quantile(means, ndtr(bias + z / (1 - acceleration * z)))
    return float(low), float(high)


def share_interval(
    values: npt.ArrayLike,
    whole: npt.ArrayLike,
    *,
    resamples: int,
    level: float,
    seed: int,
    topics: Sequence[str] | None = None,
) -> Interval:
    """Returns the mean as a share of another system's mean on the same queries, with its percentile interval.

    ``values`` and the other system's ``whole`` are [queries]; the mean of ``whole`` is above 0.
    """
    pairs = np.stack([np.asarray(values, dtype=float), np.asarray(whole, dtype=float)], axis=1)
    weights = crossed_weights(1, len(pairs), resamples=resamples, seed=seed, topics=topics)
    # Not by BLAS, whose last bit differs between processors.
    sums = np.concatenate([np.einsum("rq,qs->rs", picks, pairs) for _, picks in weights])
    shares = sums[sums[:, 1] > 0]
    bounds = percentiles(shares[:, 0] / shares[:, 1], level)
    return Interval(float(pairs[:, 0].sum() / pairs[:, 1].sum()), *bounds, len(pairs))


def crossed_weights(
    seeds: int, queries: int, *, resamples: int, seed: int, topics: Sequence[str] | None = None
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yields batches of the counts of each seed, [batch, seeds], and each query, [batch, queries], per resample."""
    rng = np.random.default_rng(seed)
    numbers = None if topics is None else topic_numbers(topics)
    batch = max(1, BATCH_CELLS // queries)
    for start in range(0, resamples, batch):
        size = min(batch, resamples - start)
        draws = resample_counts(seeds, size, rng)
        if numbers is None:
            yield draws, resample_counts(queries, size, rng)
        else:
            yield draws, resample_counts(int(numbers.max()) + 1, size, rng)[:, numbers]


def topic_numbers(topics: Sequence[str]) -> npt.NDArray[np.integer[Any]]:
    """Returns the number of each query's topic, from 0, [queries]."""
    return np.unique(topics, return_inverse=True)[1]


def sum_by_topic(values: FloatArray, topics: Sequence[str] | None) -> FloatArray:
    """Returns the sum of the values of each topic's queries, [topics]."""
    return values if topics is None else np.bincount(topic_numbers(topics), weights=values).astype(float)


def resample_counts(n: int, resamples: int, rng: np.random.Generator) -> FloatArray:
    """Returns the count of each of ``n`` items in ``resamples`` samples with replacement, [resamples, n]."""
    cells = rng.integers(n, size=(resamples, n)) + n * np.arange(resamples)[:, None]
    return np.bincount(cells.ravel(), minlength=resamples * n).reshape(resamples, n).astype(float)
