"""The five stages from question-answer pairs, on a slice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from zero2ir.data.judgments import read_judgments
from zero2ir.data.records import Document
from zero2ir.evaluation.results import read_results
from zero2ir.program.program import load_program

pytestmark = pytest.mark.slow
PAIRS = 30


def write_slice(folder: Path, documents: list[Document]) -> None:
    """Each document is asked for by some of its words, and answered by others; no qrels, and one answer is nowhere."""
    folder.mkdir()
    rows = []
    for number, document in enumerate(documents[:PAIRS]):
        words = document.text.split()
        answer = "no such answer" if number == 0 else " ".join(words[8:11])
        rows.append({"query_id": f"q{number}", "text": " ".join(words[:8]), "answers": [answer], "split": "test"})
    for name, lines in (("docs", [document._asdict() for document in documents]), ("queries", rows)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def run(stage: str, *choices: str) -> None:
    here = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, f"stages/{stage}.py", *choices], env=os.environ | here, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_task_of_pairs_goes_through_all_stages(project: Path, docstrings: list[Document]) -> None:
    write_slice(project / "slice", docstrings)
    panel = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    panel |= {"dataset": "local", "task": "qa", "lm": "none", "models": ["sparse"], "strategies": ["fine_tune"]}
    panel["budget"]["queries"] = 29
    (project / "params.yaml").write_text(yaml.safe_dump(panel), encoding="utf-8")
    local = project / "conf" / "dataset" / "local.yaml"
    passages = {"words": 60, "overlap": 10}
    local.write_text(yaml.safe_dump({"name": "slice", "source": "local", "path": "slice", "passages": passages}))

    run("ingest", "dataset=local", "task=qa")
    rows = read_judgments(Path("data/judgments/seed0.jsonl"))
    assert all(row.weak and row.answers for row in rows)
    assert {row.relevance for row in rows} == {0, 1}
    manifest = json.loads(Path("data/collection/manifest.json").read_text(encoding="utf-8"))
    assert manifest["counts"]["documents"] > len(docstrings)  # passages
    drawn = {row.query_id for row in rows}
    assert manifest["quality"]["question-answer pairs set aside"]["count"] == 29 - len(drawn)
    assert manifest["quality"]["test queries judged by their answers"]["count"] >= PAIRS - 1 - 2

    run("pretrain_synthetic", "lm=none")
    run("train", "task=qa", "lm=none", "model=sparse", "strategy=fine_tune")
    run("evaluate", "task=qa", "system.model=sparse", "system.strategy=fine_tune")
    run("report", "task=qa")
    results = read_results(Path("results/sparse-fine_tune-seed0"))
    assert list(results.per_query) == ["nDCG@10", "RR@10", "AnswerRecall@1", "AnswerRecall@10", "EM", "F1"]
    assert results.metrics["AnswerRecall@10"]["mean"] > 0
    assert not set(results.per_query["F1"]) & drawn
    assert "AnswerRecall@10" in Path("report/index.html").read_text(encoding="utf-8")
    assert load_program(Path("models/sparse-fine_tune-seed0/program")).reader is not None
