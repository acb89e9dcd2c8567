"""Choosing a prompt on a handful of judged queries and many synthetic ones, without falling for luck.

A candidate's gain over the fixed prompt is what is looked for. Its prior is normal around 0, as everywhere in
``zero2ir.strategies.tuning``; the judged queries and the synthetic development queries are two observations of it,
each with the variance of its mean. A synthetic query is not a judged one, so that the gains on the two differ by more
than chance: the synthetic observation has a further variance, which no number of queries makes smaller. Whatever the
synthetic queries say therefore weighs at most as much as that allows.

Of the candidates within one standard error of the best, the simplest is taken; the fixed prompt is the simplest of all.

Source: the rule of one standard error is Breiman et al. 1984, Classification and Regression Trees, section 3.4.3; the
variances are moderated as in Smyth 2004, doi:10.2202/1544-6115.1027, section 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

PRIOR_DEGREES = 4.0  # of freedom, by which a candidate's own variance is moved toward that of all
MIN_VARIANCE = 1e-9


class Evidence(NamedTuple):
    """What was measured of each candidate, the fixed prompt first.

    Attributes:
        judged: (n_candidates, n_queries) the measure on the judged queries, NaN where a candidate was shown the query.
        synthetic: (n_candidates, n_development) the measure on the synthetic development queries.
            A row of NaN alone, in both, is a candidate that was not measured.
    """

    judged: np.ndarray
    synthetic: np.ndarray

    def without(self, query: int) -> "Evidence":
        """The evidence as it would be without one of the judged queries."""
        return self._replace(judged=np.delete(self.judged, query, axis=1))

    @property
    def measured(self) -> np.ndarray:
        """(n_candidates,) whether anything is known."""
        return ~np.isnan(np.hstack([self.judged, self.synthetic])).all(axis=1)


@dataclass(frozen=True)
class GainPrior:
    """What is believed before anything is seen.

    Attributes:
        prior_deviation: the typical true gain of a candidate over the fixed prompt, in units of the measure.
        synthetic_deviation: how far a gain on synthetic queries typically is from that on real ones, in the same units.
    """

    prior_deviation: float
    synthetic_deviation: float


class Gains(NamedTuple):
    """The expected gains over the fixed prompt.

    Attributes:
        mean: (n_candidates,) 0 for the fixed prompt, -inf for what was not measured.
        error: (n_candidates,) the standard error of each mean; 0 for the fixed prompt.
    """

    mean: np.ndarray
    error: np.ndarray


def gains(evidence: Evidence, prior: GainPrior) -> Gains:
    """The posterior mean and deviation of each candidate's true gain over the fixed prompt, the first one."""
    precision = np.full(len(evidence.judged), prior.prior_deviation**-2)
    total = np.zeros(len(evidence.judged))
    for values, further in ((evidence.judged, 0.0), (evidence.synthetic, prior.synthetic_deviation**2)):
        means, variances = _differences(values)
        weight = 1.0 / np.maximum(variances + further, MIN_VARIANCE)  # 0 where nothing is known
        total += weight * means
        precision += weight
    mean, error = total / precision, precision**-0.5
    mean[0], error[0] = 0.0, 0.0
    return Gains(np.where(evidence.measured, mean, -np.inf), error)


def survivors(evidence: Evidence, prior: GainPrior, complexity: Sequence[tuple[int, ...]], number: int) -> np.ndarray:
    """The candidates with the highest expected gains, in rising order; the fixed prompt is always among them.

    Args:
        evidence: of n candidates.
        prior: what is believed before.
        complexity: n keys, the smaller the simpler; the simpler of equals survives.
        number: how many, at most.
    """
    mean = gains(evidence, prior).mean
    order = sorted(
        np.flatnonzero(evidence.measured).tolist(), key=lambda one: (one != 0, -mean[one], complexity[one], one)
    )
    return np.array(sorted(order[:number]), dtype=np.int64)


