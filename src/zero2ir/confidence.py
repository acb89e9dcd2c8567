"""How sure a program is of its first answer: a calibrated probability for each query."""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

LEAST = 4  # fewer judged examples tell nothing
DEPTH = 10  # how many scores the lead looks at


@dataclass(frozen=True)
class Confidence:
    """Maps the lead of the first document to the probability that it is relevant, by Platt scaling.

    Attributes:
        slope: of the log-odds in the standardised lead; at least 0; 0 where the judgments show none.
        intercept: of the log-odds.
        centre: mean lead of the judged documents.
        spread: standard deviation of their lead.

    Source: Platt 1999, "Probabilistic outputs for support vector machines"; the lead is the NQC idea (Shtok et al.,
    TOIS 2012, doi:10.1145/2180868.2180873) without the corpus score.
    """

    slope: float
    intercept: float
    centre: float
    spread: float

    @classmethod
    def fit(cls, leads: np.ndarray, relevant: np.ndarray) -> Self | None:
        """Fits on judged documents, with a unit normal prior on the slope, since they are few.

        Args:
            leads: (n,) of judged documents over the best ones of their queries, as ``lead`` gives them.
            relevant: (n,) bool, whether each is judged relevant.

        Returns:
            None for fewer than four: nothing can be said.
        """
        n = len(relevant)
        if n < LEAST:
            return None
        centre, spread = float(leads.mean()), float(leads.std()) or 1.0
        if not relevant.all() and relevant.any():
            from sklearn.linear_model import LogisticRegression

            model = LogisticRegression(C=1.0).fit(((leads - centre) / spread)[:, None], relevant)
            if model.coef_[0, 0] >= 0:
                return cls(float(model.coef_[0, 0]), float(model.intercept_[0]), centre, spread)
        share = (relevant.sum() + 1) / (n + 2)  # Laplace's rule, where the judgments tell nothing about a slope
        return cls(0.0, float(np.log(share / (1 - share))), centre, spread)

    def predict(self, scores: np.ndarray) -> np.ndarray:
        """(n_queries,) the probability that the first document is relevant; 0 where nothing was found.

        Args:
            scores: (n_queries, k), descending, -inf where there is no document.
        """
        if not scores.shape[1]:
            return np.zeros(len(scores))
        logits = self.slope * (lead(scores)[:, 0] - self.centre) / self.spread + self.intercept
        return np.where(np.isfinite(scores[:, 0]), 1 / (1 + np.exp(-logits)), 0.0)

    def as_dict(self) -> dict[str, Any]:
        """JSON."""
        return asdict(self)


def lead(scores: np.ndarray) -> np.ndarray:
    """By how many standard deviations each score stands above the mean of its query's best ten.

    Args:
        scores: (n_queries, k), descending, -inf where there is no document.

    Returns:
        (n_queries, k); it does not depend on the scale of the scores, and that of the first document is at least 0.
        0 where at most one document was found, or where the best ten are all alike; -inf where there is no document.
    """
    if not scores.shape[1]:
        return np.zeros(scores.shape)
    top = np.where(np.isfinite(scores[:, :DEPTH]), scores[:, :DEPTH].astype(np.float64), np.nan)
    alone = np.isfinite(top).sum(axis=1) < 2
    top[alone] = 0.0
    deviation = np.nanstd(top, axis=1, keepdims=True)
    above = scores - np.nanmean(top, axis=1, keepdims=True)
    leads = np.where(deviation > 0, above / np.maximum(deviation, 1e-12), 0.0)
    return np.where(np.isfinite(scores), leads, -np.inf)
