"""The locks pin what pyproject.toml asks for, with digests, and setup installs nothing else."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.lock import CPU_LOCK, CUDA_LOCK, EXTRAS, LOCK, entries_of, with_digest

PROJECT = Path(__file__).parents[2]
LOCKED = [
    entry
    for name in (LOCK, CUDA_LOCK)
    for entry in entries_of((PROJECT / name).read_text(encoding="utf-8"))
    if not entry.startswith("#")
]
PINS = {canonicalize_name(name): version for name, version in (entry.split()[0].split("==") for entry in LOCKED)}


def test_every_package_is_pinned_once_and_has_digests() -> None:
    assert len(PINS) == len(LOCKED) > 200
    for entry in LOCKED:
        first, *digests = entry.replace(" \\", "").splitlines()
        assert re.fullmatch(r"[a-z0-9-]+==[^\s;]+( ; .+)?", first)
        assert digests
        assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}", digest) for digest in digests), first


def test_the_lock_has_what_pyproject_asks_for() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for extra in EXTRAS for line in project["optional-dependencies"][extra]]
    for asked in map(Requirement, [*project["dependencies"], *extras]):
        assert asked.specifier.contains(PINS[canonicalize_name(asked.name)]), f"{asked}: run make lock"


def test_both_builds_of_torch_are_of_one_version() -> None:
    (entry,) = (one for one in entries_of((PROJECT / CPU_LOCK).read_text(encoding="utf-8")) if not one.startswith("#"))
    first, *digests = entry.splitlines()
    assert first == f"torch=={PINS['torch']}+cpu \\"
    assert len(set(digests)) > 1


def test_conditions_that_always_hold_are_left_out() -> None:
    python = "python_full_version < '3.14'"
    lock = (
        f"one==1 ; {python} and (sys_platform == 'darwin' or sys_platform == 'linux') \\\n    --hash=sha256:a\n"
        f"two==2 ; {python} and sys_platform == 'linux' \\\n    --hash=sha256:b\n"
    )
    assert entries_of(lock) == [
        "one==1 \\\n    --hash=sha256:a",
        "two==2 ; sys_platform == 'linux' \\\n    --hash=sha256:b",
    ]


def test_a_digest_is_added_once() -> None:
    entry = with_digest("one==1 \\\n    --hash=sha256:a", "sha256:b")
    assert entry == "one==1 \\\n    --hash=sha256:a \\\n    --hash=sha256:b" == with_digest(entry, "sha256:b")


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on the PATH")
def test_setup_installs_only_what_has_its_digest() -> None:
    words = ["make", "--dry-run", "--always-make", "setup"]
    shown = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    installs = [line for line in shown.splitlines() if "pip install" in line]
    assert len(installs) > 3
    assert all("--require-hashes" in line or "--editable ." in line for line in installs)
    assert all("--no-deps --no-build-isolation" in line for line in installs)
