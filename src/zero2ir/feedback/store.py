"""The file that feedback is kept in: an append-only table, on the disk before anybody is told that it is."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Literal, NamedTuple, Self, get_args

from zero2ir.errors import InputError
from zero2ir.files import sync_folder

Kind = Literal["grade", "click", "impression"]

VERSION = 1
BUSY_SECONDS = 30.0  # how long another process may hold the file
TABLE = """
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    query TEXT NOT NULL,
    doc_id TEXT NOT NULL,
    position INTEGER,
    grade INTEGER,
    at REAL NOT NULL,
    user TEXT NOT NULL
) STRICT
"""


class FeedbackEvent(NamedTuple):
    """One thing that somebody told, or did.

    Attributes:
        event_id: tells it from all others; whoever sends it again sends the same id.
        kind: "grade" where a document was judged, "click" where it was opened, "impression" where it was shown.
        query: its text.
        doc_id: of the document.
        position: of the document in the ranking, 1 is the first; None where it is not known.
        grade: 0 for not relevant, 1, 2, ...; None but for "grade".
        at: seconds since 1970.
        user: who it was; empty where nobody is told from another.
    """

    event_id: str
    kind: Kind
    query: str
    doc_id: str
    position: int | None
    grade: int | None
    at: float
    user: str = ""


class FeedbackStore:
    """Events in an SQLite file, in the order in which they came; nothing is ever changed or erased.

    An event is on the disk when ``record`` returns, whatever is killed after that, and once only, however often it is
    sent. Threads and processes may share a file.

    Args:
        path: of the file; it may not exist yet.

    Raises:
        InputError: it cannot be opened, or is no such file.
    """

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
            self._connection.execute(TABLE)
            self._check_version()
            if new:
                sync_folder(self.path.parent)

    def record(self, event: FeedbackEvent) -> bool:
        """Keeps one event; False where its id was there already, and nothing changes.

        Raises:
            InputError: it is no such event, or the file cannot be written.
        """
        return bool(self.record_all([event]))

    def record_all(self, events: Sequence[FeedbackEvent]) -> int:
        """Keeps several events, all of them or none; returns how many were new.

        Raises:
            InputError: as ``record``.
        """
        for event in events:
            _check(event)
        with self._lock, self._explained(), self._transaction():
            rows = "INSERT INTO events (event_id, kind, query, doc_id, position, grade, at, user)"
            statement = f"{rows} VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (event_id) DO NOTHING"
            return sum(self._connection.execute(statement, event).rowcount for event in events)

    def events(self, after: int = 0) -> list[FeedbackEvent]:
        """The events in the order in which they came, without the first ``after``."""
        columns = ", ".join(FeedbackEvent._fields)
        with self._lock, self._explained():
            rows = self._connection.execute(f"SELECT {columns} FROM events ORDER BY number LIMIT -1 OFFSET ?", [after])
            return [FeedbackEvent(*row) for row in rows]

    def __len__(self) -> int:
        with self._lock, self._explained():
            (count,) = self._connection.execute("SELECT count(*) FROM events").fetchone()
        return int(count)

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
        if version > VERSION:
            raise InputError(
                f"{self.path}: version {version} is newer than {VERSION}, which this zero2ir reads; upgrade zero2ir"
            )
        if version < VERSION:  # before the first event
            self._connection.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise InputError(f"{self.path}: no feedback can be kept there ({error}); check file and disk") from error


def _check(event: FeedbackEvent) -> None:
    place = f"event {event.event_id!r}"
    if not event.event_id or not event.doc_id:
        raise InputError(f"{place}: event_id and doc_id must not be empty")
    if event.kind not in get_args(Kind):
        raise InputError(f"{place}: kind {event.kind!r}; choose one of {', '.join(get_args(Kind))}")
    if (event.grade is not None) != (event.kind == "grade") or (event.grade or 0) < 0:
        raise InputError(f"{place}: grade {event.grade!r} of a {event.kind}; a grade of 0, 1, ... goes with kind grade")
    if event.position is not None and event.position < 1:
        raise InputError(f"{place}: position {event.position}; the first document has position 1")
