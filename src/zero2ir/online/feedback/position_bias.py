"""Estimates position bias: the examination probability of each rank, separated from the attraction of documents.

A click needs examination and attraction, P(click) = examination of the rank * attraction of the document for the query.
Ranks can be compared through documents shown at several ranks for one query: because programs changed, or because
``swap_for_exploration`` swapped them. Otherwise a low rank may get fewer clicks because worse documents stand there.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from zero2ir.data.judgments import normalised
from zero2ir.online.assignment import random_generator
from zero2ir.online.feedback.clicks import PositionBasedModel

if TYPE_CHECKING:
    from zero2ir.online.feedback.store import FeedbackEvent

EM_ITERATIONS = 200
# Pseudo-count of examinations at each rank for the prior curve; a few hundred searches with swaps outweigh it.
PRIOR_CLICK_MODEL = PositionBasedModel(bias=1.0)
PRIOR_EXAMINATIONS = 20.0


class ImpressionCounts(NamedTuple):
    """Numbers of impressions and clicks (at most as many) of a document at one rank, from 1, of a query.

    Queries that differ only in case or punctuation are one, with the text first submitted.
    """

    query: str
    doc_id: str
    position: int
    impressions: int
    clicks: int


def count_impressions(events: Iterable["FeedbackEvent"]) -> list[ImpressionCounts]:
    """Counts impressions and clicks by query, document and rank, in order of first appearance.

    Several clicks of one user after one impression count once; a click without an impression counts as shown. Events
    without a position are ignored.
    """
    queries: dict[str, str] = {}
    counts: dict[tuple[str, str, int], dict[str, list[int]]] = {}
    for event in events:
        if event.kind != "grade" and event.position is not None:
            query = queries.setdefault(normalised(event.query), event.query)
            users = counts.setdefault((query, event.doc_id, event.position), {})
            users.setdefault(event.user, [0, 0])[event.kind == "click"] += 1
    return [
        ImpressionCounts(
            *key,
            sum(max(1, impressions) for impressions, _ in users.values()),
            sum(min(clicks, max(1, impressions)) for impressions, clicks in users.values()),
        )
        for key, users in counts.items()
    ]


def examination(tally: Sequence[ImpressionCounts]) -> np.ndarray:
    """Returns (k,) the examination probability of each rank relative to the first, which is 1; at most 1.

    Uses the EM algorithm on documents shown at several ranks for one query; with few of them the prior curve 1 / rank
    dominates.

    Args:
        tally: impression counts; k is the highest rank in them.

    Source: intervention harvesting: Agarwal et al., WSDM 2019, doi:10.1145/3289600.3291017; the algorithm: Chuklin,
    Markov and de Rijke 2015, section 4.2.
    """
    depth = max((row.position for row in tally), default=0)
    assumed = PRIOR_CLICK_MODEL.examination(depth)
    ranks = Counter((row.query, row.doc_id) for row in tally)
    moved = [row for row in tally if ranks[row.query, row.doc_id] > 1]
    if not moved:
        return assumed
    pairs = {pair: number for number, pair in enumerate(dict.fromkeys((row.query, row.doc_id) for row in moved))}
    pair = np.array([pairs[row.query, row.doc_id] for row in moved])
    rank = np.array([row.position - 1 for row in moved])
    impressions, clicks = np.array([(row.impressions, row.clicks) for row in moved], float).T
    examined, attraction = assumed.copy(), np.full(len(pairs), clicks.sum() / (impressions * assumed[rank]).sum())
    rank_impressions, pair_impressions = np.bincount(rank, impressions, depth), np.bincount(pair, impressions)
    for _ in range(EM_ITERATIONS):
        neither = 1 - examined[rank] * np.clip(attraction, 0, 1 - 1e-9)[pair]
        without = (impressions - clicks) / neither
        examinations = np.bincount(rank, clicks + without * examined[rank] * (1 - attraction[pair]), depth)
        attracted = np.bincount(pair, clicks + without * (1 - examined[rank]) * attraction[pair])
        examined = (examinations + PRIOR_EXAMINATIONS * assumed) / (rank_impressions + PRIOR_EXAMINATIONS)
        attraction = np.clip((attracted + 0.5) / (pair_impressions + 1), 0, 1 - 1e-9)
    return np.minimum(examined / examined[0], 1.0)


def swap_for_exploration(doc_ids: Sequence[str], user: str, query: str, salt: str, share: float = 0.1) -> list[str]:
    """Swaps the first document with a random other one for a share of users and queries.

    ``examination`` learns from these swaps; a user always gets the same ranking for a query.

    Args:
        doc_ids: ids, best first.
        user: id of the user.
        query: text of the query.
        salt: salt of this exploration.
        share: share of users and queries with a swap, 0 to 1.

    Source: Joachims, Swaminathan and Schnabel, WSDM 2017, doi:10.1145/3018661.3018699, section 5.
    """
    ranking, rng = list(doc_ids), random_generator(salt, user, query)
    if len(ranking) > 1 and rng.random() < share:
        other = int(rng.integers(1, len(ranking)))
        ranking[0], ranking[other] = ranking[other], ranking[0]
    return ranking
