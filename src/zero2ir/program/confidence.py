"""Calibrated probabilities of relevance."""

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeFloat, PositiveFloat

from zero2ir.io.settings import Settings
from zero2ir.models.ranking import NO_DOCUMENT, Ranking
from zero2ir.program.confidence_prior import ConfidencePrior, confidence_prior

CONFIDENCE_DEPTH = 20  # documents per query whose probabilities are used
INTERVAL = 1.96  # standard deviations of a 95 % interval
REACH = 2.0  # standard deviations from the suite's mean that a signal approaches but never passes
# Of the relevant first documents, if relevant documents were named. On the suite 0.9, 0.95 and 1 give the same mean
# calibration error within 0.006; where documents are missing from the judgments, a lower share errs less.
JUDGED_SHARE = 0.95
LEVELS = 201  # points of the numerical integration over the level
WIDTH = 6.0  # standard deviations to both sides that the points cover
PASSES = 3  # of the integration, each around the posterior of the one before
TINY, EPSILON = 1e-300, 2.0**-53
MOST = 1e100  # of log-odds in a saved file, so that their squares are finite


@dataclass(frozen=True)
class QueryJudgments:
    """The numbers of the documents judged relevant and not relevant for one query."""

    relevant: frozenset[int]
    nonrelevant: frozenset[int] = frozenset()


class ConfidenceState(Settings):
    """The schema of a saved ``Confidence``."""

    level: Annotated[float, Field(ge=-MOST, le=MOST)]
    deviation: Annotated[PositiveFloat, Field(le=MOST)]
    slopes: tuple[NonNegativeFloat, NonNegativeFloat]
    centre: tuple[float, float]
    spread: tuple[PositiveFloat, PositiveFloat]


