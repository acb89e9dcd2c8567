"""Hard negatives: documents that rank high for a query without being known to answer it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from zero2ir.models.base import NO_DOCUMENT, Candidates, Ranking, Retriever


def hard_negatives(
    retriever: Retriever,
    queries: Sequence[str],
    excluded: Sequence[set[int]],
    *,
    number: int,
    ranks: tuple[int, int],
    rng: np.random.Generator,
    candidates: Candidates | None = None,
) -> list[list[int]]:
    """Draws negatives from a stretch of each query's ranking; the very top may hold unjudged answers.

    Args:
        retriever: who ranks.
        queries: n texts.
        excluded: n sets of document numbers that are relevant or judged already.
        number: how many a query, at most.
        ranks: first and last rank to draw from, counted from 1.
        rng: the source of chance.
        candidates: what each query ranks; the whole collection where None.

    Returns:
        n lists of document numbers; fewer where the ranking is shorter.
    """
    first, last = ranks
    if not queries or number == 0:
        return [[] for _ in queries]
    rows = retriever.search(queries, last, candidates).numbers[:, first - 1 :]
    drawn = []
    for row, known in zip(rows, excluded, strict=True):
        pool = [int(document) for document in row if document != NO_DOCUMENT and int(document) not in known]
        drawn.append([pool[place] for place in rng.permutation(len(pool))[:number]])
    return drawn


class MinedNegatives(NamedTuple):
    """One query's negatives.

    Attributes:
        numbers: document numbers.
        margins: by how much the query's own document scores above each of them.
    """

    numbers: list[int]
    margins: list[float]


def mined_negatives(
    retriever: Retriever,
    queries: Sequence[str],
    positives: Sequence[int],
    contents: Sequence[str],
    *,
    number: int,
    ranks: tuple[int, int],
    most: float,
    rng: np.random.Generator,
) -> list[MinedNegatives]:
    """Draws negatives as ``hard_negatives`` does, but none that scores nearly as high as the query's own document.

    What scores that high may be an answer, too. A share of a score needs a zero: it is the score of a document that
    does not match at all (BM25) or of the average document (z-scored fusion); where a score is negative, the lowest.

    Args:
        retriever: who ranks; its scores are the teacher of the margins.
        queries: n texts.
        positives: (n,) document numbers.
        contents: the texts of all documents.
        number: how many a query, at most.
        ranks: first and last rank to draw from, counted from 1.
        most: a negative scores at most so many times the positive.
        rng: the source of chance.

    Source: NV-Retriever, arXiv 2407.15831, section 3.2 (TopK-PercPos); margins as in GPL, arXiv 2112.07577, section 3.
    """
    if not queries or number == 0:
        return [MinedNegatives([], []) for _ in queries]
    first, last = ranks
    ranking = retriever.search(queries, last)
    mined = []
    own_scores = _positive_scores(retriever, queries, positives, contents, ranking)
    for numbers, scores, positive, own in zip(ranking.numbers, ranking.scores, positives, own_scores, strict=True):
        found = (numbers != NO_DOCUMENT) & (numbers != positive)
        zero = min(0.0, own, float(scores[found].min(initial=0.0)))
        allowed = found & (scores - zero <= most * (own - zero))
        pool = np.flatnonzero(allowed[first - 1 :]) + first - 1
        drawn = pool[rng.permutation(len(pool))[:number]]
        mined.append(MinedNegatives(numbers[drawn].tolist(), [own - float(score) for score in scores[drawn]]))
    return mined


def _positive_scores(
    retriever: Retriever, queries: Sequence[str], positives: Sequence[int], contents: Sequence[str], ranking: Ranking
) -> list[float]:
    """What each query's own document scores: as in the ranking, or on its own where it is not there."""
    places = ranking.numbers == np.asarray(positives)[:, None]
    missing = np.flatnonzero(~places.any(axis=1)).tolist()
    alone = retriever.score([queries[row] for row in missing], [[contents[positives[row]]] for row in missing])
    scores = ranking.scores[np.arange(len(queries)), places.argmax(axis=1)].astype(float)
    scores[missing] = [float(one[0]) for one in alone]
    return scores.tolist()
