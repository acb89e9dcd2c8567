"""The examples run as a new user runs them: from a folder without anything else."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from pandas import read_csv

from zero2ir.config import check_choices
from zero2ir.data.records import Judgment
from zero2ir.evaluation.measures import Run
from zero2ir.evaluation.results import EvaluationSettings, SystemIdentity, read_all, write_results
from zero2ir.experiments.preset import conditions, read_preset
from zero2ir.report.tables import comparisons_csv, summarise, systems_csv

PROJECT = Path(__file__).parents[1]
EXAMPLES = PROJECT / "examples"
CODE = [path for path in EXAMPLES.rglob("*") if path.suffix in (".py", ".yaml")]


def run(script: Path, folder: Path, *arguments: str) -> str:
    """What a script prints that runs in a folder; it must succeed without a warning."""
    parts = [str(PROJECT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(parts)}
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


def outputs(cells: list[dict[str, Any]]) -> list[str]:
    """The text outputs of a notebook's cells."""
    shown = [output for cell in cells if cell["cell_type"] == "code" for output in cell["outputs"]]
    return [output["text"] if "text" in output else output["data"]["text/plain"] for output in shown]


def executed(folder: Path) -> list[str]:
    """Runs the notebook in a folder with a report; returns its outputs."""
    notebook = nbformat.read(EXAMPLES / "report.ipynb", as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    return outputs(notebook.cells)


def test_the_notebook_shows_what_it_computes() -> None:
    stored = nbformat.read(EXAMPLES / "report.ipynb", as_version=4)
    code = [line for cell in stored.cells if cell.cell_type == "code" for line in cell.source.splitlines()]
    assert len(code) < 60
    assert executed(EXAMPLES) == outputs(stored.cells)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of a report of this version: three systems on eight queries, of which one system ranks worse."""
    folder = tmp_path_factory.mktemp("report")
    settings = EvaluationSettings(measures=("nDCG@10", "Judged@10"), depth=10, resamples=500)
    qrels = [Judgment(f"q{number}", "right", 1) for number in range(8)]
    for model, rank in (("hybrid", 0), ("dense", 0), ("sparse", 9)):
        ranks = [rank if number else 1 for number in range(8)]
        ranked = [[f"wrong{place}" for place in range(at)] + ["right"] + ["other"] * (at < 9) for at in ranks]
        scores = [[float(-place) for place in range(len(row))] for row in ranked]
        write_results(
            folder / model,
            system=SystemIdentity(model=model, strategy="fine_tune", seed=0, dataset="trial"),
            run=Run([row.query_id for row in qrels], ranked, scores),
            qrels=qrels,
            confidence={},
            cost={},
            settings=settings,
            seed=0,
        )
    folders = [folder / model for model in ("hybrid", "dense", "sparse")]
    summary = summarise(read_all(folders), baseline="hybrid/fine_tune", resamples=500, level=0.95, seed=0)
    tables = folder / "ablation-report"
    tables.mkdir()
    (tables / "systems.csv").write_text(systems_csv(summary), encoding="utf-8")
    (tables / "comparisons.csv").write_text(comparisons_csv(summary.comparisons), encoding="utf-8")
    return folder


def test_the_notebook_reads_a_report_of_this_version(report: Path) -> None:
    claims = executed(report)[-1].splitlines()
    assert claims[0].startswith("dense/fine_tune is not shown to differ: +0.000 [+0.000, +0.000]")
    assert claims[1].startswith("sparse/fine_tune is worse: -0.6")


def test_an_ablation_is_read_back(report: Path) -> None:
    printed = run(EXAMPLES / "ablation.py", report, str(report / "ablation-report"))
    assert re.search(r"^ *sparse/fine_tune 0\.\d{3} .* 0/1/7 +worse$", printed, re.MULTILINE)
    assert "dense/fine_tune is not shown to differ" in printed


def test_the_ablation_is_a_preset_whose_report_the_examples_show(project: Path) -> None:
    shutil.copy(EXAMPLES / "ablation.yaml", project / "conf" / "experiment")
    preset = read_preset("ablation")
    (condition,) = conditions(preset)
    check_choices(condition.panel)
    shown = read_csv(EXAMPLES / "ablation-report" / "systems.csv").system
    assert set(shown) == {f"{model}/{strategy}" for model, strategy, _ in condition.systems}
    compared = read_csv(EXAMPLES / "ablation-report" / "comparisons.csv").against
    assert set(compared) == {preset.conf["report.yaml"]["baseline"]}
