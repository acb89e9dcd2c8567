"""Rankings and operations on them."""

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

NO_DOCUMENT = -1
MAX_BLOCK_SCORES = 1 << 26  # scores in memory at once
AGREEMENT_DEPTH = 10  # documents by which rankings are compared
REFERENCE_SAMPLE = 256  # documents that estimate the collection's scores if not all are scored

Candidates = Sequence[np.ndarray]  # per query the distinct numbers of the documents to rank, int64


class Ranking(NamedTuple):
    """The best documents of each query, best first; ties are in the order of document numbers.

    Attributes:
        numbers: (n_queries, k) int64 document numbers, padded with -1; k is at most the number of all documents.
        scores: (n_queries, k) float32, higher is better, padded with -inf.
        mean: (n_queries,) mean score of all documents of the collection, 0 for documents that do not match.
        deviation: (n_queries,) standard deviation of the same.
    """

    numbers: np.ndarray
    scores: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray

    def cut(self, k: int) -> "Ranking":
        return self._replace(numbers=self.numbers[:, :k], scores=self.scores[:, :k])

    def without(self, own: np.ndarray, k: int) -> "Ranking":
        """Returns the best ``k`` documents of a search in ``scope_without`` without each query's own document."""
        is_own = (self.numbers == own[:, None]) & (self.numbers != NO_DOCUMENT)
        order = np.argsort(is_own, axis=1, kind="stable")[:, :k]
        numbers = np.where(is_own, NO_DOCUMENT, self.numbers)
        scores = np.where(is_own, -np.inf, self.scores).astype(self.scores.dtype)
        return self._replace(
            numbers=np.take_along_axis(numbers, order, axis=1), scores=np.take_along_axis(scores, order, axis=1)
        )

    def select_queries(self, rows: np.ndarray | slice | Sequence[int]) -> "Ranking":
        return Ranking(self.numbers[rows], self.scores[rows], self.mean[rows], self.deviation[rows])


def top_k(
    scores: np.ndarray, k: int, matching: np.ndarray | None = None, candidates: Candidates | None = None
) -> Ranking:
    """Ranks documents by their scores.

    Args:
        scores: (n_queries, n_documents) float, higher is better.
        k: the length of the ranking, at least 1; at most all documents are ranked.
        matching: (n_queries, n_documents) bool, the documents that may be returned; None for all.
        candidates: the documents to return instead of the matching ones.
    """
    k = min(k, scores.shape[1])
    numbers, kept, mean, deviation = empty = empty_ranking(len(scores), k)
    for row, values in enumerate(scores):
        mean[row], deviation[row] = moments(values if matching is None else np.where(matching[row], values, 0.0))
        values = values.astype(np.float32)  # the precision of the result, in which ties are broken by number
        if candidates is not None:
            ranked = np.sort(candidates[row])
        else:
            ranked = np.arange(len(values)) if matching is None else np.flatnonzero(matching[row])
        if len(ranked) > k:  # keep all ties with the k-th best, so that the lowest numbers win
            least = np.partition(values[ranked], -k)[-k]
            ranked = ranked[values[ranked] >= least]
        order = ranked[np.argsort(-values[ranked], kind="stable")][:k]
        numbers[row, : len(order)] = order
        kept[row, : len(order)] = values[order]
    return empty


def empty_ranking(n_queries: int, k: int) -> Ranking:
    """Returns a ranking without documents, to be filled."""
    numbers = np.full((n_queries, k), NO_DOCUMENT, dtype=np.int64)
    scores = np.full((n_queries, k), -np.inf, dtype=np.float32)
    return Ranking(numbers, scores, np.zeros(n_queries), np.zeros(n_queries))


def rank_documents(scores: np.ndarray, k: int, found: np.ndarray, candidates: np.ndarray | None) -> Ranking:
    """Ranks (n_documents,) scores of one query, of which only ``found`` match.

    Mean and deviation are of all documents; with candidates, only they and the reference sample have scores.
    """
    mean, deviation = moments(scores if candidates is None else scores[reference_sample(len(scores))])
    ranking = top_k(scores[None], k, found[None], None if candidates is None else [candidates])
    return ranking._replace(mean=np.array([mean]), deviation=np.array([deviation]))


def rank_listed(numbers: np.ndarray, scores: np.ndarray, k: int, n_documents: int) -> Ranking:
    """Ranks some documents for one query, at a cost that does not depend on the size of the collection.

    Args:
        numbers: (n,) distinct document numbers.
        scores: (n,) float, higher is better.
        k: the length of the ranking, at least 1.
        n_documents: of the collection.

    Returns:
        One row; its mean and deviation are 0, and to be replaced by those of the collection.
    """
    order = np.argsort(numbers)
    best = top_k(scores[order][None], k)
    ranking = empty_ranking(1, min(k, n_documents))
    width = best.numbers.shape[1]
    ranking.numbers[:, :width], ranking.scores[:, :width] = numbers[order][best.numbers], best.scores
    return ranking


