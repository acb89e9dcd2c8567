"""What the development suite says about model types, and what a few judged queries add to it.

Over collections, the gain of a model type over another one is Gaussian around its mean over the suite's. Judged queries
measure it with two errors that the suite shows as well: judging few documents of each query shifts it, and a few
queries are a sample. The expected gain is a weighted mean of both, so that one query moves it little, fifty much.

benchmarks/auto.py writes the statistics of the suite. A collection with the documents at hand is left out.
"""

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np

from zero2ir.io.settings import Settings, read_state
from zero2ir.strategies.prior import SIGNAL

STATISTICS = "model_types.json"
SHRINKAGE = 0.25  # of correlations toward 0, since a few collections show them badly (Schäfer and Strimmer 2005)
CAUTION = 0.2  # deviations of its gain over the default that a candidate must gain; chosen on the suite
DRAWS = 10_000  # for probabilities and expectations


class CollectionGains(Settings):
    """The gains of model types over the first one in one collection.

    Attributes:
        digest: of the documents; see ``content_digest``.
        gains: (n_types,) of nDCG@10 by all judgments, mean over all queries.
        judged: (n_types,) of the tuning measure by pooled judgments, mean over the queries with a relevant one.
        covariance: (n_types, n_types) of a query's gains, as pooled judgments measure them.
        error: (n_types, n_types) covariance of ``gains``, whose queries are a sample.
    """

    digest: str
    gains: list[float]
    judged: list[float]
    covariance: list[list[float]]
    error: list[list[float]]


class ModelTypes(Settings):
    """The statistics of the suite.

    Attributes:
        names: of the model types.
        collections: by name.
    """

    names: tuple[str, ...]
    collections: dict[str, CollectionGains]

    def prior(self, candidates: Sequence[str], digest: str = "") -> "Prior":
        """Returns the prior of some candidates' gains over the first one of them.

        A candidate that the suite has not measured is taken for a random model type.

        Args:
            candidates: names.
            digest: of the documents at hand, whose collection is left out.
        """
        rows = [row for row in self.collections.values() if row.digest != digest]
        gains, judged = (np.array([getattr(row, name) for row in rows]) for name in ("gains", "judged"))
        shift = judged - gains
        error, noise = (np.mean([getattr(row, name) for row in rows], axis=0) for name in ("error", "covariance"))
        between = SIGNAL * (1 + 1 / len(rows)) * _positive(np.cov(gains.T) - error)  # the mean is uncertain, too
        place = {name: number for number, name in enumerate(self.names)}
        numbers = [place.get(name) for name in candidates]
        mean = _selected(gains.mean(axis=0), numbers)
        parts = [_among(_shrunk(one), numbers) for one in (between, shift.T @ shift / len(rows), noise)]
        return Prior(mean - mean[0], *parts)


