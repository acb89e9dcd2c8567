"""The examples run as a new user runs them: from a folder without anything else."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
EXAMPLES = PROJECT / "examples"
CODE = [path for path in EXAMPLES.rglob("*") if path.suffix in (".py", ".yaml")]


def run(script: Path, folder: Path, *arguments: str) -> str:
    """What a script prints that runs in a folder; it must succeed without a warning."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "src")}
    command = [sys.executable, str(script), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr.lower(), done.stderr
    return done.stdout


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.name)
def test_an_example_is_short(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line.strip()]) < 60


def test_a_folder_of_texts_becomes_a_saved_program(tmp_path: Path) -> None:
    printed = run(EXAMPLES / "own_texts.py", tmp_path)
    texts = len(list((PROJECT / "docs").rglob("*.md")))
    assert f"{texts} texts, 12 judged; saved in my-program" in printed  # so every judged file exists
    assert (tmp_path / "my-program" / "program.json").is_file()
    answers = re.findall(r"with a probability of 0\.\d\d \[0\.\d\d, 0\.\d\d\]\n  (\S.*)", printed)
    assert len(answers) == 3
    assert re.fullmatch(r"(not sure|answer): guides/scaling\.md, .*", answers[0])


def test_an_own_model_type_is_compared_trained_and_saved(tmp_path: Path) -> None:
    folder = EXAMPLES / "own_model"
    shutil.copytree(PROJECT / "conf", tmp_path / "conf")
    shutil.copy(folder / "query_likelihood.py", tmp_path)
    shutil.copy(folder / "query_likelihood.yaml", tmp_path / "conf" / "model")
    printed = run(folder / "compare_with_bm25.py", tmp_path)
    bm25, own = (float(value) for value in re.findall(r"/zero_shot: nDCG@10 (0\.\d+)", printed))
    assert 0.1 < own < 2 * bm25  # both rank by words
    assert re.search(r"^difference: [+-]0\.\d{3} \[", printed, re.MULTILINE)
    assert "settings of query_likelihood: mu" in printed
    assert printed.splitlines()[-1].startswith("['fileinput'")
