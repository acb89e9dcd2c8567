"""Append-only file of answers: one JSON line per answer, synced to disk before anything else happens."""

import fcntl
import json
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from zero2ir.data.checks import used_judgments
from zero2ir.data.known_ids import KnownIds
from zero2ir.data.records import JudgedDocument, Judgment
from zero2ir.data.tables import JUDGMENTS, read_table
from zero2ir.errors import InputError
from zero2ir.io.files import sync_folder
from zero2ir.io.lines import grade_of, json_line, text_of

IMPORTED = "imported"  # annotator name for imported judgments


class Annotation(NamedTuple):
    """One answer.

    Attributes:
        grade: 0 for not relevant, 1, 2, ...; None for a skipped item.
        annotator: name of the annotator.
        repeat: whether the item was shown a second time to measure self-agreement.
    """

    query_id: str
    query: str
    doc_id: str
    grade: int | None
    annotator: str
    repeat: bool = False


class Annotations:
    """The answers in an append-only JSON Lines file.

    An answer is on disk before ``add`` returns. Undoing appends a line; nothing is erased. If a crash cut off the last
    line, that line is dropped and ``notice`` reports it.

    Args:
        path: the file; it need not exist.

    Attributes:
        rows: the valid answers, oldest first.
        notice: warning for the user about the file, or None.

    Raises:
        InputError: a line is not an answer; the message names file and line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Annotation] = []
        self.notice: str | None = None
        self._known = 0  # size of the file in bytes when last accessed
        self._whole = 0  # bytes of complete lines
        self._read()

    def add(self, annotation: Annotation) -> None:
        """Appends an answer.

        Raises:
            InputError: the file cannot be written, or another program has written to it.
        """
        self._append(annotation._asdict())
        self.rows.append(annotation)

    def undo(self) -> Annotation:
        """Undoes the last valid answer and returns it; raises InputError if there is none, or as ``add``."""
        if not self.rows:
            raise InputError(f"{self.path}: no answer to undo")
        self._append({"undo": True})
        return self.rows.pop()

    def judgments(self) -> list[JudgedDocument]:
        """Returns the last grade of each query-document pair, without skipped items."""
        last = {(row.query_id, row.doc_id): row for row in self.rows if row.grade is not None}
        return [JudgedDocument(row.query_id, row.query, row.doc_id, row.grade or 0) for row in last.values()]

    def add_judgments(self, judgments: Iterable[JudgedDocument], annotator: str = IMPORTED) -> int:
        """Appends judgments from elsewhere unless they are already present; returns how many were new."""
        grades = {(row.query_id, row.doc_id): row.relevance for row in self.judgments()}
        new = [row for row in judgments if grades.get((row.query_id, row.doc_id)) != row.relevance]
        for row in new:
            self.add(Annotation(row.query_id, row.query, row.doc_id, row.relevance, annotator))
        return len(new)

    def _read(self) -> None:
        try:
            raw = self.path.read_bytes() if self.path.exists() else b""
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror}); give another file") from error
        self._known = len(raw)
        for number, line in enumerate(raw.splitlines(keepends=True), start=1):
            try:
                row = json.loads(line.decode("utf-8"))
            except (ValueError, RecursionError):
                row = None
            if row is None and not line.endswith(b"\n"):  # only the last line can lack a line end
                self.notice = f"{self.path}:{number}: the last answer is incomplete (interrupted write) and is dropped"
                break
            self._take(row, f"{self.path}:{number}")
            self._whole += len(line)

    def _take(self, row: Any, place: str) -> None:
        if not isinstance(row, dict):
            raise InputError(f"{place}: not an answer; remove the line, or give another file")
        if row.get("undo"):
            if not self.rows:
                raise InputError(f"{place}: undo without an answer before it; remove the line")
            self.rows.pop()
            return
        query_id, query, doc_id, annotator = (
            text_of(row, key, place) for key in ("query_id", "query", "doc_id", "annotator")
        )
        grade = None if row.get("grade") is None else grade_of(row["grade"], place)
        if grade is not None and grade < 0:
            raise InputError(f"{place}: negative grade {grade}; write 0 for not relevant")
        self.rows.append(Annotation(query_id, query, doc_id, grade, annotator, row.get("repeat") is True))

    def _append(self, row: Mapping[str, Any]) -> None:
        line = (json_line(row) + "\n").encode("utf-8")
        try:
            new = not self.path.exists()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644), "r+b", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if file.seek(0, os.SEEK_END) != self._known:
                    raise InputError(f"{self.path}: changed by another program; close one of the two and start again")
                file.truncate(self._whole)
                file.seek(self._whole)
                if self._whole and os.pread(file.fileno(), 1, self._whole - 1) != b"\n":  # an editor left it out
                    line = b"\n" + line
                try:
                    _write(file, line)
                except OSError:
                    self._known = os.fstat(file.fileno()).st_size  # a part is there, which the next answer replaces
                    raise
        except OSError as error:
            raise InputError(f"{self.path}: cannot write ({error.strerror}); check folder and disk") from error
        if new:
            sync_folder(self.path.parent)
        self._whole = self._known = self._whole + len(line)


def _write(file: BinaryIO, line: bytes) -> None:
    """Writes a whole line to an unbuffered file and to the disk."""
    while line:
        line = line[file.write(line) :]
    os.fsync(file.fileno())


def read_imported(path: Path, queries: Mapping[str, str], doc_ids: Collection[str]) -> list[JudgedDocument]:
    """Reads judgments from a table with query_id, doc_id, relevance and optionally query, or from TREC qrels.

    Repeated rows and those of unknown documents or queries are left out and negative grades become 0; warns of them.

    Args:
        path: path of the file.
        queries: query texts by id, for rows without the query's text.
        doc_ids: the ids of the documents.

    Raises:
        InputError: as for ``read_table`` and ``used_judgments``, or a query has two texts; names file and line.
    """
    texts: dict[str, str] = {}  # those of the file
    rows = []
    for place, row in read_table(path, JUDGMENTS):
        query_id = text_of(row, "query_id", place)
        text = text_of(row, "query", place) if "query" in row else None
        if text is not None and texts.setdefault(query_id, text) != text:
            raise InputError(f"{place}: an earlier row has another text for the query {query_id!r}; correct one")
        grade = grade_of(row["relevance"], place)
        rows.append((Judgment(query_id, text_of(row, "doc_id", place), grade), place))
    texts = {**queries, **texts}
    kept, _ = used_judgments(rows, KnownIds("document", doc_ids), KnownIds("query", texts))
    return [JudgedDocument(row.query_id, texts[row.query_id], row.doc_id, row.relevance) for row in kept]
