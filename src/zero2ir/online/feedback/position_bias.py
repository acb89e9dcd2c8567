"""How likely each rank is to be looked at, and how attractive a document is once it was.

A click needs a look and an attraction, P(click) = examination of the rank * attraction of the document for the query.
Ranks are told apart by documents that stood at several ranks for one query: where searchers changed, or where
``swap_for_exploration`` swapped them. Elsewhere a low rank may be clicked on less since worse documents stand there.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from zero2ir.data.judgments import normalised
from zero2ir.online.assignment import random_generator
from zero2ir.online.feedback.clicks import PositionBasedModel

if TYPE_CHECKING:
    from zero2ir.online.feedback.store import FeedbackEvent

EM_ITERATIONS = 200
# Looks, at each rank, that the assumed curve counts for beside the observed ones: some hundred searches with a swap
# outweigh it.
PRIOR_CLICK_MODEL = PositionBasedModel(bias=1.0)
PRIOR_EXAMINATIONS = 20.0


class ImpressionCounts(NamedTuple):
    """What happened to a document at one rank of a query.

    Attributes:
        query: as it was first asked; queries that differ in case or punctuation only are one.
        doc_id: of the document.
        position: 1 is the first.
        impressions: how often.
        clicks: how often it was clicked on, at most ``impressions``.
    """

    query: str
    doc_id: str
    position: int
    impressions: int
    clicks: int


def count_impressions(events: Iterable["FeedbackEvent"]) -> list[ImpressionCounts]:
    """Impressions and clicks by query, document and rank, in the order in which they first came.

    A document that one user opens several times after one impression was clicked on once; a click without an impression
    counts as shown. Events without a position are left out.
    """
    queries: dict[str, str] = {}
    shown: dict[tuple[str, str, int], dict[str, list[int]]] = {}
    for event in events:
        if event.kind != "grade" and event.position is not None:
            query = queries.setdefault(normalised(event.query), event.query)
            users = shown.setdefault((query, event.doc_id, event.position), {})
            users.setdefault(event.user, [0, 0])[event.kind == "click"] += 1
    return [
        ImpressionCounts(
            *key,
            sum(max(1, impressions) for impressions, _ in users.values()),
            sum(min(clicks, max(1, impressions)) for impressions, clicks in users.values()),
        )
        for key, users in shown.items()
    ]


def examination(tally: Sequence[ImpressionCounts]) -> np.ndarray:
    """(k,) the probability that each rank is looked at, relative to the first, which is 1; at most 1.

    By the EM algorithm on documents that stood at several ranks for one query; where there are few, the assumed curve
    1 / rank decides.

    Args:
        tally: k is the highest rank in it.

    Source: the idea of harvesting interventions: Agarwal et al., WSDM 2019, doi:10.1145/3289600.3291017; the algorithm:
    Chuklin, Markov and de Rijke 2015, section 4.2.
    """
    depth = max((row.position for row in tally), default=0)
    assumed = PRIOR_CLICK_MODEL.examination(depth)
    moved = _moved(tally)
    if not moved:
        return assumed
    pairs = {pair: number for number, pair in enumerate(dict.fromkeys((row.query, row.doc_id) for row in moved))}
    pair = np.array([pairs[row.query, row.doc_id] for row in moved])
    rank = np.array([row.position - 1 for row in moved])
    shown, clicks = np.array([row.impressions for row in moved], float), np.array([row.clicks for row in moved], float)
    looked, attraction = assumed.copy(), np.full(len(pairs), clicks.sum() / (shown * assumed[rank]).sum())
    seen, times = np.bincount(rank, shown, depth), np.bincount(pair, shown)
    for _ in range(EM_ITERATIONS):
        neither = 1 - looked[rank] * np.clip(attraction, 0, 1 - 1e-9)[pair]
        without = (shown - clicks) / neither
        looks = np.bincount(rank, clicks + without * looked[rank] * (1 - attraction[pair]), depth)
        attracted = np.bincount(pair, clicks + without * (1 - looked[rank]) * attraction[pair])
        looked = (looks + PRIOR_EXAMINATIONS * assumed) / (seen + PRIOR_EXAMINATIONS)
        attraction = np.clip((attracted + 0.5) / (times + 1), 0, 1 - 1e-9)
    return np.minimum(looked / looked[0], 1.0)


def _moved(tally: Sequence[ImpressionCounts]) -> list[ImpressionCounts]:
    """The rows of documents that stood at several ranks for one query."""
    ranks: dict[tuple[str, str], int] = {}
    for row in tally:
        ranks[row.query, row.doc_id] = ranks.get((row.query, row.doc_id), 0) + 1
    return [row for row in tally if ranks[row.query, row.doc_id] > 1]


def swap_for_exploration(doc_ids: Sequence[str], user: str, query: str, salt: str, share: float = 0.1) -> list[str]:
    """The ranking, for a share of users and queries with the first document and another one swapped.

    What ``examination`` learns from; the same user sees the same again.

    Args:
        doc_ids: best first.
        user: who asks.
        query: what is asked.
        salt: of this exploration.
        share: of users and queries, 0 to 1.

    Source: Joachims, Swaminathan and Schnabel, WSDM 2017, doi:10.1145/3018661.3018699, section 5.
    """
    shown, rng = list(doc_ids), random_generator(salt, user, query)
    if len(shown) > 1 and rng.random() < share:
        other = int(rng.integers(1, len(shown)))
        shown[0], shown[other] = shown[other], shown[0]
    return shown
