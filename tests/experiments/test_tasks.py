"""Tasks: a machine runs them in folders of their own, and leaves neither processes nor folders behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from zero2ir.errors import InputError
from zero2ir.experiments.preset import condition, read_preset
from zero2ir.experiments.tasks import Task, machine_caches, origin_here, run_attended, run_task, temporary_folder
from zero2ir.experiments.workspaces import PROJECT_ID, Origin

SOURCE = Path(__file__).parents[2] / "src"


def waited(for_what: Callable[[], bool]) -> bool:
    """Whether something holds within a minute."""
    end = time.monotonic() + 60
    while not for_what() and time.monotonic() < end:
        time.sleep(0.02)
    return for_what()


def is_running(process: int) -> bool:
    """Whether a process runs and is no zombie."""
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_command_and_its_children_die_with_the_process_that_started_them(tmp_path: Path) -> None:
    """As the worker of a lost machine, which is killed and cannot end anything itself."""
    script = "sleep 300 & echo $! > child; echo $$ > parent; wait"
    caller = f"from zero2ir.experiments.tasks import run_attended; run_attended(['/bin/sh', '-c', {script!r}])"
    process = subprocess.Popen(
        [sys.executable, "-c", caller], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(SOURCE)}
    )
    assert waited(lambda: (tmp_path / "parent").exists() and bool((tmp_path / "parent").read_text()))
    started = [int((tmp_path / name).read_text()) for name in ("parent", "child")]
    assert all(map(is_running, started))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert waited(lambda: not any(map(is_running, started)))


def test_an_attended_command_tells_its_status_and_leaves_no_process(tmp_path: Path) -> None:
    before = psutil.Process().children(recursive=True)  # of other tests, such as Python's tracker of shared memory
    assert run_attended(["/bin/sh", "-c", "exit 3"], cwd=tmp_path) == 3
    assert run_attended(["/bin/sh", "-c", "touch done"], cwd=tmp_path) == 0
    assert (tmp_path / "done").exists()
    assert not set(psutil.Process().children(recursive=True)) - set(before)


def test_a_folder_is_removed_also_if_its_process_was_killed(tmp_path: Path) -> None:
    killed = f"""
import os, signal
from pathlib import Path
from zero2ir.experiments.tasks import temporary_folder
with temporary_folder(Path({str(tmp_path)!r})) as folder:
    (folder / "left").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", killed], env=os.environ | {"PYTHONPATH": str(SOURCE)})
    assert ended.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    (tmp_path / "half-removed").mkdir()
    with temporary_folder(tmp_path) as first, temporary_folder(tmp_path) as second:
        assert sorted(tmp_path.iterdir()) == sorted([first, second])  # neither is taken for one that was left
    assert not left.exists()
    assert list(tmp_path.iterdir()) == []


def task(origin: Origin, host: str) -> Task:
    one = condition({}, {"models": ["sparse"]})
    return Task("sparse-zero_shot-0", "smoke", one, read_preset("smoke"), "0" * 40, origin, host, (), False, {})


def test_another_machine_keeps_its_own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    (tmp_path / PROJECT_ID).write_text("id")
    origin = Origin(str(tmp_path), "/results", tmp_path / ".cache", "id")
    monkeypatch.setenv("ZERO2IR_CACHE", str(tmp_path / "own"))
    assert origin_here(task(origin, socket.gethostname())) == origin
    assert origin_here(task(origin, "elsewhere")) == origin._replace(caches=tmp_path / "own")
    through_remote = origin._replace(repository="https://host/project.git", remote=True)
    here = origin_here(task(through_remote, socket.gethostname()))
    assert (here.caches, here.results) == (tmp_path / "own", str(tmp_path / "own" / "dvc"))


def test_a_machine_without_the_project_says_so(tmp_path: Path) -> None:
    (tmp_path / "project" / ".dvc" / "tmp").mkdir(parents=True)
    (tmp_path / "project" / PROJECT_ID).write_text("another folder at the same path")
    missing = Origin(str(tmp_path / "project"), "/results", tmp_path / ".cache", "id")
    outcome = run_task(task(missing, "elsewhere"))
    assert outcome.host == socket.gethostname()
    assert outcome.error == (
        f"{tmp_path}/project: no such project on {socket.gethostname()}; put it in a shared folder"
    )


def test_caches_of_another_user_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 4_294_967_000)
    monkeypatch.setenv("ZERO2IR_CACHE", "/")
    with pytest.raises(InputError, match="/: belongs to another user; set ZERO2IR_CACHE to a folder of your own"):
        machine_caches()


def test_a_machine_that_cannot_write_is_an_outcome(tmp_path: Path) -> None:
    """As one whose disk is full: nothing can be created in /dev/full."""
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    (tmp_path / PROJECT_ID).write_text("id")
    outcome = run_task(task(Origin(str(tmp_path), "/results", Path("/dev/full"), "id"), socket.gethostname()))
    assert outcome.host == socket.gethostname()
    assert "/dev/full" in outcome.error
