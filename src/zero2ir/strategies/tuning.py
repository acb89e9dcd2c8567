"""Choosing between candidates on a handful of judged queries.

Ten queries cannot distinguish systems that differ by less than about 16 points of nDCG@10. Observed gains are therefore
shrunk toward 0: with a normal prior of deviation tau around 0 for a candidate's true gain, and n paired differences of
mean m and variance s2, the expected gain is m * tau^2 / (tau^2 + s2 / n). Since a default is rarely far from the best,
a candidate must also gain significantly by a paired t-test.

The whole procedure is cross-validated: if leave-one-query-out choices do not beat the default on the queries left out,
the default stays.

Ten of 400 train queries each of scifact and nfcorpus, with up to five judged documents, were drawn 300 times, to choose
BM25's parameters and the weights of two hybrids (benchmarks/choosing.py). Choosing lost 0.0001 of nDCG@10 on average,
and 0.0016 without the test; with a candidate 0.008 to 0.04 worse than the best as the default, it gained 5 % of the
distance, and 30 % without the test. The measure is nDCG@100 with a depth of 100, since ranks beyond 10 also carry
information about a query's few judgments (by nDCG@10 3 and 23 %, for losses of 0.0000 and 0.0014).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from zero2ir.data.records import Judgment
from zero2ir.encoders.corpus import Corpus
from zero2ir.evaluation.measures import Run, score_run
from zero2ir.io.settings import Settings
from zero2ir.models.ranking import NO_DOCUMENT, Ranking

SIGNIFICANCE = 0.05  # of the one-sided paired t-test


class TuningSettings(Settings):
    """Settings for choosing on few judgments.

    Attributes:
        measure: the tuning measure, by its ir-measures name.
        prior_deviation: tau, the typical true gain of a candidate over the default, in units of the measure.
        folds: number of folds for cross-validating training.
        depth: the length of the measured rankings.
        negatives: hard negatives per relevant judged document.
        negatives_from: first and last BM25 rank of hard negatives.
    """

    measure: str = "nDCG@100"
    prior_deviation: Annotated[float, Field(gt=0)] = 0.02
    folds: Annotated[int, Field(ge=2)] = 5
    depth: Annotated[int, Field(ge=1)] = 100
    negatives: Annotated[int, Field(ge=0)] = 4
    negatives_from: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (5, 50)


@dataclass(frozen=True)
class TuningCandidate:
    """A candidate with its measure on each judged query, out of fold if it was trained.

    Attributes:
        name: a description.
        settings: of the model; None for those that it has, or gets by learning.
        values: (n_queries,) the measure.
    """

    name: str
    settings: Mapping[str, Any] | None
    values: np.ndarray


@dataclass(frozen=True)
class TuningChoice:
    """The chosen candidate and its figures.

    Attributes:
        index: of the candidate; 0 is the default.
        expected_gain: of the best candidate over the default, after shrinking; 0 without a significant gain.
        observed: the best candidate's mean on the judged queries, biased upward by the choice.
        cross_validated: the mean over queries of the candidate chosen without that query, unbiased.
        default: the default's mean.
    """

    index: int
    expected_gain: float
    observed: float
    cross_validated: float
    default: float

    @property
    def honest(self) -> float:
        """The unbiased mean of the chosen candidate."""
        return self.cross_validated if self.index else self.default

    def as_dict(self) -> dict[str, float]:
        """Returns the rounded figures."""
        return {
            "honest": round(self.honest, 4),
            "expected_gain": round(self.expected_gain, 4),
            "observed": round(self.observed, 4),
            "cross_validated": round(self.cross_validated, 4),
            "optimism": round(self.observed - self.cross_validated, 4),
            "default": round(self.default, 4),
        }


def expected_gains(values: np.ndarray, prior_deviation: float) -> np.ndarray:
    """Returns the expected true gain, (n_candidates,), of each candidate over the first one; 0 for a single query.

    Args:
        values: (n_candidates, n_queries) the measure, paired by query.
        prior_deviation: tau.
    """
    return _shrunk(*_paired(values), prior_deviation)


def choose(values: np.ndarray, prior_deviation: float, significance: float = SIGNIFICANCE) -> TuningChoice:
    """Chooses the candidate with the highest expected gain among those with a significant gain by a paired t-test.

    The default stays without such a candidate, or if the choice does not gain in cross-validation. The first candidate
    wins ties.

    Args:
        values: (n_candidates, n_queries) the measure of each candidate, the default first.
        prior_deviation: tau.
        significance: level of the test; 0.5 for no test.
    """
    gains = _significant_gains(values, prior_deviation, significance)
    best = int(gains.argmax())
    held_out = [
        values[int(_significant_gains(np.delete(values, query, axis=1), prior_deviation, significance).argmax()), query]
        for query in range(values.shape[1])
    ]
    default, cross_validated = float(values[0].mean()), float(np.mean(held_out))
    index = best if cross_validated > default else 0
    return TuningChoice(index, float(gains[best]), float(values[best].mean()), cross_validated, default)


def _significant_gains(values: np.ndarray, prior_deviation: float, significance: float) -> np.ndarray:
    """Returns the expected gains; 0 for candidates without a significant gain by a one-sided paired t-test."""
    from scipy.special import stdtrit  # quantiles of Student's t; importing scipy.stats takes a second

    mean, noise = _paired(values)
    least = stdtrit(max(1, values.shape[1] - 1), 1 - significance) * np.sqrt(noise)
    return np.where(mean > least, _shrunk(mean, noise, prior_deviation), 0.0)


def _shrunk(mean: np.ndarray, noise: np.ndarray, prior_deviation: float) -> np.ndarray:
    prior = prior_deviation**2
    return mean * prior / (prior + noise)


def _paired(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns each candidate's mean difference to the first and the variance of the mean; 0 for one query."""
    differences = values - values[:1]
    n = values.shape[1]
    if n < 2:
        return np.zeros(len(values)), np.zeros(len(values))
    return differences.mean(axis=1), differences.var(axis=1, ddof=1) / n


def judged_values(
    ranking: Ranking, corpus: Corpus, query_ids: Sequence[str], qrels: Sequence[Judgment], measure: str
) -> np.ndarray:
    """Returns (n_queries,), the measure of a ranking on judged queries, in the order of ``query_ids``."""
    doc_ids = [
        [corpus.documents[number].doc_id if number != NO_DOCUMENT else "" for number in row] for row in ranking.numbers
    ]
    run = Run(list(query_ids), doc_ids, ranking.scores)
    wanted = set(query_ids)
    rows = score_run(run, [row for row in qrels if row.query_id in wanted], [measure])
    value = {row.query_id: row.value for row in rows}
    return np.array([value[query_id] for query_id in query_ids])
