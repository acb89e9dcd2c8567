"""Where kills are placed, what they are counted as, and two real ones."""

import random
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.kills import IndexKills, ServerKills, Survival, drawn, outcomes


def test_every_place_is_killed_as_often_as_any_other_but_for_one() -> None:
    one_round = [lambda draws, name=name: Survival(name) for name in "abcde"]
    drawn_places = drawn(one_round, 12, random.Random(0))
    assert sorted(Counter(place(random.Random(0)).place for place in drawn_places).values()) == [2, 2, 2, 3, 3]
    assert [one.place for one in (place(random.Random(0)) for place in drawn_places)] != list("abcdeabcdeab")


def test_what_did_not_hold_is_counted_once_for_each_promise() -> None:
    found = [
        Survival("train", same=True, running=[], asked_again=2),
        Survival("index", problem="error: full", same=False, left=["a.part"]),
        Survival("server", acknowledged=7, lost=1),
        Survival("report", same=True, running=["report"], asked_again=3),
    ]
    assert [(one.kept, one.tried) for one in outcomes(found)] == [(3, 4), (2, 3), (3, 4), (0, 1), (1, 2), (1, 2)]
    assert "error: full" in outcomes(found)[0].notes


def test_a_killed_server_loses_nothing(tmp_path: Path) -> None:
    survival = ServerKills(tmp_path).kill(random.Random(0))
    assert (survival.lost, survival.left, survival.problem) == (0, [], "")
    assert survival.acknowledged


@pytest.mark.slow
def test_a_killed_index_ends_in_the_same_program(tmp_path: Path) -> None:
    survival = IndexKills(tmp_path / "index").kill(random.Random(0))
    assert (survival.same, survival.left, survival.problem) == (True, [], "")
