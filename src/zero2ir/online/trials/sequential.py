"""Tests and intervals that stay valid however often one looks, for values between 0 and 1.

Somebody bets against "the mean is m", and never more than there is: if it is true, the capital is a martingale, and the
chance that it ever comes to 1 / level is at most ``level`` (Ville). Many bets are held at once, small and large ones in
both directions, and the capital is their mean, so that neither the size nor the sign of the effect has to be known.

Source: Waudby-Smith and Ramdas, JRSS B 2024, doi:10.1093/jrsssb/qkad009, sections 4.1 and 4.4 (the mixture of bets is
that of their appendix on betting on a grid); always-valid p-values: Johari, Pekelis and Walsh, KDD 2017,
doi:10.1145/3097983.3097992, section 4.
"""

import math

import numpy as np
import numpy.typing as npt

from zero2ir.errors import InputError
from zero2ir.evaluation.intervals import FloatArray, Interval

# Shares of the largest bet that can never lose everything; evenly spaced logarithms, as effects of 1 % and of 50 % need
# bets that differ as much.
BET_SHARES = np.geomspace(0.01, 0.95, 16)
MEANS = np.linspace(0.0, 1.0, 1001)  # that an interval may hold
_BATCH = 4_000  # outcomes at a time


def e_values(outcomes: npt.ArrayLike, mean: float = 0.5) -> FloatArray:
    """(n,) the evidence against "the mean is ``mean``" after each outcome: the capital of who bets against it.

    Args:
        outcomes: (n,) from 0 to 1, in the order in which they came. Given those before it, each may have any
            distribution, so long as its expectation is ``mean`` where nothing is to be found.
        mean: that is bet against, above 0 and below 1.

    Raises:
        InputError: an outcome is not from 0 to 1.
    """
    values = _checked(outcomes)
    bets = _bets(mean)
    capital, running = np.zeros(len(bets)), []
    for start in range(0, len(values), _BATCH):
        gains = capital + np.log1p(np.outer(values[start : start + _BATCH] - mean, bets)).cumsum(axis=0)
        running.append(_mean_of_logs(gains))
        capital = gains[-1]
    with np.errstate(over="ignore"):
        return np.exp(np.concatenate(running)) if running else np.zeros(0)


def always_valid_p(outcomes: npt.ArrayLike, mean: float = 0.5) -> FloatArray:
    """(n,) the p-value after each outcome: falling below the level at any time happens as often as the level says.

    Args:
        outcomes: as for ``e_values``.
        mean: as for ``e_values``.
    """
    return np.minimum(1.0, 1.0 / np.maximum.accumulate(np.maximum(e_values(outcomes, mean), 1e-300)))


def confidence_sequence(outcomes: npt.ArrayLike, level: float = 0.95) -> Interval:
    """The mean with an interval that, over all times at which one looks, holds the true mean with this probability.

    Args:
        outcomes: (n,) from 0 to 1, any order: the interval is that of the last look alone.
        level: the coverage wanted.
    """
    values, counts = np.unique(_checked(outcomes), return_counts=True)
    inner = MEANS[1:-1, None]
    bets = _bets(inner)
    capital = np.zeros(bets.shape)
    for value, count in zip(values, counts, strict=True):
        capital += count * np.log1p((value - inner) * bets)
    kept = np.flatnonzero(_mean_of_logs(capital) < -math.log(1 - level))
    if not len(values):
        return Interval(math.nan, 0.0, 1.0, 0)
    mean = float((values * counts).sum() / counts.sum())
    # the border of the grid belongs to the interval where its neighbour does: a finer grid might hold it
    low, high = (MEANS[kept[0]], MEANS[kept[-1] + 2]) if len(kept) else (mean, mean)
    return Interval(mean, float(min(low, mean)), float(max(high, mean)), int(counts.sum()))


def _checked(outcomes: npt.ArrayLike) -> FloatArray:
    values = np.asarray(outcomes, dtype=float)
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise InputError("outcomes: from 0 to 1 are expected; divide by what is the most")
    return values


def _bets(mean: float | FloatArray) -> FloatArray:
    """What is bet on each unit above the mean, both directions: shares of what can never lose everything; (..., b)."""
    return np.concatenate([BET_SHARES / mean, -BET_SHARES / (1 - mean)], axis=-1)


def _mean_of_logs(logs: FloatArray) -> FloatArray:
    """The logarithm of the mean of what these are the logarithms of, over the last axis."""
    from scipy.special import logsumexp

    return np.asarray(logsumexp(logs, axis=-1)) - math.log(logs.shape[-1])


def sign_test(wins: int, losses: int) -> float:
    """Two-sided mid-p-value of "a win is as likely as a loss", for one look that was planned beforehand.

    Half of what is exactly as extreme as the observed counts. The exact test counts all of it, and so rejects less
    often than its level: 3.5 to 4.5 % in place of 5 % with some hundred pairs.

    Source: Lancaster, JASA 1961, doi:10.1080/01621459.1961.10482105.
    """
    from scipy.stats import binom

    n, least = wins + losses, min(wins, losses)
    return float(min(1.0, 2 * binom.cdf(least, n, 0.5) - binom.pmf(least, n, 0.5)))
