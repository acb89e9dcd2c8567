"""Copies of the project, in each of which the pipeline runs under one condition.

A copy is a clone of the committed project and is kept: another call resumes where the last one was killed, even within
a stage, and DVC reruns only what changed. (`dvc exp run --temp` makes a new copy each time, leaves it behind when
killed, and does not share caches of LM answers and embeddings.)
"""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple
from uuid import uuid4

from zero2ir.errors import InputError
from zero2ir.experiments.preset import Condition, ExperimentConfig
from zero2ir.io import paths
from zero2ir.io.files import finished_file, one_at_a_time

WORKSPACES_FOLDER = paths.CACHE_FOLDER / "experiments"
TRACKED_SOURCES = ("src", "stages", "conf", "benchmarks", "dvc.yaml", "requirements.txt")
"""With the panel they determine the figures; a project of ``zero2ir init`` has requirements.txt instead of src."""
PRINTED = "printed"
PROJECT_ID = Path(".dvc/tmp/zero2ir-project")  # DVC's folder for what is this project's only
DVC = (sys.executable, "-m", "dvc")


def git(*words: str, folder: Path = Path()) -> str:
    """Runs a git command and returns its output.

    Raises:
        InputError: the command failed, or git is not installed.
    """
    return _output(["git", *words], folder)


def _output(command: Sequence[str], folder: Path) -> str:
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
    except FileNotFoundError:
        raise InputError(f"{command[0]}: not installed; experiments need git and DVC") from None
    except subprocess.CalledProcessError as error:
        reason = (error.stderr or error.stdout).strip().splitlines() or ["no reason given"]
        raise InputError(f"{' '.join(command)}: {reason[-1]}") from error


def committed_revision() -> str:
    """Returns the project's commit.

    Raises:
        InputError: the current folder is not a git repository, or has uncommitted changes, which runs would ignore.
    """
    if changed := git("status", "--porcelain", "--", *TRACKED_SOURCES).splitlines():
        raise InputError(
            f"{changed[0].split(maxsplit=1)[1]}: uncommitted changes, which runs would ignore; commit or stash them"
        )
    return git("rev-parse", "HEAD")


class Origin(NamedTuple):
    """Where copies of the project get its code from, and where their results and caches are.

    Attributes:
        repository: folder or URL of the git repository.
        results: folder of the DVC cache.
        caches: folder of the caches of LM answers and embeddings.
        project: what tells the project's folder from another one at the same path of another machine.
        remote: whether results are also fetched from, and those of a task pushed to, the DVC remote of the committed
            .dvc/config, since other machines do not see the folder ``results``.
    """

    repository: str
    results: str
    caches: Path
    project: str
    remote: bool = False


def project_origin() -> Origin:
    """Returns the origin for copies on this machine: the current folder."""
    folder = Path.cwd()
    results = _output([*DVC, "cache", "dir"], folder)
    return Origin(str(folder), results, paths.CACHE_FOLDER.resolve(), _project_id(folder))


def _project_id(folder: Path) -> str:
    """Returns the name that a project gave itself in a file that is in no commit."""
    path = folder / PROJECT_ID
    with one_at_a_time(folder / ".dvc"):
        if not path.exists():
            with finished_file(path) as file:
                file.write(uuid4().hex)
    return path.read_text(encoding="utf-8")


def sees_project(origin: Origin) -> bool:
    """Returns whether this machine sees the folder of a project."""
    try:
        return (Path(origin.repository) / PROJECT_ID).read_text(encoding="utf-8") == origin.project
    except OSError:
        return False


