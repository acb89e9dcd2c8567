"""dvc.yaml names everything that a stage's result depends on: DVC reruns nothing for a file that it does not know."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).parent.parent


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


STAGES: dict[str, Any] = read_yaml(PROJECT / "dvc.yaml")["stages"]
PANEL: dict[str, Any] = read_yaml(PROJECT / "params.yaml")
PRIMARY = {name: PROJECT / "conf" / f"{name.replace('-', '_')}.yaml" for name in STAGES}
SCRIPT = {name: PROJECT / "stages" / f"{name.replace('-', '_')}.py" for name in STAGES}


def listed(stage: str) -> list[str]:
    return [path for path in STAGES[stage]["deps"] if path.startswith(("src/", "stages/"))]


def parameters(stage: str) -> set[str]:
    """Every conf file and key of params.yaml that DVC tracks for a stage, in all cells of its matrix."""
    rows = [next(iter(row)) if isinstance(row, dict) else row for row in STAGES[stage]["params"]]
    return {filled for row in rows for filled in fill(row, STAGES[stage].get("matrix", {}))}


def fill(row: str, matrix: dict[str, str]) -> list[str]:
    """The row with each value of its first template in place, and so on for the next."""
    found = re.search(r"\$\{([\w.]+)\}", row)
    if found is None:
        return [row]
    key = matrix.get(found[1].removeprefix("item."), found[1]).strip("${}")
    values = PANEL[key] if isinstance(PANEL[key], list) else [PANEL[key]]
    return [filled for value in values for filled in fill(row.replace(found[0], str(value)), matrix)]


def composed(stage: str) -> set[str]:
    """Every conf file that Hydra reads for the choices in params.yaml, relative to the project."""
    return {str(path.relative_to(PROJECT)) for path in files_of(PRIMARY[stage])}


def files_of(path: Path) -> set[Path]:
    """A file of conf itself, and every file that its defaults list names."""
    found = {path}
    for entry in read_yaml(path).get("defaults", ()):
        group, choice = next(iter(entry.items())) if isinstance(entry, dict) else ("", entry)
        if choice == "_self_" or group.startswith("override "):
            continue
        if not group:
            found |= files_of(PROJECT / "conf" / f"{choice}.yaml")
            continue
        plural = {"model": "models", "strategy": "strategies"}.get(group, group)
        choices = PANEL.get(plural, choice)
        for one in [choices] if isinstance(choices, str) else choices:
            found |= with_its_parts(PROJECT / "conf" / group.partition("@")[0] / f"{one}.yaml")
    return found


def with_its_parts(path: Path) -> set[Path]:
    """A file of a group, and those of the same group or of another one that it is composed of."""
    found = {path}
    for entry in read_yaml(path).get("defaults", ()):
        if isinstance(entry, dict):  # {"/group@key": file}
            ((group, part),) = entry.items()
            found |= with_its_parts(PROJECT / "conf" / group.strip("/").partition("@")[0] / f"{part}.yaml")
        elif entry != "_self_":
            found |= with_its_parts(path.with_name(f"{entry.split('@')[0]}.yaml"))
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_its_script_and_on_packages_that_exist(stage: str) -> None:
    code = listed(stage)
    assert str(SCRIPT[stage].relative_to(PROJECT)) in code
    assert {"src/zero2ir/config.py", "src/zero2ir/data", "src/zero2ir/io"} <= set(code)
    assert all((PROJECT / path).exists() for path in code)


@pytest.mark.parametrize("stage", STAGES)
def test_stage_tracks_every_file_that_it_composes(stage: str) -> None:
    tracked = parameters(stage)
    missing = sorted(path for path in composed(stage) if path not in tracked)
    assert not missing, f"dvc.yaml: {stage} composes, but does not list under params: {', '.join(missing)}"
    assert all((PROJECT / path).is_file() for path in tracked if path.startswith("conf/"))


@pytest.mark.parametrize("stage", STAGES)
def test_stage_tracks_every_key_of_params_that_it_reads(stage: str) -> None:
    read = set(re.findall(r"\$\{panel:(\w+)\}", PRIMARY[stage].read_text(encoding="utf-8")))
    assert read <= parameters(stage)


def test_the_report_tracks_all_of_params() -> None:
    assert set(PANEL) <= parameters("report")  # it prints them


def test_every_strategy_s_parts_are_tracked() -> None:
    """Whatever params.yaml names at present."""
    for path in (PROJECT / "conf" / "strategy").glob("*.yaml"):
        parts = {str(part.relative_to(PROJECT)) for part in with_its_parts(path) - {path}}
        assert parts <= parameters("train"), path.name


def test_what_dvc_does_not_watch_says_how_it_is_read_anew() -> None:
    paths = [path for path in (PROJECT / "conf" / "dataset").rglob("*.yaml") if "path" in read_yaml(path)]
    assert len(paths) > 3
    for path in (*paths, PROJECT / "params.yaml", PROJECT / "conf" / "ingest.yaml"):
        told = re.search(r"^(?:path|auxiliary_collections): .*\n +# \((.*)\)$", path.read_text("utf-8"), re.MULTILINE)
        assert told, path.name
        assert told[1].startswith("DVC does not track ")
        assert told[1].endswith(": dvc repro -f -s ingest, then dvc repro")


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on the PATH")
@pytest.mark.parametrize("has_git", [False, True])
def test_make_repro_works_with_and_without_git(tmp_path: Path, has_git: bool) -> None:
    for name in ("Makefile", ".dvc/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(PROJECT / name, tmp_path / name)
    (tmp_path / "dvc.yaml").write_text("stages: {one: {cmd: echo done > out.txt, outs: [out.txt]}}")
    binaries = tmp_path / ".venv" / "bin"
    binaries.mkdir(parents=True)
    for name in ("python", "dvc"):
        (binaries / name).symlink_to(Path(sys.executable).parent / name)
    for name in ("lib", "pyvenv.cfg"):
        (tmp_path / ".venv" / name).symlink_to(Path(sys.prefix) / name)
    for name in (
        "requirements.lock",
        "requirements-cpu.lock",
        "requirements-cuda.lock",
        "pyproject.toml",
        ".venv/.installed",
    ):
        (tmp_path / name).touch()
    if has_git:
        subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    environment = os.environ | {
        "GIT_CEILING_DIRECTORIES": str(tmp_path.parent),
        "DVC_SITE_CACHE_DIR": str(tmp_path / "s"),
    }
    ended = subprocess.run(
        ["make", "repro"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "out.txt").read_text() == "done\n"
    assert (tmp_path / ".dvc" / "config.local").exists() is not has_git
