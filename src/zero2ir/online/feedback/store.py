"""The file that feedback is kept in: an append-only table, on the disk before anybody is told that it is."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

from zero2ir.errors import InputError
from zero2ir.io.sqlite import SQLiteTable

Kind = Literal["grade", "click", "impression", "nothing"]


class FeedbackEvent(NamedTuple):
    """One thing that somebody told, or did.

    Attributes:
        event_id: tells it from all others; whoever sends it again sends the same id.
        kind: "grade" where a document was judged, "click" where it was opened, "impression" where it was shown;
            "nothing" where a search showed none.
        query: its text.
        doc_id: of the document; empty for "nothing".
        position: of the document in the ranking, 1 is the first; None where it is not known.
        grade: 0 for not relevant, 1, 2, ...; None but for "grade".
        timestamp: seconds since 1970.
        user: who it was; empty where nobody is told from another.
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
    """Events in an SQLite file, in the order in which they came; nothing is ever changed or erased.

    An event is on the disk when ``record`` returns, whatever is killed after that, and once only, however often it is
    sent. Threads and processes may share a file.

    Args:
        path: of the file; it may not exist yet.

    Raises:
        InputError: it cannot be opened, or is no such file.
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
        with self._writing() as connection:
            rows = "INSERT INTO events (event_id, kind, query, doc_id, position, grade, timestamp, user)"
            statement = f"{rows} VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (event_id) DO NOTHING"
            return sum(connection.execute(statement, event).rowcount for event in events)

    def events(self, after: int = 0) -> list[FeedbackEvent]:
        """The events in the order in which they came, without the first ``after``."""
        columns = ", ".join(FeedbackEvent._fields)
        with self._reading() as connection:
            rows = connection.execute(f"SELECT {columns} FROM events ORDER BY number LIMIT -1 OFFSET ?", [after])
            return [FeedbackEvent(*row) for row in rows]

    def __len__(self) -> int:
        with self._reading() as connection:
            (count,) = connection.execute("SELECT count(*) FROM events").fetchone()
        return int(count)


def _check(event: FeedbackEvent) -> None:
    place = f"event {event.event_id!r}"
    if event.kind not in get_args(Kind):
        raise InputError(f"{place}: kind {event.kind!r}; choose one of {', '.join(get_args(Kind))}")
    if not event.event_id or bool(event.doc_id) == (event.kind == "nothing"):
        raise InputError(f"{place}: event_id and doc_id must not be empty; doc_id must be for kind nothing")
    if (event.grade is not None) != (event.kind == "grade") or (event.grade or 0) < 0:
        raise InputError(f"{place}: grade {event.grade!r} of a {event.kind}; a grade of 0, 1, ... goes with kind grade")
    if event.position is not None and event.position < 1:
        raise InputError(f"{place}: position {event.position}; the first document has position 1")
