"""The model card: what a hub's parser reads, what people read, and nothing that documents or queries put in."""

from pathlib import Path

import pytest
from huggingface_hub import ModelCard

import zero2ir
from zero2ir.program.card import CARD_FILE
from zero2ir.program.program import Program

DOCUMENTS = ["Strip the white space at both ends.", "Centre text in a given width.", "Join strings to one."]
JUDGMENTS = [("get rid of blanks around my input", "0", 1), ("put a title in the middle", "1", 1)]


@pytest.fixture(scope="module")
def program() -> Program:
    return zero2ir.train(DOCUMENTS, JUDGMENTS, model="sparse", risk=0.2, language="en")


def test_a_saved_program_has_a_card_that_the_hubs_parser_reads(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "program")
    card = ModelCard.load(tmp_path / "program" / CARD_FILE)
    assert card.data.library_name == "zero2ir"
    assert card.data.pipeline_tag == "text-ranking"
    assert card.data.language == ["en"]
    assert "sparse" in card.data.tags
    again = zero2ir.load(tmp_path / "program")
    assert again.card() == (tmp_path / "program" / CARD_FILE).read_text("utf-8") == program.card()


def test_the_card_says_what_was_used_and_when_the_program_abstains(program: Program) -> None:
    card = program.card()
    assert "searches 3 documents in English" in card
    assert "| judged documents used | 2 |" in card
    assert program.about["reason"][:20] in card
    assert "at most 20%, with a warning up to 40%" in card


def test_texts_of_users_are_no_markup(program: Program) -> None:
    about = program.about | {
        "reason": "[click](https://example.org) <script>alert(1)</script>\n# heading",
        "quality": {"judgments of unknown documents": {"count": 1200, "examples": ["<b>x</b>"]}},
    }
    card = Program(program.retriever, program.documents, program.confidence, about).card()
    assert "<script>" not in card
    assert "[click\\](https" in card  # an escaped bracket ends no link
    assert "\n# heading" not in card
    assert "| judgments of unknown documents | 1,200 |" in card
    assert "<b>" not in card


def test_the_choice_of_a_model_type_is_in_the_card(program: Program) -> None:
    candidate = {"name": "hybrid", "difference": 0.0, "ci_low": -0.01, "ci_high": 0.01, "probability_best": 0.4}
    dear = candidate | {"name": "full", "probability_best": None}
    choice = {"model": "hybrid", "queries": 10, "candidates": [candidate, dear]}
    card = Program(program.retriever, program.documents, None, program.about | {"model_choice": choice}).card()
    assert "| hybrid | +0.000 [-0.010, +0.010] | 40% |" in card
    assert "| full | +0.000 [-0.010, +0.010] | over a limit |" in card
    assert "It states no probabilities." in card
