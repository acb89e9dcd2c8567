"""Judgments that deserve a second look, and agreement with oneself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.labelling.annotations import Annotation
from zero2ir.labelling.quality import find_suspicious_judgments, self_agreement

NOTHING: dict[str, dict[str, list[str]]] = {}


def row(query_id: str, doc_id: str, grade: int | None, repeat: bool = False, query: str = "") -> Annotation:
    return Annotation(query_id, query or f"{query_id}{query_id}{query_id}", doc_id, grade, "me", repeat)


rows = st.lists(
    st.builds(row, st.sampled_from("abc"), st.sampled_from("xyz"), st.none() | st.integers(0, 2), st.booleans()),
    max_size=12,
)


def test_self_agreement_by_hand() -> None:
    first = [row("a", doc_id, grade) for doc_id, grade in zip("wxyz", (0, 0, 1, 1), strict=True)]
    again = [row("a", doc_id, grade, repeat=True) for doc_id, grade in zip("wxyz", (0, 1, 1, 1), strict=True)]
    found = self_agreement([*first, row("b", "w", None), *again])
    assert found is not None
    assert found.equal == 0.75
    assert found.kappa.mean == pytest.approx(0.5)  # observed 3/4; by chance 1/2 * 1/4 + 1/2 * 3/4 = 1/2
    assert self_agreement(first) is None
    other = again[0]._replace(annotator="somebody else")
    assert self_agreement([*first, other]) is None  # that is agreement of two, not with oneself


def test_two_grades_for_one_pair_are_a_contradiction_until_one_is_given_twice() -> None:
    given = [row("a", "x", 2), row("a", "x", 0)]
    (doubt,) = find_suspicious_judgments(given, NOTHING)
    assert (doubt.query_id, doubt.doc_id, doubt.grade) == ("a", "x", 0)
    assert doubt.reason == "graded 2 by me, then 0 by me"
    assert find_suspicious_judgments([*given, row("a", "x", 0)], NOTHING) == []
    assert find_suspicious_judgments([*given, row("a", "x", 1)], NOTHING) != []


def test_near_duplicate_queries_with_opposite_grades_are_suspicious() -> None:
    one, other = "how do I remove white space", "How do I remove the white space?"
    found = find_suspicious_judgments([row("a", "x", 2, query=one), row("b", "x", 0, query=other)], NOTHING)
    assert [(doubt.query_id, doubt.grade) for doubt in found] == [("a", 2), ("b", 0)]
    assert other in found[0].reason
    assert find_suspicious_judgments([row("a", "x", 2, query=one), row("b", "x", 1, query=other)], NOTHING) == []
    assert (
        find_suspicious_judgments([row("a", "x", 2, query=one), row("b", "x", 0, query="count letters")], NOTHING) == []
    )


def test_grades_that_contradict_all_models_are_suspicious() -> None:
    models = {"a": {"sparse": ["x", "y"], "dense": ["x", "z"]}}
    assert [doubt.doc_id for doubt in find_suspicious_judgments([row("a", "x", 0), row("a", "y", 0)], models)] == ["x"]
    assert [doubt.doc_id for doubt in find_suspicious_judgments([row("a", "x", 1), row("a", "w", 2)], models)] == ["w"]
    assert find_suspicious_judgments([row("a", "x", 0)], {"a": {"sparse": ["x"]}}) == []  # one model is no reason


@given(rows)
def test_only_judged_pairs_are_suspicious_and_each_once(given: list[Annotation]) -> None:
    models = {query_id: {"one": ["x"], "two": ["x"]} for query_id in "abc"}
    before = list(given)
    found = find_suspicious_judgments(given, models)
    assert given == before
    standing = {(one.query_id, one.doc_id): one.grade for one in given if one.grade is not None}
    assert all(standing[doubt.query_id, doubt.doc_id] == doubt.grade for doubt in found)
    assert len({(doubt.query_id, doubt.doc_id) for doubt in found}) == len(found)
    settled = [*given, *(row(doubt.query_id, doubt.doc_id, doubt.grade, repeat=True) for doubt in found)]
    assert find_suspicious_judgments(settled, models) == []
