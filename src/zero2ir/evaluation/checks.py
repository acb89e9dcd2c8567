"""Checks that stop a run whose figures would be wrong or arbitrary, before anything is measured."""

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from zero2ir.data.records import Judgment
from zero2ir.errors import InputError
from zero2ir.evaluation.measures import RankedList, Run, ranked_lists, run_of, score_run


def check_run(run: Run, query_ids: Collection[str], doc_ids: Collection[str]) -> None:
    """Refuses a run that is not of these queries and documents. A query may have found nothing, but must be there.

    Args:
        run: any.
        query_ids: the test queries.
        doc_ids: the collection's documents, a set for speed.

    Raises:
        InputError: a query or document is unknown, a query is missing or twice there, a document stands twice for a
            query, or a score is no finite number.
    """
    ranked = list(ranked_lists(run))
    wanted = set(query_ids)
    _none_of("a query that is no test query", (row.query_id for row in ranked if row.query_id not in wanted))
    _none_of("no row for a test query", sorted(wanted - {row.query_id for row in ranked}))
    _none_of(
        "a document that the collection lacks",
        (doc_id for row in ranked for doc_id in row.doc_ids if doc_id not in doc_ids),
    )


def _none_of(what: str, found: Iterable[str]) -> None:
    ids = list(dict.fromkeys(found))
    if ids:
        examples = ", ".join(ids[:3])
        raise InputError(f"run: {what}: {examples} ({len(ids)} in all); rank the collection's own test queries anew")


def check_ties(run: Run, qrels: Sequence[Judgment], measure: str, most: float) -> None:
    """Refuses a run in which chance decides: documents with equal scores whose order moves the measure's mean by much.

    Equal scores are ordered by document id everywhere, and so always alike; but ids know nothing of relevance.

    Raises:
        InputError: the mean could be more than ``most`` higher or lower, counted from one extreme to the other.
    """
    low, high = tie_range(run, qrels, measure)
    if high - low > most:
        raise InputError(
            f"run: equal scores decide {measure}, which lies between {low:.3f} and {high:.3f} by the order of ties; "
            f"make the scores finer, or allow it with evaluation.tie_limit={high - low + 0.001:.3f}"
        )


def tie_range(run: Run, qrels: Sequence[Judgment], measure: str) -> tuple[float, float]:
    """The least and the greatest mean of a measure that some order of equal scores gives.

    Exact for measures that never fall when a document moves below a more relevant one, as nDCG, AP, RR, P and R do.

    Source: McSherry and Najork 2008, "Computing Information Retrieval Performance Measures Efficiently in the Presence
    of Tied Scores", which averages over the orders where this takes the extremes.
    """
    grades = {(judgment.query_id, judgment.doc_id): judgment.relevance for judgment in qrels}
    ranked = list(ranked_lists(run))
    means = []
    for sign in (-1, 1):
        ordered = run_of({row.query_id: _tied(row, grades, sign) for row in ranked})
        means.append(float(np.mean([row.value for row in score_run(ordered, qrels, [measure])])))
    return means[0], means[1]


def _tied(row: RankedList, grades: dict[tuple[str, str], int], sign: int) -> list[tuple[str, float]]:
    """A query's documents with distinct scores: among equal ones, the more relevant first (1) or last (-1)."""
    gains = sign * np.array([grades.get((row.query_id, doc_id), 0) for doc_id in row.doc_ids])
    order = np.lexsort((gains, row.scores))[::-1]
    return [(row.doc_ids[place], -float(rank)) for rank, place in enumerate(order)]
