"""The model with heads through the five stages, on a slice."""

from pathlib import Path
from typing import Any

import pytest
from small_project import Project, new_project

import zero2ir
from zero2ir.evaluation.results import read_results

pytestmark = pytest.mark.slow
SYSTEM = "multitask-zero_shot-seed0"


def shrink(pretraining: dict[str, Any]) -> None:
    """A few steps of one layer."""
    pretraining["multitask"] = {"steps": 5, "batch_size": 4, "layers": 1, "max_tokens": 16, "clusters": 4}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with its results and report, every command as dvc.yaml has it; no language model."""
    project = new_project(tmp_path_factory.mktemp("multitask") / "project")
    project.edit("conf/pretraining/default.yaml", shrink)
    choices = {"lm": "none", "models": ["multitask"], "strategies": ["zero_shot"]}
    project.edit("params.yaml", lambda panel: panel.update(choices))
    project.done("dvc", "repro")
    return project


def test_the_trained_program_does_every_task(evaluated: Project) -> None:
    program = zero2ir.load(evaluated.folder / "models" / SYSTEM / "program")
    assert program(query="remove white space").docids
    assert program(query="remove white space", task="passages", k=2).passages
    assert 0 < program(query="remove white space", task="classify_query").probability <= 1


def test_the_report_says_where_the_classes_come_from_and_what_the_heads_reached(evaluated: Project) -> None:
    results = read_results(evaluated.folder / "results" / SYSTEM)
    assert results.metrics["nDCG@10"]["mean"] > 0
    page = Path(evaluated.folder / "report" / "index.html").read_text(encoding="utf-8")
    for note in ("classes", "heads"):
        assert results.system.notes[note] in page.replace("&#39;", "'")
    assert "clusters of the documents" in results.system.notes["classes"]
    assert "classify_query accuracy" in results.system.notes["heads"]
