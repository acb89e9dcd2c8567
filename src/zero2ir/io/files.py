"""Writes files and folders atomically: to a temporary name first, then renamed."""

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
    """Opens a temporary file in the folder of ``path`` and renames it to ``path`` if the block succeeds.

    The folder is created if it does not exist. If several processes write the same file, the last one to finish wins.

    Args:
        path: the final name.
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
    """Yields an empty temporary folder beside ``path`` that replaces ``path`` if the block succeeds.

    An existing folder is renamed before it is deleted, so that ``path`` is never a partial folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part, old = path.with_name(path.name + ".part"), path.with_name(path.name + ".old.part")
    for leftover in (part, old):
        shutil.rmtree(leftover, ignore_errors=True)
    part.mkdir()
    try:
        yield part
        if path.exists():
            os.replace(path, old)
        os.replace(part, path)
    finally:
        for leftover in (part, old):
            shutil.rmtree(leftover, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Writes ``value`` as JSON with sorted keys, so that the same value gives the same bytes."""
    with finished_file(path) as file:
        json.dump(value, file, indent=2, sort_keys=True, ensure_ascii=False)
        file.write("\n")


def read_json(path: Path) -> Any:
    """Reads what ``write_json`` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def sync_folder(folder: Path) -> None:
    """Flushes a folder to disk, so that a new file's name is durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """Returns the hexadecimal SHA-256 digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_below(folder: Path) -> list[Path]:
    """Returns all files below ``folder``, sorted by path."""
    return sorted(path for path in folder.rglob("*") if path.is_file())
