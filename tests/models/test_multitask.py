"""The model with heads: every task by its name, alone and in a program, saved and opened."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zero2ir
from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example
from zero2ir.encoders.multitask import TASKS, MultitaskEncoder
from zero2ir.errors import InputError
from zero2ir.models.capabilities import find_reader, notes, task_functions
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.multitask import Multitask
from zero2ir.models.sparse import Sparse
from zero2ir.program.program import Program

QUICK = {"steps": 2, "batch_size": 4, "max_tokens": 32}
QUERY = "remove whitespace from both ends of a string"


@pytest.fixture(scope="module")
def corpus(docstrings: list[Document], tiny_multitask_encoder: MultitaskEncoder) -> Corpus:
    return Corpus(docstrings, {"multitask": tiny_multitask_encoder})


@pytest.fixture(scope="module")
def program(corpus: Corpus) -> Program:
    return Program(Multitask().index(corpus), corpus.documents)


def test_it_names_its_tasks(program: Program) -> None:
    assert ("rank", *task_functions(program.retriever)) == TASKS
    with pytest.raises(
        InputError, match=r"task='sing': unknown task; this program supports rank, passages, answer, classify_query"
    ):
        program(query=QUERY, task="sing")
    with pytest.raises(InputError, match=r"task='answer': candidates require task='rank'"):
        program(query=QUERY, task="answer", candidates=[program.documents[0].doc_id])
    assert program(query=QUERY, task="rank").docids == program(query=QUERY).docids


def test_passages_stand_where_it_says(program: Program) -> None:
    found = program(query=QUERY, task="passages", k=5)
    assert found.scores == sorted(found.scores, reverse=True)
    assert len(found.passages) == 5
    for docid, (start, end), passage in zip(found.docids, found.spans, found.passages, strict=True):
        assert program.document(docid).content[start:end] == passage
    given = program(query=QUERY, task="passages", documents=["One sentence. " * 40, "Another."])
    assert set(given.docids) == {"0", "1"}


def test_an_answer_stands_in_its_passage(program: Program) -> None:
    found = program(query="who opened it", task="answer", documents=["Gregory opened the file in 301.", ""])
    start, end = found.span
    assert found.answer == found.passages[0][start:end] == found.answers[0]
    assert found.answers[1] == ""
    assert program(query="who opened it", task="answer", k=2).docids == program(query="who opened it", k=2).docids


@pytest.mark.parametrize("task", ["classify_query", "classify_document"])
def test_a_class_has_a_label_and_a_probability(program: Program, task: str) -> None:
    found = program(query=QUERY, task=task, k=2)
    assert (found.label, found.probability) == (found.classes[0], found.probabilities[0])
    assert found.probability == max(found.probabilities)
    assert 0 < found.probability <= 1
    assert len(found.classes) == 2


def test_a_saved_program_does_every_task_as_before(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "searcher")
    opened = zero2ir.load(tmp_path / "searcher")
    for task in TASKS:
        one, other = program(query=QUERY, task=task).toDict(), opened(query=QUERY, task=task).toDict()
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert value == (
                pytest.approx(other[name]) if name in ("scores", "probability", "probabilities") else other[name]
            )
    assert opened(query=QUERY, task="answer").answers == program(query=QUERY, task="answer").answers
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} <= {
        ".json",
        ".safetensors",
        ".txt",
        ".md",
        ".npy",
        ".parquet",
    }


def test_what_has_it_as_a_part_has_its_heads_and_says_where_the_classes_come_from(corpus: Corpus) -> None:
    whole = Hybrid([Sparse(), Multitask()]).index(corpus)
    assert list(task_functions(whole)) == list(TASKS[1:])
    assert find_reader(whole) is not None
    assert notes(whole)["classes"] == "3, from clusters of the documents"
    assert "classify_query accuracy 0." in notes(whole)["heads"]
    assert notes(Sparse().index(corpus)) == {}


def test_other_programs_know_one_task(corpus: Corpus) -> None:
    with pytest.raises(InputError, match=r"task='answer': unknown task; this program supports rank"):
        Program(Sparse().index(corpus), corpus.documents)(query=QUERY, task="answer")


def test_the_encoder_learns_on_from_judged_queries_and_stays_itself(corpus: Corpus) -> None:
    model = Multitask(learning="encoder", fit=QUICK).index(corpus)
    before = model.search([QUERY], 5).scores
    learned = model.learn([Example("gumbo zydeco", 7, (1, 2)), Example("open a file", 9)], seed=0)
    assert learned is not None
    assert (learned.search([QUERY], 5).scores != before).any()
    np.testing.assert_array_equal(model.search([QUERY], 5).scores, before)
    assert learned.network.heads.labels == model.network.heads.labels


def test_it_is_trained_from_documents_and_a_few_judgments(
    string_methods: list[dict[str, str]], string_judgments: list[tuple[str, str, int]], tmp_path: Path
) -> None:
    small = [f"pretraining.multitask.{change}" for change in ("steps=3", "batch_size=4", "layers=1", "max_tokens=16")]
    options: dict[str, Any] = {"model": "multitask", "strategy": "zero_shot", "settings": small}
    program = zero2ir.train(string_methods, string_judgments, **options)
    assert program(query="cut a sentence into words", task="classify_query").label
    assert len(program(query="cut a sentence into words").docids) == 10
