"""Append-only feedback store; an event is on disk before it is acknowledged."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

from sqlalchemy import Column, MetaData, Table, Text, func, select

from zero2ir.errors import InputError
from zero2ir.io.database import REAL_NUMBER, WHOLE, DatabaseTable

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


class FeedbackStore(DatabaseTable):
    """Events in a database, in order of arrival; nothing is ever changed or erased.

    ``record`` returns after the event is on disk, so a crash loses nothing; a resent event is stored once. Threads and
    processes may share a file, machines a PostgreSQL database.

    See ``DatabaseTable`` for arguments and errors.
    """

    table = Table(
        "events",
        MetaData(),
        Column("number", WHOLE, primary_key=True),
        Column("event_id", Text, nullable=False, unique=True),
        Column("kind", Text, nullable=False),
        Column("query", Text, nullable=False),
        Column("doc_id", Text, nullable=False),
        Column("position", WHOLE),
        Column("grade", WHOLE),
        Column("timestamp", REAL_NUMBER, nullable=False),
        Column("user", Text, nullable=False),
        sqlite_strict=True,
    )

    def record(self, event: FeedbackEvent) -> bool:
        """Stores an event; returns False and changes nothing if its id is already stored.

        Raises:
            InputError: the event is invalid, or the database cannot be written.
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
            self.check(events)
        rows = [event._asdict() for events in groups for event in events]
        if not rows:
            return [0] * len(groups)
        with self.database.writing() as connection:
            new = set(connection.execute(self._insert, rows).scalars())
        numbers = []
        for events in groups:
            ids = {event.event_id for event in events} & new
            numbers.append(len(ids))
            new -= ids  # of several groups with an event, the first one has stored it
        return numbers

    @cached_property
    def _insert(self) -> Any:
        """The statement that stores events and returns the ids of new ones."""
        insert = self.database.insert(self.table).on_conflict_do_nothing(index_elements=["event_id"])
        return insert.returning(self.table.c.event_id)

    def check(self, events: Sequence[FeedbackEvent]) -> None:
        """Raises InputError if an event is invalid, or cannot be stored in this kind of database."""
        check_events(events)
        self.database.check_texts(
            [text for event in events for text in (event.event_id, event.query, event.doc_id, event.user)]
        )

    def events(self, after: int = 0) -> list[FeedbackEvent]:
        """Returns the events in order of arrival, without the first ``after``."""
        columns = [self.table.c[name] for name in FeedbackEvent._fields]
        with self.database.reading() as connection:
            rows = connection.execute(select(*columns).order_by(self.table.c.number).offset(after))
            return [FeedbackEvent(*row) for row in rows]

    def __len__(self) -> int:
        with self.database.reading() as connection:
            return int(connection.execute(select(func.count()).select_from(self.table)).scalar_one())


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
