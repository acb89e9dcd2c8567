"""Executors: what cannot work is refused before any work; a Slurm job outlives the call that submitted it."""

import os
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

import pytest

from zero2ir import cli
from zero2ir.errors import InputError
from zero2ir.experiments.executors import SlurmExecutor, check_reachable, open_executor, reason_of, task_origin
from zero2ir.experiments.preset import ExperimentConfig, condition, read_preset
from zero2ir.experiments.tasks import Outcome, Task
from zero2ir.experiments.workspaces import Origin

SERVER = "https://user:secret@tracking.example/store"


class Blind:
    """Machines that do not see the project's folder."""

    machines = ("node-b",)

    def without(self, origin: Origin) -> Sequence[str]:
        return self.machines

    def run(self, task: Task) -> Outcome:
        raise AssertionError("nothing runs")

    def stop(self) -> None: ...


class Sighted(Blind):
    """Machines that see it."""

    def without(self, origin: Origin) -> Sequence[str]:
        return ()


def preset(**changes: object) -> ExperimentConfig:
    return read_preset("smoke").model_copy(update=changes)


@pytest.mark.parametrize(
    ("store", "message"),
    [
        ("sqlite:////project/mlflow.db", "tasks on node-b cannot record into a file of this machine; start mlflow"),
        ("mlruns", "tasks on node-b cannot record into a file"),
        ("file:///project/mlruns", "tasks on node-b cannot record into a file"),
        ("http://127.0.0.1:5000", "http://127.0.0.1: an address of this machine only"),
        ("http://user:secret@localhost:5000", "http://localhost: an address of this machine only"),
    ],
)
def test_a_store_that_other_machines_cannot_reach_is_refused(store: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        check_reachable(store, "node-b")
    assert "secret" not in str(refused.value)
    check_reachable(SERVER, "node-b")


def test_a_shared_folder_is_used_where_all_machines_see_it(tmp_path: Path) -> None:
    own = Origin(str(tmp_path), "/results", tmp_path / ".cache", "id")
    assert task_origin(Sighted(), own, "HEAD", SERVER) == own
    with pytest.raises(InputError, match=r"MLFLOW_TRACKING_URI=sqlite:///mlflow\.db: tasks on node-b cannot record"):
        task_origin(Sighted(), own, "HEAD", "sqlite:///mlflow.db")


def test_without_a_shared_folder_both_remotes_are_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True, capture_output=True)

    project, code = tmp_path / "project", tmp_path / "code.git"
    (project / ".dvc").mkdir(parents=True)
    monkeypatch.chdir(project)
    git("init", "--initial-branch=main")
    config = project / ".dvc" / "config"
    config.write_text("[core]\n    analytics = false\n")
    git("add", "--all")
    git("commit", "--message", "all")
    own = Origin(str(project), "/results", project / ".cache", "id")
    with pytest.raises(InputError, match=r"node-b does not see this folder, and the committed \.dvc/config has no def"):
        task_origin(Blind(), own, "HEAD", SERVER)
    config.write_text("[core]\n    remote = store\n['remote \"store\"']\n    url = s3://bucket\n")
    git("commit", "--all", "--message", "remote")
    with pytest.raises(InputError, match="and no git remote has the commit HEAD; call git push"):
        task_origin(Blind(), own, "HEAD", SERVER)
    git("init", "--bare", str(code))
    git("remote", "add", "origin", str(code))
    git("push", "origin", "main")
    assert task_origin(Blind(), own, "HEAD", SERVER) == own._replace(repository=str(code), remote=True)
    git("remote", "set-url", "origin", "https://user:secret@host/code.git")
    assert task_origin(Blind(), own, "HEAD", SERVER).repository == "https://host/code.git"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--address", "auto"], "--address auto: only --executor ray connects to a cluster; add it"),
        (["--executor", "submitit"], "--executor submitit: no command sbatch; call it on a machine that submits jobs"),
    ],
)
def test_the_command_line_refuses_what_cannot_run(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("zero2ir.experiments.runner.REPORTS", tmp_path)
    with pytest.raises(SystemExit):
        cli.main(["experiment", "smoke", *words])
    assert capsys.readouterr().err.startswith(f"error: {message}")


def test_a_cluster_that_does_not_answer_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with (
        pytest.raises(InputError, match=f"--address 127.0.0.1:{port}: no Ray cluster answers"),
        open_executor("ray", f"127.0.0.1:{port}", preset(), Path("unused")),
    ):
        pass


def test_the_reason_of_a_failure_is_one_line() -> None:
    quoted = RuntimeError("Traceback:\n  File x\nModuleNotFoundError: No module named 'zero2ir.experiments'\n")
    assert "lacks zero2ir" in reason_of(quoted)
    assert reason_of(RuntimeError("ray::run()\n\nThe node died.\n")) == "RuntimeError: The node died."


# Stands for Slurm, which no test machine has: jobs are processes, and sacct knows their state.
SBATCH = """#!/bin/sh
number=$$
cd FOLDER
echo RUNNING > state-$number
cat "$1" > script-$number
(SLURM_JOB_ID=$number SLURM_JOBID=$number SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_PROCID=0 \\
    SLURM_LOCALID=0 setsid sh "$1" > out-$number 2>&1; echo COMPLETED > state-$number) > /dev/null 2>&1 &
echo "Submitted batch job $number"
"""
SRUN = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do case "$1" in --output|--error) shift;; esac; shift; done
exec "$@"
"""
SACCT = """#!/bin/sh
echo 'JobID|State|NodeList'
for state in FOLDER/state-*; do echo "${state##*-}|$(cat $state)|node"; done
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the state of every submitted job."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, script in (("sbatch", SBATCH), ("srun", SRUN), ("sacct", SACCT)):
        (commands / name).write_text(script.replace("FOLDER", str(tmp_path)))
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "src"))
    return tmp_path


