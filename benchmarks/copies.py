"""Copies of the project in which a benchmark runs the pipeline on another collection."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parent.parent
COPIES = PROJECT / ".cache" / "benchmark"


def copy_of_the_project(name: str) -> Path:
    """A clone of what is committed, brought up to date, with the cache of LM answers in common."""
    folder = COPIES / name.replace("/", "-")
    if folder.exists():
        subprocess.run(["git", "fetch", "--quiet"], cwd=folder, check=True)
        subprocess.run(["git", "reset", "--quiet", "--hard", "@{upstream}"], cwd=folder, check=True)
    else:
        subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(folder)], check=True)
        (PROJECT / ".cache" / "lm").mkdir(parents=True, exist_ok=True)
        (folder / ".cache").mkdir()
        (folder / ".cache" / "lm").symlink_to(PROJECT / ".cache" / "lm", target_is_directory=True)
    return folder


def set_panel(folder: Path, changes: Mapping[str, Any]) -> None:
    """Writes the project's panel with changes into a copy."""
    panel = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8")) | dict(changes)
    (folder / "params.yaml").write_text(yaml.safe_dump(panel), encoding="utf-8")


def run_in(folder: Path, command: Sequence[str]) -> None:
    """Runs a command in a copy with the copy's code; what it prints goes to standard error."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(folder / "src"), str(folder)]),
    }
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=sys.stderr)
