"""The loop: what it asks follows from the answers, it stops and says why, and the model is fitted to them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zero2ir
from zero2ir.errors import InputError
from zero2ir.labelling.annotations import Annotation
from zero2ir.labelling.loop import AnnotationItem, Labelling
from zero2ir.labelling.session import Session

Open = Callable[..., Session]
FEW = ("labelling.budget=4", "labelling.batches=[1,2]", "labelling.depth=3")


def grade(item: AnnotationItem) -> int:
    """An opinion that depends on the item alone."""
    return int(item.doc_id[0] in "cjsz")


def answer_all(labelling: Labelling) -> list[AnnotationItem]:
    asked = []
    while (item := labelling.next()) is not None:
        asked.append(item)
        labelling.answer(grade(item), "me")
    return asked


@pytest.mark.parametrize("selection", ["random", "margin"])
def test_a_reopened_labelling_asks_the_same(session: Open, tmp_path, selection: str) -> None:
    chosen = f"selection={selection}"
    whole = answer_all(session(settings=(*FEW, chosen)).labelling)
    (tmp_path / "annotations.jsonl").unlink()
    resumed = []
    while (item := (labelling := session(settings=(*FEW, chosen)).labelling).next()) is not None:
        assert labelling.next() == item  # the same until it is answered
        resumed.append(item)
        labelling.answer(grade(item), "me")
    assert resumed == whole
    assert len({item.query_id for item in whole}) == 4
    assert len({(item.query_id, item.doc_id) for item in whole}) == len(whole) == 12


def test_the_loop_stops_at_the_budget(session: Open) -> None:
    labelling = session(settings=FEW).labelling
    assert labelling.stopped is None
    assert labelling.effect is None
    asked = answer_all(labelling)
    assert labelling.stopped == "the budget of 4 judged queries is used up"
    assert labelling.progress == (len(asked), 4, 4, 0)
    with pytest.raises(InputError, match="nothing to judge: the budget of 4"):
        labelling.answer(1, "me")


def test_every_query_may_be_judged(session: Open) -> None:
    labelling = session(settings=("labelling.budget=99", "labelling.depth=1", "labelling.patience=0")).labelling
    answer_all(labelling)
    assert labelling.stopped == "every candidate query is judged"


def test_the_loop_stops_if_labels_change_nothing(session: Open) -> None:
    calm = (
        "labelling.min_queries=2",
        "labelling.patience=2",
        "labelling.max_changed_share=1.0",
        "labelling.max_gain_change=1.0",
    )
    labelling = session(settings=("labelling.budget=12", "labelling.batches=[1]", *calm)).labelling
    answer_all(labelling)
    assert labelling.progress.queries == 2
    assert labelling.stopped is not None
    assert labelling.stopped.endswith("more judgments make no difference")


def test_the_last_answer_can_be_undone(session: Open) -> None:
    labelling = session(settings=FEW).labelling
    assert labelling.undo() is None
    first, *_ = labelling.waiting
    labelling.answer(2, "me")
    second = labelling.next()
    assert labelling.undo() == first
    assert labelling.judgments() == []
    labelling.answer(0, "me")
    assert labelling.next() == second
    assert [row.relevance for row in labelling.judgments()] == [0]


@pytest.mark.parametrize("wrong", [0.5, -1, "1", True, float("nan"), 10**9])
def test_a_grade_is_a_whole_number(session: Open, wrong: Any) -> None:
    labelling = session(settings=FEW).labelling
    labelling.next()
    with pytest.raises(InputError, match=r"^grade "):
        labelling.answer(wrong, "me")
    assert not labelling.answers.rows
    labelling.answer(np.int64(1), "me")
    assert [type(row.grade) for row in labelling.answers.rows] == [int]


def test_skipped_documents_are_no_judgments_and_the_last_grade_counts(session: Open) -> None:
    labelling = session(settings=FEW).labelling
    first = labelling.next()
    assert first is not None
    labelling.answer(None, "me")
    assert labelling.judgments() == []
    labelling.add(Annotation(first.query_id, first.query, first.doc_id, 1, "me"))
    labelling.add(Annotation(first.query_id, first.query, first.doc_id, 2, "me"))
    assert [(row.query, row.doc_id, row.relevance) for row in labelling.judgments()] == [(first.query, first.doc_id, 2)]


def test_a_grade_stays_if_the_repeated_item_is_skipped(session: Open) -> None:
    labelling = session(settings=FEW).labelling
    first = labelling.next()
    assert first is not None
    labelling.answer(2, "me")
    labelling.add(Annotation(first.query_id, first.query, first.doc_id, None, "me", repeat=True))
    assert [row.relevance for row in labelling.judgments()] == [2]


def test_queries_without_results_are_never_asked(tmp_path: Path, string_methods: list[dict[str, str]]) -> None:
    queries = ["zzzz qqqq", "cut a sentence into a list of words", "xxxx"]
    settings = ["~model@committee.dense", "~model@committee.static", "labelling.patience=0"]
    labelling = zero2ir.api.label(string_methods, queries, tmp_path / "a.jsonl", model="sparse", settings=settings)
    assert {item.query for item in answer_all(labelling)} == {queries[1]}
    assert labelling.stopped == "every candidate query is judged, except 2 without retrieved documents"


def test_items_are_repeated_if_configured(session: Open) -> None:
    asked = answer_all(session(settings=(*FEW, "labelling.repeats=1.0")).labelling)
    again = [item for item in asked if item.repeat]
    assert again
    pairs = [(item.query_id, item.doc_id) for item in asked if not item.repeat]
    for item in again:
        assert (item.query_id, item.doc_id) in pairs
    assert len({(item.query_id, item.doc_id) for item in again}) == len(again)


def test_the_effect_of_the_last_batch_is_described(session: Open) -> None:
    labelling = session(settings=FEW).labelling
    answer_all(labelling)
    effect = labelling.effect
    assert effect is not None
    assert 0 <= effect.changed_share <= 1
    assert 0 <= effect.before <= 1
    assert effect.gain_after >= 0
    assert len(labelling.ranking("remove whitespace", 3)) == 3
    program = labelling.program()
    assert program.about["labels"] == 12
    assert "strip" in program(query="remove whitespace at both ends", k=10).docids
