"""Calibrated probabilities of relevance."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, PositiveFloat, model_validator

from zero2ir.errors import InputError
from zero2ir.io.settings import Settings
from zero2ir.models.ranking import NO_DOCUMENT, Ranking

MIN_QUERIES = 4  # judged queries; fewer cannot estimate the spread of the signals
CONFIDENCE_DEPTH = 20  # documents per query in a fit
# Prior: intercept and slopes of the log-odds in the standardised signals; rounded means of fits to rankings of 400
# train queries each of beir/scifact and beir/nfcorpus. (height, margin): BM25, MiniLM, static and fused; a further
# signal, the lead over the best ten, had a slope of 0.02 and was dropped. (height, margin, agreement): BM25 fused with
# MiniLM and with static; agreement lowered the Brier score by 0.015 on nfcorpus, by 0.000 on scifact.
INTERCEPT = 0.15
SLOPES = {2: (0.75, 0.6), 3: (0.45, 0.6, 0.45)}
# Precision of the normal priors on the fitted intercept and log-slope. Expected calibration error over 60 samples of
# ten of those queries with five judged documents each: 0.099, without a fit 0.112. With the third signal: 0.088 to
# 0.089 for precisions of 6 to 20, and 0.114 for 2.
PRECISION = 10.0
# Minimum precision per query without nonrelevant judgments: with 50 and 100 queries 0.083 and 0.079 instead of 0.110
# and 0.132 (BM25, MiniLM and both; 15 samples). 1.0 gives 0.075 and 0.074, but hardly fits when all relevant documents
# are judged.
PRECISION_PER_QUERY = 0.5
MAX_ITERATIONS = 10  # alternations of estimating the judged share and the probabilities
MAX_JUDGED_SHARE = 0.95  # of relevant documents; below 1, so that an unjudged document may be relevant


@dataclass(frozen=True)
class QueryJudgments:
    """The numbers of the documents judged relevant and not relevant for one query."""

    relevant: frozenset[int]
    nonrelevant: frozenset[int] = frozenset()


class ConfidenceState(Settings):
    """The schema of a saved ``Confidence``."""

    intercept: float
    slope: PositiveFloat
    centre: Annotated[tuple[float, ...], Field(min_length=2, max_length=3)]
    spread: tuple[PositiveFloat, ...]

    @model_validator(mode="after")
    def _same_signals(self) -> Self:
        if len(self.centre) != len(self.spread):
            raise ValueError(f"centre has {len(self.centre)} values, and spread {len(self.spread)}")
        return self


@dataclass(frozen=True)
class Confidence:
    """Maps the signals of a score to a probability of relevance, by Platt scaling of a prior.

    A few judged queries cannot determine a weight for each signal. So the signals are standardised over the first
    documents of all queries, judged or not, and summed with fixed weights; only the slope and intercept of the log-odds
    in the sum are fitted.

    Attributes:
        intercept: intercept of the log-odds.
        slope: slope of the log-odds in the prior's log-odds; above 0.
        centre: (2,) or, with agreement, (3,) means of the signals.
        spread: standard deviations of the signals, same shape.

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

        Most documents of a ranking are unjudged but may be relevant. The fit alternates between estimating the share of
        relevant documents that are judged (their number over the expected number) and the probabilities. Queries
        without nonrelevant judgments only bound the level: half the probability with twice the share explains them
        equally well. The prior decides there, so its precision grows with their number.

        Args:
            ranking: of n queries, about twenty documents deep.
            judged: (n,) the judgments of each query.
            unlabelled_ranking: of queries without judgments, to standardise the signals over more queries.

        Returns:
            None if fewer than four queries retrieved a document.

        Source: Elkan and Noto, KDD 2008, doi:10.1145/1401890.1401920, section 2: learning from positive and unlabeled
        examples.
        """
        rows = np.flatnonzero((ranking.numbers[:, :1] != NO_DOCUMENT).any(axis=1))
        if len(rows) < MIN_QUERIES:
            return None
        kept = ranking.select_queries(rows).cut(CONFIDENCE_DEPTH)
        return cls.unfitted(kept, *([] if unlabelled_ranking is None else [unlabelled_ranking]))._fitted(
            kept, [judged[row] for row in rows.tolist()]
        )

    @classmethod
    def unfitted(cls, *rankings: Ranking) -> Self:
        """Returns the prior, standardised over the rankings; it orders documents, but its level is unreliable."""
        first = np.concatenate([signals(one)[one.numbers[:, 0] != NO_DOCUMENT, 0] for one in rankings])
        first = first if len(first) else np.zeros((1, first.shape[1]))
        spread = first.std(axis=0)
        return cls(0.0, 1.0, tuple(first.mean(axis=0).tolist()), tuple(np.where(spread > 0, spread, 1.0).tolist()))

    def _fitted(self, ranking: Ranking, judged: Sequence[QueryJudgments]) -> Self:
        from scipy.optimize import minimize

        logits = self._prior(ranking)
        is_ranked = ranking.numbers != NO_DOCUMENT
        weights = is_ranked / np.maximum(is_ranked.sum(axis=1, keepdims=True) - 1.0, 1.0)
        weights[:, 0] = 1.0  # the first document weighs as much as all others of its query
        labels = np.array([_labels(row, one) for row, one in zip(ranking.numbers, judged, strict=True)])
        relevant = np.array([len(one.relevant) for one in judged], dtype=float)
        precision = max(PRECISION, PRECISION_PER_QUERY * sum(not one.nonrelevant for one in judged))
        parameters = np.zeros(2)
        for _ in range(MAX_ITERATIONS):
            probability = np.where(is_ranked, _sigmoid(parameters[0] + np.exp(parameters[1]) * logits), 0.0)
            expected = np.maximum(probability.sum(axis=1), relevant).sum()
            judged_share = min(relevant.sum() / max(expected, 1e-9), MAX_JUDGED_SHARE)

            def loss(values: np.ndarray, share: float = judged_share) -> float:
                p = np.clip(_sigmoid(values[0] + np.exp(values[1]) * logits), 1e-9, 1 - 1e-9)
                likelihood = np.where(np.isnan(labels), 1 - share * p, np.where(labels == 1, p, 1 - p))
                return float(precision / 2 * (values**2).sum() - (weights * np.log(likelihood)).sum())

            parameters = minimize(loss, parameters, method="BFGS").x
        return type(self)(float(parameters[0]), float(np.exp(parameters[1])), self.centre, self.spread)

    def _prior(self, ranking: Ranking) -> np.ndarray:
        n_signals, found = len(self.centre), signals(ranking)
        if n_signals > found.shape[2]:
            raise InputError(f"confidence: {n_signals} signals, of which the retriever has two; get the program again")
        standard = (found[..., :n_signals] - np.array(self.centre)) / np.array(self.spread)
        return np.where(ranking.numbers != NO_DOCUMENT, INTERCEPT + standard @ np.array(SLOPES[n_signals]), 0.0)

    def probabilities(self, ranking: Ranking) -> np.ndarray:
        """Returns each document's probability of relevance, (n_queries, k); 0 without a document."""
        odds = self.intercept + self.slope * self._prior(ranking)
        return np.where(ranking.numbers != NO_DOCUMENT, _sigmoid(odds), 0.0)

    def as_dict(self) -> dict[str, Any]:
        """Returns the parameters as JSON values, see ``ConfidenceState``."""
        return asdict(self)


