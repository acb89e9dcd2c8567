"""Team-draft interleaving keeps its contracts, and clicks go to whose documents they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.online.trials.interleaving import FIRST, NEITHER, SECOND, preference, team_draft

RANKING = st.lists(st.sampled_from("abcdefghij"), unique=True, max_size=10)
SEED = st.integers(0, 2**32 - 1)


@given(RANKING, RANKING, st.integers(1, 12), SEED)
def test_contract(first, second, k, seed):
    made = team_draft(first, second, k, np.random.default_rng(seed))
    assert len(made.doc_ids) == len(made.teams) == min(k, len({*first, *second}))
    assert len(set(made.doc_ids)) == len(made.doc_ids)
    for team, ranking in ((FIRST, first), (SECOND, second)):
        own = [doc_id for doc_id, of in zip(made.doc_ids, made.teams, strict=True) if of == team]
        assert own == sorted(own, key=ranking.index)  # each team keeps its ranking's order
    sizes = [made.teams.count(team) for team in (FIRST, SECOND)]
    if len(first) >= k and len(second) >= k:
        assert abs(sizes[0] - sizes[1]) <= 1 + made.teams.count(NEITHER)


@given(RANKING, st.integers(1, 12), SEED)
def test_equal_rankings_stay_and_count_for_neither(ranking, k, seed):
    made = team_draft(ranking, ranking, k, np.random.default_rng(seed))
    assert made.doc_ids == ranking[:k]
    assert set(made.teams) <= {NEITHER}


def test_by_hand():
    """After "a", which both rank first, each in turn contributes its best that is left."""
    results = {
        ("".join(made.doc_ids), tuple(made.teams))
        for seed in range(50)
        for made in [team_draft(list("abcd"), list("aecb"), 4, np.random.default_rng(seed))]
    }
    n = NEITHER
    assert results == {  # who got "a" waits; then a coin decides who is first in the next round
        ("aebc", (n, SECOND, FIRST, SECOND)),
        ("aecb", (n, SECOND, SECOND, FIRST)),
        ("abce", (n, FIRST, FIRST, SECOND)),
        ("abec", (n, FIRST, SECOND, FIRST)),
    }


def test_each_team_starts_equally_often():
    firsts = [team_draft(["a"], ["b"], 1, np.random.default_rng(seed)).teams[0] for seed in range(2000)]
    assert np.mean(firsts) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize(
    ("clicked", "expected"), [([], 0), ([0], 0), ([1], -1), ([2], 1), ([1, 2], 0), ([2, 2, 1], 0), ([2, 3, 1], 1)]
)
def test_preference(clicked, expected):
    assert preference([NEITHER, FIRST, SECOND, SECOND], clicked) == expected
