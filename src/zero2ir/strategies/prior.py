"""What other collections say about settings, learning and model types, and what a few judged queries add to it.

The gain of nDCG@10 by a setting over the default is a quadratic function of the setting's coordinates, with Gaussian
coefficients; a model type's coordinates are 1 for itself and 0 for the others. Mean and covariance are those over the
collections of the development suite. The judged queries measure the gain, too, with two errors that the suite also
shows: a few judged documents of each query shift it, and a few queries are a sample. All are Gaussian, so that the
expected gain given the judged queries is a weighted mean: one query moves it little, fifty much.

The statistics of the suite are in prior.json, which benchmarks/prior.py writes. A collection of the same name or with
the same documents as the one at hand is left out.

Sources: the posterior of a Gaussian surface with a known prior is that of Bayesian linear regression, Rasmussen and
Williams 2006, Gaussian Processes for Machine Learning, section 2.1; priors learned from other tasks are those of
Swersky, Snoek and Adams, NeurIPS 2013.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import combinations_with_replacement
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from zero2ir.io.settings import Settings
from zero2ir.models.base import Model, parts
from zero2ir.models.encoder_based import EncoderBased

PRIOR_FILE = "prior.json"
MIN_COLLECTIONS = 5  # fewer show no covariance
MODEL_TYPES = "model types"  # the name of their family
SHRINKAGE = 0.25  # of covariances toward a multiple of the identity (Ledoit and Wolf 2004), which few collections need
SIGNAL = 0.5  # factor of the covariance between collections, which two or three unusual ones and few queries inflate
GENERIC_DEVIATION = 0.15  # of a query's gain by a candidate that the suite does not know
GENERIC_DEGREES = 4.0  # degrees of freedom of this value
MIN_DEVIATION = 1e-6  # of a gain that is not known for sure
JITTER = 1e-8  # variance of what no quadratic function explains
DRAWS = 10_000  # of a posterior
SAME_POINT = 1e-3  # distance of coordinates, which prior.json rounds
NEARLY_THE_SAME = 0.01  # share of a function that others do not explain


class CollectionGains(Settings):
    """The gains over the default at the points of a family, in one collection.

    Attributes:
        gains: (n_points,) nDCG@10 by all judgments, mean over queries.
        judged: (n_points,) the same as pooled judgments and the tuning measure show it.
        covariance: (n_functions, n_functions) of a query's judged gains, in the coefficients of the family's basis.
    """

    gains: list[float]
    judged: list[float]
    covariance: list[list[float]]


class Family(Settings):
    """What the suite says about one kind of choice, such as the fusion weights of certain retrievers.

    Attributes:
        coordinates: their names.
        points: (n_points, n_coordinates) the measured settings, the default first.
        collections: by name.
    """

    coordinates: list[str]
    points: list[list[float]]
    collections: dict[str, CollectionGains]

    def prior(self, candidates: Sequence[Mapping[str, float]], without: Collection[str] = ()) -> "Prior | None":
        """Returns the prior of the candidates' gains over the first one; None if too few collections are left.

        Args:
            candidates: coordinates by name, n_candidates.
            without: names of collections to leave out.
        """
        rows = [row for name, row in self.collections.items() if name not in without]
        if len(rows) < MIN_COLLECTIONS:
            return None
        points = np.array(self.points)
        asked = np.array([[one[name] for name in self.coordinates] for one in candidates])
        basis = Basis(points)
        gains, judged = (np.array([getattr(row, name) for row in rows]) for name in ("gains", "judged"))
        surfaces, shifts = basis.fit(gains), basis.fit(judged - gains)
        noise = np.mean([row.covariance for row in rows], axis=0)
        spread = np.cov(surfaces.T).reshape(noise.shape)

        at = basis.at(asked)
        surface = at - at[:1]
        parts = (spread, shifts.T @ shifts / len(rows), noise)
        between, shift, within = (surface @ _shrunk(one) @ surface.T for one in parts)
        between *= SIGNAL * (1 + 1 / len(rows))  # the mean of the collections is uncertain, too

        mean = _careful_mean(gains)
        coefficients = basis.fit(mean[None])[0]
        same = (np.abs(asked[:, None] - points[None]) < SAME_POINT).all(axis=2)  # -> (n_candidates, n_points)
        expected = at @ coefficients + same @ (mean - basis.values @ coefficients)
        return Prior(expected - expected[0], between, shift, within, len(rows))


class SuiteDocuments(Settings):
    """The collections that a file of the development suite is made of.

    Attributes:
        documents: content digest of each collection's documents, by name.
    """

    documents: dict[str, str]

    def alike(self, name: str, digest: str) -> set[str]:
        """Returns the names of the collections that have this name or these documents."""
        return {one for one, documents in self.documents.items() if one == name or documents == digest}


class Suite(SuiteDocuments):
    """The schema of ``prior.json``.

    Attributes:
        measure: by which judged queries are measured.
        families: by name; see ``family_of``.
    """

    measure: str
    families: dict[str, Family]

    @property
    def model_types(self) -> list[str]:
        return self.families[MODEL_TYPES].coordinates

    def model_type_prior(self, names: Sequence[str], without: Collection[str] = ()) -> "Prior":
        """Returns the prior of the gains of some model types over the first one.

        A type that the suite has not measured is taken for a random one.

        Args:
            names: of the types.
            without: names of collections to leave out; at least ``MIN_COLLECTIONS`` must be left.
        """
        known = self.model_types
        prior = self.families[MODEL_TYPES].prior(type_coordinates(known), without)
        assert prior is not None
        return prior.among([known.index(name) if name in known else None for name in names])


@cache
def suite() -> Suite:
    """Reads ``prior.json``."""
    return Suite.model_validate_json(files(__package__).joinpath(PRIOR_FILE).read_text(encoding="utf-8"))


def family_of(model: Model) -> str:
    """Names a model by its structure: "hybrid(sparse,dense:pretrained)"; a network that learns is ":encoder"."""
    name = model.kind
    if isinstance(model, EncoderBased):
        name = f"{name}:{model.encoder}" + (":encoder" if model.learning == "encoder" else "")
    return f"{name}({','.join(map(family_of, parts(model)))})" if parts(model) else name


def type_coordinates(names: Sequence[str]) -> list[dict[str, float]]:
    """Returns the coordinates of model types: 1 for itself, 0 for the others."""
    return [{other: float(other == name) for other in names} for name in names]


class Basis:
    """Orthonormal quadratic functions on some points, which are 0 at the first one.

    A function that is nearly a sum of earlier ones on the points is left out.
    """

    def __init__(self, points: np.ndarray) -> None:
        """Takes (n_points, n_coordinates) points."""
        self.origin = points[:1]
        functions = _quadratic(points - self.origin)
        columns: list[np.ndarray] = []
        for column in functions.T:
            rest = column - sum((one * (one @ column) for one in columns), np.zeros(len(points)))
            if (norm := np.linalg.norm(rest)) > NEARLY_THE_SAME * np.linalg.norm(column):
                columns.append(rest / norm)
        self.values = np.stack(columns, axis=1)  # (n_points, n_functions)
        self._mixed = np.linalg.pinv(functions) @ self.values

    def at(self, points: np.ndarray) -> np.ndarray:
        """Returns (n, n_functions), the functions' values at (n, n_coordinates) points."""
        return _quadratic(points - self.origin) @ self._mixed

    def fit(self, values: np.ndarray) -> np.ndarray:
        """Returns (n, n_functions), the coefficients of n rows of values at the points, (n, n_points)."""
        return values @ self.values


