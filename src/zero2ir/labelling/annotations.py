"""The file that answers are kept in: one line an answer, on the disk before anything else happens."""

import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from zero2ir.data.judgments import write_judgments
from zero2ir.data.records import JudgedDocument
from zero2ir.errors import InputError
from zero2ir.io.files import finished_file, sync_folder
from zero2ir.io.lines import grade_of, read_json_lines, read_lines, text_of

IMPORTED = "imported"  # the annotator where a file names none


class Annotation(NamedTuple):
    """One answer.

    Attributes:
        query_id: of the query.
        query: its text.
        doc_id: of the document.
        grade: 0 for not relevant, 1, 2, ...; None where the item was skipped.
        annotator: who answered.
        repeat: whether it was asked a second time, to see whether the annotator agrees with himself.
    """

    query_id: str
    query: str
    doc_id: str
    grade: int | None
    annotator: str
    repeat: bool = False


class Annotations:
    """The answers in an append-only JSON Lines file.

    An answer is written, flushed and synced before ``add`` returns. Taking one back is a further line: nothing is ever
    erased. A last line that a kill cut off is no answer; it is dropped, and ``notice`` says so.

    Args:
        path: of the file; it may not exist yet.

    Attributes:
        rows: the answers that stand, in the order in which they were given.
        notice: what the reader of the file has to know about it, or None.

    Raises:
        InputError: a line is no answer; names file and line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Annotation] = []
        self.notice: str | None = None
        self._known = 0  # bytes of the file as it was last seen
        self._whole = 0  # of these, bytes of lines that count
        self._read()

    def add(self, annotation: Annotation) -> None:
        """Keeps one more answer.

        Raises:
            InputError: the file cannot be written, or another program wrote to it meanwhile.
        """
        self._append(annotation._asdict())
        self.rows.append(annotation)

    def undo(self) -> Annotation:
        """Takes the last answer that stands back, and returns it.

        Raises:
            InputError: none stands; or as ``add``.
        """
        if not self.rows:
            raise InputError(f"{self.path}: no answer to take back")
        self._append({"undo": True})
        return self.rows.pop()

    def judgments(self) -> list[JudgedDocument]:
        """The last grade of each pair of query and document; skipped ones are left out."""
        last = {(row.query_id, row.doc_id): row for row in self.rows if row.grade is not None}
        return [JudgedDocument(row.query_id, row.query, row.doc_id, row.grade or 0) for row in last.values()]

    def add_judgments(self, judgments: Iterable[JudgedDocument], annotator: str = IMPORTED) -> int:
        """Keeps judgments that came from elsewhere, but those that stand already; returns how many were new."""
        grades = {(row.query_id, row.doc_id): row.relevance for row in self.judgments()}
        new = [row for row in judgments if grades.get((row.query_id, row.doc_id)) != row.relevance]
        for row in new:
            self.add(Annotation(row.query_id, row.query, row.doc_id, row.relevance, annotator))
        return len(new)

    def write_qrels(self, path: Path) -> None:
        """Writes the judgments in TREC form: query 0 document grade."""
        with finished_file(path) as file:
            file.writelines(f"{row.query_id} 0 {row.doc_id} {row.relevance}\n" for row in self.judgments())

    def write_queries(self, path: Path) -> None:
        """Writes the texts of the judged queries, one JSON object a line: query_id, text."""
        texts = {row.query_id: row.query for row in self.judgments()}
        with finished_file(path) as file:
            file.writelines(
                json.dumps({"query_id": query_id, "text": text}, ensure_ascii=False) + "\n"
                for query_id, text in texts.items()
            )

    def write_jsonl(self, path: Path) -> None:
        """Writes the judgments one JSON object a line: query_id, query, doc_id, relevance."""
        write_judgments(self.judgments(), path)

    def _read(self) -> None:
        raw = self.path.read_bytes() if self.path.exists() else b""
        self._known = len(raw)
        for number, line in enumerate(raw.splitlines(keepends=True), start=1):
            row = _parsed(line)
            if row is None and not line.endswith(b"\n"):  # only the last one can lack its end
                self.notice = f"{self.path}:{number}: the last answer was cut off while it was written, and is dropped"
                break
            self._take(row, f"{self.path}:{number}")
            self._whole += len(line)

    def _take(self, row: Any, place: str) -> None:
        if not isinstance(row, dict):
            raise InputError(f"{place}: no answer; remove the line, or give another file")
        if row.get("undo"):
            if not self.rows:
                raise InputError(f"{place}: takes an answer back where none stands; remove the line")
            self.rows.pop()
            return
        query_id, query, doc_id, annotator = (
            text_of(row, key, place) for key in ("query_id", "query", "doc_id", "annotator")
        )
        grade = None if row.get("grade") is None else grade_of(row["grade"], place)
        if grade is not None and grade < 0:
            raise InputError(f"{place}: the grade {grade} is negative; write 0 for not relevant")
        self.rows.append(Annotation(query_id, query, doc_id, grade, annotator, row.get("repeat") is True))

    def _append(self, row: Mapping[str, Any]) -> None:
        line = (json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8")
        try:
            new = not self.path.exists()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644), "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if file.seek(0, os.SEEK_END) != self._known:
                    raise InputError(f"{self.path}: another program wrote to it meanwhile; close one, and start again")
                file.truncate(self._whole)
                file.seek(self._whole)
                if self._whole and not self._ends_well(file):
                    line = b"\n" + line
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror}); check folder and disk") from error
        if new:
            sync_folder(self.path.parent)
        self._whole = self._known = self._whole + len(line)

    @staticmethod
    def _ends_well(file: Any) -> bool:
        """Whether what stands before is a whole line; a person's editor may have left out its end."""
        file.seek(-1, os.SEEK_CUR)
        return file.read(1) == b"\n"


def read_qrels(path: Path, queries: Mapping[str, str]) -> list[JudgedDocument]:
    """Reads judgments in TREC form: query 0 document grade.

    Args:
        path: of the file.
        queries: their texts by their ids.

    Raises:
        InputError: a line cannot be read, or has an unknown query; names file and line.
    """
    rows = []
    for place, line in read_lines(path):
        fields = line.split()
        if len(fields) != 4:
            raise InputError(f"{place}: {len(fields)} fields in place of 4; write: query 0 document grade")
        if fields[0] not in queries:
            raise InputError(f"{place}: no query has the id {fields[0]!r}; give its text in the queries file")
        rows.append(JudgedDocument(fields[0], queries[fields[0]], fields[2], max(0, grade_of(fields[3], place))))
    return rows


def read_jsonl(path: Path) -> list[JudgedDocument]:
    """Reads judgments, one JSON object a line: query_id, query, doc_id, relevance.

    Raises:
        InputError: a line cannot be read; names file and line.
    """
    return [
        JudgedDocument(
            text_of(row, "query_id", place),
            text_of(row, "query", place),
            text_of(row, "doc_id", place),
            max(0, grade_of(row.get("relevance"), place)),
        )
        for place, row in read_json_lines(path)
    ]


def _parsed(line: bytes) -> Any:
    """What a line says; None where it is no JSON."""
    try:
        return json.loads(line.decode("utf-8"))
    except ValueError:
        return None
