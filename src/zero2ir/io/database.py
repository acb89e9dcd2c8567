"""Tables in a database: an SQLite file, or PostgreSQL for several processes or machines."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from sqlalchemy import DOUBLE_PRECISION, REAL, BigInteger, Integer
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from zero2ir.errors import InputError
from zero2ir.io.paths import is_url
from zero2ir.io.postgresql import PostgreSQL, shown_url
from zero2ir.io.sqlite import SQLiteFile, TableSettings

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Table

BUSY_SECONDS = 30.0  # how long to wait for another process's lock, unless told otherwise
POSTGRESQL, SQLITE = "postgresql", "sqlite"
WHOLE = Integer().with_variant(BigInteger, POSTGRESQL)  # types of columns with 64 bits in both kinds of databases
REAL_NUMBER = REAL().with_variant(DOUBLE_PRECISION, POSTGRESQL)


class Database(Protocol):
    """A database with one table; see ``SQLiteFile`` and ``PostgreSQL``."""

    @property
    def shown(self) -> str: ...

    is_shared: bool
    insert: Callable[..., Any]

    def reading(self) -> "AbstractContextManager[Connection]": ...

    def writing(self) -> "AbstractContextManager[Connection]": ...

    def check_texts(self, texts: Sequence[str]) -> None: ...

    def close(self) -> None: ...


class DatabaseTable:
    """A table in a database; every committed transaction is on disk. Thread-safe.

    Args:
        place: path of an SQLite file, created if it does not exist; or the SQLAlchemy URL of an SQLite file
            ("sqlite:///...") or of a PostgreSQL database ("postgresql+psycopg://...").
        busy_seconds: how long to wait for another process's lock.
        max_bytes: maximum size of the file or table; None for no limit.
        create: whether to create the file or table if it does not exist.

    Raises:
        InputError: the file or database cannot be used, is another program's, has a newer version, or does not exist.
    """

    table: ClassVar["Table"]
    version: ClassVar[int] = 1

    def __init__(
        self,
        place: str | Path,
        busy_seconds: float = BUSY_SECONDS,
        max_bytes: int | None = None,
        create: bool = True,
    ) -> None:
        self.database = _opened(place, TableSettings(self.table, self.version, busy_seconds, max_bytes, create))

    @property
    def shown(self) -> str:
        """The path, or the URL without password, for messages."""
        return self.database.shown

    def close(self) -> None:
        """Closes the file or the connections."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def check_shared(url: str) -> None:
    """Raises InputError if a URL is not that of a database that several processes and machines may use."""
    if (parsed := _parsed(url)).get_backend_name() != POSTGRESQL:
        raise InputError(
            f"{shown_url(parsed)}: not for a service; give a folder, for SQLite files, or a URL that begins with "
            "postgresql://"
        )


def _opened(place: str | Path, settings: TableSettings) -> Database:
    if not is_url(place):
        return SQLiteFile(Path(place), settings)
    url = _parsed(str(place))
    if url.get_backend_name() == POSTGRESQL:
        return PostgreSQL(url, settings)
    if url.get_backend_name() == SQLITE and url.database not in (None, "", ":memory:"):
        return SQLiteFile(Path(url.database), settings)
    raise InputError(f"{shown_url(url)}: give a URL that begins with postgresql://, or the path of an SQLite file")


def _parsed(place: str) -> "URL":
    try:
        return make_url(place)
    except (ArgumentError, ValueError):  # their messages may quote a password
        raise InputError(
            f"{place.partition('://')[0]}://...: not the URL of a database; write "
            "postgresql://user:password@host:port/database, with %40 for @, %3A for : and %2F for / in the password"
        ) from None
