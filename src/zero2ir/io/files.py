"""Files and folders that are either whole or absent: written aside, then renamed."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import uuid4


@contextmanager
def finished_file(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Opens a temporary sibling of ``path``; it becomes ``path`` only if the block succeeds.

    Processes that write one file at the same time do not disturb each other; the last one to finish stays.

    Args:
        path: the final name; its folder is made where it is missing.
        mode: "w" for UTF-8 text with "\\n" line ends, "wb" for bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{uuid4().hex[:12]}.part")
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        with open(part, mode, **text) as file:
            yield file
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def finished_folder(path: Path) -> Iterator[Path]:
    """Yields an empty temporary sibling of ``path``; it replaces ``path`` only if the block succeeds.

    The folder that stood there is renamed before it is deleted: at no moment is there half of one under its name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part, old = path.with_name(path.name + ".part"), path.with_name(path.name + ".old.part")
    for rest in (part, old):
        shutil.rmtree(rest, ignore_errors=True)
    part.mkdir()
    try:
        yield part
        if path.exists():
            os.replace(path, old)
        os.replace(part, path)
    finally:
        for rest in (part, old):
            shutil.rmtree(rest, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Writes ``value`` with sorted keys, so that the same value gives the same bytes."""
    with finished_file(path) as file:
        json.dump(value, file, indent=2, sort_keys=True, ensure_ascii=False)
        file.write("\n")


def read_json(path: Path) -> Any:
    """Reads what ``write_json`` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def sync_folder(folder: Path) -> None:
    """Makes sure that a new file's name is on the disk, too."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_below(folder: Path) -> list[Path]:
    """Every file below ``folder``, in a fixed order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())
