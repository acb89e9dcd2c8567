"""Hard negatives: highly ranked documents that are not known to be relevant."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from zero2ir.models.base import Retriever
from zero2ir.models.ranking import NO_DOCUMENT, Candidates, Ranking


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
    """Draws negatives from a range of ranks of each query; the top ranks may contain unjudged relevant documents.

    Args:
        retriever: ranks the documents.
        queries: n texts.
        excluded: n sets of document numbers that are relevant or already judged.
        number: maximum number of negatives per query.
        ranks: first and last rank to draw from, from 1.
        rng: random generator.
        candidates: candidates of each query; None for the whole collection.

    Returns:
        n lists of at most ``number`` document numbers.
    """
    first, last = ranks
    if not queries or number == 0:
        return [[] for _ in queries]
    rows = retriever.search(queries, last, candidates).numbers[:, first - 1 :]
    drawn = []
    for row, skip in zip(rows, excluded, strict=True):
        pool = [int(document) for document in row if document != NO_DOCUMENT and int(document) not in skip]
        drawn.append([pool[place] for place in rng.permutation(len(pool))[:number]])
    return drawn


class MinedNegatives(NamedTuple):
    """Negatives of one query."""

    numbers: list[int]  # of the documents
    margins: list[float]  # score of the query's own document minus the score of each negative


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
    """Draws negatives like ``hard_negatives``, but none that scores nearly as high as the query's own document.

    Such a document may be relevant, too. A share of a score needs a zero point: the score of a document that does not
    match at all (BM25) or of an average document (z-scored fusion); if a score is negative, the lowest score.

    Args:
        retriever: ranks the documents; its scores are the teacher of the margins.
        queries: n texts.
        positives: (n,) document numbers.
        contents: the texts of all documents.
        number: maximum number of negatives per query.
        ranks: first and last rank to draw from, from 1.
        most: maximum score of a negative as a share of the positive's score.
        rng: random generator.

    Source: NV-Retriever, arXiv 2407.15831, section 3.2 (TopK-PercPos); margins as in GPL, arXiv 2112.07577, section 3.
    """
    if not queries or number == 0:
        return [MinedNegatives([], []) for _ in queries]
    first, last = ranks
    ranking = retriever.search(queries, last)
    mined = []
    own_scores = _positive_scores(retriever, queries, positives, contents, ranking)
    for numbers, scores, positive, own in zip(ranking.numbers, ranking.scores, positives, own_scores, strict=True):
        others = (numbers != NO_DOCUMENT) & (numbers != positive)
        zero = min(0.0, own, float(scores[others].min(initial=0.0)))
        allowed = others & (scores - zero <= most * (own - zero))
        pool = np.flatnonzero(allowed[first - 1 :]) + first - 1
        drawn = pool[rng.permutation(len(pool))[:number]]
        mined.append(MinedNegatives(numbers[drawn].tolist(), [own - float(score) for score in scores[drawn]]))
    return mined


def _positive_scores(
    retriever: Retriever, queries: Sequence[str], positives: Sequence[int], contents: Sequence[str], ranking: Ranking
) -> list[float]:
    """Returns the score of each query's own document: from the ranking, or computed if it is not in the ranking."""
    places = ranking.numbers == np.asarray(positives)[:, None]
    missing = np.flatnonzero(~places.any(axis=1)).tolist()
    alone = retriever.score([queries[row] for row in missing], [[contents[positives[row]]] for row in missing])
    scores = ranking.scores[np.arange(len(queries)), places.argmax(axis=1)].astype(float)
    scores[missing] = [float(one[0]) for one in alone]
    return scores.tolist()
