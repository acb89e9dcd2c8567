"""Whole or absent: what a failing block leaves behind, and what two writers at once do to each other."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.io.files import files_below, finished_file, finished_folder, sha256, write_json


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
        path.mkdir()
        (path / "old").write_text("old")

    def fail() -> None:
        with finished_folder(path) as part:
            (part / "new").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == (["folder"] if before else [])
    assert tree(tmp_path) == ({"folder/old": b"old"} if before else {})


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
