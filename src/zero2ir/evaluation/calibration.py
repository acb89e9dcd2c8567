"""Calibration of a system's stated confidence.

In all functions, ``confidence`` is the stated probability that a query's first document is relevant, and ``correct`` is
1 if it is, else 0: both [queries], or [seeds, queries] with NaN if a seed did not test a query. Where a measure takes
the place of ``correct``, its ``values`` have the same shape. Equal confidences are treated alike, so that no figure
depends on the order of the queries. ``topics`` is the topic of each query, [queries], as in ``intervals``.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zero2ir.errors import InputError
from zero2ir.evaluation.intervals import FloatArray, Interval, bootstrap_interval, crossed_weights, percentiles

CALIBRATION_BINS = 5  # about 20 queries per bin on a usual test set; more bins would measure noise


class Reliability(NamedTuple):
    """Equal-mass bins of confidence, lowest first; each field is [bins]."""

    confidence: FloatArray  # mean stated confidence
    accuracy: FloatArray  # share of correct
    queries: npt.NDArray[np.integer[Any]]  # number of queries


def _checked(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Returns both as [seeds, queries], none of them empty, confidences within [0, 1]."""
    confidences = np.atleast_2d(np.asarray(confidence, dtype=float))
    right = np.atleast_2d(np.asarray(correct, dtype=float))
    if confidences.shape != right.shape or not confidences.size or (np.isnan(confidences) != np.isnan(right)).any():
        raise InputError("confidence: confidence and correct have different shapes or gaps; pass one pair per query")
    known = confidences[~np.isnan(confidences)]
    if not known.size or known.min() < 0 or known.max() > 1:
        raise InputError("confidence: a value is missing or outside 0 to 1; pass probabilities")
    return confidences, right


def _membership(confidences: FloatArray) -> FloatArray:
    """Returns the one-hot bin of each value, [bins, seeds, queries]; edges at quantiles, equal values share a bin."""
    known = confidences[~np.isnan(confidences)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1], method="lower"))
    used = np.unique(np.searchsorted(edges, known))
    bins = np.where(np.isnan(confidences), -1, np.searchsorted(edges, confidences))
    return np.stack([bins == each for each in used]).astype(float)


