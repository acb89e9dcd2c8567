"""What other collections say about settings, and what a few judged queries add to it.

The gain of nDCG@10 by a setting over the default is a quadratic function of the setting's coordinates, with Gaussian
coefficients. Their mean and covariance are those over the collections of the development suite. The judged queries
measure the gain, too, with two errors that the suite also shows: a few judged documents of each query shift it, and a
few queries are a sample. All three are Gaussian, so that the expected gain given the judged queries is a weighted mean:
one query moves it little, fifty much.

The statistics of the suite are in prior.json, which benchmarks/prior.py writes. A collection of the same name or with
the same documents as the one at hand is left out.

Source: the posterior of a Gaussian surface with a known prior is that of Bayesian linear regression, Rasmussen and
Williams 2006, Gaussian Processes for Machine Learning, section 2.1; priors learned from other tasks are those of
Swersky, Snoek and Adams, NeurIPS 2013.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np

from zero2ir.io.settings import Settings
from zero2ir.models.base import Model, parts
from zero2ir.models.encoder_based import EncoderBased

PRIOR_FILE = "prior.json"
MIN_COLLECTIONS = 5  # fewer show no covariance
SHRINKAGE = 0.25  # of covariances toward a multiple of the identity (Ledoit and Wolf 2004), which few collections need
SIGNAL = 0.5  # factor of the covariance between collections, which two or three unusual ones and few queries inflate
CAUTION = 0.3  # posterior deviations by which the best of several candidates is overestimated on the suite
GENERIC_DEVIATION = 0.15  # of a query's gain by a candidate that the suite does not know
GENERIC_DEGREES = 4.0  # degrees of freedom of this value
JITTER = 1e-8  # variance of what no quadratic function explains
SAME_POINT = 1e-3  # distance of coordinates, which prior.json rounds
NEARLY_THE_SAME = 0.01  # share of a function that others do not explain


class CollectionGains(Settings):
    """The gains over the default at the points of a family, in one collection.

    Attributes:
        gains: (n_points,) nDCG@10 by all judgments, mean over queries.
        judged: (n_points,) the same as pooled judgments and the tuning measure show it.
        covariance: (n_functions, n_functions) of a query's judged gains, in the coefficients of the family's basis.
        queries: number of queries.
    """

    gains: list[float]
    judged: list[float]
    covariance: list[list[float]]
    queries: int


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
        between, shift, within = (
            surface @ _shrunk(one) @ surface.T for one in (spread, shifts.T @ shifts / len(rows), noise)
        )
        between *= SIGNAL * (1 + 1 / len(rows))  # the mean of the collections is uncertain, too

        mean = _careful_mean(gains)
        coefficients = basis.fit(mean[None])[0]
        same = (np.abs(asked[:, None] - points[None]) < SAME_POINT).all(axis=2)  # -> (n_candidates, n_points)
        expected = at @ coefficients + same @ (mean - basis.values @ coefficients)
        return Prior(expected - expected[0], between, shift, within, len(rows))


class Suite(Settings):
    """The schema of ``prior.json``.

    Attributes:
        measure: by which judged queries are measured.
        documents: content digest of each collection's documents, by name.
        families: by name; see ``family_of``.
    """

    measure: str
    documents: dict[str, str]
    families: dict[str, Family]

    def alike(self, name: str, digest: str) -> set[str]:
        """Returns the names of the collections that have this name or these documents."""
        return {one for one, documents in self.documents.items() if one == name or documents == digest}


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


class Posterior(NamedTuple):
    """The expected gains over the first candidate, (n_candidates,), and their standard deviations."""

    mean: np.ndarray
    deviation: np.ndarray


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


def update(prior: Prior, gains: np.ndarray) -> Posterior:
    """Returns the posterior given (n_candidates, n_queries) measured gains; without queries that of the prior alone."""
    mean, spread = prior.mean, prior.spread
    if queries := gains.shape[1]:
        total = spread + prior.shift + prior.noise / queries + JITTER * np.eye(len(mean))
        weight = np.linalg.solve(total, spread).T
        mean = mean + weight @ (gains.mean(axis=1) - mean)
        spread = spread - weight @ spread
    return Posterior(mean, np.sqrt(np.maximum(np.diag(spread), 0.0)))


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
