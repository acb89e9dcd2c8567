"""The pipeline over a collection whose queries rank their own candidates."""

import gzip
import json
from pathlib import Path

import pytest
from small_project import FROM_QRELS, Project

from zero2ir.data.judgments import read_judgments, test_queries
from zero2ir.data.store import read_collection

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reranking(fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that ran once over the judged documents of each query."""
    project = fresh.copy(tmp_path_factory.mktemp("reranking") / "project")
    project.edit("conf/dataset/local.yaml", lambda dataset: dataset.update(candidates="qrels"))
    choices = {"lm": "none", "budget": FROM_QRELS, "models": ["sparse"], "strategies": ["fine_tune"]}
    project.edit("params.yaml", lambda panel: panel.update(choices))
    project.done("dvc", "repro")
    return project


def test_each_test_query_ranks_its_candidates_and_nothing_else(reranking: Project) -> None:
    collection = read_collection(reranking.folder / "data" / "collection")
    judgments = read_judgments(reranking.folder / "data" / "judgments" / "seed0.jsonl")
    asked = [query.query_id for query in test_queries(collection, judgments)[0]]
    ranked: dict[str, list[str]] = {}
    with gzip.open(reranking.folder / "results" / "sparse-fine_tune-seed0" / "run.trec.gz", "rt") as file:
        for line in file:
            ranked.setdefault(line.split()[0], []).append(line.split()[2])
    candidates = collection.candidates_of(asked)
    assert candidates is not None
    assert {query_id: sorted(ids) for query_id, ids in ranked.items()} == {
        query_id: sorted(ids) for query_id, ids in candidates.items()
    }


def test_training_is_told_of_the_judged_queries_candidates_alone(reranking: Project) -> None:
    folder: Path = reranking.folder / "data" / "judgments"
    judged = {row.query_id for row in read_judgments(folder / "seed0.jsonl")}
    assert set(json.loads((folder / "seed0-candidates.json").read_text(encoding="utf-8"))) == judged


def test_the_report_says_so(reranking: Project) -> None:
    head = (reranking.folder / "report" / "index.html").read_text(encoding="utf-8").split("</header>")[0]
    assert "Each query ranks its own candidates only" in head


def test_other_candidates_of_test_queries_train_nothing_again(reranking: Project) -> None:
    status = json.loads(reranking.done("dvc", "status", "--json"))
    assert status == {}
    with (reranking.folder / "data" / "collection" / "candidates.parquet").open("ab") as file:
        file.write(b"x")
    changed = set(json.loads(reranking.done("dvc", "status", "--json")))
    assert not any(stage.startswith(("train@", "pretrain")) for stage in changed)
    assert any(stage.startswith("evaluate@") for stage in changed)