def signals(ranking: Ranking) -> np.ndarray:
    """Computes signals of relevance that do not depend on the scale of the scores.

    Args:
        ranking: (n_queries, k).

    Returns:
        (n_queries, k, 2), 0 without a document. *Height*: log(1 + standard deviations above the mean score of the
        collection). *Margin*: the difference to the best other document, relative to the first document's difference
        to the mean; -1 to 1. Fused rankings add a third signal, the *agreement* of the query.
    """
    is_ranked = ranking.numbers != NO_DOCUMENT
    scores = np.where(is_ranked, ranking.scores, ranking.mean[:, None]).astype(np.float64)
    above = scores - ranking.mean[:, None]
    deviation = np.where(ranking.deviation > 0, ranking.deviation, 1.0)[:, None]
    height = np.log1p(np.maximum(above / deviation, 0.0))
    if not scores.shape[1]:
        return np.zeros((*scores.shape, 2 if ranking.agreement is None else 3))
    rival = np.repeat(scores[:, :1], scores.shape[1], axis=1)
    rival[:, 0] = scores[:, 1] if scores.shape[1] > 1 else ranking.mean
    margin = np.clip((scores - rival) / np.maximum(above[:, :1], 1e-12), -1.0, 1.0)
    agreement = [] if ranking.agreement is None else [np.broadcast_to(ranking.agreement[:, None], height.shape)]
    return np.where(is_ranked[..., None], np.stack([height, margin, *agreement], axis=-1), 0.0)


def _labels(numbers: np.ndarray, judged: QueryJudgments) -> list[float]:
    """Returns 1 for relevant, 0 for nonrelevant and NaN for unjudged documents."""
    return [1.0 if n in judged.relevant else 0.0 if n in judged.nonrelevant else np.nan for n in numbers.tolist()]


def _sigmoid(odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(odds, -500, 500)))
