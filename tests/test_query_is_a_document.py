"""Collections whose queries are documents (ArguAna, Quora, question archives), from reading to the answer."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

import zero2ir
from zero2ir.cli import main
from zero2ir.data.local import TrainingData, read_for_training
from zero2ir.data.own_documents import own_documents
from zero2ir.data.records import Document, JudgedDocument, Query
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import DataWarning
from zero2ir.models.sparse import Sparse
from zero2ir.online.feedback.improvement import ImproveSettings, improve
from zero2ir.online.monitoring.searches import SignalMeter, read_searches
from zero2ir.online.serving.service import SearchService
from zero2ir.online.serving.settings import ServingSettings
from zero2ir.online.serving.web import application
from zero2ir.program.confidence import Confidence
from zero2ir.program.program import Program
from zero2ir.program.ranking import rank_queries, translated_query_run
from zero2ir.program.training import calibrate
from zero2ir.strategies.base import TrainingInputs
from zero2ir.strategies.fine_tune import measure_settings
from zero2ir.strategies.tuning import TuningSettings

QUESTIONS = Path(__file__).parent / "cases" / "12-query-is-a-document" / "questions"
KEEP = ["task.leave_out_own_documents=false"]


@pytest.fixture(scope="module")
def questions() -> TrainingData:
    return read_for_training(QUESTIONS, "ranking")


def compared(questions: TrainingData, models: Sequence[str], settings: Sequence[str] = ()) -> list[float]:
    rows = zero2ir.compare(
        questions.documents,
        questions.judgments,
        models=models,
        strategies=["zero_shot"],
        settings=settings,
        query_ids=questions.query_ids,
    )
    return [round(row.value.mean, 3) for row in rows]


def test_comparing_leaves_each_query_out_of_its_own_ranking(
    questions: TrainingData, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    corpus = Corpus(questions.documents)
    ranking = Sparse().index(corpus).search(list(questions.query_ids), 20)
    relevant = {row[0]: row[1] for row in questions.judgments}
    gains = []
    for row, (query, query_id) in zip(ranking.numbers, questions.query_ids.items(), strict=True):
        doc_ids = [corpus.documents[number].doc_id for number in row if number >= 0]
        ranked = [doc_id for doc_id in doc_ids if doc_id != query_id][:10]  # as BEIR's evaluation does
        gains.append(1 / np.log2(ranked.index(relevant[query]) + 2) if relevant[query] in ranked else 0.0)
    beir = round(float(np.mean(gains)), 3)
    assert compared(questions, ["sparse", "dense", "hybrid"]) == [beir, 0.963, 0.808]
    assert beir == 0.356


def test_without_the_documents_of_all_queries_nothing_is_left_out(
    questions: TrainingData, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    others = [row for row in questions.documents if row.doc_id not in questions.query_ids.values()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compared(questions._replace(documents=others), ["sparse"]) == [0.426]


def test_the_setting_keeps_the_documents(questions: TrainingData, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert compared(questions, ["sparse"], KEEP) == [0.258]


def test_ids_that_coincide_with_other_texts_change_nothing(
    questions: TrainingData, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    other = dict(zip(questions.query_ids, reversed(questions.query_ids.values()), strict=True))
    assert compared(questions._replace(query_ids=other), ["sparse"]) == [0.258]


def trained(questions: TrainingData, model: str = "sparse", settings: Sequence[str] = (), **options: Any) -> Program:
    return zero2ir.train(
        questions.documents,
        questions.judgments,
        model=model,
        query_ids=questions.query_ids,
        settings=settings,
        **options,
    )


@pytest.mark.parametrize("strategy", ["zero_shot", "fine_tune"])
def test_a_search_with_the_id_leaves_the_query_out(
    questions: TrainingData, strategy: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    program = trained(questions, strategy=strategy)
    query = "How do I oil a chain?"
    whole, rest = program(query=query, k=20), program(query=query, k=19, query_id="s11")
    assert whole.docids[0] == "s11"
    assert rest.docids == whole.docids[1:]
    assert rest.confidence == rest.probabilities[0]
    assert program(query=query, k=20, query_id="s9").docids == whole.docids  # another question's id
    assert program(query=query, k=3, candidates=["s11", "s12", "s13"], query_id="s11").docids == ["s12", "s13"]
    numbers = program.search([query, "Which lock is safe?"], 3, query_ids=["s11", None])[0].numbers
    assert "s11" not in [program.documents[number].doc_id for number in numbers[0]]
    assert numbers.shape == (2, 3)


def test_a_program_says_how_many_queries_are_documents(
    questions: TrainingData, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.warns(DataWarning, match=r"queries that are documents \(same id and text\): 10 left out"):
        assert trained(questions).about["own_documents"] == 10
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "own_documents" not in trained(questions, settings=KEEP).about


def test_the_command_line_knows_the_ids_of_a_folder(
    tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    main(["compare", str(QUESTIONS), "--models", "sparse", "--strategies", "zero_shot"])
    output = capsys.readouterr()
    assert "0.356" in output.out
    assert "10 left out of their own rankings" in output.err
    main(["train", str(QUESTIONS), "--output", "program", "--model", "sparse"])
    capsys.readouterr()
    main(["search", "program", "How do I oil a chain?", "--query-id", "s11", "-k", "3", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["docids"]) == 3
    assert "s11" not in answer["docids"]


# choosing, hard negatives and confidence


def archive(number: int = 12) -> tuple[list[Document], list[JudgedDocument]]:
    """Questions, each with a paraphrase that shares one of its words and is the only relevant document."""
    words = [f"word{place}" for place in range(number)]
    asked = [Document(f"a{place}", "", f"please explain {word} gently") for place, word in enumerate(words)]
    again = [Document(f"b{place}", "", f"{word} in a nutshell for me") for place, word in enumerate(words)]
    rows = [JudgedDocument(one.doc_id, one.text, two.doc_id, 1) for one, two in zip(asked, again, strict=True)]
    return [*asked, *again], rows


def inputs(own: bool) -> TrainingInputs:
    documents, rows = archive()
    found = own_documents({row.query_id: row.query for row in rows}, documents, rows) if own else {}
    settings = TuningSettings(negatives=30, negatives_from=(1, 30))
    return TrainingInputs(Corpus(documents), rows, tuning=settings, own_documents=found)


def test_choosing_measures_without_the_own_document() -> None:
    kept, left_out = (
        measure_settings(Sparse().index(one.corpus), one, one.measured_queries) for one in (inputs(False), inputs(True))
    )
    assert [one.settings for one in kept] == [one.settings for one in left_out]
    assert all((one.values < 1).all() for one in kept)
    assert (left_out[0].values == 1).all()


def test_the_own_document_is_no_hard_negative() -> None:
    one = inputs(True)
    number_of = one.corpus.number_of
    for row, example in zip(one.judgments, one.judged_examples(list(one.queries)), strict=True):
        assert number_of[row.query_id] not in example.negatives
    assert any(
        number_of[row.query_id] in example.negatives
        for row, example in zip(one.judgments, inputs(False).judged_examples(list(one.queries)), strict=True)
    )


def test_confidence_is_fitted_without_the_own_documents() -> None:
    one = inputs(True)
    unlabelled = [row.query for row in one.judgments[6:]]
    few = replace(
        one,
        judgments=one.judgments[:6],
        unlabelled_queries=unlabelled,
        own_documents={**one.own_documents, **{row.query: row.query_id for row in one.judgments[6:]}},
    )
    retriever = Sparse().index(one.corpus)
    found = calibrate(retriever, few)  # each first document is relevant
    assert found.level > Confidence.prior("sparse").level > calibrate(retriever, replace(few, own_documents={})).level
    assert (
        few.own_of(unlabelled).tolist() == few.corpus.numbers_of([row.query_id for row in one.judgments[6:]]).tolist()
    )


# after training


def program_of(documents: Sequence[Document]) -> Program:
    return Program(Sparse().index(Corpus(documents)), documents)


def test_a_run_ranks_the_other_documents_to_the_full_depth() -> None:
    documents, rows = archive()
    queries = [Query(row.query_id, row.query) for row in rows]
    own = {row.query_id: row.query_id for row in rows}
    pools = {row.query_id: [*own, row.doc_id] for row in rows}
    for run in (
        rank_queries(program_of(documents), queries, 2, None, own)[0],
        rank_queries(program_of(documents), queries, 2, pools, own)[0],
        translated_query_run(documents, [one._replace(translation=one.text) for one in queries], 2, None, own),
    ):
        assert [next(iter(row)) for row in run.doc_ids] == [row.doc_id for row in rows]
        assert all(query_id not in row for query_id, row in zip(run.query_ids, run.doc_ids, strict=True))
        assert all(all(row) for row in run.doc_ids)


@pytest.mark.parametrize("ids", [True, False])
def test_improving_compares_without_the_own_documents(ids: bool) -> None:
    documents, rows = archive(30)
    judgments = [(row.query, row.doc_id, row.relevance) for row in rows]
    query_ids = {row.query: row.query_id for row in rows} if ids else None
    improved = improve(
        program_of(documents), [], judgments, settings=ImproveSettings(resamples=100), query_ids=query_ids
    )
    assert (improved.figures["old"] == 1) == ids


def test_monitoring_searches_without_the_own_documents(tmp_path: Path) -> None:
    documents, rows = archive(30)
    lines = [json.dumps({"query": row.query, "query_id": row.query_id}) for row in rows]
    (tmp_path / "with.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "without.txt").write_text("\n".join(row.query for row in rows), encoding="utf-8")
    searches = [read_searches(tmp_path / name) for name in ("with.jsonl", "without.txt")]
    meter = SignalMeter(program_of(documents), [row.query for row in rows])
    left_out, kept = (meter.measure(some).signals["score"] for some in searches)
    assert (left_out < kept).all()


def test_the_server_takes_the_id_of_a_query(tmp_path: Path) -> None:
    documents, rows = archive()
    with SearchService(program_of(documents), tmp_path, ServingSettings(impressions=True)) as service:
        client = TestClient(application(service))
        request = {"query": rows[3].query, "k": 1, "query_id": rows[3].query_id}
        (hit,) = client.post("/search", json=request).json()["results"]
        assert hit["doc_id"] == rows[3].doc_id
        assert [one.doc_id for one in service.feedback.events()] == [rows[3].doc_id]


def test_nobody_judges_a_query_for_itself(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    documents, rows = archive()
    queries = [(row.query_id, row.query) for row in rows]
    settings = ["committee={sparse:{_target_:zero2ir.models.sparse.Sparse}}"]
    labelling = zero2ir.label(documents, queries, "answers.jsonl", model="sparse", settings=settings)
    judged = set()
    while (item := labelling.next()) is not None:
        judged.add((item.query_id, item.doc_id))
        labelling.answer(int(item.doc_id[1:] == item.query_id[1:]), "me")
    assert {query_id for query_id, _ in judged} <= {row.query_id for row in rows}
    assert not any(query_id == doc_id for query_id, doc_id in judged)
