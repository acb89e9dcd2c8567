"""Journal of the documents added and removed since a program was trained; replayed when it is served again."""

from collections.abc import Sequence

from zero2ir.data.records import Document
from zero2ir.io.sqlite import SQLiteTable


class DocumentJournal(SQLiteTable):
    """The last change of each added or removed document, in an SQLite file.

    Applying the journal is idempotent, so a crash at any moment needs no repair.
    """

    table = """
    CREATE TABLE IF NOT EXISTS documents (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        doc_id TEXT NOT NULL UNIQUE,
        title TEXT,
        text TEXT
    ) STRICT
    """

    def record(self, added: Sequence[Document], removed: Sequence[str]) -> None:
        """Stores additions and removals, all or none, before it returns; raises InputError if it cannot write."""
        rows = [*((doc_id, None, None) for doc_id in removed), *added]
        with self._writing() as connection:
            connection.executemany("DELETE FROM documents WHERE doc_id = ?", [(row[0],) for row in rows])
            connection.executemany("INSERT INTO documents (doc_id, title, text) VALUES (?, ?, ?)", rows)

    def changes(self) -> tuple[list[Document], list[str]]:
        """Returns the added documents, in order, and the ids of the removed ones."""
        with self._reading() as connection:
            rows = connection.execute("SELECT doc_id, title, text FROM documents ORDER BY number").fetchall()
        added = [Document(doc_id, title, text) for doc_id, title, text in rows if text is not None]
        return added, [doc_id for doc_id, _, text in rows if text is None]
