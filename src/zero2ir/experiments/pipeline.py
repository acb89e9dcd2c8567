"""Runs the pipeline with the systems of its matrix side by side: ``python -m zero2ir.experiments.pipeline``.

DVC itself runs one stage after the other, but several of it may run at once.
"""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor

from zero2ir.errors import InputError, one_line_errors
from zero2ir.experiments.runner import side_by_side
from zero2ir.experiments.stages import SHARED_STAGES, stages_of, systems_of
from zero2ir.experiments.workspaces import DVC

MEMORY_GB = 3.0  # of the training or evaluation of one system, at most


def reproduce() -> None:
    """Runs every outdated stage of the pipeline, as ``dvc repro`` does.

    The first system runs alone, because it creates the store and the experiment that all record into.

    Raises:
        InputError: a stage failed; the systems that are running end first.
    """
    outdated = outdated_stages()
    if not set(SHARED_STAGES).isdisjoint(outdated):
        dvc("repro", SHARED_STAGES[-1])
        outdated = outdated_stages()
    systems = systems_of(outdated)
    for system in systems[:1]:
        train_and_evaluate(system)
    with ThreadPoolExecutor(side_by_side(MEMORY_GB)) as pool:
        list(pool.map(train_and_evaluate, systems[1:]))  # raises the first error, and cancels what has not started
    dvc("repro")


def outdated_stages() -> list[str]:
    """Returns the names of the stages that DVC would run, in the order of dvc.yaml."""
    return list(json.loads(dvc("status", "--json", stdout=subprocess.PIPE)))


def train_and_evaluate(system: str) -> None:
    """Runs the two stages of a system."""
    dvc("repro", "--single-item", *stages_of(system))


def dvc(*words: str, stdout: int | None = None) -> str:
    """Runs a DVC command, which waits while another one reads or writes the project's state; returns what it printed.

    Raises:
        InputError: the command failed; it said why.
    """
    ended = subprocess.run([*DVC, "--wait-for-lock", *words], stdout=stdout, text=True)
    if ended.returncode:
        raise InputError(f"dvc {' '.join(words)} failed; correct what it says above, and run the same command again")
    return ended.stdout or ""


if __name__ == "__main__":
    one_line_errors(reproduce)