class Prior(NamedTuple):
    """The prior of candidates' gains over the first one, whose gain is 0.

    Attributes:
        mean: (n_candidates,) expected gains.
        spread: (n_candidates, n_candidates) covariance of the gains.
        shift: the same of the error by judging few documents, which does not depend on the number of queries.
        noise: the same of the gains of a single query.
        collections: number of collections that it is made of; 0 for a generic one.
    """

    mean: np.ndarray
    spread: np.ndarray
    shift: np.ndarray
    noise: np.ndarray
    collections: int

    def posterior(self, values: np.ndarray, observed: Sequence[int] | None = None) -> "Posterior":
        """Returns what to expect after judging; without queries, the prior alone.

        Args:
            values: (n_observed, n_queries) the measure of some candidates on the judged queries, up to a constant.
            observed: the numbers of these candidates; None for all.
        """
        observed = range(len(self.mean)) if observed is None else observed
        queries = values.shape[1]
        if not queries or len(observed) < 2:
            return Posterior(self.mean, self.spread)
        seen = np.eye(len(self.mean))[list(observed)]
        seen = seen - seen[:1]  # the first one has no gain over itself
        error = seen @ (self.spread + self.shift + self.noise / queries) @ seen.T + JITTER * np.eye(len(seen))
        weights = np.linalg.solve(error, seen @ self.spread).T
        gains = (values - values[:1]).mean(axis=1)
        return Posterior(self.mean + weights @ (gains - seen @ self.mean), self.spread - weights @ seen @ self.spread)

    def among(self, numbers: Sequence[int | None]) -> "Prior":
        """Returns the prior of some candidates' gains over the first of them; None is a random one.

        The default of this prior, number 0, is not among the random ones.
        """
        unknown = self.mean[1:].mean()
        mean = np.array([unknown if number is None else self.mean[number] for number in numbers])
        spread, shift, noise = (_among(one, numbers) for one in (self.spread, self.shift, self.noise))
        return Prior(mean - mean[0], spread, shift, noise, self.collections)

    def choose(self, posterior: "Posterior", choosable: Sequence[int]) -> int:
        """Returns the number of the best of some candidates.

        The default is the best by the prior alone. Another one must gain more than the best of several is overestimated
        by; see ``Posterior.cautious_gains_over``.
        """
        default = max(choosable, key=lambda number: self.mean[number])  # the first one of equal ones
        gains = posterior.cautious_gains_over(default, choosable)
        return max([default, *choosable], key=lambda number: gains[number])

    def gain_of_judging(
        self,
        now: "Posterior",
        observed: Sequence[int],
        choosable: Sequence[int],
        queries: int,
        rng: np.random.Generator,
    ) -> float:
        """Returns the expected gain of choosing again after further judgments.

        Args:
            now: the posterior after the judgments so far.
            observed: the numbers of the candidates that are measured.
            choosable: the numbers of the candidates to choose from.
            queries: number of judged queries, with the further ones.
            rng: for ``DRAWS`` draws of the posterior mean.

        Source: the expected value of sample information, Raiffa and Schlaifer 1961, chapter 5.
        """
        after = self.posterior(np.zeros((len(observed), queries)), observed).covariance
        means = Posterior(now.mean, now.covariance - after).draws(DRAWS, rng)[:, list(choosable)]
        return float((means.max(axis=1) - means[:, now.mean[list(choosable)].argmax()]).mean())


