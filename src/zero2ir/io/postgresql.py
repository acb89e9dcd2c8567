"""PostgreSQL databases that several processes and machines use at the same time."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.schema import CreateTable

from zero2ir.errors import InputError, StorageError, StorageFullError
from zero2ir.io.sqlite import TableSettings, on_error

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection

DRIVER = "postgresql+psycopg"
CONNECTION = {  # options of libpq: a server that is gone is noticed within seconds
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
POOL_SIZE = 5
CREATING = 0x7A657261  # key of the lock under which one process at a time creates tables
DISK_FULL = "53100"  # SQLSTATE
INVALID_TEXT = "\x00"  # the one character that PostgreSQL does not store


class PostgreSQL:
    """A table in a PostgreSQL database; every committed transaction is on disk.

    One transaction at a time writes to the table, so that its numbers rise in the order in which transactions become
    visible: who reads the rows after the last number that it saw misses none.

    Args:
        url: the database, "postgresql+psycopg://user@host/database"; what it lacks comes from libpq's environment
            variables and files (PGPASSWORD, ~/.pgpass).
        settings: the table, whose comment states its version, and how it is used.

    Attributes:
        shown: the URL without password, for messages.
        is_shared: whether other machines can use the table at the same time.
        insert: SQLAlchemy's insert with ``on_conflict_do_nothing`` for this kind of database.

    Raises:
        InputError: psycopg is missing, the database cannot be used, or the table is newer, missing or not zero2ir's.
    """

    is_shared = True
    insert: Callable[..., Any] = staticmethod(postgresql.insert)

    def __init__(self, url: "URL", settings: TableSettings) -> None:
        self.shown = shown_url(url)
        self.table, self.version, self.busy_seconds, self.max_bytes, self.create = settings
        options = {name: value for name, value in CONNECTION.items() if name not in url.query}
        try:
            self._engine = create_engine(
                url.set(drivername=DRIVER),
                connect_args=options,
                pool_size=POOL_SIZE,
                pool_pre_ping=True,
                hide_parameters=True,
            )
        except (ImportError, NoSuchModuleError):
            raise InputError(f"{self.shown}: needs psycopg; pip install 'zero2ir[postgres]'") from None
        event.listen(self._engine, "connect", self._prepare)
        with self._explained(), on_error(self.close):
            self._check_table()

    def close(self) -> None:
        """Closes the connections."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator["Connection"]:
        """Yields a connection for reading."""
        with self._explained(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator["Connection"]:
        """Runs the block as one transaction; waits for other writers."""
        with self._explained(), self._engine.begin() as connection:
            connection.exec_driver_sql(f"LOCK TABLE {self.table.name} IN SHARE ROW EXCLUSIVE MODE")  # others may read
            if self.max_bytes is not None and self._bytes(connection) >= self.max_bytes:
                raise StorageFullError(f"{self.shown}: {self.table.name} has {self.max_bytes} bytes; allow it more")
            yield connection

    def check_texts(self, texts: Sequence[str]) -> None:
        """Raises InputError if a text cannot be stored."""
        if any(INVALID_TEXT in one for one in texts):
            raise InputError("a text contains the character U+0000, which PostgreSQL does not store; leave it out")

    def _prepare(self, connection: Any, record: Any) -> None:
        """Lets commits of a new connection wait for the disk, even if the server's default is not to."""
        connection.execute(f"SET lock_timeout = {max(1, round(1000 * self.busy_seconds))}")
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
        connection.commit()

    def _bytes(self, connection: "Connection") -> int:
        size = text("SELECT pg_total_relation_size(to_regclass(:name))")
        return int(connection.execute(size, {"name": self.table.name}).scalar_one())

    def _check_table(self) -> None:
        """Creates the table if there is none; refuses, without changing it, a table of something else."""
        about = f"zero2ir {self.version}"
        with self._engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({CREATING})")
            query = text("SELECT to_regclass(:name) IS NOT NULL, obj_description(to_regclass(:name), 'pg_class')")
            exists, comment = connection.execute(query, {"name": self.table.name}).one()
            if not exists and not self.create:
                raise InputError(f"{self.shown}: has no table {self.table.name}; give the database of a server")
            if not exists:
                connection.execute(CreateTable(self.table))
                connection.exec_driver_sql(f"COMMENT ON TABLE {self.table.name} IS '{about}'")
                return
        found = re.fullmatch(r"zero2ir (\d{1,9})", comment or "")
        if found is None:
            raise InputError(f"{self.shown}: {self.table.name} is a table of another program; give another database")
        if int(found[1]) > self.version:
            raise InputError(
                f"{self.shown}: {self.table.name} has version {found[1]}, this zero2ir reads up to {self.version}; "
                "upgrade zero2ir"
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
            kind = StorageFullError if getattr(cause, "sqlstate", None) == DISK_FULL else StorageError
            reason = str(cause).partition("\nDETAIL")[0]  # the details may quote values
            raise kind(f"{self.shown}: cannot be used ({reason}); check the URL and the database") from cause


def shown_url(url: "URL") -> str:
    """Returns a URL without its password and options, which may contain one."""
    return url.set(query={}).render_as_string(hide_password=True)
