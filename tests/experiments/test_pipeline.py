"""Systems run side by side, and every output is DVC's as if they had run one after the other."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from zero2ir.errors import InputError
from zero2ir.experiments.pipeline import outdated_stages, reproduce
from zero2ir.experiments.stages import systems_of
from zero2ir.experiments.workspaces import DVC

MEET = "touch met-{0}; for n in $(seq 600); do test -e met-{1} && break; sleep 0.1; done; test -e met-{1}"
SECOND, THIRD = MEET.format("second", "third"), MEET.format("third", "second")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline of three systems, of which the second and the third wait for each other."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.setattr("zero2ir.experiments.pipeline.side_by_side", lambda memory_gb: 2)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    matrix = {"first": "true", "second": SECOND, "third": THIRD}
    stages = {
        "ingest": {"cmd": "echo 1 >> ingested", "deps": ["source"], "outs": ["ingested"]},
        "pretrain-synthetic": {"cmd": "cp ingested encoder", "deps": ["ingested"], "outs": ["encoder"]},
        "train": {
            "matrix": {"system": list(matrix)},
            "cmd": "sh ${item.system}.sh && cp encoder ${item.system}.model",
            "deps": ["encoder", "${item.system}.sh"],
            "outs": ["${item.system}.model"],
        },
        "evaluate": {
            "matrix": {"system": list(matrix)},
            "cmd": "cp ${item.system}.model ${item.system}.result",
            "deps": ["${item.system}.model"],
            "outs": ["${item.system}.result"],
        },
        "report": {
            "cmd": "cat *.result > report",
            "deps": [f"{system}.result" for system in matrix],
            "outs": ["report"],
        },
    }
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    (tmp_path / "source").write_text("1")
    for system, script in matrix.items():
        (tmp_path / f"{system}.sh").write_text(script)
    return tmp_path


def test_systems_run_side_by_side_and_dvc_knows_what_they_made(project: Path) -> None:
    reproduce()
    assert (project / "report").read_text() == "1\n" * 3
    assert outdated_stages() == []
    subprocess.run([*DVC, "repro"], check=True)
    assert (project / "ingested").read_text() == "1\n"  # nothing ran twice
    (project / "first.sh").write_text("echo changed")
    assert systems_of(outdated_stages()) == ["first"]


def test_after_a_kill_the_next_call_waits_for_what_goes_on(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pipeline = yaml.safe_load((project / "dvc.yaml").read_text())
    pipeline["stages"]["ingest"]["cmd"] = "echo 1 >> begun; sleep 5; cp begun ingested"
    (project / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))
    with subprocess.Popen([sys.executable, "-m", "zero2ir.experiments.pipeline"]) as process:
        while not (project / "begun").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    reproduce()
    assert "waiting for its end" in capfd.readouterr().out
    assert (project / "report").read_text() == "1\n" * 3  # nothing ran twice


def test_a_folder_without_a_pipeline_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^dvc\.yaml: cannot be read"):
        reproduce()


def test_a_failed_system_keeps_the_others_and_stops_the_report(project: Path) -> None:
    (project / "third.sh").write_text(f"{THIRD} && false")
    with pytest.raises(InputError, match=r"^dvc repro --single-item train@third evaluate@third failed; correct what"):
        reproduce()
    assert (project / "second.result").exists()
    assert not (project / "report").exists()
    assert systems_of(outdated_stages()) == ["third"]
