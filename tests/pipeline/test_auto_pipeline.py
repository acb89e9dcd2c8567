"""model=auto through the five stages, on a slice."""

import json

import pytest
from small_project import Project

import zero2ir

pytestmark = pytest.mark.slow
SYSTEM = "auto-fine_tune-seed0"


@pytest.fixture(scope="module")
def evaluated(fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with its results and report; no language model."""
    project = fresh.copy(tmp_path_factory.mktemp("auto") / "project")
    choices = {"lm": "none", "encoder": "static", "models": ["auto"], "strategies": ["fine_tune"]}
    project.edit("params.yaml", lambda panel: panel.update(choices))
    project.done("dvc", "repro")
    return project


def test_training_keeps_what_was_chosen_from_and_the_report_shows_it(evaluated: Project) -> None:
    training = json.loads((evaluated.folder / "models" / SYSTEM / "training.json").read_text(encoding="utf-8"))
    choice = training["model_choice"]
    names = [one["name"] for one in choice["candidates"]]
    assert sorted(names) == ["dense", "hybrid", "pretrained_hybrid", "sparse", "static", "static_hybrid"]
    page = (evaluated.folder / "report" / "index.html").read_text(encoding="utf-8")
    assert [name for name in names if f">{name}<" not in page.split('id="model-types"')[1]] == []


def test_the_program_is_that_of_the_chosen_model(evaluated: Project) -> None:
    program = zero2ir.load(evaluated.folder / "models" / SYSTEM / "program")
    assert program(query="remove white space").docids
    assert program.about["model"] == "auto"
    assert program.about["model_choice"]["model"] in ("hybrid", "sparse", "static_hybrid", "pretrained_hybrid")
    assert (evaluated.folder / "results" / SYSTEM / "metrics.json").is_file()
