"""A preset by one command, killed in the middle and gone on with by the same command."""

import signal

import pytest
from small_project import FROM_QRELS, Project, committed_project

pytestmark = pytest.mark.slow
PRESET = {
    "title": "What three more judged queries are worth",
    "panel": {
        "dataset": "local",
        "lm": "none",
        "budget": FROM_QRELS,
        "models": ["sparse"],
        "strategies": ["fine_tune"],
    },
    "sweep": {"budget.queries": [3, 6]},
    "memory_gb": 1,
}
COMMAND = ("zero2ir", "experiment", "tiny", "--jobs", "1")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A committed project with a preset of two conditions."""
    return committed_project(tmp_path_factory.mktemp("experiment") / "project", PRESET)


def test_killed_it_goes_on_and_ends_in_one_report(project: Project) -> None:
    copies = project.folder / ".cache" / "experiments" / "tiny"
    first, second = (copies / f"queries{number}" for number in (3, 6))
    project.interrupted(signal.SIGKILL, (second / "data" / "collection").exists, *COMMAND)
    done = (first / "results" / "sparse-fine_tune-seed0" / "metrics.json").stat().st_mtime_ns
    assert not (project.folder / "reports").exists()

    printed = project.done(*COMMAND)
    assert "tiny-queries3: finished" in printed
    assert "tiny-queries6: finished" in printed
    assert (first / "results" / "sparse-fine_tune-seed0" / "metrics.json").stat().st_mtime_ns == done
    ingests = (copies / "queries6.log").read_text(encoding="utf-8").count("Running stage 'ingest'")
    assert ingests <= 2  # once more at most, where the kill came before DVC had written it down

    report = project.folder / "reports" / "tiny"
    text = (report / "index.md").read_text(encoding="utf-8")
    assert "# What three more judged queries are worth" in text
    assert "| Model | Strategy | queries 3 | queries 6 |" in text
    assert "## Compared with queries 3" in text
    assert (report / "queries6" / "index.html").is_file()
    assert r"\begin{tabular}" in (report / "systems.tex").read_text(encoding="utf-8")

    experiments = project.done("dvc", "exp", "list", "--name-only").split()
    assert sorted(experiments) == ["tiny-queries3", "tiny-queries6"]
    compared = project.done("zero2ir", "compare", "tiny-queries6:sparse/fine_tune", "tiny-queries3:sparse/fine_tune")
    assert "test queries of local, draws 0" in compared

    runs = tracked(project)
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert all(run.info.artifact_uri.startswith(str(project.folder / "mlruns")) for run in runs)
    assert len([run for run in runs if "mlflow.parentRunId" not in run.data.tags]) == 2


def test_called_again_nothing_runs(project: Project) -> None:
    log = project.folder / ".cache" / "experiments" / "tiny" / "queries3.log"
    before = log.read_text(encoding="utf-8").count("Running stage")
    project.done(*COMMAND)
    assert log.read_text(encoding="utf-8").count("Running stage") == before


def tracked(project: Project) -> list:
    """The runs of the project's own store, to which all conditions report."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{project.folder / 'mlflow.db'}")
    return client.search_runs([client.get_experiment_by_name("local").experiment_id])


def test_a_condition_that_fails_is_named_and_the_others_are_reported(project: Project) -> None:
    failed = project.run(*COMMAND, "--set", "sweep={budget.queries: [3, 600]}")
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: 1 of 2 conditions failed; tiny-queries600: ")
    assert failed.stderr.count("\n") == 1
    assert "queries 3" in (project.folder / "reports" / "tiny" / "index.md").read_text(encoding="utf-8")
