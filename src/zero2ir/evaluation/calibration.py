"""How far a system's stated confidence can be trusted.

Throughout, ``confidence`` [n] is the stated probability that a query's first document is relevant, and ``correct``
[n] whether it is. Equal confidences are never told apart: the figures do not depend on the order of the queries.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zero2ir.errors import InputError
from zero2ir.evaluation.intervals import Interval, bootstrap_interval, resample_counts

Floats = npt.NDArray[np.floating[Any]]

BINS = 5  # about 20 queries a bin on the usual test set; more bins measure noise


class Reliability(NamedTuple):
    """Equal-mass bins of confidence, lowest first; each field is [bins]."""

    confidence: Floats  # mean stated confidence
    accuracy: Floats  # share of correct
    queries: npt.NDArray[np.integer[Any]]  # how many fell into the bin


def checked(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Both as float arrays [n].

    Raises:
        InputError: they are empty, differ in length, or a confidence lies outside [0, 1].
    """
    stated, right = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=float)
    if stated.ndim != 1 or stated.shape != right.shape or not stated.size:
        raise InputError(f"confidence: shapes {stated.shape} and {right.shape}; give one confidence for each query")
    if not ((stated >= 0) & (stated <= 1)).all():  # also false for NaN
        raise InputError("confidence: a value lies outside 0 to 1; give probabilities")
    return stated, right


def _membership(stated: Floats) -> Floats:
    """One-hot bin of each query, [n, bins]; edges at quantiles, equal confidences share a bin."""
    edges = np.unique(np.quantile(stated, np.linspace(0, 1, BINS + 1)[1:-1], method="lower"))
    bins = np.searchsorted(edges, stated, side="left")
    member = bins[:, None] == np.unique(bins)[None, :]
    return member.astype(float)


def reliability(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> Reliability:
    """The points of the reliability diagram."""
    stated, right = checked(confidence, correct)
    member = _membership(stated)
    count = member.sum(axis=0)
    return Reliability(stated @ member / count, right @ member / count, count.astype(int))


def expected_calibration_error(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, *, resamples: int, level: float, seed: int
) -> Interval:
    """Mean distance of confidence from accuracy over equal-mass bins (Nguyen and O'Connor 2015).

    The figure is never negative, so noise raises it, and resampling raises it once more. The interval is therefore
    the basic bootstrap (2 × estimate − quantile), which takes that second rise off again; it is cut at 0.
    """
    stated, right = checked(confidence, correct)
    gaps = (stated - right)[:, None] * _membership(stated)
    estimate = float(np.abs(gaps.sum(axis=0)).sum() / len(stated))
    weights = resample_counts(len(stated), resamples, np.random.default_rng(seed))
    errors = np.abs(weights @ gaps).sum(axis=1) / len(stated)
    high, low = 2 * estimate - np.quantile(errors, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, max(0.0, float(low)), max(0.0, float(high)), len(stated))


def error_if_calibrated(confidence: npt.ArrayLike, *, resamples: int, seed: int) -> float:
    """The calibration error to expect from as many queries if every confidence were true.

    An error near this floor is no sign of bad calibration (consistency resampling, Bröcker and Smith 2007).
    """
    stated, _ = checked(confidence, confidence)
    drawn = np.random.default_rng(seed).random((resamples, len(stated))) < stated
    return float(np.abs((stated - drawn) @ _membership(stated)).sum(axis=1).mean() / len(stated))


def risk_coverage(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Coverage and risk [n]: the share of wrong first documents among the most confident share of the queries.

    Within equal confidences the risk is the one to expect from answering them in random order.
    """
    stated, right = checked(confidence, correct)
    _, group, size = np.unique(-stated, return_inverse=True, return_counts=True)
    error = (np.bincount(group, weights=1 - right) / size)[np.sort(group)]
    answered = np.arange(1, len(stated) + 1)
    return answered / len(stated), np.cumsum(error) / answered


def calibration_figures(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, *, resamples: int, level: float, seed: int
) -> dict[str, Any]:
    """Everything that metrics.json says of the confidence.

    Returns:
        ``accuracy``, ``Brier`` (mean squared error, Brier 1950) and ``ECE`` with their intervals, ``ECE_if_calibrated``
        and ``AURC``, the area under the risk–coverage curve (Geifman et al. 2019; lower is better).
    """
    stated, right = checked(confidence, correct)
    options: dict[str, Any] = {"resamples": resamples, "level": level, "seed": seed}
    return {
        "accuracy": bootstrap_interval(right, **options).rounded(),
        "Brier": bootstrap_interval((stated - right) ** 2, **options).rounded(),
        "ECE": expected_calibration_error(stated, right, **options).rounded(),
        "ECE_if_calibrated": round(error_if_calibrated(stated, resamples=resamples, seed=seed), 6),
        "AURC": round(float(risk_coverage(stated, right)[1].mean()), 6),
    }
