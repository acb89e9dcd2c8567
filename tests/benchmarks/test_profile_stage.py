"""What a stage is profiled with; py-spy itself is not run."""

import shutil
from pathlib import Path

import pytest
import yaml

from benchmarks.profile_stage import copy_dependencies, first_stage, profile
from zero2ir.errors import InputError

PROJECT = Path(__file__).parent.parent.parent


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one stage of a matrix, whose command and inputs depend on params.yaml."""
    stage = {
        "matrix": {"model": "${models}"},
        "cmd": "python stages/train.py model=${item.model}",
        "deps": ["stages/train.py", "data/collection"],
        "outs": ["models/${item.model}"],
    }
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": stage}}))
    (tmp_path / "params.yaml").write_text("models: [sparse, dense]")
    for name in ("stages/train.py", "conf/train.yaml"):
        (tmp_path / name).parent.mkdir(parents=True)
        shutil.copy(PROJECT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")
    return tmp_path


def test_the_command_is_that_of_the_first_system(project: Path) -> None:
    assert first_stage("train").cmd == "python stages/train.py model=sparse"
    assert first_stage("train@dense").cmd == "python stages/train.py model=dense"


def test_an_unknown_stage_and_a_missing_input_are_named(project: Path) -> None:
    with pytest.raises(InputError, match=r"nope: .*dvc stage list"):
        first_stage("nope")
    with pytest.raises(InputError, match="data/collection: train@sparse reads it; run dvc repro first"):
        profile("train")
    assert [path.name for path in (project / "reports").iterdir()] == []


def test_a_copy_has_what_the_stage_reads(project: Path) -> None:
    (project / "data" / "collection").mkdir(parents=True)
    (project / "data" / "collection" / "documents").write_text("a document")
    copy = project / "copy"
    copy_dependencies(first_stage("train"), copy)
    files = {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()}
    assert files == {"conf/train.yaml", "params.yaml", "stages/train.py", "data/collection/documents"}
