"""The pool of hand-written prompts: what it draws, by the seed alone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import pytest

from zero2ir.data.records import JudgedDocument
from zero2ir.strategies.prompt_search.pool import INSTRUCTIONS, MIN_HELD_OUT_PAIRS, TEMPERATURES, PromptPool
from zero2ir.strategies.prompt_search.proposals import WritingTask
from zero2ir.writing.passages import passages
from zero2ir.writing.settings import StyleName
from zero2ir.writing.styles import STYLES


def test_candidates_are_distinct_and_vary_in_everything(task: WritingTask) -> None:
    found = PromptPool().propose(replace(task, number=40))
    assert len({one.digest for one in [task.fixed, *found]}) == 41
    assert {one.origin for one in found} == {"pool"}
    assert {one.style for one in found} == set(STYLES)
    assert {one.temperature for one in found} == set(TEMPERATURES)
    assert {one.document_words for one in found} == {20, 40}
    assert len({one.instruction for one in found}) > 10
    assert len({len(one.demonstrations) for one in found}) > 2
    for one in found:
        assert one.instruction in (STYLES[one.style].instruction, *INSTRUCTIONS[one.style])
        assert 1 <= len(one.demonstrations) == len(set(one.demonstrations))


def test_some_judged_queries_stay_out_of_every_prompt(task: WritingTask) -> None:
    judged = {row.query_id: row for row in task.writer.judgments}
    for one in PromptPool(own_style=1.0).propose(replace(task, number=30)):
        assert one.style == "judgments"
        assert len(judged) - len(one.shown) >= MIN_HELD_OUT_PAIRS
        for shown in one.demonstrations:
            row = judged[shown.query_id]
            document = task.writer.corpus.documents[task.writer.corpus.number_of[row.doc_id]]
            assert shown.query == row.query
            assert shown.document in passages(document, one.document_words)


def test_the_style_is_drawn_with_the_given_probability(task: WritingTask) -> None:
    found = PromptPool(["claim", "judgments"], own_style=0.0).propose(replace(task, number=10))
    assert {one.style for one in found} == {"claim"}
    assert {one.style for one in PromptPool(["judgments"]).propose(task)} == {"judgments"}


def test_the_candidates_depend_on_the_seed_alone(task: WritingTask) -> None:
    assert PromptPool().propose(task) == PromptPool().propose(task)
    assert PromptPool().propose(task) != PromptPool().propose(replace(task, seed=1))
    assert PromptPool().propose(replace(task, number=2)) == PromptPool().propose(task)[:2]


def test_without_a_relevant_judgment_there_are_no_demonstrations(
    make_task: Callable[..., WritingTask], script_lm: Callable[..., Any], judgments: list[JudgedDocument]
) -> None:
    none = [row for row in judgments if not row.relevance]
    found = PromptPool(own_style=1.0).propose(make_task(script_lm(str)[0], rows=none))
    assert {one.demonstrations for one in found} == {()}


def test_every_style_has_instructions_of_its_own() -> None:
    assert set(INSTRUCTIONS) == set(get_args(StyleName))
    written = [text for style in STYLES for text in (STYLES[style].instruction, *INSTRUCTIONS[style])]
    assert len(set(written)) == len(written)


@pytest.mark.parametrize("options", [{"own_style": 1.5}, {"styles": ["haiku"]}])
def test_invalid_pool_settings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="choose styles of judgments, question"):
        PromptPool(**options)
