"""Rankings, and what works on them."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

NO_DOCUMENT = -1
AGREEMENT_DEPTH = 10  # documents by which rankings are compared
REFERENCE_SAMPLE = 256  # documents that stand for the collection's scores, where not all are scored

Candidates = Sequence[np.ndarray]  # for each query the numbers of the documents that it ranks, each once, int64


class Ranking(NamedTuple):
    """The best documents of each query, best first; equal scores stand in the order of their numbers.

    Attributes:
        numbers: (n_queries, k) int64 document numbers, -1 where fewer than k documents were found.
        scores: (n_queries, k) float32, higher is better, -inf where there is no document.
        mean: (n_queries,) mean score of all documents of the collection; one that does not match at all counts as 0.
        deviation: (n_queries,) standard deviation of the same.
        agreement: (n_queries,) how far the retrievers that it was made of agree, 0 to 1; None where it was made of one.
    """

    numbers: np.ndarray
    scores: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    agreement: np.ndarray | None = None

    def cut(self, k: int) -> "Ranking":
        """The best ``k`` alone."""
        return self._replace(numbers=self.numbers[:, :k], scores=self.scores[:, :k])

    def select_queries(self, rows: np.ndarray | slice) -> "Ranking":
        """Some queries alone."""
        agreement = None if self.agreement is None else self.agreement[rows]
        return Ranking(self.numbers[rows], self.scores[rows], self.mean[rows], self.deviation[rows], agreement)


def top_k(
    scores: np.ndarray, k: int, matching: np.ndarray | None = None, candidates: Candidates | None = None
) -> Ranking:
    """Cuts full score rows down to a ranking.

    Args:
        scores: (n_queries, n_documents) float, higher is better.
        k: the length of the ranking, at least 1.
        matching: (n_queries, n_documents) bool, the documents that match and may be returned; all where None.
        candidates: what is returned instead, whether it matches or not.
    """
    numbers = np.full((len(scores), k), NO_DOCUMENT, dtype=np.int64)
    kept = np.full((len(scores), k), -np.inf, dtype=np.float32)
    mean, deviation = np.zeros(len(scores)), np.zeros(len(scores))
    for row, values in enumerate(scores):
        mean[row], deviation[row] = moments(values if matching is None else np.where(matching[row], values, 0.0))
        values = values.astype(np.float32)  # as they are kept: what is equal then falls by number
        if candidates is not None:
            ranked = np.sort(candidates[row])
        else:
            ranked = np.arange(len(values)) if matching is None else np.flatnonzero(matching[row])
        if len(ranked) > k:  # everything that ties with the k-th best stays in, so that ties fall by number
            least = np.partition(values[ranked], -k)[-k]
            ranked = ranked[values[ranked] >= least]
        order = ranked[np.argsort(-values[ranked], kind="stable")][:k]
        numbers[row, : len(order)] = order
        kept[row, : len(order)] = values[order]
    return Ranking(numbers, kept, mean, deviation)


def moments(scores: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of one query's scores, (n_documents,); exactly 0 deviation where all are equal."""
    if not len(scores) or np.ptp(scores) == 0:  # rounding would leave a deviation that is not quite 0
        return (float(scores[0]) if len(scores) else 0.0), 0.0
    return float(scores.mean(dtype=np.float64)), float(scores.std(dtype=np.float64))


def reference_sample(n_documents: int) -> np.ndarray:
    """The numbers of at most ``REFERENCE_SAMPLE`` documents, spread evenly over the collection, which stand for all."""
    return np.unique(np.linspace(0, n_documents - 1, REFERENCE_SAMPLE).astype(np.int64))


def with_reference_sample(candidates: Candidates, n_documents: int) -> list[np.ndarray]:
    """The candidates together with the usual documents, for a part whose scores are put on a common scale."""
    return [np.union1d(numbers, reference_sample(n_documents)) for numbers in candidates]


def max_candidates(candidates: Candidates) -> int:
    """The length of a ranking that holds all candidates of every query."""
    return max(1, *map(len, candidates), 0)


def select_candidates(candidates: Candidates | None, rows: slice) -> Candidates | None:
    """The candidates of some of the queries."""
    return None if candidates is None else candidates[rows]


def concatenate_rankings(rankings: Sequence[Ranking]) -> Ranking:
    """The rankings of several batches of queries as one."""
    known = [one.agreement for one in rankings if one.agreement is not None]
    return Ranking(
        np.concatenate([one.numbers for one in rankings]),
        np.concatenate([one.scores for one in rankings]),
        np.concatenate([one.mean for one in rankings]),
        np.concatenate([one.deviation for one in rankings]),
        np.concatenate(known) if known else None,
    )


def ranking_agreement(rankings: Sequence[Ranking]) -> np.ndarray:
    """(n_queries,) the share of the first ten documents that two rankings have in common, the mean over all pairs.

    Args:
        rankings: two or more of the same queries; of shorter ones, the share of ten all the same.
    """
    firsts = [[set(row[row != NO_DOCUMENT].tolist()) for row in one.numbers[:, :AGREEMENT_DEPTH]] for one in rankings]
    shared = [[len(a & b) / AGREEMENT_DEPTH for a, b in zip(*pair, strict=True)] for pair in combinations(firsts, 2)]
    return np.mean(shared, axis=0)


def distinct_texts(candidates: Sequence[Sequence[str]]) -> tuple[list[str], list[list[int]]]:
    """Each text of the candidates once, sorted; and for each query the places of its candidates among them."""
    texts = sorted({text for row in candidates for text in row})
    place = {text: number for number, text in enumerate(texts)}
    return texts, [[place[text] for text in row] for row in candidates]


def split_scores(scores: np.ndarray, candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """The scores of all candidates in a row, (n,), as one array a query."""
    return np.split(scores, np.cumsum([len(texts) for texts in candidates])[:-1]) if len(candidates) else []
