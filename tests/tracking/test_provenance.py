"""The revision of the code."""

import subprocess
from pathlib import Path

from zero2ir.tracking.provenance import code_revision


def test_revision_tells_of_changes_to_the_code_only(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
        return subprocess.run(
            ["git", *identity, *words], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout.strip()

    assert code_revision(tmp_path) == "unknown"
    git("init", "-q")
    assert code_revision(tmp_path) == "unknown"  # no commit yet
    for folder in ("src", "conf"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a").write_text("1")
    git("add", ".")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "HEAD")
    (tmp_path / "results.txt").write_text("not code")
    assert code_revision(tmp_path) == commit
    (tmp_path / "conf" / "a").write_text("2")
    assert code_revision(tmp_path) == f"{commit}+changes"
