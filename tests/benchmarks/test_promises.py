"""The record of what make promises tried, and the page that shows it."""

import re
from pathlib import Path

import pytest

from benchmarks import promises
from benchmarks.outcomes import Outcome
from benchmarks.promises import PARTS, RECORD, Part, Record, record, tried
from zero2ir.io.settings import read_state

PROJECT = Path(__file__).parents[2]


def part(kept: int) -> Part:
    return Part(lambda number, seed: [Outcome(promise="p", trial=f"seed {seed}", tried=number, kept=kept)], 40)


def test_a_part_replaces_its_entry_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promises, "PARTS", {"kills": part(0), "soak": part(0)})
    path = tmp_path / "promises.json"
    for name, kept in (("soak", 40), ("kills", 39), ("soak", 38)):
        record(path, name, tried(part(kept), 7, 1.0))
    parts = read_state(path, Record).parts
    assert {name: [one.kept for one in trials.outcomes] for name, trials in parts.items()} == {
        "kills": [39],
        "soak": [38],
    }
    assert (list(parts), parts["soak"].seed) == (["kills", "soak"], 7)


def test_a_scale_makes_fewer_trials() -> None:
    assert [one.tried for one in tried(part(0), 0, 0.1).outcomes] == [4]


def test_the_page_shows_every_part() -> None:
    page = (PROJECT / "docs" / "results" / "promises.md").read_text(encoding="utf-8")
    assert set(re.findall(r"<!-- promises: (\S+) -->", page)) == set(PARTS)
    assert set(read_state(PROJECT / RECORD, Record).parts) <= set(PARTS)
