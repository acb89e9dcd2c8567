"""Always-valid tests and confidence sequences for values between 0 and 1, however often one looks at them.

A bettor bets against "the mean is m" and never more than the capital. If the hypothesis is true, the capital is a
martingale, and the probability that it ever reaches 1 / level is at most ``level`` (Ville). The capital is the mean
over many simultaneous bets, small and large ones in both directions, so neither size nor sign of the effect must be
known.

Source: Waudby-Smith and Ramdas, JRSS B 2024, doi:10.1093/jrsssb/qkad009, sections 4.1 and 4.4 (the mixture of bets is
that of their appendix on betting on a grid); always-valid p-values: Johari, Pekelis and Walsh, KDD 2017,
doi:10.1145/3097983.3097992, section 4.
"""

import math

import numpy as np
import numpy.typing as npt

from zero2ir.errors import InputError
from zero2ir.evaluation.intervals import FloatArray, Interval

# Shares of the largest bet that cannot lose the whole capital; logarithmically spaced, because effects of 1 % and of
# 50 % need bets of very different sizes.
BET_SHARES = np.geomspace(0.01, 0.95, 16)
MEANS = np.linspace(0.0, 1.0, 1001)  # grid of means for the intervals
_BATCH = 4_000  # outcomes processed at a time


def e_values(outcomes: npt.ArrayLike, mean: float = 0.5) -> FloatArray:
    """Returns (n,) the e-value against "the mean is ``mean``" after each outcome: the bettor's capital.

    Args:
        outcomes: (n,) from 0 to 1, in order of arrival. Each may have any distribution given the earlier ones, as long
            as its expectation is ``mean`` under the null hypothesis.
        mean: mean under the null hypothesis, above 0 and below 1.

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
    """Returns (n,) the always-valid p-value after each outcome: the chance of ever falling below a level is the level.

    The arguments are those of ``e_values``.
    """
    return np.minimum(1.0, 1.0 / np.maximum.accumulate(np.maximum(e_values(outcomes, mean), 1e-300)))


def confidence_sequence(outcomes: npt.ArrayLike, level: float = 0.95) -> Interval:
    """Returns the mean with an interval that covers the true mean at all times at once with probability ``level``.

    Args:
        outcomes: (n,) from 0 to 1, in any order; the interval is the current one, not intersected with earlier ones.
        level: simultaneous coverage.
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
    # Include the border of the grid if its neighbour is in the interval: a finer grid might include it.
    low, high = (MEANS[kept[0]], MEANS[kept[-1] + 2]) if len(kept) else (mean, mean)
    return Interval(mean, float(min(low, mean)), float(max(high, mean)), int(counts.sum()))


def _checked(outcomes: npt.ArrayLike) -> FloatArray:
    values = np.asarray(outcomes, dtype=float)
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise InputError("outcomes: must be from 0 to 1; divide by the largest possible value")
    return values


def _bets(mean: float | FloatArray) -> FloatArray:
    """Returns (..., b) bets per unit above the mean, both directions: shares of the largest safe bet."""
    return np.concatenate([BET_SHARES / mean, -BET_SHARES / (1 - mean)], axis=-1)


def _mean_of_logs(logs: FloatArray) -> FloatArray:
    """Returns the logarithm of the mean of exp(logs) over the last axis."""
    from scipy.special import logsumexp

    return np.asarray(logsumexp(logs, axis=-1)) - math.log(logs.shape[-1])


def sign_test(wins: int, losses: int) -> float:
    """Returns the two-sided mid-p-value of "a win is as likely as a loss", for one planned look.

    Counts half of the probability of outcomes as extreme as the observed one. The exact test counts all of it and so
    rejects less often than its level: 3.5 to 4.5 % instead of 5 % with some hundred pairs.

    Source: Lancaster, JASA 1961, doi:10.1080/01621459.1961.10482105.
    """
    from scipy.stats import binom

    n, least = wins + losses, min(wins, losses)
    return float(min(1.0, 2 * binom.cdf(least, n, 0.5) - binom.pmf(least, n, 0.5)))
