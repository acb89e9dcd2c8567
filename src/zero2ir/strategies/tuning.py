"""Choosing between candidates on a handful of judged queries.

Ten queries cannot distinguish systems that differ by less than about 16 points of nDCG@10, so that no test decides: a
candidate is used if it is expected to gain, given what other collections say (``zero2ir.strategies.prior``) and what
the judged queries show.
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
from zero2ir.strategies.prior import Prior

INTERVAL = 1.96  # deviations on each side of 95 % of a Gaussian


class TuningSettings(Settings):
    """Settings for choosing on few judgments.

    Attributes:
        measure: the tuning measure, by its ir-measures name.
        prior_deviation: the typical true gain of a candidate that the development suite does not know, in units of the
            measure.
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
        settings: what distinguishes it, JSON; empty for the default.
        values: (n_queries,) the measure.
    """

    settings: Mapping[str, Any]
    values: np.ndarray


@dataclass(frozen=True)
class Choice:
    """The best alternative to a default, with its gain over the default in units of the measure.

    Attributes:
        best: number of the best alternative among the candidates; 0, the default, if there is no alternative.
        prior: the gain that other collections let expect.
        observed: the mean gain on the judged queries.
        expected: the gain to expect given both.
        deviation: standard deviation of the expected gain.
        queries: number of judged queries.
        collections: number of other collections; 0 if none was measured with such a choice.
    """

    best: int = 0
    prior: float = 0.0
    observed: float = 0.0
    expected: float = 0.0
    deviation: float = 0.0
    queries: int = 0
    collections: int = 0

    @property
    def index(self) -> int:
        """The chosen candidate: the best alternative if it is expected to gain, else 0, the default."""
        return self.best if self.expected > 0 else 0

    def as_dict(self) -> dict[str, float]:
        """Returns the rounded figures, with the 95 % interval of the gain."""
        half = INTERVAL * self.deviation
        figures = {"prior": self.prior, "observed": self.observed, "expected_gain": self.expected}
        figures |= {"low": self.expected - half, "high": self.expected + half}
        counts = {"queries": self.queries, "collections": self.collections}
        return {name: round(value, 4) for name, value in figures.items()} | counts

    def __str__(self) -> str:
        half = INTERVAL * self.deviation
        known = f"{self.prior:+.3f} by {self.collections} other collections" if self.collections else "no prior"
        return (
            f"an expected gain of {self.expected:+.3f} [{self.expected - half:+.3f}, {self.expected + half:+.3f}]: "
            f"{known}, {self.observed:+.3f} on {self.queries} judged queries"
        )


def choose(values: np.ndarray, prior: Prior) -> Choice:
    """Compares candidates by their expected gains over the first one, the default.

    The expected gain is the posterior mean, less what the best of several alternatives is overestimated by. The first
    candidate wins ties.

    Args:
        values: (n_candidates, n_queries) the measure of each candidate.
        prior: of their gains.
    """
    if len(values) < 2:
        return Choice(queries=values.shape[1])
    posterior = prior.posterior(values)
    expected, deviation = posterior.cautious_gains_over(0, range(len(values))), posterior.gains_over(0)[1]
    best = 1 + int(expected[1:].argmax())
    observed = float((values[best] - values[0]).mean()) if values.shape[1] else 0.0
    return Choice(
        best,
        float(prior.mean[best]),
        observed,
        float(expected[best]),
        float(deviation[best]),
        values.shape[1],
        prior.collections,
    )


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