def simplest_of_best(
    evidence: Evidence, prior: GainPrior, complexity: Sequence[tuple[int, ...]], among: np.ndarray | None = None
) -> int:
    """The simplest candidate within one standard error of the best one; the better one of equally simple ones.

    Args:
        evidence: of n candidates.
        prior: what is believed before.
        complexity: n keys, the smaller the simpler.
        among: (n,) which may be chosen; all that were measured where None.
    """
    mean, error = gains(evidence, prior)
    if among is not None:
        mean = np.where(among, mean, -np.inf)
    best = int(mean.argmax())
    close = np.flatnonzero(mean >= mean[best] - error[best]).tolist()
    return min(close, key=lambda one: (complexity[one], -mean[one], one))


@dataclass(frozen=True)
class PromptChoice:
    """Which candidate, and how sure.

    Attributes:
        index: of the candidate; 0 is the fixed prompt.
        expected_gain: of the chosen one over the fixed prompt, after shrinking.
        observed_gain: its mean difference to the fixed prompt on the judged queries that neither was shown:
            optimistic, since it was chosen for it; NaN where there is no such query.
        cross_validated_gain: the same of what would be chosen without the query in question: honest, unless an
            optimizer has ranked what it proposed on these very queries, as those of a part's instructions do.
    """

    index: int
    expected_gain: float
    observed_gain: float
    cross_validated_gain: float

    def as_dict(self) -> dict[str, Any]:
        """The figures, rounded, for the record; what is not known is left out."""
        figures = {
            "expected_gain": self.expected_gain,
            "observed_gain": self.observed_gain,
            "cross_validated_gain": self.cross_validated_gain,
            "optimism": self.observed_gain - self.cross_validated_gain,
        }
        return {name: round(float(value), 4) for name, value in figures.items() if not np.isnan(value)}


def choose_prompt(
    rungs: Sequence[Evidence], prior: GainPrior, complexity: Sequence[tuple[int, ...]], kept: Sequence[int]
) -> PromptChoice:
    """Chooses on the last rung, and cross-validates the whole way there, each judged query left out in turn.

    A candidate that would have survived without the query, but did not with it, was not measured further and cannot be
    chosen then.

    Args:
        rungs: the evidence of each, all with the same candidates; at least one.
        prior: what is believed before.
        complexity: of each candidate, the smaller the simpler.
        kept: how many survive each rung but the last.
    """
    last = rungs[-1]
    index = simplest_of_best(last, prior, complexity)
    difference = last.judged - last.judged[:1]
    held_out = []
    for query in np.flatnonzero(~np.isnan(last.judged[0])).tolist():
        among = ~np.isnan(last.judged[:, query])
        for rung, number in zip(rungs[:-1], kept, strict=True):
            alive = survivors(rung.without(query), prior, complexity, number)
            among &= np.isin(np.arange(len(among)), alive)
        held_out.append(difference[simplest_of_best(last.without(query), prior, complexity, among), query])
    return PromptChoice(index, float(gains(last, prior).mean[index]), _mean(difference[index]), _mean(held_out))


def _differences(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row's mean difference to the first row, and the variance of that mean; (0, inf) of fewer than two."""
    differences = values - values[:1]
    numbers = (~np.isnan(differences)).sum(axis=1)
    known = np.nan_to_num(differences)
    means = known.sum(axis=1) / np.maximum(numbers, 1)
    squares = np.where(np.isnan(differences), 0.0, (known - means[:, None]) ** 2).sum(axis=1)
    degrees = np.maximum(numbers - 1, 0)
    shared = squares.sum() / max(1, degrees[1:].sum())  # the first row differs from itself by nothing
    spread = (PRIOR_DEGREES * shared + squares) / (PRIOR_DEGREES + degrees)
    some = numbers >= 2
    return np.where(some, means, 0.0), np.where(some, spread / np.maximum(numbers, 1), np.inf)


def _mean(values: Sequence[float] | np.ndarray) -> float:
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else float("nan")
