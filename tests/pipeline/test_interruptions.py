"""A pipeline that was killed in every stage ends in the same figures; Ctrl-C is one line.

DVC holds its locks on open files, and its list of readers and writers (.dvc/tmp/rwlock) by process: a `dvc repro` that
was killed blocks the next one by neither, and nothing has to be removed by hand.
"""

import json
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from small_project import SYSTEMS, Project, new_project

from zero2ir.collections import read_collection, read_judgments
from zero2ir.evaluation.results import read_results
from zero2ir.program import load_program
from zero2ir.synthetic.store import read_synthetic

pytestmark = pytest.mark.slow
LAST = "{}-{}-seed0".format(*SYSTEMS[-1])
SYNTHETIC = "data/synthetic/seed0"
OPENERS: dict[str, Callable[[Path], object]] = {
    "data/collection": read_collection,
    "data/judgments": lambda folder: read_judgments(folder / "seed0.jsonl"),
    "data/synthetic": lambda folder: read_synthetic(folder / "seed0"),
    "models/*-seed0": lambda folder: (
        load_program(folder / "program"),
        json.loads((folder / "training.json").read_text()),
    ),
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
    return lambda: path.with_name(path.name + ".part").exists() or path.exists()


def whole(project: Project) -> set[str]:
    """The artifacts that are there, by their folder; each of them opens, and every digest in them is right."""
    there = set()
    for pattern, opened in OPENERS.items():
        for folder in project.folder.glob(pattern):
            if folder.suffix != ".part":
                opened(folder)
                there.add(str(folder.relative_to(project.folder)))
    return there


@pytest.fixture(scope="module")
def battered(tmp_path_factory) -> tuple[Project, dict[str, set[str]]]:
    """A second fresh project, killed in every stage in turn and finished then; what was there after each kill."""
    project = new_project(tmp_path_factory.mktemp("battered") / "project")
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
    return project, after


def test_a_kill_leaves_whole_artifacts_or_none(battered):
    _, after = battered
    assert "data/synthetic" not in after["the LM writes"]
    assert "data/synthetic" in after["the encoder trains"]
    assert after["ingest"] <= after["the LM writes"] <= after["the encoder trains"] <= after["train"]
    assert f"results/{LAST}" in after["report"]


def test_killed_at_any_stage_the_pipeline_ends_in_the_same_figures(finished, battered):
    """Nothing is shared between the two projects, so this is also: the same seed gives the same metrics."""
    assert flat(battered[0].metrics()) == pytest.approx(flat(finished.metrics()), abs=5e-5)


def test_the_same_seed_gives_the_same_synthetic_queries(finished, battered):
    assert read_synthetic(battered[0].folder / SYNTHETIC) == read_synthetic(finished.folder / SYNTHETIC)


def test_nothing_half_written_stays(battered):
    assert battered[0].unfinished() == []


def test_answers_that_a_killed_stage_had_are_not_asked_for_again(battered):
    cost = json.loads((battered[0].folder / SYNTHETIC / "cost.json").read_text(encoding="utf-8"))
    assert cost["lm_cached"] >= 2


def test_ctrl_c_is_one_line(copy):
    there = whole(copy)
    command = (
        "python",
        "stages/pretrain_synthetic.py",
        "lm=smollm2",
        "encoder=minilm",
        "pretraining.synthetic.documents=40",
    )
    answers = lm_answers(copy)
    status, message = copy.interrupted(signal.SIGINT, lambda: lm_answers(copy) > answers, *command)
    assert status == 130
    assert message.splitlines() == ["interrupted; nothing half-written was left behind"]
    assert copy.unfinished() == []
    assert whole(copy) == there


def flat(values: dict, prefix: str = "") -> dict[str, float]:
    """Nested figures by their path."""
    result = {}
    for key, value in values.items():
        result |= flat(value, f"{prefix}{key}/") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return result