class Posterior(NamedTuple):
    """The Gaussian belief in the gains of candidates over the first one.

    Attributes:
        mean: (n_candidates,) expected gains.
        covariance: (n_candidates, n_candidates).
    """

    mean: np.ndarray
    covariance: np.ndarray

    def gains_over(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the expected gains over a candidate, (n_candidates,), and their standard deviations."""
        variances = np.diag(self.covariance)
        squares = variances + variances[number] - 2 * self.covariance[number]
        return self.mean - self.mean[number], np.sqrt(np.maximum(squares, 0.0))

    def cautious_gains_over(self, number: int, choosable: Sequence[int]) -> np.ndarray:
        """Returns the expected gains over a candidate, less what the best of several is overestimated by.

        This is the expected maximum, in standard deviations, of as many independent errors as there are alternatives.
        Alternatives whose errors are alike count less: full and half strength of the same learning are hardly two.

        Args:
            number: of the candidate.
            choosable: the numbers of the candidates to choose from.

        Source: the optimizer's curse of Smith and Winkler 2006, doi:10.1287/mnsc.1050.0451.
        """
        mean, deviation = self.gains_over(number)
        contrast = np.eye(len(mean))[[one for one in choosable if one != number]] - np.eye(len(mean))[number]
        return mean - expected_maximum(effective_number(contrast @ self.covariance @ contrast.T)) * deviation

    def draws(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """Returns (number, n_candidates) draws."""
        return self.mean + rng.standard_normal((number, len(self.mean))) @ _root(self.covariance).T


def effective_number(covariance: np.ndarray) -> float:
    """Returns how many independent variables those of a covariance are worth; at least 1.

    Source: Galwey 2009, doi:10.1002/gepi.20408.
    """
    uncertain = np.sqrt(np.diag(covariance)) > MIN_DEVIATION
    covariance = covariance[uncertain][:, uncertain]
    deviations = np.sqrt(np.diag(covariance))
    values = np.maximum(np.linalg.eigvalsh(covariance / np.outer(deviations, deviations)), 0.0)
    return max(1.0, float(np.sqrt(values).sum() ** 2 / values.sum())) if len(values) else 1.0


def expected_maximum(number: float) -> float:
    """Returns the expected maximum of so many independent standard Gaussian variables, 0 for one.

    Source: the approximation of Blom 1958, Statistical Estimates and Transformed Beta-Variables.
    """
    return NormalDist().inv_cdf((number - 0.375) / (number + 0.25))


def generic_prior(gains: np.ndarray, deviation: float) -> Prior:
    """Returns the prior of candidates that the suite does not know: independent gains around 0.

    The noise is that of the judged queries, moderated because they are few (Smyth 2004, doi:10.2202/1544-6115.1027,
    section 3).

    Args:
        gains: (n_candidates, n_queries) over the first candidate, measured.
        deviation: the typical gain.
    """
    candidates, queries = gains.shape
    squares = ((gains - gains.mean(axis=1, keepdims=True)) ** 2).sum(axis=1) if queries else np.zeros(candidates)
    noise = (GENERIC_DEGREES * GENERIC_DEVIATION**2 + squares) / (GENERIC_DEGREES + max(0, queries - 1))
    other = np.arange(candidates) > 0
    none = np.zeros((candidates, candidates))
    return Prior(np.zeros(candidates), np.diag(other * deviation**2), none, np.diag(other * noise), 0)


def _quadratic(offsets: np.ndarray) -> np.ndarray:
    """Returns (n, n_functions), the coordinates, their squares and their products."""
    pairs = combinations_with_replacement(range(offsets.shape[1]), 2)
    return np.hstack([offsets, *(offsets[:, [one]] * offsets[:, [other]] for one, other in pairs)])


def _careful_mean(gains: np.ndarray) -> np.ndarray:
    """Returns (n_points,), the mean of (n_collections, n_points) gains, less where a gain may be chance.

    Source: the positive-part estimator of James and Stein 1961, of a single mean.
    """
    mean, error = gains.mean(axis=0), gains.var(axis=0, ddof=1) / len(gains)
    trusted = np.maximum(0.0, 1 - error / np.maximum(mean**2, JITTER))
    return np.where(mean > 0, trusted * mean, mean)


def _shrunk(covariance: np.ndarray) -> np.ndarray:
    size = len(covariance)
    return (1 - SHRINKAGE) * covariance + SHRINKAGE * np.trace(covariance) / size * np.eye(size)


def _among(covariance: np.ndarray, numbers: Sequence[int | None]) -> np.ndarray:
    """Returns the covariance of some candidates' gains over the first of them; None is a random one."""
    inner = covariance[1:, 1:]
    variance = np.trace(inner) / len(inner)
    shared = (inner.sum() - np.trace(inner)) / (len(inner) * (len(inner) - 1))
    extended = np.zeros((len(numbers), len(numbers)))
    for row, one in enumerate(numbers):
        for column, other in enumerate(numbers):
            if one is not None and other is not None:
                extended[row, column] = covariance[one, other]
            elif one != 0 and other != 0:  # nothing differs from the default by the default
                extended[row, column] = variance if row == column else shared
    contrast = np.eye(len(numbers)) - np.eye(len(numbers))[[0] * len(numbers)]
    return _positive(contrast @ extended @ contrast.T)


def _positive(matrix: np.ndarray) -> np.ndarray:
    """Returns the nearest positive semidefinite matrix."""
    root = _root(matrix)
    return root @ root.T


def _root(matrix: np.ndarray) -> np.ndarray:
    """Returns R with R Rᵀ the nearest positive semidefinite matrix."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return vectors * np.sqrt(np.maximum(values, 0))
