"""Writes files and folders atomically: to a temporary name first, then renamed."""

import fcntl
import glob
import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from uuid import uuid4

from zero2ir.errors import InputError, one_line

MANIFEST = ".zero2ir.json"  # names of the files that zero2ir wrote to a folder
_LEFTOVER = re.compile(r"\.(\d{1,9})-[0-9a-f]{12}\.(part|old)(-journal)?")  # number of the process; SQLite's journal


@contextmanager
def finished_file(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Opens a temporary file in the folder of ``path`` and renames it to ``path`` if the block succeeds.

    The folder is created if it does not exist. If several processes write the same file, the last one to finish wins.
    What killed processes left of the same file is removed.

    Args:
        path: the final name.
        mode: "w" for UTF-8 text with "\\n" line ends, "wb" for bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    part = _temporary(path)
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        with open(part, mode, **text) as file:
            yield file
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def finished_folder(path: Path, written: Callable[[Path], Collection[str]] | None = None) -> Iterator[Path]:
    """Yields an empty temporary folder beside ``path`` that replaces ``path`` if the block succeeds.

    An existing folder is replaced only if zero2ir wrote all of its files. Several processes may write the same folder
    at the same time; the last one to finish wins. What killed processes left of the same folder is removed, or set back
    if it is the only whole one.

    Args:
        path: the final name; its parent is created if it does not exist.
        written: returns the names of the files that zero2ir wrote to a folder; by default, a hidden file lists them.

    Raises:
        InputError: as ``check_output``.
    """
    check_output(path, written)
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(path.parent):
        _remove_leftovers(path)
    part = _temporary(path)
    part.mkdir()
    try:
        yield part
        if written is None:
            write_json(part / MANIFEST, [one.relative_to(part).as_posix() for one in files_below(part)])
        with one_at_a_time(path.parent):
            _replace(path, part, written)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def add_line(path: Path, line: str) -> None:
    """Adds a line to a small text file, whole or not at all, even if the disk is full; returns when it is on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(path.parent):
        before = path.read_bytes() if path.exists() else b""
        end = b"\n" if before and not before.endswith(b"\n") else b""  # an editor left it out
        with finished_file(path, "wb") as file:
            file.write(before + end + line.encode("utf-8") + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _replace(path: Path, part: Path, written: Callable[[Path], Collection[str]] | None) -> None:
    """Renames ``part`` to ``path``, whose files are checked under another name, where nobody adds any."""
    old = part.with_suffix(".old")
    if path.exists():
        os.rename(path, old)
    try:
        if old.exists():
            _check_files(old, path, written)
        os.rename(part, path)
    except BaseException:  # a file of the user, or an interruption
        if old.exists() and not path.exists():
            os.rename(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _temporary(path: Path) -> Path:
    """Returns an unused name beside ``path`` that names this process, too."""
    return path.with_name(f"{path.name}.{os.getpid()}-{uuid4().hex[:12]}.part")


def _remove_leftovers(path: Path) -> None:
    """Removes temporary files and folders of killed processes; sets a folder back that was being replaced."""
    for leftover in path.parent.glob(f"{glob.escape(path.name)}.*"):
        kind = _LEFTOVER.fullmatch(leftover.name, len(path.name))
        if kind is None or _is_running(int(kind[1])):
            continue
        if kind[2] == "old" and not path.exists():
            os.rename(leftover, path)
        elif leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # of another user
        return True
    return True


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Locks a folder, in which no other process may check, replace or create anything meanwhile; waits for its turn."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # nothing is there yet, or nothing may be read
        yield
        return
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def check_output(path: Path, written: Callable[[Path], Collection[str]] | None = None) -> None:
    """Checks, before any work, that ``finished_folder`` may write a folder.

    Raises:
        InputError: it is a file or the current folder, contains a file that zero2ir did not write, or cannot be
            written.
    """
    target = path.resolve()
    if Path.cwd().is_relative_to(target):
        raise InputError(f"{path}: is or contains the current folder; give another folder")
    with one_at_a_time(target.parent):  # another process may just replace the folder
        if target.exists() and not target.is_dir():
            raise InputError(f"{path}: is a file; give a folder")
        if target.is_dir():
            _check_files(target, path, written)
    check_writable(path, target.parent)


def check_writable(path: Path, folder: Path) -> None:
    """Checks, by making one, that files can be written to a folder that may not exist yet, on behalf of ``path``.

    The file has no name, so that nothing of it stays if the process is killed.

    Raises:
        InputError: the folder or its nearest existing parent is a file or cannot be written.
    """
    folder = folder.resolve()
    existing = next(one for one in (folder, *folder.parents) if one.exists())
    try:
        TemporaryFile(dir=existing).close()
    except OSError as error:
        raise InputError(f"{path}: {existing} cannot be written ({error.strerror}); give another folder") from None


def _check_files(folder: Path, shown: Path, written: Callable[[Path], Collection[str]] | None) -> None:
    known = set(_manifest(folder) if written is None else written(folder))
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        is_ours = name in known or path.name == MANIFEST
        if not is_ours and (path.is_symlink() or not path.is_dir()):
            raise InputError(f"{shown / name}: not written by zero2ir; give another folder, or move the file away")


def _manifest(folder: Path) -> Collection[str]:
    try:
        return [str(name) for name in read_json(folder / MANIFEST)]
    except (OSError, ValueError, TypeError):
        return []


def write_json(path: Path, value: Any) -> None:
    """Writes ``value`` as JSON with sorted keys, so that the same value gives the same bytes."""
    with finished_file(path) as file:
        json.dump(value, file, indent=2, sort_keys=True, ensure_ascii=False)
        file.write("\n")


def read_json(path: Path) -> Any:
    """Reads a file of JSON.

    Raises:
        InputError: it is missing or is no JSON, is nested too deeply, or has a number that is infinite or not a number.
    """

    def finite(number: str) -> float:
        if not math.isfinite(value := float(number)):
            raise ValueError(f"{number[:20]} is no finite number")
        return value

    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_float=finite, parse_constant=finite)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: missing or no JSON ({one_line(error)[:200]}); create or get it again") from None


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
    """Returns all files below ``folder``, sorted by path, without manifests."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
