"""The annotation file: every answer is a line, written before the next question is asked."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from zero2ir.collections.lines import read_json_lines
from zero2ir.errors import InputError

UNDO = {"undo": True}


class Annotation(NamedTuple):
    """One answer; ``grade`` is None where it was skipped, ``repeat`` says that it was asked for once more."""

    query_id: str
    query: str
    doc_id: str
    grade: int | None
    annotator: str
    repeat: bool = False


class Annotations:
    """The answers of one labelling, in an append-only file.

    Args:
        path: the file; it is made with the first answer.

    Raises:
        InputError: a line is no answer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: list[Annotation] = []
        if path.is_file():
            _drop_torn_line(path)
            for place, row in read_json_lines(path):
                self._take(place, row)

    @property
    def rows(self) -> Sequence[Annotation]:
        """What stands, in the order in which it was given."""
        return self._rows

    def add(self, annotation: Annotation) -> None:
        """Writes one more answer."""
        self._append(annotation._asdict())
        self._rows.append(annotation)

    def undo(self) -> Annotation:
        """Takes the last answer back, by a further line."""
        self._append(UNDO)
        return self._rows.pop()

    def _take(self, place: str, row: dict[str, Any]) -> None:
        try:
            if row == UNDO:
                self._rows.pop()
            else:
                self._rows.append(Annotation(**row))
        except (TypeError, IndexError):
            raise InputError(f"{self.path} ({place}): no answer of a labelling; mend or remove the line") from None

    def _append(self, row: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _drop_torn_line(path: Path) -> None:
    """Cuts off a last line that a kill left without its end."""
    with path.open("r+b") as file:
        content = file.read()
        if content and not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)
