"""The pipeline over a collection whose queries are documents."""

import gzip
import json
import shutil
from pathlib import Path

import pytest
from small_project import Project

pytestmark = pytest.mark.slow

QUESTIONS = Path(__file__).parents[1] / "cases" / "12-query-is-a-document" / "questions"


@pytest.fixture(scope="module")
def archive(fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that ran once over questions."""
    project = fresh.copy(tmp_path_factory.mktemp("archive") / "project")
    shutil.copytree(QUESTIONS, project.folder / "questions")
    project.edit("conf/dataset/local.yaml", lambda dataset: dataset.update(path="questions"))
    budget = {"queries": 4, "documents_per_query": 1, "judging": "relevant"}
    choices = {"lm": "none", "models": ["sparse"], "strategies": ["zero_shot"], "seeds": [0], "budget": budget}
    project.edit("params.yaml", lambda panel: panel.update(choices))
    project.done("dvc", "repro")
    return project


def test_no_run_has_a_query_in_its_own_ranking(archive: Project) -> None:
    with gzip.open(archive.folder / "results" / "sparse-zero_shot-seed0" / "run.trec.gz", "rt") as file:
        rows = [line.split() for line in file]
    assert len({row[0] for row in rows}) == 6
    assert not any(row[0] == row[2] for row in rows)


def test_training_knows_the_own_documents_of_the_judged_queries(archive: Project) -> None:
    own = json.loads((archive.folder / "data" / "judgments" / "seed0-own-documents.json").read_text(encoding="utf-8"))
    assert len(own) == 4
    assert all(key == doc_id for key, doc_id in own.items())


def test_the_report_says_so(archive: Project) -> None:
    head = (archive.folder / "report" / "index.html").read_text(encoding="utf-8").split("</header>")[0]
    assert "10 queries are documents of the collection" in " ".join(head.split())
