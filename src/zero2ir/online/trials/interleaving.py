"""Team-draft interleaving: one ranking made of two, and clicks that say which of the two people prefer.

Source: Radlinski, Kurup and Joachims, CIKM 2008, doi:10.1145/1458082.1458092, algorithm 2 and section 4.3.
"""

from collections.abc import Collection, Sequence
from itertools import takewhile
from typing import NamedTuple

import numpy as np

FIRST, SECOND, NEITHER = 0, 1, -1


class InterleavedRanking(NamedTuple):
    """A ranking made of two.

    Attributes:
        doc_ids: best first, each once.
        teams: whose contribution each document is, 0 or 1; -1 for a document that speaks for neither.
    """

    doc_ids: list[str]
    teams: list[int]


def team_draft(first: Sequence[str], second: Sequence[str], k: int, rng: np.random.Generator) -> InterleavedRanking:
    """Lets the two rankings choose in turns, a coin decides who begins each round; each takes its best that is left.

    Documents that both rank alike at the top say nothing of the two, whoever got to contribute them: as their teams
    are drawn by coins, clicks on them add noise and no bias. They speak for neither.

    Args:
        first: document ids, best first, each once.
        second: the same of the other ranking.
        k: the length of the result; less where both rankings end.
        rng: the coins.
    """
    doc_ids: list[str] = []
    teams: list[int] = []
    seen: set[str] = set()
    places = [0, 0]
    rankings = (first, second)
    shared = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))))
    sizes = [0, 0]
    while len(doc_ids) < k:
        for team, ranking in enumerate(rankings):
            while places[team] < len(ranking) and ranking[places[team]] in seen:
                places[team] += 1
        left = [team for team in (FIRST, SECOND) if places[team] < len(rankings[team])]
        if not left:
            break
        team = left[0] if len(left) == 1 else _turn(sizes, rng)
        doc_id = rankings[team][places[team]]
        seen.add(doc_id)
        sizes[team] += 1
        teams.append(NEITHER if len(doc_ids) < shared else team)
        doc_ids.append(doc_id)
    return InterleavedRanking(doc_ids, teams)


def _turn(sizes: Sequence[int], rng: np.random.Generator) -> int:
    """The smaller team's turn; a coin's where they are equal."""
    if sizes[FIRST] != sizes[SECOND]:
        return FIRST if sizes[FIRST] < sizes[SECOND] else SECOND
    return int(rng.integers(2))


def preference(teams: Sequence[int], clicked: Collection[int]) -> int:
    """1 where the second ranking's team got more of the clicks, -1 where the first's did, 0 for a tie.

    Args:
        teams: of the documents that were shown, in their order.
        clicked: their places, from 0; each counts once.
    """
    credit = [sum(teams[place] == team for place in set(clicked)) for team in (FIRST, SECOND)]
    return int(np.sign(credit[SECOND] - credit[FIRST]))
