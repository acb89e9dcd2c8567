"""One retriever's scores made comparable with another's."""

from typing import Literal, NamedTuple

import numpy as np

from zero2ir.models.ranking import NO_DOCUMENT, Ranking

Normalization = Literal["z-score", "min-max", "reciprocal-rank"]
RECIPROCAL_RANK_CONSTANT = 60.0
MAX_DEVIATIONS = 3.0  # deviations below the mean


class ScoreStatistics(NamedTuple):
    """What one retriever found for one query: that which scores are compared with.

    Attributes:
        numbers: (n_found,) document numbers.
        scores: (n_found,) float64 scores, descending.
        mean: of the scores of all documents.
        deviation: of the same.
    """

    numbers: np.ndarray
    scores: np.ndarray
    mean: float
    deviation: float

    @classmethod
    def from_ranking(cls, ranking: Ranking, row: int) -> "ScoreStatistics":
        """One row of a ranking."""
        kept = ranking.numbers[row] != NO_DOCUMENT
        scores = ranking.scores[row][kept].astype(np.float64)
        return cls(ranking.numbers[row][kept], scores, float(ranking.mean[row]), float(ranking.deviation[row]))

    def normalize(self, scores: np.ndarray, how: Normalization) -> np.ndarray:
        """Makes scores comparable with another retriever's.

        Args:
            scores: (n,) higher is better.
            how: z-score to deviations above the mean of the collection, min-max so that the found ones lie in 0..1,
                reciprocal-rank to 1 / (60 + rank among the found); equal scores share the best rank.

        Returns:
            (n,) float64; where all scores of the collection are equal 0 by z-score, where all found are, 1 by min-max.
        """
        if how == "reciprocal-rank":
            return 1.0 / (RECIPROCAL_RANK_CONSTANT + 1 + np.searchsorted(-self.scores, -scores.astype(np.float64)))
        if how == "min-max":
            low, span = self.scores[-1], self.scores[0] - self.scores[-1]
            return np.maximum((scores - low) / span, 0.0) if span > 0 else (scores >= low).astype(float)
        return (scores - self.mean) / self.deviation if self.deviation > 0 else np.zeros(len(scores))

    def missing(self, n_documents: int, how: Normalization) -> float:
        """The normalised score of a document that was not returned.

        By z-score that of the mean of them all. Where the collection's mean was estimated on a sample, its error grows
        with the documents for each one left out; so it is no better than the last one found, nor further below the mean
        than ``MAX_DEVIATIONS`` deviations.
        """
        left_out = n_documents - len(self.numbers)
        if how != "z-score" or not left_out:
            return 0.0
        mean = (self.mean * n_documents - self.scores.sum()) / left_out
        mean = min(max(mean, self.mean - MAX_DEVIATIONS * self.deviation), self.scores.min(initial=np.inf))
        return float(self.normalize(np.array([mean]), how)[0])

    def spread(self, n_documents: int, how: Normalization) -> np.ndarray:
        """(n_documents,) the normalised scores of all documents, those left out among them; 0 where none was found."""
        if not len(self.scores):
            return np.zeros(n_documents)
        spread = np.full(n_documents, self.missing(n_documents, how))
        spread[self.numbers] = self.normalize(self.scores, how)
        return spread
