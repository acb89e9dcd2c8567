"""Conditions by tasks: what tasks make comes back through DVC's cache, and nothing runs twice."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from socket import gethostname

import pytest
import yaml
from omegaconf import OmegaConf

from zero2ir.experiments.preset import ExperimentConfig, condition, read_preset
from zero2ir.experiments.runner import run_conditions
from zero2ir.experiments.tasks import Outcome, Task, run_task
from zero2ir.experiments.workspaces import Origin, Workspace

IDENTITY = ["-c", "user.name=a", "-c", "user.email=a@b"]
SYSTEMS = ("first", "second", "third")
MEET = "touch {0}-{1}; for n in $(seq 1200); do test -e {0}-{2} && break; sleep 0.1; done; test -e {0}-{2}"


class Here:
    """Runs tasks in this process, as if other machines did it; ``machines`` do not see the project's folder."""

    def __init__(self, machines: Sequence[str] = ()) -> None:
        self.machines = machines

    def without(self, origin: Origin) -> Sequence[str]:
        return self.machines

    def run(self, task: Task) -> Outcome:
        return run_task(task)

    def stop(self) -> None:
        raise AssertionError("nothing interrupts these tests")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed project with a pipeline of three systems, whose stages write down that they ran.

    The first and the second system wait for each other; the third one needs the file "allowed".
    """
    folder, ran = tmp_path / "project", tmp_path / "ran"
    commands = {
        "first": MEET.format(tmp_path / "met", "first", "second"),
        "second": MEET.format(tmp_path / "met", "second", "first"),
        "third": f"test -e {tmp_path / 'allowed'} || {{ echo not allowed; exit 1; }}",
    }
    matrix = {"system": list(SYSTEMS)}
    said = f"echo ${{item.system}} >> {ran}"
    stages = {
        "ingest": {"cmd": f"echo ingest >> {ran} && cp source ingested", "deps": ["source"], "outs": ["ingested"]},
        "pretrain-synthetic": {
            "cmd": f"echo pretrain >> {ran} && cp ingested encoder",
            "deps": ["ingested"],
            "outs": ["encoder"],
        },
        "train": {
            "matrix": matrix,
            "cmd": f"sh ${{item.system}}.sh && {said} && date +%N > ${{item.system}}.model",
            "deps": ["encoder", "${item.system}.sh"],
            "outs": ["${item.system}.model"],
        },
        "evaluate": {
            "matrix": matrix,
            "cmd": f"{said} && cp ${{item.system}}.model ${{item.system}}.result",
            "deps": ["${item.system}.model"],
            "metrics": [{"${item.system}.result": {"cache": False}}],
        },
        "report": {
            "cmd": f"echo report >> {ran} && cat *.result > report",
            "deps": [f"{system}.result" for system in SYSTEMS],
            "outs": ["report"],
        },
    }
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (folder / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (folder / ".gitignore").write_text("/.cache/\n*.model\n*.result\n/encoder\n/ingested\n/report\n")
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    (folder / "source").write_text("1\n")
    for system, command in commands.items():
        (folder / f"{system}.sh").write_text(command)
    OmegaConf.save(condition({}, {}).panel.model_dump(mode="json"), folder / "params.yaml")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.setenv("CI", "1")
    conf = Path(__file__).parents[2] / "conf"
    monkeypatch.setattr("zero2ir.config.conf_folder", lambda: conf)
    monkeypatch.setattr("zero2ir.experiments.runner.prepared_store", lambda *_: "unused")
    monkeypatch.setattr("zero2ir.experiments.distribution.open_pipeline_run", lambda *_: None)
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main"], check=True)
    commit()
    return folder


def commit() -> None:
    subprocess.run(["git", "add", "--all"], check=True)
    subprocess.run(["git", *IDENTITY, "commit", "--quiet", "--message", "a change"], check=True)


def ran(project: Path) -> list[str]:
    return (project.parent / "ran").read_text().split()


def run(executor: Here, **changes: object) -> tuple[Workspace, str]:
    """Runs the only condition of a preset; its copy and what failed."""
    preset: ExperimentConfig = read_preset("smoke").model_copy(update=changes)
    ((copy, error),) = run_conditions("smoke", preset, [condition({}, preset.panel)], None, executor)
    return copy, str(error or "")


def test_a_failed_system_stops_no_other_and_alone_runs_again(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy, error = run(Here())
    assert error.startswith(f"smoke-all: 1 of 3 systems failed; third on {gethostname()}: ")
    assert error.endswith("-m dvc repro failed; see .cache/experiments/smoke/all.log")
    assert "not allowed" in copy.log.read_text()
    assert not (copy.folder / "report").exists()
    printed = capsys.readouterr().out
    assert "smoke-all preparation on " in printed
    assert printed.index("preparation on ") < printed.index("first on ")
    assert "smoke-all third on " in printed
    models = {name: (copy.folder / f"{name}.model").read_text() for name in ("first", "second")}

    (project.parent / "allowed").touch()
    copy, error = run(Here())
    assert error == ""
    assert "first on" not in capsys.readouterr().out
    assert ran(project)[:2] == ["ingest", "pretrain"]
    assert sorted(ran(project)[2:]) == sorted([*SYSTEMS, *SYSTEMS, "report"])  # each stage once, on whichever machine
    assert {name: (copy.folder / f"{name}.model").read_text() for name in models} == models
    assert (copy.folder / "report").read_text().split() == [
        (copy.folder / f"{name}.model").read_text().strip() for name in SYSTEMS
    ]
    assert list((project / ".cache" / "tasks").iterdir()) == []


@pytest.mark.slow
def test_without_a_shared_folder_git_and_dvc_remotes_carry_code_and_results(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.parent / "allowed").touch()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example:5000")
    node = project.parent / "node"
    monkeypatch.setenv("ZERO2IR_CACHE", str(node))
    store, remote = project.parent / "code.git", project.parent / "store"
    subprocess.run(["git", "init", "--quiet", "--bare", str(store)], check=True)
    subprocess.run(["git", "remote", "add", "origin", str(store)], check=True)
    with (project / ".dvc" / "config").open("a") as config:
        config.write(f"    remote = store\n['remote \"store\"']\n    url = {remote}\n")
    commit()
    subprocess.run(["git", "push", "--quiet", "origin", "main"], check=True)

    copy, error = run(Here(["another machine"]))
    assert error == ""
    assert f"code and results of tasks: {store} and the DVC remote" in capsys.readouterr().out
    assert sorted(ran(project)[2:]) == sorted([*SYSTEMS, *SYSTEMS, "report"])
    assert (node / "dvc").is_dir()
    assert not (project / ".cache" / "tasks").exists()
    result = [(copy.folder / f"{name}.{kind}").read_text() for name in SYSTEMS for kind in ("model", "result")]
    assert result[::2] == result[1::2]


@pytest.mark.slow
def test_a_benchmark_is_a_task_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = f"sh -c 'echo bench >> {project.parent / 'ran'}; cat encoder; echo {{dataset}}'"
    copy, error = run(Here(), target="pretrain-synthetic", benchmark=command)
    assert error == ""
    assert copy.printed.read_text() == "1\npydocs\n"
    assert ran(project) == ["ingest", "pretrain", "bench"]
    assert "smoke-all benchmark on " in capsys.readouterr().out
