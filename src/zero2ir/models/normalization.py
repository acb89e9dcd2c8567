"""Score normalisation for fusion."""

from typing import Literal, NamedTuple

import numpy as np

from zero2ir.models.ranking import NO_DOCUMENT, Ranking

Normalization = Literal["z-score", "min-max", "reciprocal-rank"]
RECIPROCAL_RANK_CONSTANT = 60.0
SMALLEST = float(np.finfo(np.float32).tiny)  # smaller deviations are those of equal scores
MAX_DEVIATIONS = 3.0  # deviations below the mean


class ScoreStatistics(NamedTuple):
    """One retriever's ranking for one query, by which scores are normalised.

    Attributes:
        numbers: (n_found,) document numbers.
        scores: (n_found,) float64 scores, descending.
        mean: of the scores of all documents.
        deviation: standard deviation of the same.
    """

    numbers: np.ndarray
    scores: np.ndarray
    mean: float
    deviation: float

    @classmethod
    def from_ranking(cls, ranking: Ranking, row: int) -> "ScoreStatistics":
        kept = ranking.numbers[row] != NO_DOCUMENT
        scores = ranking.scores[row][kept].astype(np.float64)
        return cls(ranking.numbers[row][kept], scores, float(ranking.mean[row]), float(ranking.deviation[row]))

    def normalize(self, scores: np.ndarray, how: Normalization) -> np.ndarray:
        """Normalises (n,) scores, of which higher ones are better, to (n,) float64.

        "z-score" gives deviations above the collection's mean, and 0 if all scores of the collection are equal;
        "min-max" maps the ranking's scores to 0..1, and gives 1 if all of them are equal; "reciprocal-rank" gives
        1 / (60 + rank in the ranking), where ties share the best rank.
        """
        if how == "reciprocal-rank":
            return 1.0 / (RECIPROCAL_RANK_CONSTANT + 1 + np.searchsorted(-self.scores, -scores.astype(np.float64)))
        if how == "min-max":
            low, span = self.scores[-1], self.scores[0] - self.scores[-1]
            return np.maximum((scores - low) / span, 0.0) if span > 0 else (scores >= low).astype(float)
        return (scores - self.mean) / self.deviation if self.deviation > SMALLEST else np.zeros(len(scores))

    def missing(self, n_documents: int, how: Normalization) -> float:
        """Returns the normalised score of a document that is not in the ranking.

        The z-score is that of the mean of all such documents. Since the collection's mean may be estimated on a sample,
        this mean is at most the ranking's lowest score, and at most ``MAX_DEVIATIONS`` below the collection's mean.
        """
        left_out = n_documents - len(self.numbers)
        if how != "z-score" or not left_out:
            return 0.0
        mean = (self.mean * n_documents - self.scores.sum()) / left_out
        mean = min(max(mean, self.mean - MAX_DEVIATIONS * self.deviation), self.scores.min(initial=np.inf))
        return float(self.normalize(np.array([mean]), how)[0])

    def spread(self, n_documents: int, how: Normalization) -> np.ndarray:
        """Returns (n_documents,), the normalised scores of all documents; 0 for an empty ranking."""
        return self.spread_over(np.arange(n_documents), n_documents, how)[0]

    def spread_over(self, numbers: np.ndarray, n_documents: int, how: Normalization) -> tuple[np.ndarray, float]:
        """Returns (n,), the normalised scores of some documents, and that of each document not in the ranking.

        ``numbers`` are rising, and those of the ranking are among them. All scores are 0 for an empty ranking.
        """
        if not len(self.scores):
            return np.zeros(len(numbers)), 0.0
        missing = self.missing(n_documents, how)
        spread = np.full(len(numbers), missing)
        spread[np.searchsorted(numbers, self.numbers)] = self.normalize(self.scores, how)
        return spread, missing
