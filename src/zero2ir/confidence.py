"""How sure a program is of its first answer: a calibrated probability for each query."""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

LEAST_QUERIES = 4
DEPTH = 10  # how many scores the feature looks at


@dataclass(frozen=True)
class Confidence:
    """Maps the lead of the first document to the probability that it is relevant, by Platt scaling.

    Attributes:
        slope: of the log-odds in the standardised lead; 0 where the judgments are too few to tell.
        intercept: of the log-odds.
        centre: mean lead on the judged queries.
        spread: standard deviation of the lead on the judged queries.

    Source: Platt 1999, "Probabilistic outputs for support vector machines"; the lead is the NQC idea (Shtok et al.,
    TOIS 2012, doi:10.1145/2180868.2180873) without the corpus score.
    """

    slope: float
    intercept: float
    centre: float
    spread: float

    @classmethod
    def fit(cls, scores: np.ndarray, correct: np.ndarray) -> Self | None:
        """Fits on judged queries, with a unit normal prior on the slope, since they are few.

        Args:
            scores: (n_queries, k) of the best documents, -inf where there are fewer.
            correct: (n_queries,) bool, whether the first document is judged relevant.

        Returns:
            None for fewer than four queries: nothing can be said.
        """
        n = len(correct)
        if n < LEAST_QUERIES:
            return None
        features = lead(scores)
        centre, spread = float(features.mean()), float(features.std()) or 1.0
        if correct.all() or not correct.any():
            share = (correct.sum() + 1) / (n + 2)  # Laplace's rule: one class tells nothing about a slope
            return cls(0.0, float(np.log(share / (1 - share))), centre, spread)
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=1.0).fit(((features - centre) / spread)[:, None], correct)
        return cls(float(model.coef_[0, 0]), float(model.intercept_[0]), centre, spread)

    def predict(self, scores: np.ndarray) -> np.ndarray:
        """(n_queries,) the probability that the first document is relevant; 0 where nothing was found."""
        logits = self.slope * (lead(scores) - self.centre) / self.spread + self.intercept
        found = np.isfinite(scores[:, 0]) if scores.shape[1] else np.zeros(len(scores), dtype=bool)
        return np.where(found, 1 / (1 + np.exp(-logits)), 0.0)

    def as_dict(self) -> dict[str, Any]:
        """JSON."""
        return asdict(self)


def lead(scores: np.ndarray) -> np.ndarray:
    """By how many standard deviations the first score stands above the mean of the best ten.

    Args:
        scores: (n_queries, k), descending, -inf where there is no document.

    Returns:
        (n_queries,) at least 0; it does not depend on the scale of the scores. 0 where at most one document was found.
    """
    if not scores.shape[1]:
        return np.zeros(len(scores))
    top = np.where(np.isfinite(scores[:, :DEPTH]), scores[:, :DEPTH].astype(np.float64), np.nan)
    enough = np.isfinite(top).sum(axis=1) > 1
    top[~enough] = 0.0
    deviation = np.nanstd(top, axis=1)
    return np.where(deviation > 0, (top[:, 0] - np.nanmean(top, axis=1)) / np.maximum(deviation, 1e-12), 0.0)
