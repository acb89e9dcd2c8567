"""Checks a run before it is measured; rejects runs whose figures would be wrong or arbitrary."""

from collections.abc import Collection, Iterable

import numpy as np

from zero2ir.data.inputs import Qrels, as_qrels
from zero2ir.errors import InputError
from zero2ir.evaluation.measures import RankedList, Run, ranked_lists, run_of, score_run


def check_run(run: Run, query_ids: Collection[str], doc_ids: Collection[str]) -> None:
    """Checks that a run has exactly the test queries and only documents of the collection.

    A query's ranking may be empty, but must exist. A set of ``doc_ids`` is fast.

    Raises:
        InputError: a query or document is unknown, a query is missing or repeated, a document is repeated for a query,
            or a score is not finite.
    """
    ranked = list(ranked_lists(run))
    expected = set(query_ids)
    _none_of("queries that are not test queries", (row.query_id for row in ranked if row.query_id not in expected))
    _none_of("test queries without a row", sorted(expected - {row.query_id for row in ranked}))
    _none_of(
        "documents that the collection lacks",
        (doc_id for row in ranked for doc_id in row.doc_ids if doc_id not in doc_ids),
    )


def _none_of(problem: str, ids: Iterable[str]) -> None:
    distinct = list(dict.fromkeys(ids))
    if distinct:
        examples = ", ".join(distinct[:3])
        raise InputError(
            f"run: {problem}: {examples} ({len(distinct)} in all); rank the test queries of the collection"
        )


def check_ties(run: Run, qrels: Qrels, measure: str, most: float) -> None:
    """Rejects a run if the order of documents with equal scores changes the mean of the measure too much.

    Equal scores are ordered by document id, which is deterministic but unrelated to relevance.

    Raises:
        InputError: the lowest and the highest mean over the orders of ties differ by more than ``most``.
    """
    low, high = tie_range(run, qrels, measure)
    if high - low > most:
        raise InputError(
            f"run: {measure} depends on the order of ties, between {low:.3f} and {high:.3f}; use scores with fewer "
            f"ties, or set evaluation.tie_limit={high - low + 0.001:.3f}"
        )


def tie_range(run: Run, qrels: Qrels, measure: str) -> tuple[float, float]:
    """Returns the lowest and the highest mean of a measure over the orders of equal scores.

    Exact for measures that do not decrease when a document moves below a more relevant one: nDCG, AP, RR, P and R.

    Source: McSherry and Najork 2008, "Computing Information Retrieval Performance Measures Efficiently in the Presence
    of Tied Scores"; they average over the orders, this function takes the extremes.
    """
    qrels = as_qrels(qrels)
    grades = {(judgment.query_id, judgment.doc_id): judgment.relevance for judgment in qrels}
    ranked = list(ranked_lists(run))
    means = []
    for sign in (-1, 1):
        ordered = run_of({row.query_id: _tied(row, grades, sign) for row in ranked})
        means.append(float(np.mean([row.value for row in score_run(ordered, qrels, [measure])])))
    return means[0], means[1]


def _tied(row: RankedList, grades: dict[tuple[str, str], int], sign: int) -> list[tuple[str, float]]:
    """Returns a query's documents with distinct scores; breaks ties by relevance, descending (1) or ascending (-1)."""
    gains = sign * np.array([grades.get((row.query_id, doc_id), 0) for doc_id in row.doc_ids])
    order = np.lexsort((gains, row.scores))[::-1]
    return [(row.doc_ids[place], -float(rank)) for rank, place in enumerate(order)]