@dataclass(frozen=True)
class Confidence:
    """Maps the signals of a score to a probability of relevance, by a logistic function.

    How much the signals count, the slopes, is known from other collections (see ``confidence_prior``). How often the
    first document is relevant, the level, is not: collections differ more than in anything else. The judged queries
    tell it, and few of them leave it open.

    Attributes:
        level: mean of the level, the log-odds where both signals are at their centre.
        deviation: its standard deviation.
        slopes: of the log-odds in both signals, height and margin.
        centre: of the signals.
        spread: of the signals.

    Source: Platt 1999, "Probabilistic outputs for support vector machines"; the signals are those of query performance
    prediction: Shtok et al., TOIS 2012, doi:10.1145/2180868.2180873 (how far scores stand above the collection's).
    """

    level: float
    deviation: float
    slopes: tuple[float, float]
    centre: tuple[float, float]
    spread: tuple[float, float]

    @classmethod
    def prior(cls, family: str, without: Collection[str] = (), suite: ConfidencePrior | None = None) -> Self:
        """Returns what is known without judgments.

        Args:
            family: of the model, see ``family_of``.
            without: names of collections of the suite to leave out.
            suite: None for that of ``confidence_prior.json``.
        """
        known = (suite or confidence_prior()).of(family)
        slopes, mean, deviation = known.prior(without)
        height, margin = slopes.tolist()
        return cls(mean, deviation, (height, margin), known.centre, known.spread)

    def given(self, ranking: Ranking, judged: Sequence[QueryJudgments]) -> Self:
        """Returns the posterior, given what was judged of the first documents of some queries.

        An unjudged first document says nothing if others are judged not relevant: people were asked about what is
        ranked first, but not about this one. If none is, relevant documents were named, and most of those that are
        ranked first are among them.

        Args:
            ranking: of n queries, by a model that did not learn from them.
            judged: (n,) the judgments of each query.

        Source: for the latter, Elkan and Noto, KDD 2008, doi:10.1145/1401890.1401920, section 2.
        """
        first = ranking.numbers[:, 0] if ranking.numbers.shape[1] else np.full(len(judged), NO_DOCUMENT)
        pairs = list(zip(first.tolist(), judged, strict=True))
        relevant = np.array([number in one.relevant for number, one in pairs], dtype=bool)
        nonrelevant = np.array([number in one.nonrelevant for number, one in pairs], dtype=bool)
        unnamed = ~relevant & (first != NO_DOCUMENT) & ~nonrelevant.any()

        if not (relevant | nonrelevant | unnamed).any():
            return self
        evidence = self._evidence(ranking)[:, 0]
        level, deviation = self.level, self.deviation
        for _ in range(PASSES):
            levels = level + deviation * np.linspace(-WIDTH, WIDTH, LEVELS)
            p = _probability(levels[:, None] + evidence)  # -> (n_levels, n_queries)
            likelihood = np.select([relevant, nonrelevant, unnamed], [p, 1 - p, 1 - JUDGED_SHARE * p], 1.0)
            log = np.log(np.maximum(likelihood, TINY)).sum(axis=1) - ((levels - self.level) / self.deviation) ** 2 / 2
            weights = np.exp(log - log.max())
            weights /= weights.sum()
            level = float(weights @ levels)
            deviation = max(float(np.sqrt(weights @ (levels - level) ** 2)), levels[1] - levels[0])
        return replace(self, level=level, deviation=float(deviation))

    def probabilities(self, ranking: Ranking) -> np.ndarray:
        """Returns each document's probability of relevance, (n_queries, k); 0 without a document.

        It is the mean over the possible levels.

        Source: MacKay 1992, doi:10.1162/neco.1992.4.5.720, equation 10.
        """
        odds = (self.level + self._evidence(ranking)) / self._moderation
        return np.where(ranking.numbers != NO_DOCUMENT, _probability(odds), 0.0)

    def bound(self, probabilities: npt.ArrayLike, deviations: float) -> np.ndarray:
        """Returns what the stated probabilities are if the level is some standard deviations higher; same shape."""
        stated = np.asarray(probabilities, dtype=np.float64)
        known = np.clip(stated, TINY, 1 - EPSILON)
        moved = _probability(np.log(known / (1 - known)) * self._moderation + deviations * self.deviation)
        return np.where(stated > 0, moved, 0.0)

    def intervals(self, probabilities: npt.ArrayLike) -> list[list[float]]:
        """Returns the 95 % interval, [low, high], of each of (k,) stated probabilities, as the level leaves it open."""
        bounds = [self.bound(probabilities, sign * INTERVAL) for sign in (-1, 1)]
        return np.stack(bounds, axis=-1).tolist()

    def as_dict(self) -> dict[str, Any]:
        """Returns the parameters as JSON values, see ``ConfidenceState``."""
        return asdict(self)

    @property
    def _moderation(self) -> float:
        """By which the log-odds are divided, so that their probability is the mean over the possible levels."""
        return math.sqrt(1 + math.pi / 8 * self.deviation**2)

    def _evidence(self, ranking: Ranking) -> np.ndarray:
        """Returns the signals' share of the log-odds, (n_queries, k)."""
        return squashed(signals(ranking), self.centre, self.spread) @ np.array(self.slopes)


def signals(ranking: Ranking) -> np.ndarray:
    """Computes signals of relevance that do not depend on the scale of the scores.

    Args:
        ranking: (n_queries, k).

    Returns:
        (n_queries, k, 2), 0 without a document. *Height*: log(1 + standard deviations above the mean score of the
        collection). *Margin*: the difference to the best other document, relative to the first document's difference
        to the mean; -1 to 1.
    """
    is_ranked = ranking.numbers != NO_DOCUMENT
    scores = np.where(is_ranked, ranking.scores, ranking.mean[:, None]).astype(np.float64)
    above = scores - ranking.mean[:, None]
    deviation = np.where(ranking.deviation > 0, ranking.deviation, 1.0)[:, None]
    height = np.log1p(np.maximum(above / deviation, 0.0))
    if not scores.shape[1]:
        return np.zeros((*scores.shape, 2))
    rival = np.repeat(scores[:, :1], scores.shape[1], axis=1)
    rival[:, 0] = scores[:, 1] if scores.shape[1] > 1 else ranking.mean
    margin = np.clip((scores - rival) / np.maximum(above[:, :1], 1e-12), -1.0, 1.0)
    return np.where(is_ranked[..., None], np.stack([height, margin], axis=-1), 0.0)


def squashed(values: np.ndarray, centre: npt.ArrayLike, spread: npt.ArrayLike) -> np.ndarray:
    """Returns signals in standard deviations from the centre, of which ``REACH`` is never passed; same shape.

    No slope holds far outside the suite.
    """
    return REACH * np.tanh((values - np.asarray(centre)) / np.asarray(spread) / REACH)


def _probability(odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(odds, -500, 500)))
