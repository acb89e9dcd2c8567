"""Candidates: their digests, which queries they reveal, and that the fixed one is the prompt of the settings."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from zero2ir.data.records import JudgedDocument
from zero2ir.strategies.prompt_search.candidates import Demonstration, PromptCandidate, fixed_candidate
from zero2ir.strategies.prompt_search.proposals import WritingTask
from zero2ir.synthetic.queries import write_queries
from zero2ir.writing.styles import EXCERPTS, STYLES


def test_the_fixed_candidate_is_the_prompt_of_the_settings(
    make_task: Callable[..., WritingTask], script_lm: Callable[..., Any], judgments: list[JudgedDocument]
) -> None:
    language_model, _ = script_lm(lambda messages: "some words")
    task = make_task(language_model)
    rows, provenance = write_queries(task.writer.corpus, judgments, language_model, task.writer.settings, 0)
    (prompt,) = provenance["prompts"].values()
    assert task.fixed.prompt.as_dict() == prompt
    assert {row.prompt for row in rows} == {task.fixed.prompt.digest}
    settings = task.fixed.settings(task.writer.settings)
    assert settings == task.writer.settings.model_copy(update={"styles": {"judgments": 1}})
    text = {row.query_id: row.query for row in judgments}
    assert sorted(text[query_id] for query_id in task.fixed.shown) == sorted(
        one.query for one in task.fixed.demonstrations
    )
    assert len(task.fixed.shown) == 2


def test_a_style_with_its_own_excerpts_reveals_no_judged_query(
    task: WritingTask, judgments: list[JudgedDocument]
) -> None:
    settings = task.writer.settings.model_copy(update={"styles": {"judgments": 1, "claim": 2, "question": 2}})
    fixed = fixed_candidate(task.writer.corpus, judgments, settings, seed=3)
    assert fixed.style == "claim"  # the first of those with most queries
    assert fixed.shown == frozenset()
    assert {(one.document, one.query) for one in fixed.demonstrations} <= set(
        zip(EXCERPTS, STYLES["claim"].queries, strict=True)
    )
    assert fixed.settings(settings).styles == {"claim": 5}  # as many queries as all styles together


def test_everything_but_the_origin_makes_another_candidate(task: WritingTask) -> None:
    one = task.fixed
    others = [
        replace(one, instruction="Write."),
        replace(one, demonstrations=one.demonstrations[::-1]),
        replace(one, temperature=0.5),
        replace(one, document_words=39),
        replace(one, style="title"),
    ]
    assert len({other.digest for other in [one, *others]}) == 6
    assert replace(one, origin="pool").digest == one.digest


def test_the_simpler_candidate_comes_first() -> None:
    shown = (Demonstration("a document", "a query"),)
    fixed = PromptCandidate("question", "Write.", shown * 3, 40)
    few, many = (PromptCandidate("question", "Ask.", shown * n, 40, origin="pool") for n in (1, 2))
    by_lm = replace(few, origin="mipro")
    candidates = [many, by_lm, few, fixed]
    assert sorted(candidates, key=lambda one: one.complexity) == [fixed, few, by_lm, many]
