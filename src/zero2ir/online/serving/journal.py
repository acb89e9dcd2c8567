"""What happened to the documents since a program was trained: read again when it is served again."""

from collections.abc import Sequence

from zero2ir.data.records import Document
from zero2ir.io.sqlite import SQLiteTable


class DocumentJournal(SQLiteTable):
    """The last word on each document that was added or removed, in an SQLite file.

    Applying it twice is applying it once: a kill at any moment leaves nothing to put right.

    Args:
        path: of the file; it may not exist yet.

    Raises:
        InputError: it cannot be opened, or is no such file.
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
        """Keeps what is added and removed, all of it or nothing, before it returns.

        Raises:
            InputError: the file cannot be written.
        """
        rows = [*((doc_id, None, None) for doc_id in removed), *added]
        with self._writing() as connection:
            connection.executemany("DELETE FROM documents WHERE doc_id = ?", [(row[0],) for row in rows])
            connection.executemany("INSERT INTO documents (doc_id, title, text) VALUES (?, ?, ?)", rows)

    def changes(self) -> tuple[list[Document], list[str]]:
        """The documents that were added, in their order, and the ids of those that were removed."""
        with self._reading() as connection:
            rows = connection.execute("SELECT doc_id, title, text FROM documents ORDER BY number").fetchall()
        added = [Document(doc_id, title, text) for doc_id, title, text in rows if text is not None]
        return added, [doc_id for doc_id, _, text in rows if text is None]
