"""A pipeline that was killed in every stage ends in the same figures; Ctrl-C is one line.

DVC holds its locks on open files, and its list of readers and writers (.dvc/tmp/rwlock) by process: a `dvc repro` that
was killed blocks the next one by neither, and nothing has to be removed by hand.
"""

import json
import signal

import pytest
from killed_project import LAST, lm_answers, whole
from small_project import same_figures

from zero2ir.synthetic.store import read_synthetic

pytestmark = pytest.mark.slow
SYNTHETIC = "data/synthetic/seed0"


def test_a_kill_leaves_whole_artifacts_or_none(battered):
    after = battered.after
    assert "data/synthetic" not in after["the LM writes"]
    assert "data/synthetic" in after["the encoder trains"]
    assert after["ingest"] <= after["the LM writes"] <= after["the encoder trains"] <= after["train"]
    assert f"results/{LAST}" in after["report"]


def test_killed_at_any_stage_the_pipeline_ends_in_the_same_figures(finished, battered):
    """Nothing is shared between the two projects, so this is also: the same seed gives the same metrics."""
    assert same_figures(battered.project.metrics(), finished.metrics())


def test_the_same_seed_gives_the_same_synthetic_queries(finished, battered):
    assert read_synthetic(battered.project.folder / SYNTHETIC) == read_synthetic(finished.folder / SYNTHETIC)


def test_nothing_half_written_stays(battered):
    assert battered.project.unfinished() == []


def test_answers_that_a_killed_stage_had_are_not_asked_for_again(battered):
    cost = json.loads((battered.project.folder / SYNTHETIC / "cost.json").read_text(encoding="utf-8"))
    assert cost["lm_cached"] >= 2


def test_ctrl_c_is_one_line(copy):
    there = whole(copy)
    more = "pretraining.synthetic.documents=40"  # than there are answers for
    command = ("python", "stages/pretrain_synthetic.py", "lm=smollm2", "encoder=minilm", more)
    answers = lm_answers(copy)
    status, message = copy.interrupted(signal.SIGINT, lambda: lm_answers(copy) > answers, *command)
    assert status == 130
    assert message.splitlines() == ["interrupted; no incomplete files were left"]
    assert copy.unfinished() == []
    assert whole(copy) == there
