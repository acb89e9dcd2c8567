"""Exports judgments as TREC qrels and JSON Lines; lines that a file already has stay as they are."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from zero2ir.data import layout
from zero2ir.data.records import JudgedDocument
from zero2ir.errors import InputError
from zero2ir.io.files import check_writable, finished_file
from zero2ir.io.lines import json_line, read_json_lines, read_lines

QRELS, QUERIES, JSONL = "qrels.trec", "queries.jsonl", "judgments.jsonl"
ROLES = {QRELS: layout.QRELS, QUERIES: layout.QUERIES}  # a folder has one table, or one per split, for each
KnownLines = dict[tuple[str, ...], tuple[str, str]]  # what a line says, and its place, by what it is about


class Line(NamedTuple):
    """A line of a file: what it is about, what it says, and its text."""

    key: tuple[str, ...]
    value: str
    text: str


def export_lines(name: str, judgments: Sequence[JudgedDocument]) -> list[Line]:
    """Returns the lines of ``qrels.trec``, ``queries.jsonl`` or ``judgments.jsonl``."""
    if name == QUERIES:
        queries = {row.query_id: row.query for row in judgments}
        return [Line((key,), text, json_line({"query_id": key, "text": text})) for key, text in queries.items()]
    lines = []
    for row in judgments:
        fields = {"query_id": row.query_id, "query": row.query, "doc_id": row.doc_id, "relevance": row.relevance}
        text = f"{row.query_id} 0 {row.doc_id} {row.relevance}" if name == QRELS else json_line(fields)
        lines.append(Line((row.query_id, row.doc_id), str(row.relevance), text))
    return lines


def export_judgments(folder: Path, judgments: Sequence[JudgedDocument]) -> None:
    """Adds judgments and their queries to the files of a folder; ``zero2ir train`` reads qrels and queries there.

    Raises:
        InputError: a file says something else about a query or a pair; then no file changes.
    """
    contents = {}
    for name, known in check_export(folder).items():
        new, path = export_lines(name, judgments), folder / name
        for line in new:
            value, place = known.get(line.key, (line.value, ""))
            if value != line.value:
                what = f"{value!r} for {', '.join(line.key)}, not {line.value!r}"
                raise InputError(f"{folder / place}: {what}; export to another folder")
        before = path.read_bytes() if path.exists() else b""
        added = [f"{line.text}\n" for line in new if line.key not in known]
        contents[path] = before + b"\n" * (before[-1:] not in (b"", b"\n")) + "".join(added).encode()
    for path, content in contents.items():
        if not path.exists() or path.read_bytes() != content:
            with finished_file(path, "wb") as file:
                file.write(content)


def check_export(folder: Path) -> dict[str, KnownLines]:
    """Returns what the files of a folder say, after checking that lines can be added to them.

    Raises:
        InputError: a file cannot be written or understood, or has the other form, which excludes this one.
    """
    check_writable(folder, folder)
    for name, role in ROLES.items():
        for other in sorted(folder.iterdir()) if folder.is_dir() else ():
            if other.name != name and (role.middle(other.name) is not None or other.name in role.stems):
                raise InputError(f"{other}: excludes {name}, which is exported; export to another folder")
    return {name: _known_lines(folder / name) for name in (QRELS, QUERIES, JSONL)}


def _known_lines(path: Path) -> KnownLines:
    known: KnownLines = {}
    if not path.exists():
        return {}
    if path.name == QRELS:
        for place, text in read_lines(path):
            if len(fields := text.split()) != 4:
                raise InputError(f"{path.parent / place}: not query 0 document grade; export to another folder")
            known[fields[0], fields[2]] = fields[3], place
        return known
    key, value = (("query_id",), "text") if path.name == QUERIES else (("query_id", "doc_id"), "relevance")
    for place, row in read_json_lines(path):
        if not {*key, value} <= row.keys():
            raise InputError(f"{path.parent / place}: no {', '.join((*key, value))}; export to another folder")
        known[tuple(str(row[one]) for one in key)] = str(row[value]), place
    return known
