"""Comparison of two systems, or of two states of a project."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from stored_results import write

from zero2ir import cli
from zero2ir.errors import InputError
from zero2ir.experiments.comparison import compare_sides, read_side

OPTIONS = {"resamples": 500, "level": 0.95, "seed": 0}
GOOD, BAD = [1] * 30 + [2] * 10, [2] * 40


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git project with results of two systems."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)
    for seed in (0, 1):
        write(tmp_path / "results", "dense/zero_shot", GOOD, seed=seed)
        write(tmp_path / "results", "sparse/zero_shot", BAD, seed=seed)
    return tmp_path


def test_two_systems_of_the_pipeline(project: Path) -> None:
    (row,) = compare_sides("dense/zero_shot", "sparse/zero_shot", **OPTIONS)
    assert (row.one, row.other, row.measure, row.dataset) == ("dense/zero_shot", "sparse/zero_shot", "RR@10", "trial")
    assert row.seeds == [0, 1]
    assert row.comparison.difference.mean == pytest.approx(0.375)
    assert (row.comparison.wins, row.comparison.ties, row.comparison.losses) == (30, 10, 0)
    assert [value.mean for value in row.values] == pytest.approx([0.875, 0.5])
    assert row.verdict == "dense/zero_shot is better than sparse/zero_shot"
    (turned,) = compare_sides("sparse/zero_shot", "dense/zero_shot", **OPTIONS)
    assert turned.verdict == row.verdict


def test_folders_of_results_are_compared_system_by_system(project: Path) -> None:
    write(project / "older", "dense/zero_shot", [1] * 29 + [2] * 11)
    write(project / "older", "sparse/zero_shot", BAD)
    write(project / "older", "late_interaction/zero_shot", BAD)
    rows = compare_sides("results", "older", **OPTIONS)
    assert [(row.one, row.other) for row in rows] == [
        (f"{name}/zero_shot of results", f"{name}/zero_shot of older") for name in ("dense", "sparse")
    ]
    assert [row.seeds for row in rows] == [[0], [0]]
    assert rows[1].verdict == "no significant difference: too few queries differ"


def test_an_undecided_comparison_names_the_detectable_difference(project: Path) -> None:
    write(project / "results", "hybrid/zero_shot", [1] * 20 + [4] * 20)
    write(project / "results", "smoothed/zero_shot", [4] * 19 + [1] * 21)
    (row,) = compare_sides("hybrid/zero_shot", "smoothed/zero_shot", **OPTIONS)
    assert row.verdict.startswith("no significant difference; with 40 queries and this variance a difference of 0.")


def test_one_folder_is_one_system(project: Path) -> None:
    (row,) = compare_sides("results/dense-zero_shot-seed0", "results/sparse-zero_shot-seed0", **OPTIONS)
    assert row.one == "results/dense-zero_shot-seed0 (dense/zero_shot)"


def test_p_values_of_several_comparisons_are_corrected(project: Path) -> None:
    write(project / "older", "dense/zero_shot", BAD)
    write(project / "older", "sparse/zero_shot", [2] * 35 + [3] * 5)
    rows = compare_sides("results", "older", **OPTIONS)
    assert rows[0].p_holm == pytest.approx(2 * rows[0].comparison.p_value)
    assert rows[1].p_holm == pytest.approx(rows[1].comparison.p_value)


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        ("nowhere", "results", "nowhere: not a results folder, nor a system in results, nor a git"),
        ("dense/fine_tune", "dense/zero_shot", "dense/fine_tune: not a results folder"),
        ("results", "else", "results has dense/zero_shot, sparse/zero_shot, else has hybrid/zero_shot, full/zero_shot"),
        ("foreign", "dense/zero_shot", "compare: different datasets, other and trial"),
        ("HEAD", "results", "HEAD: no results"),
    ],
)
def test_an_unknown_side_is_one_line(project: Path, one: str, other: str, message: str) -> None:
    write(project / "foreign", "dense/zero_shot", GOOD, dataset="other")
    write(project / "else", "hybrid/zero_shot", GOOD)
    write(project / "else", "full/zero_shot", GOOD)
    commit("a file", project / "file.txt")
    (project / ".dvc").mkdir()
    with pytest.raises(InputError) as refused:
        compare_sides(one, other, **OPTIONS)
    assert str(refused.value).startswith(message.split(", else has")[0])


def commit(message: str, *paths: Path) -> None:
    for path in paths:
        path.touch()
    subprocess.run(["git", "add", "--force", *map(str, paths)], check=True)
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *identity, "commit", "--quiet", "--message", message], check=True)


def test_a_revision_has_the_results_of_its_lock(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By DVC's own cache, with two commits of the same pipeline."""
    shutil.rmtree(project / "results")
    write(project / "made", "sparse/zero_shot", BAD)
    (project / "dvc.yaml").write_text(
        "stages:\n  copy:\n    cmd: rm -rf results && cp -r made results\n    deps: [made]\n    outs: [results]\n"
    )
    dvc("init", "--quiet")
    for ranks, name in ((BAD, "first"), (GOOD, "second")):
        write(project / "made", "dense/zero_shot", ranks)
        dvc("repro", "--quiet")
        commit(name, project / "dvc.yaml", project / "dvc.lock", project / ".dvc" / "config")
    assert set(read_side("HEAD~1")) == {"dense/zero_shot", "sparse/zero_shot"}
    assert set(read_side("HEAD:dense/zero_shot")) == {"dense/zero_shot"}
    cli.main(["compare", "HEAD", "HEAD~1"])
    printed = capsys.readouterr().out
    assert "RR@10 on 40 test queries of trial, draws 0" in printed
    assert "dense/zero_shot of HEAD is better than dense/zero_shot of HEAD~1" in printed
    assert "difference +0.375 [" in printed
    assert "30 wins, 10 ties, 0 losses" in printed
    assert "p is Holm-corrected over 2." in printed


def dvc(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *words], check=True, env=os.environ | {"DVC_NO_ANALYTICS": "1"})
