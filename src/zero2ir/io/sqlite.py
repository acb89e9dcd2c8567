"""SQLite files whose committed transactions survive a crash of the process or the machine."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import ClassVar, Self

from zero2ir.errors import InputError, StorageError
from zero2ir.io.files import sync_folder

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
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute(self.table)
            self._check_version()
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

    def _check_version(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > self.version:
            raise InputError(
                f"{self.path}: the file has version {version}, this zero2ir reads up to {self.version}; upgrade zero2ir"
            )
        if version < self.version:  # a new file
            self._connection.execute(f"PRAGMA user_version = {self.version}")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._explained():
            yield self._connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Runs the block as one transaction."""
        with self._lock, self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
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