class Workspace:
    """A copy of the project for one condition.

    Args:
        experiment: name of the preset.
        condition: the condition that runs in it.
        preset: gives the changes of the configuration and the shared caches.
        revision: commit of the project to run, even if the project moves on.
        folder: of the copy; None for the one of this condition in the current project.
        start: runs a command like ``subprocess.call``.
    """

    def __init__(
        self,
        experiment: str,
        condition: Condition,
        preset: ExperimentConfig,
        revision: str,
        folder: Path | None = None,
        start: Callable[..., int] = subprocess.call,
    ) -> None:
        self.name = f"{experiment}-{condition.name}"
        self.experiment = experiment
        self.condition = condition
        self.preset = preset
        self.revision = revision
        self.folder = folder or WORKSPACES_FOLDER / experiment / condition.name
        self.log = self.folder.with_name(f"{self.folder.name}.log")
        self._start = start

    def update(self, origin: Origin) -> None:
        """Checks out the commit and writes panel and configuration; keeps existing results.

        Args:
            origin: its DVC cache makes results available to other conditions and to `dvc exp apply`.

        Raises:
            InputError: git fails, or a file of the preset's configuration does not exist.
        """
        from omegaconf import OmegaConf

        if not (self.folder / ".git").exists():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            git("clone", "--quiet", "--no-checkout", origin.repository, str(self.folder))
        else:
            git("fetch", "--quiet", origin.repository, "HEAD", folder=self.folder)
        git("checkout", "--quiet", "--force", "--detach", self.revision, folder=self.folder)
        for part in self.preset.shared_caches:
            self._share(origin.caches / part)
        config = ConfigParser()
        config["cache"] = {"dir": origin.results}
        with finished_file(self.folder / ".dvc" / "config.local") as file:
            config.write(file)
        for name, changes in self.preset.conf.items():
            path = self.folder / "conf" / name
            if not path.is_file():
                raise InputError(f"conf: {name} is not a file in conf; correct the name")
            OmegaConf.save(OmegaConf.merge(OmegaConf.load(path), changes), path)
        OmegaConf.save(self.condition.panel.model_dump(mode="json"), self.folder / "params.yaml")

    def _share(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        link = self.folder / paths.CACHE_FOLDER / folder.name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(folder, target_is_directory=True)

    def results(self) -> list[Path]:
        """Returns the results folders of all systems."""
        return [self.folder / paths.results(*system) for system in self.condition.systems]

    def run(self, command: Sequence[str], environment: Mapping[str, str], output: IO[str] | None = None) -> None:
        """Runs a command in the copy with the copy's code; its output goes to the log, or to ``output``.

        Raises:
            InputError: the command failed; the message names the log.
        """
        code = os.pathsep.join(str((self.folder / part).resolve()) for part in ("src", "."))
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        own = dict(os.environ) | {"PATH": path, "PYTHONPATH": code} | dict(environment)
        with self._claimed() as claim, self.log.open("a", encoding="utf-8") as log:
            status = self._start(
                command, cwd=self.folder, env=own, stdout=output or log, stderr=log, pass_fds=[claim.fileno()]
            )
        if status:
            raise InputError(f"{self.name}: {' '.join(command[:4])} failed; see {self.log}")

    def reproduce(self, origin: Origin, environment: Mapping[str, str], *words: str) -> None:
        """Runs `dvc repro` with further arguments; it restores what the DVC cache, or the remote, has."""
        self.run([*DVC, "repro", *(["--pull"] if origin.remote else []), *words], environment)

    def outdated(self, environment: Mapping[str, str]) -> list[str]:
        """Returns the stages that `dvc repro` would run or restore, in the order of dvc.yaml."""
        with TemporaryFile("w+", encoding="utf-8") as printed:
            self.run([*DVC, "status", "--json"], environment, printed)
            printed.seek(0)
            return list(json.load(printed))

    @contextmanager
    def _claimed(self) -> Iterator[IO[str]]:
        """Locks the copy; waits for a running command, which can outlive the killed process that started it."""
        with (self.folder / ".git" / "zero2ir.claim").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # the command inherits the lock and releases it when it ends
            yield file

    @property
    def printed(self) -> Path:
        """Path of the benchmark's printed tables for this commit, panel, command and configuration."""
        decisive = [self.condition.panel.model_dump(mode="json"), self.preset.benchmark, self.preset.conf]
        digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
        return self.folder / paths.CACHE_FOLDER / PRINTED / f"{self.revision[:12]}-{digest[:12]}.md"

    def save(self) -> None:
        """Saves the current pipeline as a DVC experiment and fetches it into the project: `dvc exp show` lists it."""
        _output([*DVC, "exp", "save", "--force", "--name", self.name], self.folder)
        own = f"refs/exps/{self.revision[:2]}/{self.revision[2:]}/{self.name}"
        git("fetch", "--quiet", "--force", str(self.folder.resolve()), f"{own}:{own}")


def command_variables(condition: Condition) -> dict[str, Any]:
    """Returns the variables that a preset's command may use in braces."""
    return {key: value for key, value in condition.panel if isinstance(value, str)}
