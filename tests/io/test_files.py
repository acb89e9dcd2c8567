"""Whole or absent: what a failing block leaves behind, and what two writers at once do to each other."""

import json
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.errors import InputError
from zero2ir.io.files import (
    check_output,
    check_writable,
    files_below,
    finished_file,
    finished_folder,
    sha256,
    write_json,
)


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files_below(folder)}


def test_a_finished_file_is_there_with_its_folders(tmp_path: Path) -> None:
    with finished_file(tmp_path / "a" / "b.txt") as file:
        file.write("grün\r\n\n")
    assert tree(tmp_path) == {"a/b.txt": "grün\r\n\n".encode()}


@pytest.mark.parametrize("before", [None, "old"])
def test_a_failing_block_leaves_the_file_as_it_was(tmp_path: Path, before: str | None) -> None:
    path = tmp_path / "file.txt"
    if before is not None:
        path.write_text(before)

    def fail() -> None:
        with finished_file(path) as file:
            file.write("new")
            raise KeyboardInterrupt  # the user's way to end a long stage

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert tree(tmp_path) == ({} if before is None else {"file.txt": before.encode()})


def test_the_final_name_appears_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with finished_file(path, "wb") as file:
        file.write(b"\0new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert tree(tmp_path) == {"file.bin": b"\0new"}


def test_a_finished_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "folder"
    for name in ("old", "new"):
        with finished_folder(path) as part:
            assert list(part.iterdir()) == []
            (part / name).write_text(name)
    assert tree(tmp_path) == {"a/folder/new": b"new"}


@pytest.mark.parametrize("before", [False, True])
def test_a_failing_block_leaves_the_folder_as_it_was(tmp_path: Path, before: bool) -> None:
    path = tmp_path / "folder"
    if before:
        with finished_folder(path) as part:
            (part / "old").write_text("old")

    def fail() -> None:
        with finished_folder(path) as part:
            (part / "new").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == (["folder"] if before else [])
    assert tree(tmp_path) == ({"folder/old": b"old"} if before else {})


@pytest.mark.parametrize("written", [None, lambda folder: ["old"]])
def test_a_folder_with_a_file_of_the_user_is_not_replaced(tmp_path: Path, written: Any) -> None:
    path = tmp_path / "folder"
    with finished_folder(path, written) as part:
        (part / "old").write_text("old")
    (path / "sub").mkdir()
    (path / "sub" / "notes").write_text("the user's")
    before = tree(tmp_path)
    with pytest.raises(InputError, match="sub/notes: not written by zero2ir"):
        check_output(path, written)
    with pytest.raises(InputError), finished_folder(path, written):
        raise AssertionError("no work is done")
    assert tree(tmp_path) == before


def test_a_file_that_comes_during_the_work_is_not_deleted(tmp_path: Path) -> None:
    path = tmp_path / "folder"

    def write() -> None:
        with finished_folder(path) as part:
            (part / "new").write_text("new")
            path.mkdir()
            (path / "notes").write_text("the user's")

    with pytest.raises(InputError, match="notes: not written by zero2ir"):
        write()
    assert tree(tmp_path) == {"folder/notes": b"the user's"}


def test_outputs_that_cannot_be_written_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("a file")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    for output, reason in {
        ".": "is or contains the current folder",
        "..": "is or contains the current folder",
        "../file": "is a file; give a folder",
        "../file/deeper": "file cannot be written",
        "/proc/zero2ir": "cannot be written",
    }.items():
        with pytest.raises(InputError, match=reason) as refused:
            check_output(Path(output))
        assert str(refused.value).startswith(f"{output}: ")
    assert tree(tmp_path) == {"file": b"a file"}


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    for name in ("old", "new"):
        with finished_folder(tmp_path / "link") as part:
            (part / name).write_text(name)
    assert (tmp_path / "link").is_symlink()
    assert tree(tmp_path / "disk") == {"new": b"new"}


def test_two_writers_of_one_folder_leave_one_whole_folder(tmp_path: Path) -> None:
    together = Barrier(2)

    def write(text: str) -> None:
        for _ in range(30):
            with finished_folder(tmp_path / "folder") as part:
                together.wait(timeout=10)  # both finish at the same time
                (part / text).write_text(text)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, ["one", "other"]))
    assert tree(tmp_path) in ({"folder/one": b"one"}, {"folder/other": b"other"})
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    together = Barrier(2)

    def write(text: str) -> None:
        with finished_file(tmp_path / "file") as file:
            together.wait(timeout=10)  # both are in the middle of writing
            file.write(text)
            together.wait(timeout=10)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, ["one" * 1000, "another" * 1000]))
    assert tree(tmp_path) in ({"file": b"one" * 1000}, {"file": b"another" * 1000})


def test_what_a_killed_writer_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    (part := tmp_path / "file.999999999-0123456789ab.part").write_text("half")
    (tmp_path / "file.txt.part").write_text("of the user")
    write_json(tmp_path / "file", 1)
    (folder := tmp_path / "folder.999999999-0123456789ab.part").mkdir()
    (folder / "half").write_text("half")
    with finished_folder(tmp_path / "folder") as other:
        (other / "whole").write_text("whole")
    assert not part.exists()
    assert tree(tmp_path) == {"file": b"1\n", "file.txt.part": b"of the user", "folder/whole": b"whole"}


def test_a_check_that_is_killed_at_any_moment_leaves_nothing(tmp_path: Path) -> None:
    def killed(moment: int) -> bool:
        """Whether a process was killed at that one of the operations that Python reports to its audit hooks."""
        moments = count(1)
        if not (child := os.fork()):
            sys.addaudithook(lambda *_: os.kill(os.getpid(), signal.SIGKILL) if next(moments) == moment else None)
            check_writable(tmp_path / "file", tmp_path)
            os._exit(0)
        return os.waitpid(child, 0)[1] != 0

    assert killed(1)
    assert not all(killed(moment) for moment in range(2, 200))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_being_replaced_when_its_writer_was_killed_is_set_back(tmp_path: Path) -> None:
    with finished_folder(tmp_path / "folder") as part:
        (part / "whole").write_text("before")
    (tmp_path / "folder").rename(tmp_path / "folder.999999999-0123456789ab.old")
    with pytest.raises(ZeroDivisionError), finished_folder(tmp_path / "folder"):
        raise ZeroDivisionError
    assert tree(tmp_path) == {"folder/whole": b"before"}


def test_what_a_living_writer_writes_is_not_removed(tmp_path: Path) -> None:
    with finished_folder(tmp_path / "folder") as first:
        with finished_folder(tmp_path / "folder") as second:
            assert first.exists()
            (second / "second").write_text("")
        (first / "first").write_text("")
    assert tree(tmp_path) == {"folder/first": b""}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_json_comes_back(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.mktemp("json") / "value.json"
    write_json(path, value)
    assert json.loads(path.read_text(encoding="utf-8")) == value


def test_the_order_of_keys_does_not_matter(tmp_path: Path) -> None:
    write_json(tmp_path / "one.json", {"b": 1, "a": "ü"})
    write_json(tmp_path / "other.json", {"a": "ü", "b": 1})
    assert sha256(tmp_path / "one.json") == sha256(tmp_path / "other.json")
    assert "ü" in (tmp_path / "one.json").read_text(encoding="utf-8")


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_files_below_come_in_a_fixed_order_without_folders(tmp_path: Path) -> None:
    for name in ("b/2", "a", "b/1"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path)] == ["a", "b/1", "b/2"]
