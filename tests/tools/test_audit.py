"""What the audit of the locked packages says, with and without an answer of PyPI."""

import json
from pathlib import Path
from typing import Any

import pytest

from tools.audit import audit
from zero2ir.errors import InputError

SAFE = {"name": "numpy", "version": "2.4.0", "vulns": []}
HOLE = {
    "name": "jinja2",
    "version": "2.4.1",
    "vulns": [{"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"], "aliases": [], "description": "..."}],
}
SKIPPED = {"name": "own", "skip_reason": "Dependency not found on PyPI and could not be audited: own (1.0)"}


def program(folder: Path, answer: str, words: str = "") -> str:
    """Prints what pip-audit prints."""
    path = folder / "pip-audit"
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\necho '{words}' >&2\nexit 1\n")
    path.chmod(0o755)
    return str(path)


def of(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_packages_without_vulnerabilities_are_counted(tmp_path: Path) -> None:
    told = audit(program(tmp_path, of(SAFE, SKIPPED)))
    assert told == "1 packages without a known vulnerability, 1 not on PyPI"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (of(SAFE, HOLE), "^jinja2 2.4.1: PYSEC-2019-217, fixed in 2.10.1; raise the versions and run make lock$"),
        (of(SKIPPED), "^could not audit: PyPI answers for none of 1 packages; use a network with it$"),
        ("", "^could not audit: ConnectionError: no route to host; try again$"),
    ],
)
def test_a_vulnerability_or_no_answer_is_one_line(tmp_path: Path, answer: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        audit(program(tmp_path, answer, "ConnectionError: no route to host"))
