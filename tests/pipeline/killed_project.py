"""A project whose pipeline is killed in every stage, and what is whole in it afterwards."""

import signal
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from small_project import SYSTEMS, Project

from zero2ir.data.judgments import read_judgments
from zero2ir.data.store import read_collection
from zero2ir.evaluation.results import read_results
from zero2ir.program.program import load_program
from zero2ir.synthetic.store import read_synthetic

LAST = "{}-{}-seed0".format(*SYSTEMS[-1])
OPENERS: dict[str, Callable[[Path], object]] = {
    "data/collection": read_collection,
    "data/judgments": lambda folder: read_judgments(folder / "seed0.jsonl"),
    "data/synthetic": lambda folder: read_synthetic(folder / "seed0"),
    "models/*-seed0": lambda folder: load_program(folder / "program"),
    "results/*": read_results,
}


def lm_answers(project: Project) -> int:
    """How many answers of the LM its cache holds by now."""
    found = 0
    for path in (project.folder / ".cache" / "lm").glob("*/cache.db"):
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as cache:
                found += cache.execute("SELECT count(*) FROM Cache").fetchone()[0]
        except sqlite3.OperationalError:  # the table is being made
            continue
    return found


def begun(project: Project, artifact: str) -> Callable[[], bool]:
    """Whether an artifact is being written, or was in between two looks."""
    path = project.folder / artifact
    return lambda: any(path.parent.glob(f"{path.name}.*.part")) or path.exists()


def whole(project: Project) -> set[str]:
    """The artifacts that are there, by their folder; each of them opens, and every digest in them is right."""
    there = set()
    for pattern, opened in OPENERS.items():
        for folder in project.folder.glob(pattern):
            if folder.suffix not in (".part", ".old"):
                opened(folder)
                there.add(str(folder.relative_to(project.folder)))
    return there


@dataclass(frozen=True)
class Battered:
    """A project that was killed in every stage in turn and finished then; ``after`` tells what was there after each."""

    project: Project
    after: Mapping[str, set[str]]


def batter(project: Project) -> Battered:
    """Kills `dvc repro` once in every stage, each time going on from where the last one stopped, and lets it finish."""
    moments: dict[str, Callable[[], bool]] = {
        "ingest": begun(project, "data/collection"),
        "the LM writes": lambda: lm_answers(project) >= 2,
        "the encoder trains": begun(project, "models/encoder"),
        "train": begun(project, f"models/{LAST}"),
        "evaluate": begun(project, f"results/{LAST}"),
        "report": begun(project, "report"),
    }
    after = {}
    for name, moment in moments.items():
        project.interrupted(signal.SIGKILL, moment, "dvc", "repro")
        after[name] = whole(project)
    project.done("dvc", "repro")
    return Battered(project, after)
