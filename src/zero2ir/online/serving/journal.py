"""Journal of the documents added and removed since a program was trained; replayed when it is served again."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sqlalchemy import Column, Connection, MetaData, Table, Text, bindparam, delete, func, insert, select

from zero2ir.data.records import Document
from zero2ir.io.database import WHOLE, DatabaseTable


class Changes(NamedTuple):
    """Changes of documents.

    Attributes:
        added: the added documents, in order.
        removed: ids of the removed ones.
        number: number of the last change, which rises; 0 if there is none.
    """

    added: list[Document]
    removed: list[str]
    number: int


class DocumentJournal(DatabaseTable):
    """The last change of each added or removed document, in a database.

    Applying the journal is idempotent, so a crash at any moment needs no repair. Several services may share it: the
    numbers of changes rise in the order in which the changes become visible.
    """

    table = Table(
        "documents",
        MetaData(),
        Column("number", WHOLE, primary_key=True),
        Column("doc_id", Text, nullable=False, unique=True),
        Column("title", Text),
        Column("text", Text),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )

    def record(
        self,
        added: Sequence[Document],
        removed: Sequence[str],
        after: int,
        check: Callable[[Changes], None],
    ) -> Changes:
        """Stores additions and removals, all or none, before it returns.

        Args:
            added: documents.
            removed: ids of documents.
            after: number of the last change that the service knows.
            check: called with the later changes of others while nobody can add any; its error refuses the change.

        Returns:
            The later changes of others, and the number of this one.

        Raises:
            InputError: it cannot be written, or the check refuses it.
        """
        columns = self.table.c
        rows = [*((doc_id, None, None) for doc_id in removed), *added]
        self.database.check_texts([text for row in rows for text in row if text is not None])
        with self.database.writing() as connection:
            changes = _changes(connection, self.table, after)
            check(changes)
            connection.execute(
                delete(self.table).where(columns.doc_id == bindparam("gone")), [{"gone": row[0]} for row in rows]
            )
            connection.execute(
                insert(self.table), [dict(zip(("doc_id", "title", "text"), row, strict=True)) for row in rows]
            )
            number = connection.execute(select(func.max(columns.number))).scalar_one()
        return changes._replace(number=number)

    def changes(self, after: int = 0) -> Changes:
        """Returns the changes after a number; those of documents that changed again later are left out."""
        with self.database.reading() as connection:
            return _changes(connection, self.table, after)


def _changes(connection: Connection, table: Table, after: int) -> Changes:
    columns = table.c
    query = select(columns.number, columns.doc_id, columns.title, columns.text)
    rows = connection.execute(query.where(columns.number > after).order_by(columns.number)).all()
    added = [Document(doc_id, title, text) for _, doc_id, title, text in rows if text is not None]
    removed = [doc_id for _, doc_id, _, text in rows if text is None]
    return Changes(added, removed, rows[-1].number if rows else after)
