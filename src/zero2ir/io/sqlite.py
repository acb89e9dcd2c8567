"""SQLite files whose committed transactions survive a crash of the process or the machine."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import UniqueConstraint, create_engine
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool
from sqlalchemy.schema import CreateTable

from zero2ir.errors import InputError, StorageError, StorageFullError
from zero2ir.io.files import check_writable, sync_folder

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table


class TableSettings(NamedTuple):
    """How a table is used.

    Attributes:
        table: the table.
        version: its version, stored beside it.
        busy_seconds: how long to wait for another process's lock.
        max_bytes: maximum size of the file or table; None for no limit.
        create: whether to create the file or table if it does not exist.
    """

    table: "Table"
    version: int
    busy_seconds: float
    max_bytes: int | None
    create: bool


class SQLiteFile:
    """An SQLite file with one table; every committed transaction is on disk. Thread-safe.

    Args:
        path: the file.
        settings: the table, and how it is used.

    Attributes:
        shown: the path, for messages.
        is_shared: whether other machines can use the table at the same time.
        insert: SQLAlchemy's insert with ``on_conflict_do_nothing`` for this kind of database.

    Raises:
        InputError: the file cannot be opened, is not an SQLite file, has a newer version, or does not exist.
    """

    is_shared = False
    insert: Callable[..., Any] = staticmethod(sqlite.insert)

    def __init__(self, path: Path, settings: TableSettings) -> None:
        self.path = path
        self.table, self.version, busy_seconds, max_bytes, create = settings
        self._lock = Lock()
        if not create and not path.is_file():
            raise InputError(f"{path}: no such file; give the file of a server")
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            new = not path.exists()
            self._connection = _connected(path, busy_seconds)
            with on_error(self.close):
                self._prepare(max_bytes, create)
                if new:
                    sync_folder(path.parent)

    def _prepare(self, max_bytes: int | None, create: bool) -> None:
        """Checks the file, makes commits durable, and creates the table if there is none."""
        is_new = self._is_new()
        if is_new and not create:
            raise InputError(f"{self.path}: contains no table; give the file of a server")
        self._run("PRAGMA journal_mode = WAL")
        self._run("PRAGMA synchronous = FULL")
        if is_new:
            with self._transaction():
                self._connection.execute(CreateTable(self.table, if_not_exists=True))
                self._run(f"PRAGMA user_version = {self.version}")
        if max_bytes is not None:
            page_bytes = self._run("PRAGMA page_size").scalar_one()
            self._run(f"PRAGMA max_page_count = {max(1, max_bytes // page_bytes)}")

    @property
    def shown(self) -> str:
        return str(self.path)

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()
            self._connection.engine.dispose()

    @contextmanager
    def reading(self) -> Iterator["Connection"]:
        """Yields the connection for reading."""
        with self._lock, self._explained():
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator["Connection"]:
        """Runs the block as one transaction; waits for other writers."""
        with self._lock, self._explained(), self._transaction():
            yield self._connection

    def check_texts(self, texts: Sequence[str]) -> None:
        """Raises InputError if a text cannot be stored; SQLite stores all."""

    def _run(self, sql: str) -> Any:
        return self._connection.exec_driver_sql(sql)

    def _is_new(self) -> bool:
        """Returns whether the file has no table; refuses, without changing it, a file of something else."""
        version = self._run("PRAGMA user_version").scalar_one()
        found = self._run("SELECT 1 FROM sqlite_master WHERE sql NOT NULL").first() is not None
        if version > self.version:
            raise InputError(
                f"{self.path}: the file has version {version}, this zero2ir reads up to {self.version}; upgrade zero2ir"
            )
        if found and (version < self.version or not self._has_table()):
            raise InputError(f"{self.path}: an SQLite file of another program or version; give another file")
        return not found

    def _has_table(self) -> bool:
        """Returns whether the file has the table with the same columns and unique columns."""
        found = {
            (name, kind, bool(required or key), bool(key))
            for _, name, kind, required, _, key in self._run(f"PRAGMA table_info({self.table.name})")
        }
        indexes = [index for _, index, unique, *_ in self._run(f"PRAGMA index_list({self.table.name})") if unique]
        unique = {tuple(row[2] for row in self._run(f"PRAGMA index_info({index})")) for index in indexes}
        return found == _columns(self.table) and unique == _unique(self.table)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._run("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            driver: Any = self._connection.connection
            if driver.in_transaction:  # SQLite ends it itself when the disk is full
                self._run("ROLLBACK")
            raise
        self._run("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, OSError, UnicodeDecodeError) as error:  # of a damaged schema
            cause = getattr(error, "orig", None) or error  # without the statement and its values
            is_full = getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
            kind = StorageFullError if is_full else StorageError
            raise kind(f"{self.path}: cannot be used ({cause}); check the file and the disk") from cause


@contextmanager
def on_error(close: Callable[[], None]) -> Iterator[None]:
    """Closes a database that cannot be used: its locks would make the next one that opens it wait."""
    try:
        yield
    except BaseException:
        close()
        raise


def _connected(path: Path, busy_seconds: float) -> "Connection":
    """Opens one connection for all threads, on which transactions begin and end by statements only."""
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(path, timeout=busy_seconds, check_same_thread=False),
        poolclass=StaticPool,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
    )
    return engine.connect()


def _columns(table: "Table") -> set[tuple[str, str, bool, bool]]:
    """Returns name, type, whether required and whether a key of each column, as SQLite tells them."""
    dialect = sqlite.dialect()
    return {
        (one.name, one.type.compile(dialect), not one.nullable or one.primary_key, one.primary_key)
        for one in table.columns
    }


def _unique(table: "Table") -> set[tuple[str, ...]]:
    constraints = [one for one in table.constraints if isinstance(one, UniqueConstraint)]
    return {tuple(column.name for column in one.columns) for one in constraints}


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
    except (sqlite3.Error, UnicodeError) as error:
        raise InputError(f"{path}: cannot be used ({error}); give another file") from None
    if not found:
        raise InputError(f"{path}: an SQLite file of another program; give another file")
    if not os.access(path, os.W_OK):
        raise InputError(f"{path}: cannot be written; give another file")
