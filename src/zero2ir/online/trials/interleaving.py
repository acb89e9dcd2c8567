"""Team-draft interleaving: merges two rankings into one; clicks show which of the two users prefer.

Source: Radlinski, Kurup and Joachims, CIKM 2008, doi:10.1145/1458082.1458092, algorithm 2 and section 4.3.
"""

from collections.abc import Collection, Sequence
from itertools import takewhile
from typing import NamedTuple

import numpy as np

FIRST, SECOND, NEITHER = 0, 1, -1


class InterleavedRanking(NamedTuple):
    """A ranking interleaved from two.

    Attributes:
        doc_ids: ids, best first, each once.
        teams: team that contributed each document, 0 or 1; -1 for a document that counts for neither.
    """

    doc_ids: list[str]
    teams: list[int]


def team_draft(first: Sequence[str], second: Sequence[str], k: int, rng: np.random.Generator) -> InterleavedRanking:
    """Interleaves two rankings: they pick in turns, a coin decides who starts a round, each picks its best unused one.

    Clicks on the common prefix of both rankings say nothing about the two: their teams are random, so they add noise
    and no bias. These documents count for neither.

    Args:
        first: document ids, best first, each once.
        second: the same for the other ranking.
        k: length of the result; less if both rankings end earlier.
        rng: random generator of the coin flips.
    """
    doc_ids: list[str] = []
    teams: list[int] = []
    used: set[str] = set()
    rankings = (first, second)
    shared = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))))
    sizes = [0, 0]
    while len(doc_ids) < k:
        unused = [[doc_id for doc_id in ranking if doc_id not in used] for ranking in rankings]
        left = [team for team in (FIRST, SECOND) if unused[team]]
        if not left:
            break
        team = left[0] if len(left) == 1 else _turn(sizes, rng)
        doc_id = unused[team][0]
        used.add(doc_id)
        sizes[team] += 1
        teams.append(NEITHER if len(doc_ids) < shared else team)
        doc_ids.append(doc_id)
    return InterleavedRanking(doc_ids, teams)


def _turn(sizes: Sequence[int], rng: np.random.Generator) -> int:
    if sizes[FIRST] != sizes[SECOND]:
        return FIRST if sizes[FIRST] < sizes[SECOND] else SECOND
    return int(rng.integers(2))


def preference(teams: Sequence[int], clicked: Collection[int]) -> int:
    """Returns 1 if the second ranking's team got more clicks, -1 if the first's did, 0 for a tie.

    Args:
        teams: teams of the shown documents, in order.
        clicked: positions of the clicked documents, from 0; each counts once.
    """
    credit = [sum(teams[place] == team for place in set(clicked)) for team in (FIRST, SECOND)]
    return int(np.sign(credit[SECOND] - credit[FIRST]))
