"""Copies of the project, in each of which the pipeline runs under one condition.

A copy is a clone of what is committed. It stays: a second call goes on where the first one was killed, inside a stage,
too, and DVC reruns only what changed. (`dvc exp run --temp` makes its copy anew each time, leaves it behind when it is
killed, and shares no cache of answers and embeddings.)
"""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from zero2ir.errors import InputError
from zero2ir.experiments.preset import Condition, ExperimentConfig
from zero2ir.io import paths
from zero2ir.io.files import finished_file

WORKSPACES_FOLDER = paths.CACHE_FOLDER / "experiments"
TRACKED_SOURCES = (
    "src",
    "stages",
    "conf",
    "benchmarks",
    "dvc.yaml",
)  # what decides about the figures, beside the panel
PRINTED = "printed"
DVC = (sys.executable, "-m", "dvc")


def git(*words: str, folder: Path = Path()) -> str:
    """What a git command prints.

    Raises:
        InputError: it failed, or there is no git.
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
    """The project's commit.

    Raises:
        InputError: the current folder is no git project, or holds changes that no commit has: runs would not have them.
    """
    if changed := git("status", "--porcelain", "--", *TRACKED_SOURCES).splitlines():
        raise InputError(
            f"{changed[0].split(maxsplit=1)[1]}: changed, and runs have what is committed; commit or stash it first"
        )
    return git("rev-parse", "HEAD")


def dvc_cache() -> str:
    """The folder of the project's DVC cache."""
    return _output([*DVC, "cache", "dir"], Path())


class Workspace:
    """One condition's copy of the project.

    Args:
        experiment: the name of the preset.
        condition: what runs in it.
        preset: whose configuration it gets, and which caches it shares.
        revision: the commit of the project that runs in it, whatever is committed meanwhile.
    """

    def __init__(self, experiment: str, condition: Condition, preset: ExperimentConfig, revision: str) -> None:
        self.name = f"{experiment}-{condition.name}"
        self.condition = condition
        self.preset = preset
        self.revision = revision
        self.folder = WORKSPACES_FOLDER / experiment / condition.name
        self.log = WORKSPACES_FOLDER / experiment / f"{condition.name}.log"

    def update(self, cache: str) -> None:
        """Brings it to its commit, panel and configuration; what was made in it stays.

        Args:
            cache: the project's DVC cache. What any condition made is there for the others, and for `dvc exp apply`.

        Raises:
            InputError: git fails, or a file of the preset's configuration is not there.
        """
        from omegaconf import OmegaConf

        project = Path.cwd()
        if not (self.folder / ".git").exists():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            git("clone", "--quiet", "--no-checkout", str(project), str(self.folder))
        git("fetch", "--quiet", str(project), "HEAD", folder=self.folder)
        git("checkout", "--quiet", "--force", "--detach", self.revision, folder=self.folder)
        for part in self.preset.shared_caches:
            self._share(project / paths.CACHE_FOLDER / part)
        config = ConfigParser()
        config["cache"] = {"dir": cache}
        with finished_file(self.folder / ".dvc" / "config.local") as file:
            config.write(file)
        for name, changes in self.preset.conf.items():
            path = self.folder / "conf" / name
            if not path.is_file():
                raise InputError(f"conf: {name} is no file below conf; name one")
            OmegaConf.save(OmegaConf.merge(OmegaConf.load(path), changes), path)
        OmegaConf.save(self.condition.panel.model_dump(mode="json"), self.folder / "params.yaml")

    def _share(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        link = self.folder / paths.CACHE_FOLDER / folder.name
        link.parent.mkdir(exist_ok=True)
        if not link.exists():
            link.symlink_to(folder, target_is_directory=True)

    def results(self) -> list[Path]:
        """The results folders of all its systems."""
        return [self.folder / paths.results(*system) for system in self.condition.systems]

    def run(self, command: Sequence[str], environment: Mapping[str, str], output: IO[str] | None = None) -> None:
        """Runs a command in the copy with the copy's code; what it prints goes to the log, or to ``output``.

        Raises:
            InputError: it failed; names the log.
        """
        code = os.pathsep.join(str((self.folder / part).resolve()) for part in ("src", "."))
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        own = dict(os.environ) | {"PATH": path, "PYTHONPATH": code} | dict(environment)
        with self._claimed() as claim, self.log.open("a", encoding="utf-8") as log:
            ended = subprocess.run(
                command, cwd=self.folder, env=own, stdout=output or log, stderr=log, pass_fds=[claim.fileno()]
            )
        if ended.returncode:
            raise InputError(f"{self.name}: {' '.join(command[:4])} failed; {self.log} says why")

    @contextmanager
    def _claimed(self) -> Iterator[IO[str]]:
        """Waits for whoever works in this copy: a command outlives the process that was killed above it."""
        with (self.folder / ".git" / "zero2ir.claim").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # the command inherits it, and lets go when it ends
            yield file

    @property
    def printed(self) -> Path:
        """Where the tables lie that the preset's command printed, for this commit, panel, command and configuration."""
        decisive = [self.condition.panel.model_dump(mode="json"), self.preset.benchmark, self.preset.conf]
        digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
        return self.folder / paths.CACHE_FOLDER / PRINTED / f"{self.revision[:12]}-{digest[:12]}.md"

    def save(self) -> None:
        """Records the pipeline as it is as a DVC experiment, and hands it to the project: `dvc exp show` lists it."""
        _output([*DVC, "exp", "save", "--force", "--name", self.name], self.folder)
        own = f"refs/exps/{self.revision[:2]}/{self.revision[2:]}/{self.name}"
        git("fetch", "--quiet", "--force", str(self.folder.resolve()), f"{own}:{own}")


def command_variables(condition: Condition) -> dict[str, Any]:
    """What a command of a preset may name in braces."""
    return {key: value for key, value in condition.panel if isinstance(value, str)}
