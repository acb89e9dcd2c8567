"""How sure a program is of the documents that it returns: a calibrated probability of relevance for each."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from zero2ir.models.ranking import NO_DOCUMENT, Ranking

MIN_QUERIES = 4  # queries; fewer tell nothing of how the signals spread
CONFIDENCE_DEPTH = 20  # documents of a query that take part in a fit
# Intercept and slopes of the log-odds in the standardised signals, before anything is fitted: rounded means of fits to
# rankings of 400 train queries each of beir/scifact and beir/nfcorpus. (height, margin): BM25, MiniLM, static and fused
# ones; another signal, the lead over the best ten, had a slope of 0.02 and was left out. (height, margin, agreement):
# BM25 fused with MiniLM and with static; the Brier score fell by 0.015 with agreement on nfcorpus, by 0.000 on scifact.
INTERCEPT = 0.15
SLOPES = {2: (0.75, 0.6), 3: (0.45, 0.6, 0.45)}
# Of the normal priors on the fitted intercept and log-slope. Ten queries drawn 60 times from those train queries, with
# five judged documents each: an expected calibration error of 0.099, and of 0.112 where nothing is fitted. A trial with
# the third signal gave 0.088 to 0.089 with 6 to 20, and 0.114 with 2.
PRECISION = 10.0
# As much at least for each query of which nothing is judged not relevant: with 50 and 100 queries 0.083 and 0.079 in
# place of 0.110 and 0.132 (BM25, MiniLM and both; 15 draws). One gives 0.075 and 0.074, but hardly listens any more
# where all that is relevant is judged.
PRECISION_PER_QUERY = 0.5
MAX_ITERATIONS = 10  # until the share of judged documents and the probabilities agree
MAX_JUDGED_SHARE = 0.95  # chance that a relevant document is among the judged ones: none is ruled out altogether


@dataclass(frozen=True)
class QueryJudgments:
    """What the judgments say of one query.

    Attributes:
        relevant: document numbers.
        nonrelevant: document numbers that are judged not relevant.
    """

    relevant: frozenset[int]
    nonrelevant: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Confidence:
    """Maps the signals of a document's score to the probability that it is relevant, by Platt scaling of a prior.

    A handful of judged queries cannot tell how much each signal says; it tells how sure to be over all. So the signals,
    standardised over the first documents of the queries that are known, judged or not, are added up by fixed weights,
    and the slope and intercept of the log-odds in the sum are fitted.

    Attributes:
        intercept: of the log-odds.
        slope: of the log-odds in the prior's log-odds; above 0.
        centre: (2,) or, with agreement, (3,) means of the signals.
        spread: as many standard deviations of the signals.

    Source: Platt 1999, "Probabilistic outputs for support vector machines"; the signals are those of query performance
    prediction: Shtok et al., TOIS 2012, doi:10.1145/2180868.2180873 (how far scores stand above the collection's).
    """

    intercept: float
    slope: float
    centre: tuple[float, ...]
    spread: tuple[float, ...]

    @classmethod
    def fit(
        cls, ranking: Ranking, judged: Sequence[QueryJudgments], unlabelled_ranking: Ranking | None = None
    ) -> Self | None:
        """Fits on the rankings of judged queries.

        Most documents of a ranking are unjudged, and an unjudged one may be relevant. How likely, follows from the
        share of the relevant documents that the judgments seem to hold: their number beside the number that the
        present probabilities expect. Both are estimated in turn. Where nothing is judged not relevant, this bounds the
        level and no more: half the probability with twice the share explains the judgments as well, and the prior
        decides. More of such queries do not help: the weight of the prior grows with their number.

        Args:
            ranking: of n queries, some twenty documents deep.
            judged: (n,) what is known of each.
            unlabelled_ranking: of further queries that people asked, of which nothing is judged; they say how signals
                spread, which ten queries tell badly.

        Returns:
            None for fewer than four queries that found anything: nothing can be said.

        Source: Elkan and Noto, KDD 2008, doi:10.1145/1401890.1401920, section 2: learning from positive and unlabeled
        examples.
        """
        found = ranking.numbers[:, :1] != NO_DOCUMENT
        rows = np.flatnonzero(found.any(axis=1))
        if len(rows) < MIN_QUERIES:
            return None
        kept = ranking.select_queries(rows).cut(CONFIDENCE_DEPTH)
        return cls.unfitted(kept, *([] if unlabelled_ranking is None else [unlabelled_ranking]))._fitted(
            kept, [judged[row] for row in rows.tolist()]
        )

    @classmethod
    def unfitted(cls, *rankings: Ranking) -> Self:
        """The prior alone, for queries of which nothing is judged: their order says something, their level little.

        Args:
            rankings: of queries, which say how the signals spread; those that found nothing do not count.
        """
        first = np.concatenate([signals(one)[one.numbers[:, 0] != NO_DOCUMENT, 0] for one in rankings])
        first = first if len(first) else np.zeros((1, first.shape[1]))
        spread = first.std(axis=0)
        return cls(0.0, 1.0, tuple(first.mean(axis=0).tolist()), tuple(np.where(spread > 0, spread, 1.0).tolist()))

    def _fitted(self, ranking: Ranking, judged: Sequence[QueryJudgments]) -> Self:
        from scipy.optimize import minimize

        logits = self._prior(ranking)
        there = ranking.numbers != NO_DOCUMENT
        weights = there / np.maximum(there.sum(axis=1, keepdims=True) - 1.0, 1.0)
        weights[:, 0] = 1.0  # the first document counts as much as all others of its query
        known = np.array([_labels(row, one) for row, one in zip(ranking.numbers, judged, strict=True)])
        relevant = np.array([len(one.relevant) for one in judged], dtype=float)
        precision = max(PRECISION, PRECISION_PER_QUERY * sum(not one.nonrelevant for one in judged))
        parameters = np.zeros(2)
        for _ in range(MAX_ITERATIONS):
            probability = np.where(there, _sigmoid(parameters[0] + np.exp(parameters[1]) * logits), 0.0)
            expected = np.maximum(probability.sum(axis=1), relevant).sum()
            seen = min(relevant.sum() / max(expected, 1e-9), MAX_JUDGED_SHARE)

            def loss(values: np.ndarray, seen: float = seen) -> float:
                p = np.clip(_sigmoid(values[0] + np.exp(values[1]) * logits), 1e-9, 1 - 1e-9)
                likelihood = np.where(np.isnan(known), 1 - seen * p, np.where(known == 1, p, 1 - p))
                return float(precision / 2 * (values**2).sum() - (weights * np.log(likelihood)).sum())

            parameters = minimize(loss, parameters, method="BFGS").x
        return type(self)(float(parameters[0]), float(np.exp(parameters[1])), self.centre, self.spread)

    def _prior(self, ranking: Ranking) -> np.ndarray:
        """(n_queries, k) the log-odds before anything is fitted; 0 where there is no document."""
        known = len(self.centre)
        standard = (signals(ranking)[..., :known] - np.array(self.centre)) / np.array(self.spread)
        return np.where(ranking.numbers != NO_DOCUMENT, INTERCEPT + standard @ np.array(SLOPES[known]), 0.0)

    def probabilities(self, ranking: Ranking) -> np.ndarray:
        """(n_queries, k) the probability that each document is relevant; 0 where there is none."""
        odds = self.intercept + self.slope * self._prior(ranking)
        return np.where(ranking.numbers != NO_DOCUMENT, _sigmoid(odds), 0.0)

    def as_dict(self) -> dict[str, Any]:
        """JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """What ``as_dict`` gave."""
        return cls(values["intercept"], values["slope"], tuple(values["centre"]), tuple(values["spread"]))


def signals(ranking: Ranking) -> np.ndarray:
    """What a document's score says, whatever the scale of the scores.

    Args:
        ranking: (n_queries, k).

    Returns:
        (n_queries, k, 2), 0 where there is no document. *Height*: log(1 + by how many standard deviations the score
        stands above the mean of all documents of the collection). *Margin*: by how much it stands above the best other
        document, as a share of the first one's height; -1 to 1. (n_queries, k, 3) where the ranking was made of
        several; *agreement* is the query's, the same for all documents.
    """
    found = ranking.numbers != NO_DOCUMENT
    scores = np.where(found, ranking.scores, ranking.mean[:, None]).astype(np.float64)
    above = scores - ranking.mean[:, None]
    deviation = np.where(ranking.deviation > 0, ranking.deviation, 1.0)[:, None]
    height = np.log1p(np.maximum(above / deviation, 0.0))
    if not scores.shape[1]:
        return np.zeros((*scores.shape, 2 if ranking.agreement is None else 3))
    rival = np.repeat(scores[:, :1], scores.shape[1], axis=1)
    rival[:, 0] = scores[:, 1] if scores.shape[1] > 1 else ranking.mean
    margin = np.clip((scores - rival) / np.maximum(above[:, :1], 1e-12), -1.0, 1.0)
    every = [height, margin]
    if ranking.agreement is not None:
        every.append(np.broadcast_to(ranking.agreement[:, None], height.shape))
    return np.where(found[..., None], np.stack(every, axis=-1), 0.0)


def _labels(numbers: np.ndarray, judged: QueryJudgments) -> list[float]:
    """1 for a relevant document, 0 for one that is not, NaN for one that nobody judged."""
    return [1.0 if n in judged.relevant else 0.0 if n in judged.nonrelevant else np.nan for n in numbers.tolist()]


def _sigmoid(odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(odds, -500, 500)))
