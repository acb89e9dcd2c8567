"""What other collections say about confidence: how much the signals of a score count, and where the level may lie.

On each collection of the development suite, a logistic regression explains which first documents of a model are
relevant. The slopes are the weighted mean over the collections, as if all had the same; given them, the levels of the
collections have a mean and a spread, which is the prior of the level on another collection.

The regressions are in confidence_prior.json, which benchmarks/confidence.py writes.

Source: DerSimonian and Laird 1986, doi:10.1016/0197-2456(86)90046-2: meta-analysis with effects that vary.
"""

from collections.abc import Collection
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np

from zero2ir.io.settings import Settings
from zero2ir.strategies.prior import SuiteDocuments

CONFIDENCE_PRIOR_FILE = "confidence_prior.json"
ANY_MODEL = "any"  # regressions on the first documents of all measured models, for those that are not measured


class Regression(Settings):
    """The log-odds of relevance of a model's first documents in one collection: level, slopes of height and margin.

    Attributes:
        coefficients: (3,) the posterior mode with a prior around 0.
        precision: (3, 3) of the coefficients.
    """

    coefficients: list[float]
    precision: list[list[float]]


class LevelPrior(NamedTuple):
    """The slopes of the signals, (2,), at least 0, and mean and standard deviation of the level."""

    slopes: np.ndarray
    mean: float
    deviation: float


class ModelSignals(Settings):
    """The signals of a kind of model in the suite.

    Attributes:
        centre: (2,) from which the signals are measured, about their mean over first documents.
        spread: (2,) in which they are measured, about their standard deviation.
        collections: by name.
    """

    centre: tuple[float, float]
    spread: tuple[float, float]
    collections: dict[str, Regression]

    def prior(self, without: Collection[str] = ()) -> LevelPrior:
        """Combines all collections except those named in ``without``."""
        rows = [row for name, row in self.collections.items() if name not in without]
        levels, slopes = np.split(np.array([row.coefficients for row in rows]), [1], axis=1)
        precision = np.array([row.precision for row in rows])
        shift = precision[:, 0, 1:] / precision[:, :1, 0]  # of the level, where slopes are higher
        weights = precision[:, 1:, 1:] - precision[:, 1:, :1] * shift[:, None]  # of slopes, whatever the level
        common = np.linalg.solve(weights.sum(axis=0), np.einsum("cij,cj->i", weights, slopes))
        common = np.maximum(common, 0.0)
        given = levels[:, 0] - ((common - slopes) * shift).sum(axis=1)
        # The mean of the collections is uncertain, too.
        return LevelPrior(common, float(given.mean()), float(given.std(ddof=1) * np.sqrt(1 + 1 / len(given))))


class ConfidencePrior(SuiteDocuments):
    """The schema of ``confidence_prior.json``; ``models`` by ``family_of``."""

    models: dict[str, ModelSignals]

    def of(self, family: str) -> ModelSignals:
        return self.models.get(family, self.models[ANY_MODEL])


@cache
def confidence_prior() -> ConfidencePrior:
    """Reads ``confidence_prior.json``."""
    return ConfidencePrior.model_validate_json(
        files(__package__).joinpath(CONFIDENCE_PRIOR_FILE).read_text(encoding="utf-8")
    )
