"""The first stage that made something else is named; times do not count."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from zero2ir import cli
from zero2ir.errors import InputError
from zero2ir.experiments.stage_digests import compare_stages, read_stage_digests, write_stage_digests

PROJECT = Path(__file__).parents[2]
MADE = {
    "data/collection/documents.parquet": "documents",
    "data/judgments/seed0.jsonl": "judgments",
    "data/auxiliary/metadata.json": "{}",
    "data/committee/pretrained/cost.json": "7 s",
    "data/synthetic/seed0/queries.parquet": "queries",
    "models/encoder/static-seed0/embeddings.npy": "numbers",
    "models/sparse-zero_shot-seed0/training.json": "7 s",
    "models/sparse-zero_shot-seed0/program/program.json": "a program",
    "results/sparse-zero_shot-seed0/run.trec.gz": "a run",
    "results/sparse-zero_shot-seed0/metrics.json": "7 s",
}
STAGES = ["ingest", "pretrain-synthetic", "train@sparse-zero_shot-0", "evaluate@sparse-zero_shot-0"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where a pipeline of one system has run, with its stages.lock."""
    monkeypatch.chdir(tmp_path)
    panel = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    choices = {"models": ["sparse"], "strategies": ["zero_shot"]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(panel | choices), encoding="utf-8")
    for name, content in MADE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    cli.main(["check", "--stages", "--write", "stages.lock"])
    return tmp_path


def test_the_same_run_is_the_same_although_times_differ(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, content in MADE.items():
        (project / name).write_text(content.replace("7", "8"))
    assert list(read_stage_digests().stages) == STAGES
    cli.main(["check", "--stages"])
    assert capsys.readouterr().out.endswith("all 4 stages made what the published run made\n")


@pytest.mark.parametrize(
    ("change", "stage"),
    [
        (lambda: Path("data/judgments/seed0.jsonl").write_text("others"), "ingest"),
        (lambda: Path("models/encoder/new.csv").touch(), "pretrain-synthetic"),
        (lambda: Path("models/sparse-zero_shot-seed0/program/program.json").unlink(), "train@sparse-zero_shot-0"),
        (lambda: Path("results/sparse-zero_shot-seed0/run.trec.gz").write_text(""), "evaluate@sparse-zero_shot-0"),
    ],
)
def test_the_stage_that_differs_is_named(
    project: Path, change: Callable[[], object], stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change()
    assert compare_stages(read_stage_digests()) == dict.fromkeys(STAGES, "same") | {stage: "differs"}
    with pytest.raises(SystemExit):
        cli.main(["check", "--stages"])
    assert f"1 of 4 stages are not as published, the first is {stage} (published: " in capsys.readouterr().err


def test_what_cannot_be_compared_is_one_line(project: Path) -> None:
    lock = read_stage_digests()
    with pytest.raises(InputError, match=r"Python .*: stages\.lock was written with 3\.9\.0"):
        compare_stages(lock.model_copy(update={"python": "3.9.0"}))
    with pytest.raises(InputError, match=r"params\.yaml: lm is not as in stages\.lock; restore"):
        compare_stages(lock.model_copy(update={"panel": lock.panel | {"lm": "gemma3"}}))
    (project / "results").rename(project / "elsewhere")
    assert compare_stages(lock)[STAGES[-1]] == "has not run"
    with pytest.raises(InputError, match="evaluate@sparse-zero_shot-0: has not run; run make repro first"):
        write_stage_digests()
    (project / "stages.lock").unlink()
    with pytest.raises(InputError, match=r"stages\.lock: not found; write it by zero2ir check --stages"):
        read_stage_digests()
