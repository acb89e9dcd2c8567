"""SQLite files in which what was written stays, whatever is killed after that."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import ClassVar, Self

from zero2ir.errors import InputError, StorageError
from zero2ir.io.files import sync_folder

BUSY_SECONDS = 30.0  # how long another process may hold the file


class SQLiteTable:
    """One table in an SQLite file; what a transaction wrote is on the disk when it ends. Threads may share it.

    Args:
        path: of the file; it may not exist yet.

    Raises:
        InputError: it cannot be opened, is no such file, or is of a newer version.
    """

    table: ClassVar[str]  # SQL that makes it where it is missing
    version: ClassVar[int] = 1

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = Lock()
        with self._explained():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new = not self.path.exists()
            self._connection = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute(self.table)
            self._check_version()
            if new:
                sync_folder(self.path.parent)

    def close(self) -> None:
        """Gives the file back."""
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
                f"{self.path}: version {version} is newer than {self.version}, which this zero2ir reads; "
                "upgrade zero2ir"
            )
        if version < self.version:  # before the first row
            self._connection.execute(f"PRAGMA user_version = {self.version}")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._explained():
            yield self._connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all that the block writes, or nothing."""
        with self._lock, self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StorageError(f"{self.path}: cannot be used ({error}); check file and disk") from error
