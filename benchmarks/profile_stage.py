"""Writes a flame graph of a stage of the pipeline; ``make profile STAGE=train`` calls it.

    python benchmarks/profile_stage.py train                       # the first system of the matrix
    python benchmarks/profile_stage.py train@hybrid-fine_tune-0

The stage runs by its command in dvc.yaml in a temporary folder with a copy of its dependencies, so that outputs,
dvc.lock and MLflow's runs stay as they are. The caches of LM answers and embeddings are empty there.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.stage import Stage

from zero2ir.errors import InputError, one_line_errors

REPORTS = Path("reports")
SETTINGS = ("conf", "params.yaml")  # of all stages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", help="of dvc.yaml, e.g. train, or train@sparse-zero_shot-0 for one of its matrix")
    name = parser.parse_args().stage
    one_line_errors(lambda: print(profile(name)))


def profile(name: str) -> Path:
    """Runs a stage under py-spy and returns the path of the flame graph.

    Raises:
        InputError: there is no such stage, a dependency is missing, or the stage fails.
    """
    stage = first_stage(name)
    REPORTS.mkdir(exist_ok=True)
    graph = REPORTS / f"profile-{name}.svg"
    with TemporaryDirectory(prefix="profile-", dir=REPORTS) as folder:
        copy_dependencies(stage, Path(folder))
        command = ["py-spy", "record", "--output", str(graph.resolve()), "--", *shlex.split(stage.cmd)]
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        subprocess.run(command, cwd=folder, env=os.environ | {"PATH": path, "ZERO2IR_CACHE": ".cache"})
        succeeded = all((Path(folder) / out.def_path).exists() for out in stage.outs)  # py-spy hides the exit status
    if not succeeded:
        raise InputError(f"{stage.addressing}: {stage.cmd} failed; see above")
    return graph


def first_stage(name: str) -> Stage:
    """Returns a stage of dvc.yaml, of a matrix the first; raises ``InputError`` if there is none."""
    try:
        return next(iter(Repo().stage.collect(name)))
    except DvcException as error:
        raise InputError(f"{name}: {error}; dvc stage list names them") from None


def copy_dependencies(stage: Stage, folder: Path) -> None:
    """Copies what a stage reads to the same places in a folder."""
    for name in (*SETTINGS, *(dependency.def_path for dependency in stage.deps)):
        path, copy = Path(name), folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, copy, dirs_exist_ok=True)
        elif path.is_file():
            shutil.copy(path, copy)
        else:
            raise InputError(f"{path}: {stage.addressing} reads it; run dvc repro first")


if __name__ == "__main__":
    main()
