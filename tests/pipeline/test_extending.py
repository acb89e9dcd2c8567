"""A dataset, a model type and a strategy of one's own: each one conf file, the latter two with a module beside it."""

import json
import shutil
from pathlib import Path

import pytest
from small_project import FROM_QRELS, Project

pytestmark = pytest.mark.slow

EXTENDING = Path(__file__).parent / "extending"
SYSTEM = "overlap-greedy-seed0"


@pytest.fixture(scope="module")
def extended(fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the three additions, that ran all stages."""
    project = fresh.copy(tmp_path_factory.mktemp("extending") / "project")
    shutil.copytree(EXTENDING, project.folder, dirs_exist_ok=True)
    choices = {
        "lm": "none",
        "budget": FROM_QRELS,
        "dataset": "handbook",
        "models": ["sparse", "overlap"],
        "strategies": ["greedy"],
    }
    project.edit("params.yaml", lambda panel: panel.update(choices))
    project.done("dvc", "repro")
    return project


def test_all_stages_run_with_what_was_added(extended: Project) -> None:
    training = json.loads((extended.folder / "models" / SYSTEM / "training.json").read_text(encoding="utf-8"))
    assert training["reason"].endswith("of the default")
    metrics = extended.metrics()
    assert set(metrics) == {SYSTEM, "sparse-greedy-seed0"}
    assert metrics[SYSTEM]["nDCG@10"]["mean"] > 0.1
    assert "handbook" in (extended.folder / "report" / "index.html").read_text(encoding="utf-8")


def test_the_report_lists_it_where_its_class_says(extended: Project) -> None:
    table = (extended.folder / "report" / "systems.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[0] for row in table[1:]] == ["overlap/greedy", "sparse/greedy"]


OPENED = "import zero2ir; print(zero2ir.load('models/" + SYSTEM + "/program')(query='remove white space').docids)"


def test_a_program_of_it_is_opened_in_the_project_alone(extended: Project, tmp_path: Path) -> None:
    assert extended.done("python", "-c", OPENED).startswith("['")
    shutil.copytree(extended.folder / "models" / SYSTEM, tmp_path / "models" / SYSTEM)
    refused = Project(tmp_path).run("python", "-c", OPENED, PYTHONPATH=str(extended.folder / "src"))
    last = refused.stderr.splitlines()[-1]
    assert last.endswith("unknown kind of model: 'overlap'; import the module that defines it first")
