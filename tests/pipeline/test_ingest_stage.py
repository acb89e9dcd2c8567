"""The stage ingest: the judgments that it draws, and what it says that it does not use."""

import json
from pathlib import Path

import pytest
from small_project import Project

from zero2ir.data.judgments import read_judgments, test_queries
from zero2ir.data.records import JudgedDocument, Judgment
from zero2ir.data.store import read_collection, stored_language

POOLED = ("python", "stages/ingest.py", "dataset=local")
INGEST = (*POOLED, "budget.judging=relevant")


@pytest.mark.parametrize(("unknown", "stops"), [(1, False), (900, True)])
def test_unusable_judgments_are_said_and_too_many_stop(
    fresh: Project, tmp_path: Path, unknown: int, stops: bool
) -> None:
    project = fresh.copy(tmp_path / "project")
    qrels = project.folder / "my-collection" / "qrels.trec"
    good = qrels.read_text(encoding="utf-8").splitlines()
    query_id, _, doc_id, _ = good[0].split()
    added = [f"{query_id} 0 {doc_id.upper()}.txt {number}" for number in range(unknown)]
    qrels.write_text("\n".join([*good, *added, ""]), encoding="utf-8")
    ended = project.run(*INGEST)
    place = (
        f"qrels.trec:{len(good) + 1}: no document has the id '{doc_id.upper()}.txt' (the document '{doc_id}' differs"
    )
    manifest = project.folder / "data" / "collection" / "manifest.json"
    assert ended.returncode == stops
    if stops:
        assert ended.stderr.startswith(f"error: {place}")
        assert f"{unknown} of {len(good) + unknown} judgments cannot be used, more than a fifth" in ended.stderr
        assert not manifest.exists()
    else:
        assert ended.stderr.startswith(f"warning: judgments of unknown documents: 1 left out; {place}")
        issue = json.loads(manifest.read_text(encoding="utf-8"))["quality"]["judgments of unknown documents"]
        assert issue["count"] == 1
        assert issue["examples"][0].startswith(place)


@pytest.mark.parametrize(("language", "stored"), [("auto", "en"), ("de", "de")])
def test_the_language_of_params_yaml_is_stored(fresh: Project, tmp_path: Path, language: str, stored: str) -> None:
    project = fresh.copy(tmp_path / "project")
    project.edit("params.yaml", lambda panel: panel.update(language=language))
    assert project.run(*INGEST).returncode == 0
    assert stored_language(project.folder / "data" / "collection") == stored


@pytest.mark.parametrize("deep", [False, True])
def test_whether_the_judgments_are_deep_is_stored(fresh: Project, tmp_path: Path, deep: bool) -> None:
    project = fresh.copy(tmp_path / "project")
    project.done(*INGEST, f"dataset.deep_judgments={str(deep).lower()}")
    assert read_collection(project.folder / "data" / "collection").metadata["deep_judgments"] is deep


def test_a_topic_is_judged_once_and_then_not_tested(fresh: Project, tmp_path: Path) -> None:
    project = fresh.copy(tmp_path / "project")
    project.edit("params.yaml", lambda panel: panel.update(budget={"queries": 3, "judging": "relevant"}, seeds=[0, 1]))
    ingest = ("python", "stages/ingest.py", "dataset=local")
    project.done(*ingest, r"dataset.topic='(.*.)'")
    whole = read_collection(project.folder / "data" / "collection")
    assert all(query.topic == query.query_id for query in whole.queries)
    project.done(*ingest, r"dataset.topic='(.*).'")  # ids that differ in the last character only share a topic
    collection = read_collection(project.folder / "data" / "collection")
    topic_of = {query.query_id: query.topic for query in collection.queries}
    assert len({*topic_of.values()}) < len(topic_of)
    for seed in (0, 1):
        judgments = read_judgments(project.folder / "data" / "judgments" / f"seed{seed}.jsonl")
        judged = {topic_of[query_id] for query_id in {row.query_id for row in judgments}}
        assert len(judged) == 3
        assert judged.isdisjoint(query.topic for query in test_queries(collection, judgments)[0])


@pytest.fixture(scope="module")
def pooled(fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with two draws of the first documents of a committee."""
    project = fresh.copy(tmp_path_factory.mktemp("pooled") / "project")
    project.edit("params.yaml", lambda panel: panel.update(seeds=[0, 1]))
    project.done(*POOLED)
    return project


def judgments(project: Project, seed: int) -> list[JudgedDocument]:
    return read_judgments(project.folder / "data" / "judgments" / f"seed{seed}.jsonl")


def counts(project: Project) -> dict[str, dict[str, int]]:
    return json.loads((project.folder / "data" / "judgments" / "counts.json").read_text(encoding="utf-8"))


def test_documents_of_a_committee_are_judged_and_counted(pooled: Project) -> None:
    collection = read_collection(pooled.folder / "data" / "collection")
    grades = {row[:2]: row.relevance for row in collection.judgments}
    for seed in (0, 1):
        rows = judgments(pooled, seed)
        assert [row.relevance for row in rows] == [grades.get((row.query_id, row.doc_id), 0) for row in rows]
        assert any((row.query_id, row.doc_id) not in grades for row in rows)
        relevant = {row.query_id for row in rows if row.relevance > 0}
        assert counts(pooled)[str(seed)] == {
            "queries": 6,
            "documents": 30,
            "relevant": sum(row.relevance > 0 for row in rows),
            "queries_without_relevant": 6 - len(relevant),
            "queries_passed_over": 0,
        }


def test_one_committee_serves_every_draw(pooled: Project) -> None:
    encoders = {path.parent.name for path in (pooled.folder / "data" / "committee").glob("*/encoder.json")}
    assert encoders == {"pretrained", "static-seed0"}


def test_a_smaller_draw_is_a_part_and_a_shallow_one_holds_no_unjudged_document(pooled: Project, tmp_path: Path) -> None:
    project = pooled.copy(tmp_path / "project")
    project.done(*POOLED, "budget.queries=4", "budget.documents_per_query=3")
    assert [len(judgments(project, seed)) for seed in (0, 1)] == [12, 12]
    assert all(set(judgments(project, seed)) < set(judgments(pooled, seed)) for seed in (0, 1))
    project.done(*POOLED, "dataset.deep_judgments=false")
    qrels = set(read_collection(project.folder / "data" / "collection").judgments)
    for seed in (0, 1):
        assert {Judgment(row.query_id, row.doc_id, row.relevance) for row in judgments(project, seed)} <= qrels
        assert counts(project)[str(seed)]["queries"] == 6


def test_a_draw_from_the_qrels_trains_no_committee(pooled: Project, tmp_path: Path) -> None:
    project = pooled.copy(tmp_path / "project")
    project.done(*INGEST)
    assert not list((project.folder / "data" / "committee").glob("*/encoder.json"))
    assert all(count["queries_without_relevant"] == 0 for count in counts(project).values())
