"""The data card says what the rows say."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.records import JudgedDocument
from zero2ir.io.markdown import Table
from zero2ir.synthetic.card import SAMPLES, Section, data_card, read_card, write_card
from zero2ir.synthetic.records import SyntheticQuery
from zero2ir.synthetic.settings import SyntheticSettings

SETTINGS = SyntheticSettings(filters=("empty", "copied", "round_trip"))
JUDGMENTS = [JudgedDocument("q0", "how to open a file", "d0", 1), JudgedDocument("q0", "how to open a file", "d1", 0)]


def row(number: int, query: str = "how to read files", style: str = "judgments", *objections: str) -> SyntheticQuery:
    return SyntheticQuery(
        query_id=f"s{number}",
        query=query,
        doc_id=f"d{number // 2}",
        negatives=[],
        rejected=objections[0] if objections else "",
        style=style,
        passage="word " * 45,
        margins=[],
        objections=list(objections),
        round_trip_rank=1,
        log_likelihood=-1.0 if style == "judgments" else math.nan,
        grade=math.nan,
        lm="script",
        prompt="",
        seed=0,
    )


ROWS = [
    row(0),
    row(1, "open a file"),
    row(2, "zydeco gumbo", "title", "round_trip"),
    row(3, "", "title", "empty", "round_trip"),
    row(4, "how to open a file", "title", "copied"),
]


def tables(rows: list[SyntheticQuery] = ROWS) -> dict[str, Table]:
    return {
        section.title: section.table
        for section in data_card(rows, JUDGMENTS, SETTINGS, {"lm_calls": 1_234_567, "seconds": 5.678}, seed=0)
    }


def test_styles_and_filters_by_hand() -> None:
    found = tables()
    assert found["Styles"].rows == [
        ["judgments", "1", "2", "2", "100%", "3.5", "-1.00"],
        ["title", "2", "3", "0", "0%", "–", "–"],
    ]
    assert found["Filters"].rows == [
        ["empty", "1", "20%", "0", "1", "4"],
        ["copied", "1", "20%", "1", "1", "3"],
        ["round_trip", "2", "40%", "1", "1", "2"],
        ["together", "3", "60%", "", "3", "2"],
    ]
    assert found["Cost"].rows == [["LM calls", "1,234,567"], ["Seconds", "5.68"]]


def test_overlap_by_hand() -> None:
    assert tables()["Overlap"].rows == [
        ["judged queries", "1"],
        ["equal to a judged query", "0"],
        ["trigram similarity at least 50%", "1"],
        ["trigram similarity at least 30%", "2"],
        ["highest trigram similarity", "64%"],
        ["words of judged queries that occur", "100%"],
        ["words that occur in no judged query", "29%"],
    ]
    assert tables([row(0, "how to open a file")])["Overlap"].rows[1:3] == [
        ["equal to a judged query", "1"],
        ["trigram similarity at least 50%", "1"],
    ]


lengths = st.lists(st.integers(0, 60), min_size=1, max_size=40)


@given(lengths, st.integers(0, 9))
def test_the_histogram_counts_all_and_the_samples_are_rows(words: list[int], seed: int) -> None:
    rows = [row(number, "w " * length) for number, length in enumerate(words)]
    found = {one.title: one.table for one in data_card(rows, [], SETTINGS, {}, seed)}
    assert sum(int(count) for _, _, count in found["Length"].rows) == len(rows)
    assert max(len(bar) for _, bar, _ in found["Length"].rows) == 40
    assert found["Passages"].rows[4] == ["60 to 79", "", "0"]
    assert found["Passages"].rows[3] == ["40 to 59", "█" * 40, str(len(rows))]
    assert len(found["Samples"].rows) == min(SAMPLES, len(rows))
    for query, verdict, *_ in found["Samples"].rows:
        assert (query, verdict) in {(one.query or "–", "accepted") for one in rows}


def test_the_card_is_written_twice_and_escaped(tmp_path: Path) -> None:
    evil = "<img src=x> | [a](javascript:b) `c`\n# heading"
    card = data_card([row(0, evil)], JUDGMENTS, SETTINGS, {"cost": None}, seed=3)
    write_card(card, 3, tmp_path)
    text = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert text.startswith("# Synthetic queries, seed 3\n\n## Styles\n")
    assert r"\<img src=x\> \| [a\](javascript:b) \`c\` \# heading" in text
    assert "| cost | unknown |" in text.lower()
    read = read_card(tmp_path)
    assert read is not None
    assert read["seed"] == 3
    assert [Section(**one | {"table": Table(**one["table"])}) for one in read["sections"]] == card
    assert json.loads((tmp_path / "card.json").read_text(encoding="utf-8")) == read
    assert read_card(tmp_path / "nowhere") is None


@pytest.mark.parametrize("rejected", [(), ("empty",)])
def test_a_card_of_one_query_has_every_section(rejected: tuple[str, ...]) -> None:
    found = tables([row(0, "a query", "judgments", *rejected)])
    assert list(found) == ["Styles", "Filters", "Length", "Passages", "Overlap", "Cost", "Samples"]
    assert all(len(line) == len(table.headers) for table in found.values() for line in table.rows)
