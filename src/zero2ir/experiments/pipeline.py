"""Runs the pipeline with the systems of its matrix side by side: ``python -m zero2ir.experiments.pipeline``.

DVC itself runs one stage after the other, but several of it may run at once.
"""

import fcntl
import json
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from zero2ir.errors import InputError, one_line_errors
from zero2ir.experiments.runner import side_by_side
from zero2ir.experiments.stages import SHARED_STAGES, stages_of, systems_of
from zero2ir.experiments.workspaces import DVC

MEMORY_GB = 3.0  # of the training or evaluation of one system, at most
PIPELINE = Path("dvc.yaml")


def reproduce() -> None:
    """Runs every outdated stage of the pipeline, as ``dvc repro`` does; waits for another call in this folder.

    The first system runs alone, because it creates the store and the experiment that all record into.

    Raises:
        InputError: a stage failed; the systems that are running end first.
    """
    with claimed() as claim:
        outdated = outdated_stages(claim)
        if not set(SHARED_STAGES).isdisjoint(outdated):
            dvc("repro", SHARED_STAGES[-1], claim=claim)
            outdated = outdated_stages(claim)
        systems, run = systems_of(outdated), partial(train_and_evaluate, claim=claim)
        for system in systems[:1]:
            run(system)
        with ThreadPoolExecutor(side_by_side(MEMORY_GB)) as pool:
            list(pool.map(run, systems[1:]))  # raises the first error, and cancels what has not started
        dvc("repro", claim=claim)


@contextmanager
def claimed() -> Iterator[Sequence[int]]:
    """Locks the pipeline; yields the descriptor, which commands inherit: they can outlive a killed process.

    Raises:
        InputError: the current folder has no pipeline.
    """
    try:
        file = PIPELINE.open("rb")
    except OSError as error:
        raise InputError(
            f"{PIPELINE}: cannot be read ({error.strerror}); call it in the folder of a pipeline"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another call runs this pipeline, or what a killed one started; waiting for its end", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks
        yield (file.fileno(),)


def outdated_stages(claim: Sequence[int] = ()) -> list[str]:
    """Returns the names of the stages that DVC would run, in the order of dvc.yaml."""
    return list(json.loads(dvc("status", "--json", stdout=subprocess.PIPE, claim=claim)))


def train_and_evaluate(system: str, claim: Sequence[int]) -> None:
    """Runs the two stages of a system."""
    dvc("repro", "--single-item", *stages_of(system), claim=claim)


def dvc(*words: str, stdout: int | None = None, claim: Sequence[int] = ()) -> str:
    """Runs a DVC command, which waits while another one reads or writes the project's state; returns what it printed.

    Raises:
        InputError: the command failed; it said why.
    """
    ended = subprocess.run([*DVC, "--wait-for-lock", *words], stdout=stdout, text=True, pass_fds=claim)
    if ended.returncode:
        raise InputError(f"dvc {' '.join(words)} failed; correct what it says above, and run the same command again")
    return ended.stdout or ""


if __name__ == "__main__":
    one_line_errors(reproduce)