class Belief(NamedTuple):
    """The Gaussian belief in the gains of n candidates over the first one."""

    mean: np.ndarray  # (n,)
    covariance: np.ndarray  # (n, n)

    def difference(self, one: int, other: int) -> tuple[float, float]:
        """Returns the mean and the standard deviation of one candidate's gain over another one."""
        own, shared, others = (self.covariance[pair] for pair in ((one, one), (one, other), (other, other)))
        return float(self.mean[one] - self.mean[other]), float(np.sqrt(max(0.0, own + others - 2 * shared)))

    def draws(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """Returns (number, n) draws."""
        return self.mean + rng.standard_normal((number, len(self.mean))) @ _root(self.covariance).T


class Prior(NamedTuple):
    """The belief in the gains of n candidates over the first one before any judgment, and the errors of judgments."""

    mean: np.ndarray  # (n,)
    spread: np.ndarray  # (n, n) covariance of the gains
    shift: np.ndarray  # (n, n) covariance of what judging few documents changes
    noise: np.ndarray  # (n, n) covariance of one query's gains

    def posterior(self, gains: np.ndarray, observed: Sequence[int], queries: int) -> Belief:
        """Returns the belief after judging.

        Args:
            gains: (n_observed,) mean over the judged queries of some candidates' gains over the first of them.
            observed: the numbers of these candidates.
            queries: number of judged queries; without any, the belief is the prior.
        """
        if not queries or len(observed) < 2:
            return Belief(self.mean, self.spread)
        seen = np.eye(len(self.mean))[list(observed)]
        seen = seen[1:] - seen[:1]  # -> (n_observed - 1, n)
        error = seen @ (self.spread + self.shift + self.noise / queries) @ seen.T
        weights = np.linalg.solve(error, seen @ self.spread).T
        mean = self.mean + weights @ (gains[1:] - gains[0] - seen @ self.mean)
        return Belief(mean, self.spread - weights @ seen @ self.spread)

    def choose(self, belief: Belief, choosable: Sequence[int]) -> int:
        """Returns the number of the best of some candidates, cautiously.

        The default is the best by the prior alone. The largest of several uncertain gains is overestimated, so another
        one must gain ``CAUTION`` standard deviations.
        """
        default = max(choosable, key=lambda number: self.mean[number])  # the first one of equal ones
        return max([default, *choosable], key=lambda number: cautious_gain(belief, number, default))

    def gain_of_judging(
        self,
        belief: Belief,
        observed: Sequence[int],
        choosable: Sequence[int],
        queries: int,
        further: int,
        rng: np.random.Generator,
    ) -> float:
        """Returns the expected gain of choosing again after further judged queries.

        Args:
            belief: the posterior after ``queries`` judged queries of the observed candidates.
            observed: as for ``posterior``.
            choosable: the numbers of the candidates to choose from.
            queries: number of judged queries so far.
            further: number of further ones.
            rng: for 10,000 draws of the posterior mean.

        Source: the expected value of sample information, Raiffa and Schlaifer 1961, chapter 5.
        """
        after = self.posterior(np.zeros(len(observed)), observed, queries + further).covariance
        means = Belief(belief.mean, belief.covariance - after).draws(DRAWS, rng)[:, list(choosable)]
        now = belief.mean[list(choosable)].argmax()
        return float((means.max(axis=1) - means[:, now]).mean())


def cautious_gain(belief: Belief, one: int, default: int) -> float:
    """Returns the expected gain of a candidate over the default, less ``CAUTION`` standard deviations."""
    mean, deviation = belief.difference(one, default)
    return mean - CAUTION * deviation


@cache
def model_types() -> ModelTypes:
    """Returns the statistics of the suite."""
    with resources.as_file(resources.files("zero2ir.strategies") / STATISTICS) as path:
        return read_state(path, ModelTypes)


def _selected(values: np.ndarray, numbers: Sequence[int | None]) -> np.ndarray:
    unknown = values[1:].mean()
    return np.array([unknown if number is None else values[number] for number in numbers])


def _among(covariance: np.ndarray, numbers: Sequence[int | None]) -> np.ndarray:
    """Returns the covariance of some candidates' gains over the first of them; None is a random model type."""
    inner = covariance[1:, 1:]
    variance = np.trace(inner) / len(inner)
    shared = (inner.sum() - np.trace(inner)) / (len(inner) * (len(inner) - 1))
    extended = np.zeros((len(numbers), len(numbers)))
    for row, one in enumerate(numbers):
        for column, other in enumerate(numbers):
            if one is not None and other is not None:
                extended[row, column] = covariance[one, other]
            elif one != 0 and other != 0:  # nothing differs from the first one by the first one
                extended[row, column] = variance if row == column else shared
    contrast = np.eye(len(numbers)) - np.eye(len(numbers))[[0] * len(numbers)]
    return _positive(contrast @ extended @ contrast.T)


def _shrunk(covariance: np.ndarray) -> np.ndarray:
    return (1 - SHRINKAGE) * covariance + SHRINKAGE * np.diag(np.diag(covariance))


def _positive(matrix: np.ndarray) -> np.ndarray:
    root = _root(matrix)
    return root @ root.T


def _root(matrix: np.ndarray) -> np.ndarray:
    """Returns R with R Rᵀ the nearest positive semidefinite matrix."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return vectors * np.sqrt(np.maximum(values, 0))
