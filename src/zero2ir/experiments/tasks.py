"""A part of a condition that can run on any machine: what all its systems share, one system, or a benchmark.

A task runs in a copy of the project of its own, which is removed afterwards. What it made stays in DVC's cache with
DVC's record of how (its run cache). With these, the copy of the condition restores the same outputs without running
anything. So a lost task loses only itself, and may run twice without harm.
"""

import fcntl
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from zero2ir.errors import InputError, one_line
from zero2ir.experiments.preset import Condition, ExperimentConfig
from zero2ir.experiments.workspaces import DVC, Origin, Workspace, command_variables, sees_project
from zero2ir.io import paths
from zero2ir.io.files import one_at_a_time

MAX_LOG = 200_000  # characters of a task's log that come back
CLAIM = "claim"  # locked as long as the task lives


class Task(NamedTuple):
    """One unit of work.

    Attributes:
        name: within its condition.
        experiment: name of the preset.
        condition: its condition.
        preset: gives configuration, caches and needs.
        revision: commit of the project.
        origin: of the code, and of results and caches where the machine ``host`` is.
        host: name of the machine that started the experiment.
        stages: the pipeline stages to run, with those that they depend on.
        benchmark: whether to run the preset's benchmark, too.
        environment: variables of every command.
    """

    name: str
    experiment: str
    condition: Condition
    preset: ExperimentConfig
    revision: str
    origin: Origin
    host: str
    stages: tuple[str, ...]
    benchmark: bool
    environment: Mapping[str, str]


class Outcome(NamedTuple):
    """How a task ended.

    Attributes:
        host: name of the machine that ran it; "" if unknown.
        error: what failed; "" for nothing.
        log: the last ``MAX_LOG`` characters that its commands printed.
        printed: what the benchmark printed.
    """

    host: str
    error: str = ""
    log: str = ""
    printed: str = ""


def run_task(task: Task) -> Outcome:
    """Runs a task on this machine; the outcome tells about errors of commands, and of the machine, e.g. a full disk."""
    host = socket.gethostname()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as printed:
        log = ""
        try:
            origin = origin_here(task)
            with temporary_folder(origin.caches / "tasks") as folder:
                copy = Workspace(
                    task.experiment, task.condition, task.preset, task.revision, folder / "project", run_attended
                )
                try:
                    _run_in(copy, task, origin, printed)
                finally:
                    log = _tail(copy.log)
        except (InputError, OSError) as error:
            reason = one_line(error).removeprefix(f"{task.experiment}-{task.condition.name}: ")
            return Outcome(host, reason.partition("; see ")[0], log)  # the log is removed here, and in the outcome
        printed.seek(0)
        return Outcome(host, log=log, printed=printed.read())


def _run_in(copy: Workspace, task: Task, origin: Origin, printed: Any) -> None:
    environment = {**task.environment, "DVC_SITE_CACHE_DIR": str(copy.folder.with_name("site").resolve())}
    copy.update(origin)
    if task.stages:
        copy.reproduce(origin, environment, *task.stages)
    if task.benchmark and task.preset.benchmark:
        command = task.preset.benchmark.format(**command_variables(task.condition))
        copy.run(shlex.split(command), environment, printed)
    if task.stages and origin.remote:
        copy.run([*DVC, "push", "--run-cache", "--with-deps", *task.stages], environment)


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-MAX_LOG:] if log.exists() else ""


def origin_here(task: Task) -> Origin:
    """Returns where copies on this machine get code and results from.

    Raises:
        InputError: this machine does not see the project's folder, or cannot write its own caches.
    """
    origin = task.origin
    if not origin.remote and not sees_project(origin):
        raise InputError(f"{origin.repository}: no such project on {socket.gethostname()}; put it in a shared folder")
    if socket.gethostname() == task.host and not origin.remote:
        return origin
    caches = machine_caches()
    return origin._replace(caches=caches, results=str(caches / "dvc") if origin.remote else origin.results)


def machine_caches() -> Path:
    """Returns the folder of the caches of a machine that takes part in an experiment of another one.

    Raises:
        InputError: it belongs to somebody else.
    """
    given = os.environ.get(paths.CACHE_VARIABLE)
    folder = Path(given or Path(tempfile.gettempdir()) / f"zero2ir-{os.getuid()}").resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise InputError(f"{folder}: belongs to another user; set {paths.CACHE_VARIABLE} to a folder of your own")
    return folder


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Yields a new folder that is removed afterwards; also removes those whose process was killed."""
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / uuid4().hex
    with ExitStack() as stack:
        with one_at_a_time(parent):
            for other in parent.iterdir():
                if not _is_claimed(other):
                    shutil.rmtree(other, ignore_errors=True)
            folder.mkdir()
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            claim = stack.enter_context((folder / CLAIM).open("w"))
            fcntl.flock(claim, fcntl.LOCK_EX)
        yield folder


def _is_claimed(folder: Path) -> bool:
    """Returns whether the process that made a temporary folder lives."""
    try:
        with (folder / CLAIM).open("r+") as claim:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:  # removed in part
        return False
    except BlockingIOError:
        return True
    return False


def run_attended(command: Any, **options: Any) -> int:
    """Runs a command like ``subprocess.call``; it and all that it started die with this process, however it dies."""
    end, own_end = os.pipe()  # the guard reads until this process closes its own end or dies
    try:
        with subprocess.Popen(command, process_group=0, **options) as process:
            script = f"read _; kill -9 -{process.pid}"
            with subprocess.Popen(["/bin/sh", "-c", script], stdin=end, process_group=0) as guard:
                try:
                    return process.wait()
                finally:
                    guard.kill()
                    if process.poll() is None:
                        os.killpg(process.pid, 9)
    finally:
        os.close(end)
        os.close(own_end)
