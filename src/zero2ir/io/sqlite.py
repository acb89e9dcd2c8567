"""SQLite files whose committed transactions survive a crash of the process or the machine."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock
from typing import ClassVar, Self

from zero2ir.errors import InputError, StorageError
from zero2ir.io.files import check_writable, sync_folder

BUSY_SECONDS = 30.0  # how long to wait for another process's lock, unless told otherwise


class SQLiteTable:
    """A table in an SQLite file; every committed transaction is on disk. Thread-safe.

    Args:
        path: the file; created if it does not exist.
        busy_seconds: how long to wait for another process's lock.
        max_bytes: maximum size of the file; None for no limit.

    Raises:
        InputError: the file cannot be opened, is not an SQLite file, or has a newer version.
    """

    table: ClassVar[str]  # SQL that creates the table if it does not exist
    version: ClassVar[int] = 1

    def __init__(self, path: str | Path, busy_seconds: float = BUSY_SECONDS, max_bytes: int | None = None) -> None:
        self.path = Path(path)
        self._lock = Lock()
        with self._explained():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new = not self.path.exists()
            self._connection = sqlite3.connect(
                self.path, timeout=busy_seconds, isolation_level=None, check_same_thread=False
            )
            is_new = self._is_new()
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            if is_new:
                with self._transaction():
                    self._connection.execute(self.table)
                    self._connection.execute(f"PRAGMA user_version = {self.version}")
            if max_bytes is not None:
                (page_bytes,) = self._connection.execute("PRAGMA page_size").fetchone()
                self._connection.execute(f"PRAGMA max_page_count = {max(1, max_bytes // page_bytes)}")
            if new:
                sync_folder(self.path.parent)

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _is_new(self) -> bool:
        """Returns whether the file has no table; refuses, without changing it, a file of something else."""
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        found = {_plain(sql) for (sql,) in self._connection.execute("SELECT sql FROM sqlite_master WHERE sql NOT NULL")}
        if version > self.version:
            raise InputError(
                f"{self.path}: the file has version {version}, this zero2ir reads up to {self.version}; upgrade zero2ir"
            )
        if found and (version < self.version or _plain(self.table) not in found):
            raise InputError(f"{self.path}: an SQLite file of another program or version; give another file")
        return not found

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._explained():
            yield self._connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Runs the block as one transaction."""
        with self._lock, self._explained(), self._transaction():
            yield self._connection

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:  # SQLite ends it itself when the disk is full
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StorageError(f"{self.path}: cannot be used ({error}); check the file and the disk") from error


def _plain(sql: str) -> str:
    """Returns the SQL that creates a table without white space, as SQLite stores it."""
    return "".join(sql.split()).replace("IFNOTEXISTS", "").rstrip(";")


def check_sqlite(path: Path, table: str) -> None:
    """Checks, without changing anything, that an SQLite file can be written, and contains a table if it exists.

    Raises:
        InputError: the file or its folder cannot be written, or it is another program's file.
    """
    check_writable(path, path.parent)
    if not path.exists() or not path.stat().st_size:
        return
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    except sqlite3.Error as error:
        raise InputError(f"{path}: cannot be used ({error}); give another file") from None
    if not found:
        raise InputError(f"{path}: an SQLite file of another program; give another file")
    if not os.access(path, os.W_OK):
        raise InputError(f"{path}: cannot be written; give another file")
