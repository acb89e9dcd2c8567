"""How to cite zero2ir: CITATION.cff is valid, and agrees with the package and the README."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import zero2ir

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def validated(path: Path) -> subprocess.CompletedProcess[str]:
    """Validates by the schema of the Citation File Format, which check-jsonschema contains."""
    command = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.citation-file-format", str(path))
    return subprocess.run(command, capture_output=True, text=True)


def test_the_file_is_valid(tmp_path: Path) -> None:
    ended = validated(ROOT / "CITATION.cff")
    assert ended.returncode == 0, ended.stdout
    wrong = tmp_path / "CITATION.cff"
    wrong.write_text((ROOT / "CITATION.cff").read_text(encoding="utf-8").replace("title:", "titel:"), encoding="utf-8")
    assert "'title' is a required property" in validated(wrong).stdout


def test_versions_agree() -> None:
    assert CITATION["version"] == PROJECT["version"] == zero2ir.__version__
    assert CITATION["license"] == PROJECT["license"]


@pytest.mark.parametrize("field", ["title", "version", "license"])
def test_the_readme_states_the_same(field: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    entry = re.search(r"```bibtex\n(.*?)```", readme, re.DOTALL)
    assert entry is not None
    stated = dict(re.findall(r"(\w+) = \{+([^{}]*)\}+", entry[1]))
    assert stated[field] == CITATION[field]
    assert stated["author"] == CITATION["authors"][0]["name"]
