"""Hard negatives: documents that rank high for a query without being known to answer it."""

from collections.abc import Sequence

import numpy as np

from zero2ir.models.base import NO_DOCUMENT, Retriever


def hard_negatives(
    retriever: Retriever,
    queries: Sequence[str],
    excluded: Sequence[set[int]],
    *,
    number: int,
    ranks: tuple[int, int],
    rng: np.random.Generator,
) -> list[list[int]]:
    """Draws negatives from a stretch of each query's ranking; the very top may hold unjudged answers.

    Args:
        retriever: who ranks.
        queries: n texts.
        excluded: n sets of document numbers that are relevant or judged already.
        number: how many a query, at most.
        ranks: first and last rank to draw from, counted from 1.
        rng: the source of chance.

    Returns:
        n lists of document numbers; fewer where the ranking is shorter.
    """
    first, last = ranks
    if not queries or number == 0:
        return [[] for _ in queries]
    rows = retriever.search(queries, last).numbers[:, first - 1 :]
    drawn = []
    for row, known in zip(rows, excluded, strict=True):
        pool = [int(document) for document in row if document != NO_DOCUMENT and int(document) not in known]
        drawn.append([pool[place] for place in rng.permutation(len(pool))[:number]])
    return drawn
