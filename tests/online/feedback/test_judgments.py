"""Clicks become judgments: the bias of ranks goes, certainty and weight come."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.online.feedback.clicks import PositionBasedModel
from zero2ir.online.feedback.judgments import ClickSettings, from_clicks, from_feedback, from_grades
from zero2ir.online.feedback.position_bias import ImpressionCounts
from zero2ir.online.feedback.store import FeedbackEvent

SETTINGS = ClickSettings()
ROWS = st.builds(
    lambda doc_id, position, shown, clicks: ImpressionCounts("q", doc_id, position, shown, min(shown, clicks)),
    st.sampled_from("abc"),
    st.integers(1, 5),
    st.integers(1, 50),
    st.integers(0, 50),
)


def expected(attraction: dict[str, tuple[float, int]], shown: int) -> list[ImpressionCounts]:
    """The clicks that are to be expected of people who look at rank k once in k times."""
    looked = PositionBasedModel().examination(10)
    return [
        ImpressionCounts("q", doc_id, position, shown, round(shown * value * looked[position - 1]))
        for doc_id, (value, position) in attraction.items()
    ]


def test_a_rarely_examined_rank_does_not_hide_a_good_document():
    tally = expected({"good": (0.9, 8), "bad": (0.1, 1), "worse": (0.1, 2)}, shown=200)
    found = {row.doc_id: row for row in from_clicks(tally, SETTINGS)}
    assert {doc_id: row.relevance for doc_id, row in found.items()} == {"good": 1, "bad": 0, "worse": 0}
    assert found["good"].attraction == pytest.approx(0.9, abs=0.06)
    assert found["good"].weight > 0.5
    assert found["bad"].weight == found["worse"].weight == 0.0

    naive = from_clicks(tally, ClickSettings(debias=False))  # all have been clicked on once in ten times
    assert not [row for row in naive if row.relevance]


def test_clipping_adds_no_bias():
    tally = expected({"good": (0.8, 10), "other": (0.2, 1)}, shown=2000)
    for clip in (1.0, 3.0, 100.0):
        found = {row.doc_id: row.attraction for row in from_clicks(tally, ClickSettings(clip=clip))}
        assert found["good"] == pytest.approx(0.8, abs=0.03)


def test_little_evidence_gives_no_judgment():
    tally = [
        *expected({"a": (0.5, 1), "b": (0.5, 2)}, shown=200),
        ImpressionCounts("q", "c", 1, 1, 1),
        ImpressionCounts("q", "d", 9, 3, 0),
    ]
    assert {row.doc_id for row in from_clicks(tally, SETTINGS)} <= {"a", "b"}


@given(st.lists(ROWS, max_size=8), st.floats(1, 20))
def test_contract(tally, clip):
    tally = list({(row.doc_id, row.position): row for row in tally}.values())
    found = from_clicks(tally, ClickSettings(clip=clip))
    assert len({row.doc_id for row in found}) == len(found)
    for row in found:
        assert row.relevance in (0, 1)
        assert 0 <= row.weight <= 1
        assert 0 <= row.attraction <= 1
        assert row.relevance or not row.weight
        assert np.isfinite(row.weight)


def grade(number, doc_id, value, user="", query="q"):
    return FeedbackEvent(str(number), "grade", query, doc_id, None, value, float(number), user)


def test_the_median_of_the_users_last_grades_counts():
    events = [
        grade(0, "a", 0, "ada"),
        grade(1, "a", 2, "ada"),  # ada thought again
        grade(2, "a", 1, "bert"),
        grade(3, "b", 0, query="Q?"),
        grade(4, "b", 0),
        grade(5, "b", 3),
    ]
    assert [(row.query, row.doc_id, row.relevance, row.weight) for row in from_grades(events)] == [
        ("q", "a", 2, 2.0),
        ("q", "b", 0, 0.0),
    ]


def test_grades_take_precedence_over_clicks():
    shown = [
        FeedbackEvent(f"{kind}{user}{doc_id}", kind, "q", doc_id, 1, None, 0.0, f"u{user}")
        for doc_id, clicked in (("a", 40), ("b", 0))
        for user in range(50)
        for kind in ("impression", *(["click"] if user < clicked else []))
    ]
    assert {row.doc_id: row.relevance for row in from_feedback(shown, SETTINGS)} == {"a": 1, "b": 0}
    both = from_feedback([*shown, grade(0, "a", 0, query="Q")], SETTINGS)
    assert {row.doc_id: (row.relevance, row.attraction is None) for row in both} == {"a": (0, True), "b": (0, False)}
    assert from_feedback([], SETTINGS) == []
