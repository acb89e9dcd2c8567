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


def test_test_figures_are_in_the_table_and_where_the_hub_looks_for_them(program: Program) -> None:
    def figure(mean: float) -> dict[str, float]:
        return {"mean": mean, "ci_low": mean - 0.1, "ci_high": mean + 0.1, "n": 161}

    evaluation = {
        "dataset": "pydocs",
        "measures": {"nDCG@10": figure(0.5), "RR@10": figure(0.4)},
        "confidence": {"accuracy": figure(0.3), "ECE": figure(0.1), "AURC": 0.5},
        "level": 0.95,
    }
    about = program.about | {"evaluation": evaluation}
    card = Program(program.retriever, program.documents, program.confidence, about).card()
    assert "| nDCG@10 | 0.500 [0.400, 0.600] | 161 |" in card
    assert "| expected calibration error | 0.100 [0.000, 0.200] | 161 |" in card
    assert "No figure on test queries" in program.card()
    assert "No figure on test queries" not in card
    found = ModelCard(card).data.eval_results
    assert [(one.dataset_name, one.metric_type, one.metric_value) for one in found] == [
        ("pydocs", "nDCG@10", 0.5),
        ("pydocs", "RR@10", 0.4),
    ]


def test_data_judgments_and_decisions_are_in_the_card(program: Program) -> None:
    data = {"name": "pydocs", "source": "standard library", "licence": "PSF-2.0"}
    gain = {"subject": "fusion weights", "used": True, "expected_gain": 0.021, "low": -0.01, "high": 0.05, "queries": 9}
    about = program.about | {"data": data, "decisions": [gain]}
    card = Program(program.retriever, program.documents, None, about).card()
    assert "| collection | pydocs, standard library |" in card
    assert "| judged queries | 2 |" in card
    assert "| fusion weights | used | +0.021 [-0.010, +0.050] | 9 |" in card
    assert "| documents | PSF-2.0 |" in card
    assert "| documents | unknown |" in program.card()


def test_the_licences_are_those_of_the_weights_in_use(program: Program) -> None:
    about = program.about | {"encoders": {"pretrained": "minilm", "static": "static", "adapted": "other/model"}}
    card = Program(program.retriever, program.documents, None, about).card()
    assert "| encoder pretrained: all-MiniLM-L6-v2 | Apache-2.0 |" in card
    assert "| encoder static: static | trained on the documents alone |" in card
    assert "| encoder adapted: other/model | ask the makers of the one it started from |" in card
    assert ModelCard(card).data.base_model == ["sentence-transformers/all-MiniLM-L6-v2"]
    assert "encoder" not in program.card().partition("## Licences")[2]  # BM25 has no weights


def test_the_choice_of_a_model_type_is_in_the_card(program: Program) -> None:
    candidate = {"name": "hybrid", "difference": 0.0, "ci_low": -0.01, "ci_high": 0.01, "probability_best": 0.4}
    dear = candidate | {"name": "full", "probability_best": None}
    choice = {"model": "hybrid", "queries": 10, "candidates": [candidate, dear]}
    card = Program(program.retriever, program.documents, None, program.about | {"model_choice": choice}).card()
    assert "| hybrid | +0.000 [-0.010, +0.010] | 40% |" in card
    assert "| full | +0.000 [-0.010, +0.010] | over a limit |" in card
    assert "It states no probabilities." in card
