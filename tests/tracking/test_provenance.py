"""The revision of the code."""

import subprocess
from pathlib import Path

import pytest

from zero2ir.tracking.provenance import code_repository, code_revision, describe_actor


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


@pytest.mark.parametrize(
    ("remote", "stated"),
    [
        ("https://github.com/a/b.git", "https://github.com/a/b.git"),
        ("https://user:secret@example.org/a/b", "https://example.org/a/b"),
        ("https://token@example.org/a/b", "https://example.org/a/b"),
        ("git@github.com:a/b.git", "git@github.com:a/b.git"),
        ("ssh://git:secret@example.org:22/a/b", "ssh://git@example.org:22/a/b"),
        ("/home/somebody/b", None),
        ("../b", None),
        (None, None),
    ],
)
def test_the_repository_is_stated_without_secrets_and_paths(tmp_path: Path, remote: str | None, stated: str) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    if remote is not None:
        subprocess.run(["git", "remote", "add", "origin", remote], cwd=tmp_path, check=True)
    assert code_repository(tmp_path) == stated


def test_the_actor_has_the_name_that_git_knows_and_no_address(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    for key, value in {"user.name": "Ada", "user.email": "ada@example.org"}.items():
        subprocess.run(["git", "config", key, value], cwd=tmp_path, check=True)
    assert describe_actor(tmp_path).model_dump(exclude_none=True) == {"name": "Ada", "role": "experimenter"}
