"""Choosing a prompt on a handful of judged queries and many synthetic ones.

The gain of a candidate over the fixed prompt has a normal prior around 0, as in ``zero2ir.strategies.tuning``. The
judged queries and the synthetic development queries are two observations of it, each with the variance of its mean.
Since gains on synthetic and judged queries differ systematically, the synthetic observation has a further variance that
does not shrink with the number of queries, which limits its weight.

The simplest candidate within one standard error of the best is chosen; the fixed prompt is the simplest of all.

Source: the rule of one standard error is Breiman et al. 1984, Classification and Regression Trees, section 3.4.3; the
variances are moderated as in Smyth 2004, doi:10.2202/1544-6115.1027, section 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

PRIOR_DEGREES = 4.0  # degrees of freedom of the pooled variance
MIN_VARIANCE = 1e-9


class Evidence(NamedTuple):
    """The measures of each candidate, the fixed prompt first; rows of NaN are unmeasured candidates.

    Attributes:
        judged: (n_candidates, n_queries) on the judged queries, NaN for queries in a candidate's prompt.
        synthetic: (n_candidates, n_development) on the synthetic development queries.
    """

    judged: np.ndarray
    synthetic: np.ndarray

    def without(self, query: int) -> "Evidence":
        """Returns the evidence without one of the judged queries."""
        return self._replace(judged=np.delete(self.judged, query, axis=1))

    @property
    def measured(self) -> np.ndarray:
        """Whether each candidate was measured, (n_candidates,) bool."""
        return ~np.isnan(np.hstack([self.judged, self.synthetic])).all(axis=1)


@dataclass(frozen=True)
class GainPrior:
    """The prior of the gains, in units of the measure.

    Attributes:
        prior_deviation: the typical true gain of a candidate over the fixed prompt.
        synthetic_deviation: the typical difference between gains on synthetic and on real queries.
    """

    prior_deviation: float
    synthetic_deviation: float


class Gains(NamedTuple):
    """The expected gains over the fixed prompt.

    Attributes:
        mean: (n_candidates,) 0 for the fixed prompt, -inf for unmeasured candidates.
        error: (n_candidates,) the standard error of each mean; 0 for the fixed prompt.
    """

    mean: np.ndarray
    error: np.ndarray


def gains(evidence: Evidence, prior: GainPrior) -> Gains:
    """Returns the posterior mean and deviation of each candidate's true gain over the first, the fixed prompt."""
    precision = np.full(len(evidence.judged), prior.prior_deviation**-2)
    total = np.zeros(len(evidence.judged))
    for values, further in ((evidence.judged, 0.0), (evidence.synthetic, prior.synthetic_deviation**2)):
        means, variances = _differences(values)
        weight = 1.0 / np.maximum(variances + further, MIN_VARIANCE)  # 0 for unmeasured candidates
        total += weight * means
        precision += weight
    mean, error = total / precision, precision**-0.5
    mean[0], error[0] = 0.0, 0.0
    return Gains(np.where(evidence.measured, mean, -np.inf), error)


def survivors(evidence: Evidence, prior: GainPrior, complexity: Sequence[tuple[int, ...]], number: int) -> np.ndarray:
    """Returns the sorted indices of the candidates with the highest expected gains, always with the fixed prompt.

    Args:
        evidence: of n candidates.
        prior: of the gains.
        complexity: n keys, lower for simpler candidates, which win ties.
        number: maximum number of survivors.
    """
    mean = gains(evidence, prior).mean
    order = sorted(
        np.flatnonzero(evidence.measured).tolist(), key=lambda one: (one != 0, -mean[one], complexity[one], one)
    )
    return np.array(sorted(order[:number]), dtype=np.int64)


def simplest_of_best(
    evidence: Evidence, prior: GainPrior, complexity: Sequence[tuple[int, ...]], among: np.ndarray | None = None
) -> int:
    """Returns the simplest candidate within one standard error of the best one; the better one wins ties.

    Args:
        evidence: of n candidates.
        prior: of the gains.
        complexity: n keys, lower for simpler candidates.
        among: (n,) bool, the eligible candidates; None for all measured ones.
    """
    mean, error = gains(evidence, prior)
    if among is not None:
        mean = np.where(among, mean, -np.inf)
    best = int(mean.argmax())
    close = np.flatnonzero(mean >= mean[best] - error[best]).tolist()
    return min(close, key=lambda one: (complexity[one], -mean[one], one))


@dataclass(frozen=True)
class PromptChoice:
    """The chosen candidate and its figures.

    Attributes:
        index: of the candidate; 0 is the fixed prompt.
        expected_gain: of the chosen one over the fixed prompt, after shrinking.
        observed_gain: its mean difference to the fixed prompt on the judged queries that are in neither prompt, biased
            upward by the choice; NaN without such a query.
        cross_validated_gain: the same for the candidate chosen without each query; unbiased, unless an optimizer has
            scored its proposals on these queries, as those of a part's instructions do.
    """

    index: int
    expected_gain: float
    observed_gain: float
    cross_validated_gain: float

    def as_dict(self) -> dict[str, Any]:
        """Returns the rounded figures without NaN."""
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
    """Chooses on the last rung, and cross-validates the whole search by leaving each judged query out.

    A candidate that survives a rung only without the query was not measured further and cannot be chosen.

    Args:
        rungs: the evidence of each rung, all with the same candidates; at least one.
        prior: of the gains.
        complexity: of each candidate, lower for simpler ones.
        kept: number of survivors of each rung but the last.
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
    """Returns each row's mean difference to the first row and its variance; (0, inf) for fewer than two values."""
    differences = values - values[:1]
    numbers = (~np.isnan(differences)).sum(axis=1)
    filled = np.nan_to_num(differences)
    means = filled.sum(axis=1) / np.maximum(numbers, 1)
    squares = np.where(np.isnan(differences), 0.0, (filled - means[:, None]) ** 2).sum(axis=1)
    degrees = np.maximum(numbers - 1, 0)
    shared = squares.sum() / max(1, degrees[1:].sum())  # without the first row, whose differences are 0
    spread = (PRIOR_DEGREES * shared + squares) / (PRIOR_DEGREES + degrees)
    some = numbers >= 2
    return np.where(some, means, 0.0), np.where(some, spread / np.maximum(numbers, 1), np.inf)


def _mean(values: Sequence[float] | np.ndarray) -> float:
    measured = np.asarray(values, dtype=float)
    measured = measured[~np.isnan(measured)]
    return float(measured.mean()) if len(measured) else float("nan")