def waiting_task(folder: Path) -> Task:
    """A task whose machine does not see the project's folder."""
    one = condition({}, {"models": ["sparse"]})
    origin = Origin(str(folder / "nowhere"), "/results", folder / ".cache", "id")
    return Task("sparse", "smoke", one, preset(), "0" * 40, origin, "elsewhere", ("train@sparse",), False, {})


def test_a_job_of_slurm_has_its_needs_and_tells_its_outcome(slurm: Path) -> None:
    executor = SlurmExecutor(preset(memory_gb=2.5, cpus=3, gpus=2), slurm / "jobs")
    outcome = executor.run(waiting_task(slurm))
    assert outcome.error == f"{slurm}/nowhere: no such project on {socket.gethostname()}; put it in a shared folder"
    (script,) = slurm.glob("script-*")
    stated = script.read_text()
    for line in ("--cpus-per-task=3", "--mem=3GB", "--gpus-per-node=2", "--time=1440", "--job-name=zero2ir-smoke"):
        assert f"#SBATCH {line}\n" in stated


def test_a_call_waits_for_the_job_that_a_killed_one_submitted(slurm: Path) -> None:
    task = waiting_task(slurm)
    gate = slurm / "gate"
    os.mkfifo(gate)
    (slurm / "bin" / "srun").write_text(SRUN.replace("exec", f"cat {gate} > /dev/null; exec"))
    killed = SlurmExecutor(preset(), slurm / "jobs")
    first = Thread(target=killed.run, args=(task,), daemon=True)
    first.start()
    while not list((slurm / "jobs").glob("*.job")):
        time.sleep(0.05)
    outcomes: list[Outcome] = []
    second = Thread(target=lambda: outcomes.append(SlurmExecutor(preset(), slurm / "jobs").run(task)))
    second.start()
    time.sleep(1)
    gate.write_text("go")
    second.join(120)
    assert [outcome.error.partition(":")[0] for outcome in outcomes] == [f"{slurm}/nowhere"]
    assert len(list(slurm.glob("script-*"))) == 1
    SlurmExecutor(preset(), slurm / "jobs")  # the job has ended: another call submits it again
    first.join(120)


def test_a_share_of_a_gpu_is_nothing_that_slurm_gives(slurm: Path) -> None:
    with pytest.raises(InputError, match=r"gpus=0\.5: Slurm gives whole GPUs; set a whole number"):
        SlurmExecutor(preset(gpus=0.5), slurm / "jobs")