def moments(scores: np.ndarray) -> tuple[float, float]:
    """Returns mean and standard deviation of (n_documents,) scores; the deviation of equal scores is exactly 0."""
    if not len(scores) or np.ptp(scores) == 0:  # rounding could give a deviation above 0
        return (float(scores[0]) if len(scores) else 0.0), 0.0
    return float(scores.mean(dtype=np.float64)), float(scores.std(dtype=np.float64))


def moments_with_others(scores: np.ndarray, others: int, score: float) -> tuple[float, float]:
    """Returns the ``moments`` of (n,) scores, and of ``others`` further documents that have the same ``score``."""
    if not others or (scores == score).all():
        return moments(np.append(scores, [score] * min(others, 1)))
    number = len(scores) + others
    mean = (float(scores.sum()) + others * score) / number
    squares = float(np.square(scores - mean).sum()) + others * (score - mean) ** 2
    return mean, math.sqrt(squares / number)


def reference_sample(n_documents: int) -> np.ndarray:
    """Returns the numbers of at most ``REFERENCE_SAMPLE`` documents, spread evenly over the collection."""
    return np.unique(np.linspace(0, n_documents - 1, REFERENCE_SAMPLE).astype(np.int64))


def search_scope(depth: int, n_documents: int, candidates: Candidates | None) -> tuple[int, Candidates | None]:
    """Returns depth and candidates for a retriever whose scores are normalised, which needs a reference sample."""
    if candidates is None:
        return min(depth, n_documents), None
    scored = [np.union1d(numbers, reference_sample(n_documents)) for numbers in candidates]
    return max(1, *map(len, scored), 0), scored


def rank_in_blocks(
    n_queries: int,
    n_documents: int,
    score: Callable[[slice], np.ndarray],
    k: int,
    candidates: Candidates | None = None,
    only_positive: bool = False,
) -> Ranking:
    """Ranks documents by the scores of a few queries at a time, so that the scores fit into memory.

    ``score`` returns (n_block, n_documents) scores of a slice of the queries. With ``only_positive`` only documents of
    a score above 0 match.
    """
    parts = []
    for block in row_blocks(n_queries, max(1, MAX_BLOCK_SCORES // max(1, n_documents))):
        scores = score(block)
        own = None if candidates is None else candidates[block]
        parts.append(top_k(scores, k, scores > 0 if only_positive else None, own))
    return concatenate_rankings(parts or [top_k(np.zeros((0, n_documents), dtype=np.float32), k)])


def scope_without(own: np.ndarray, k: int, candidates: Candidates | None) -> tuple[int, Candidates | None]:
    """Returns the length and the candidates of a search for ``k`` documents other than each query's own one.

    Args:
        own: (n_queries,) document numbers, -1 for none; see ``zero2ir.data.own_documents``.
        k: number of documents to keep with ``Ranking.without``.
        candidates: of each query; None for the whole collection.
    """
    if (own == NO_DOCUMENT).all():
        return k, candidates
    if candidates is None:
        return k + 1, None
    return k, [numbers[numbers != number] for numbers, number in zip(candidates, own, strict=True)]


def row_blocks(n_rows: int, most: int) -> list[slice]:
    """Returns slices of at most ``most`` rows that cover all rows."""
    return [slice(start, start + most) for start in range(0, n_rows, most)]


def concatenate_rankings(rankings: Sequence[Ranking]) -> Ranking:
    """Concatenates the rankings of several batches of queries."""
    return Ranking(
        np.concatenate([one.numbers for one in rankings]),
        np.concatenate([one.scores for one in rankings]),
        np.concatenate([one.mean for one in rankings]),
        np.concatenate([one.deviation for one in rankings]),
    )


def ranking_agreement(rankings: Sequence[Ranking]) -> np.ndarray:
    """Returns (n_queries,), the share of common documents among the first ten, averaged over all pairs of rankings.

    The rankings are two or more of the same queries; shorter ones also count by the share of ten.
    """
    firsts = [[set(row[row != NO_DOCUMENT].tolist()) for row in one.numbers[:, :AGREEMENT_DEPTH]] for one in rankings]
    shared = [[len(a & b) / AGREEMENT_DEPTH for a, b in zip(*pair, strict=True)] for pair in combinations(firsts, 2)]
    return np.mean(shared, axis=0)


def distinct_texts(candidates: Sequence[Sequence[str]]) -> tuple[list[str], list[list[int]]]:
    """Returns the distinct texts of the candidates, sorted, and for each query the positions of its candidates."""
    texts = sorted({text for row in candidates for text in row})
    place = {text: number for number, text in enumerate(texts)}
    return texts, [[place[text] for text in row] for row in candidates]


def split_scores(scores: np.ndarray, candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """Splits the (n,) scores of all candidates into one array per query."""
    return np.split(scores, np.cumsum([len(texts) for texts in candidates])[:-1]) if len(candidates) else []
