"""Who looks where is found again in simulated clicks; the tally counts what happened once."""

import numpy as np
import pytest

from zero2ir.online.feedback.clicks import PositionBasedModel
from zero2ir.online.feedback.position_bias import (
    PRIOR_CLICK_MODEL,
    ImpressionCounts,
    count_impressions,
    examination,
    swap_for_exploration,
)
from zero2ir.online.feedback.store import FeedbackEvent

NUMBER = iter(range(10**6))


def event(kind, query="Query", doc_id="a", position=1, user="ada"):
    grade = 1 if kind == "grade" else None
    return FeedbackEvent(str(next(NUMBER)), kind, query, doc_id, position, grade, 0.0, user)


def simulated(
    people: PositionBasedModel, swapped: bool, searches: int = 300, queries: int = 20
) -> list[ImpressionCounts]:
    """Rankings of eight documents, the attractive ones first, as in a good program."""
    rng = np.random.default_rng(0)
    shown, clicks = {}, {}
    attraction = np.linspace(0.9, 0.2, 8)
    for query in range(queries):
        for search in range(searches):
            order = list(range(8))
            if swapped:
                order = [
                    int(doc_id)
                    for doc_id in swap_for_exploration([*"01234567"], f"u{search}", str(query), "s", share=1.0)
                ]
            clicked = people.click(attraction[order][None], rng)[0]
            for position, (doc_id, click) in enumerate(zip(order, clicked, strict=True), 1):
                key = (str(query), str(doc_id), position)
                shown[key] = shown.get(key, 0) + 1
                clicks[key] = clicks.get(key, 0) + int(click)
    return [ImpressionCounts(*key, count, clicks[key]) for key, count in shown.items()]


@pytest.mark.parametrize("bias", [0.0, 0.5, 1.5])
def test_swaps_reveal_the_examination_of_ranks(bias):
    people = PositionBasedModel(bias=bias)
    assert examination(simulated(people, swapped=True)) == pytest.approx(people.examination(8), abs=0.07)


def test_without_swaps_the_prior_curve_stays():
    assert examination(simulated(PositionBasedModel(bias=0.3), swapped=False)) == pytest.approx(
        PRIOR_CLICK_MODEL.examination(8)
    )
    assert len(examination([])) == 0


def test_few_swaps_change_little():
    few = [ImpressionCounts("q", "a", 1, 1, 1), ImpressionCounts("q", "a", 2, 1, 1)]
    assert examination(few) == pytest.approx([1, 0.5], abs=0.05)


def test_a_share_of_the_searches_swaps_the_first_with_another():
    ranking = list("abcdef")
    shown = [swap_for_exploration(ranking, f"u{number}", "q", "salt", share=0.25) for number in range(2000)]
    assert shown == [swap_for_exploration(ranking, f"u{number}", "q", "salt", share=0.25) for number in range(2000)]
    changed = [one for one in shown if one != ranking]
    assert len(changed) / len(shown) == pytest.approx(0.25, abs=0.03)
    for one in changed:
        (place,) = (rank for rank in range(1, 6) if one[rank] != ranking[rank])
        assert one[0], one[place] == (ranking[place], "a")
    assert {one[0] for one in changed} == set("bcdef")
    assert swap_for_exploration(["a"], "u", "q", "salt", share=1.0) == ["a"]


def test_a_click_counts_once_and_at_most_once_per_impression():
    events = [
        *(event("impression"), event("click"), event("click")),  # opened twice
        *(event("impression", user="bert"), event("impression", "query?", user="bert")),  # the same query
        event("click", doc_id="b", position=2),  # its impression was lost
        event("click", position=None),
        event("grade"),
    ]
    assert count_impressions(events) == [
        ImpressionCounts("Query", "a", 1, 3, 1),
        ImpressionCounts("Query", "b", 2, 1, 1),
    ]