def reliability(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> Reliability:
    """Returns the points of the reliability diagram."""
    confidences, right = _checked(confidence, correct)
    member = _membership(confidences)
    count = member.sum(axis=(1, 2))
    sums = [(member * np.nan_to_num(values)).sum(axis=(1, 2)) for values in (confidences, right)]
    return Reliability(sums[0] / count, sums[1] / count, count.astype(int))


def expected_calibration_error(
    confidence: npt.ArrayLike,
    correct: npt.ArrayLike,
    *,
    resamples: int,
    level: float,
    seed: int,
    topics: Sequence[str] | None = None,
) -> Interval:
    """Returns the mean distance of confidence from accuracy over equal-mass bins (Nguyen and O'Connor 2015).

    The error is never negative: noise biases it upward, and resampling biases it again. Therefore the interval is that
    of the basic bootstrap (2 × estimate − quantile), which removes the second bias; its bounds are at least 0.
    """
    confidences, right = _checked(confidence, correct)
    known = (~np.isnan(confidences)).astype(float)
    gaps = _membership(confidences) * np.nan_to_num(confidences - right)
    estimate = float(np.abs(gaps.sum(axis=(1, 2))).sum() / known.sum())
    errors = []
    for draws, picks in crossed_weights(*confidences.shape, resamples=resamples, seed=seed, topics=topics):
        counts = ((draws @ known) * picks).sum(axis=1)
        total = sum(np.abs(((draws @ each) * picks).sum(axis=1)) for each in gaps)
        errors.append(total[counts > 0] / counts[counts > 0])
    high, low = 2 * estimate - np.quantile(np.concatenate(errors), [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, max(0.0, float(low)), max(0.0, float(high)), confidences.shape[1])


def error_if_calibrated(confidence: npt.ArrayLike, *, resamples: int, seed: int) -> float:
    """Returns the expected calibration error of a perfectly calibrated system on the same number of queries.

    An error near this value does not indicate bad calibration (consistency resampling, Bröcker and Smith 2007). All
    seeds of a query share one random number, because a query that is correct for one seed tends to be for another.
    """
    confidences, _ = _checked(confidence, confidence)
    member, rng = _membership(confidences), np.random.default_rng(seed)
    errors = []
    for _ in range(resamples):
        gaps = np.nan_to_num(confidences - (rng.random(confidences.shape[1]) < confidences))
        errors.append(np.abs((member * gaps).sum(axis=(1, 2))).sum())
    return float(np.mean(errors) / member.sum())


def risk_coverage(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Returns coverage and risk, each [values]: the error rate at rank 1 among the most confident share of queries.

    For equal confidences, the risk is the expectation over random orders.
    """
    confidences, right = _checked(confidence, correct)
    known = ~np.isnan(confidences)
    _, group, size = np.unique(-confidences[known], return_inverse=True, return_counts=True)
    error = (np.bincount(group, weights=1 - right[known]) / size)[np.sort(group)]
    answered = np.arange(1, len(error) + 1)
    return answered / len(error), np.cumsum(error) / answered


def selective_means(
    confidence: npt.ArrayLike,
    values: npt.ArrayLike,
    coverages: Sequence[float],
    *,
    resamples: int,
    level: float,
    seed: int,
    topics: Sequence[str] | None = None,
) -> list[Interval]:
    """Returns the mean of a measure over the most confident share of queries, with percentile bootstrap intervals.

    For equal confidences, the mean is the expectation over random orders; the last query may count in part, so that the
    share is exact. All seeds are ranked together, each resample anew. ``coverages`` are above 0 and at most 1.

    Source: selective classification, Geifman and El-Yaniv 2017, arXiv 1705.08500, with a measure instead of the risk.
    """
    confidences, scores = np.atleast_2d(np.asarray(confidence, float)), np.atleast_2d(np.asarray(values, float))
    known = ~np.isnan(confidences)
    order = np.argsort(-confidences[known], kind="stable")
    ranked = scores[known][order]
    starts = np.flatnonzero(np.diff(-confidences[known][order], prepend=-np.inf))  # first position of each confidence

    def means(weights: FloatArray) -> FloatArray:
        """Returns [batch, coverages]; each row of ``weights`` holds the multiplicity of each ranked value."""
        mass = np.add.reduceat(weights, starts, axis=1)
        average = np.add.reduceat(weights * ranked, starts, axis=1) / np.maximum(mass, 1e-12)
        above, total = np.cumsum(mass, axis=1) - mass, mass.sum(axis=1, keepdims=True)
        taken = [np.clip(share * total - above, 0, mass) for share in coverages]
        return np.stack([(one * average).sum(axis=1) / one.sum(axis=1) for one in taken], axis=1)

    (observed,) = means(np.ones((1, len(ranked))))
    estimates = []
    for draws, picks in crossed_weights(*confidences.shape, resamples=resamples, seed=seed, topics=topics):
        weights = (draws[:, :, None] * picks[:, None, :])[:, known][:, order]
        estimates.append(means(weights[weights.any(axis=1)]))
    low, high = np.quantile(np.concatenate(estimates), [(1 - level) / 2, (1 + level) / 2], axis=0)
    n = confidences.shape[1]
    return [Interval(float(mean), float(a), float(b), n) for mean, a, b in zip(observed, low, high, strict=True)]


def weighted_mean(
    confidence: npt.ArrayLike,
    values: npt.ArrayLike,
    *,
    resamples: int,
    level: float,
    seed: int,
    topics: Sequence[str] | None = None,
) -> Interval:
    """Returns the mean of a measure weighted by confidence, with its percentile bootstrap interval.

    Σ confidence × value / Σ confidence; exceeds the plain mean if the system is more confident of queries that it ranks
    better. The bootstrap resamples queries and seeds. All NaN if every confidence is 0.
    """
    confidences, scores = np.atleast_2d(np.asarray(confidence, float)), np.atleast_2d(np.asarray(values, float))
    weights, weighted = np.nan_to_num(confidences), np.nan_to_num(confidences * scores)
    estimates = []
    for draws, picks in crossed_weights(*confidences.shape, resamples=resamples, seed=seed, topics=topics):
        mass, sums = (((draws @ one) * picks).sum(axis=1) for one in (weights, weighted))
        estimates.append(sums[mass > 0] / mass[mass > 0])
    means = np.concatenate(estimates)
    if not weights.any() or not len(means):
        return Interval(math.nan, math.nan, math.nan, confidences.shape[1])
    return Interval(float(weighted.sum() / weights.sum()), *percentiles(means, level), confidences.shape[1])


class Calibration(NamedTuple):
    """The reported figures on a system's confidence."""

    accuracy: Interval  # share of queries with a relevant first document
    brier: Interval  # mean squared error of the confidence (Brier 1950)
    ece: Interval
    ece_if_calibrated: float
    aurc: float  # area under the risk–coverage curve, lower is better (Geifman et al. 2019)

    def rounded(self) -> dict[str, Any]:
        """Returns the figures as written to metrics.json."""
        return {
            "accuracy": self.accuracy.rounded(),
            "Brier": self.brier.rounded(),
            "ECE": self.ece.rounded(),
            "ECE_if_calibrated": round(self.ece_if_calibrated, 6),
            "AURC": round(self.aurc, 6),
        }


def calibration(
    confidence: npt.ArrayLike,
    correct: npt.ArrayLike,
    *,
    resamples: int,
    level: float,
    seed: int,
    topics: Sequence[str] | None = None,
) -> Calibration:
    """Computes all calibration figures.

    Raises:
        InputError: a confidence is missing or not a probability.
    """
    confidences, right = _checked(confidence, correct)
    options: dict[str, Any] = {"resamples": resamples, "level": level, "seed": seed, "topics": topics}
    return Calibration(
        accuracy=bootstrap_interval(right, **options),
        brier=bootstrap_interval((confidences - right) ** 2, **options),
        ece=expected_calibration_error(confidences, right, **options),
        ece_if_calibrated=error_if_calibrated(confidences, resamples=min(resamples, 1000), seed=seed),
        aurc=float(risk_coverage(confidences, right)[1].mean()),
    )
