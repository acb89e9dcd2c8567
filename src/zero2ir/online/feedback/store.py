"""Append-only feedback store; an event is on disk before it is acknowledged."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, get_args

from zero2ir.errors import InputError
from zero2ir.io.sqlite import SQLiteTable

Kind = Literal["grade", "click", "impression", "nothing"]


class FeedbackEvent(NamedTuple):
    """One feedback event.

    Attributes:
        event_id: unique id; a resent event has the same id.
        kind: "grade" for a judged, "click" for an opened, "impression" for a shown document; "nothing" for a search
            without results.
        query: text of the query.
        doc_id: id of the document; empty for "nothing".
        position: rank of the document, from 1; None if unknown.
        grade: 0 for not relevant, 1, 2, ...; None unless kind is "grade".
        timestamp: seconds since 1970.
        user: id of the user; empty for anonymous users.
    """

    event_id: str
    kind: Kind
    query: str
    doc_id: str
    position: int | None
    grade: int | None
    timestamp: float
    user: str = ""


class FeedbackStore(SQLiteTable):
    """Events in an SQLite file, in order of arrival; nothing is ever changed or erased.

    ``record`` returns after the event is on disk, so a crash loses nothing; a resent event is stored once. Threads and
    processes may share a file.

    See ``SQLiteTable`` for arguments and errors.
    """

    table = """
    CREATE TABLE IF NOT EXISTS events (
        number INTEGER PRIMARY KEY,
        event_id TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        query TEXT NOT NULL,
        doc_id TEXT NOT NULL,
        position INTEGER,
        grade INTEGER,
        timestamp REAL NOT NULL,
        user TEXT NOT NULL
    ) STRICT
    """

    def record(self, event: FeedbackEvent) -> bool:
        """Stores an event; returns False and changes nothing if its id is already stored.

        Raises:
            InputError: the event is invalid, or the file cannot be written.
        """
        return bool(self.record_all([event]))

    def record_all(self, events: Sequence[FeedbackEvent]) -> int:
        """Stores several events, all or none; returns how many were new.

        Raises:
            InputError: as for ``record``.
        """
        return self.record_groups([events])[0]

    def record_groups(self, groups: Sequence[Sequence[FeedbackEvent]]) -> list[int]:
        """Stores several groups of events, all or none; returns how many of each group were new.

        Raises:
            InputError: as for ``record``.
        """
        for events in groups:
            check_events(events)
        with self._writing() as connection:
            rows = "INSERT INTO events (event_id, kind, query, doc_id, position, grade, timestamp, user)"
            statement = f"{rows} VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (event_id) DO NOTHING"
            return [sum(connection.execute(statement, event).rowcount for event in events) for events in groups]

    def events(self, after: int = 0) -> list[FeedbackEvent]:
        """Returns the events in order of arrival, without the first ``after``."""
        columns = ", ".join(FeedbackEvent._fields)
        with self._reading() as connection:
            rows = connection.execute(f"SELECT {columns} FROM events ORDER BY number LIMIT -1 OFFSET ?", [after])
            return [FeedbackEvent(*row) for row in rows]

    def __len__(self) -> int:
        with self._reading() as connection:
            (count,) = connection.execute("SELECT count(*) FROM events").fetchone()
        return int(count)


def check_events(events: Iterable[FeedbackEvent]) -> None:
    """Raises InputError if an event is invalid."""
    for event in events:
        place = f"event {event.event_id!r}"
        if event.kind not in get_args(Kind):
            raise InputError(f"{place}: unknown kind {event.kind!r}; use one of {', '.join(get_args(Kind))}")
        if not event.event_id or bool(event.doc_id) == (event.kind == "nothing"):
            raise InputError(f"{place}: event_id and doc_id must not be empty, except doc_id of kind nothing")
        if (event.grade is not None) != (event.kind == "grade") or (event.grade or 0) < 0:
            raise InputError(
                f"{place}: grade {event.grade!r} with kind {event.kind}; kind grade needs a grade 0, 1, ..."
            )
        if event.position is not None and event.position < 1:
            raise InputError(f"{place}: position {event.position}; positions start at 1")
