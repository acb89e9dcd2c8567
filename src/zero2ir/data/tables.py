"""The tables that users give: documents, queries, judgments, candidates and query logs, with the names of the field.

Columns are found by name, in the header or the keys: names of BEIR, MS MARCO, TREC, PyTerrier, Anserini, ir_datasets.
"""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from zero2ir.errors import DataWarning, InputError
from zero2ir.io.lines import parse_json, read_lines
from zero2ir.io.tables import CELL_SUFFIXES, OBJECT_SUFFIXES, read_cells, read_objects, table_suffix

LocatedRow = tuple[str, dict[str, Any]]  # place, and values by the column names of the kind
TABLE_SUFFIXES = (*OBJECT_SUFFIXES, *CELL_SUFFIXES)
TREC_SUFFIXES = ("", ".trec", ".txt", ".qrel", ".qrels")  # columns between white space, without a header
_TREC_COLUMNS = {"query": "query_id", "document": "doc_id", "grade": "relevance"}
MAX_NAME_WORDS = 3  # of a column's name
PEEKED_ROWS = 20  # rows that tell an unknown header from data
_DOC_IDS = "docno docid did document_id documentid corpus_id"
_QUERY_IDS = "qid queryid topic_id question_id"


def _tiers(*names: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(tier.split()) for tier in names)


@dataclass(frozen=True)
class TableKind:
    """What the tables of one kind hold.

    Attributes:
        noun: its name in messages.
        columns: known names of each column, in lower case with "_" for "-" and spaces; the first tier of names of which
            the table has one counts.
        required: the columns that it must have.
        without_header: the columns of a table without a header, by their number.
        trec: the columns of a .trec file; "" if there is no such form.
    """

    noun: str
    columns: Mapping[str, tuple[tuple[str, ...], ...]]
    required: tuple[str, ...]
    without_header: Mapping[int, tuple[str, ...]]
    trec: str = ""


DOCUMENTS = TableKind(
    "documents",
    {
        "doc_id": _tiers("doc_id", "pid passage_id", _DOC_IDS, "_id id"),
        "title": _tiers("title", "headline document_title doc_title"),
        "text": _tiers(
            "text", "contents content body passage passage_text document_text doc_text", "document abstract"
        ),
    },
    ("doc_id", "text"),
    {2: ("doc_id", "text"), 3: ("doc_id", "title", "text")},
)
QUERIES = TableKind(
    "queries",
    {
        "query_id": _tiers("query_id", _QUERY_IDS, "_id id"),
        "text": _tiers("text query question query_text question_text", "topic title", "description"),
        "split": _tiers("split"),
        "answers": _tiers("answers", "answer"),
    },
    ("query_id", "text"),
    {2: ("query_id", "text"), 3: ("query_id", "text", "split")},
)
JUDGMENTS = TableKind(
    "judgments",
    {
        "query_id": _tiers("query_id", f"{_QUERY_IDS} topic"),
        "doc_id": _tiers("doc_id", "pid passage_id", _DOC_IDS),
        "relevance": _tiers("relevance", "grade", "rel label rating judgment judgement", "score"),
        "query": _tiers("query", "query_text"),
    },
    ("query_id", "doc_id", "relevance"),
    {3: ("query_id", "doc_id", "relevance"), 4: ("query_id", "iteration", "doc_id", "relevance")},
    "query 0 document grade",
)
QUERY_LOG = TableKind(
    "queries",
    {
        "query_id": QUERIES.columns["query_id"],
        "text": QUERIES.columns["text"],
        "timestamp": _tiers("timestamp", "time"),
        "seconds": _tiers("seconds"),
        "fallback": _tiers("fallback"),
    },
    ("text",),
    {1: ("text",), 2: ("query_id", "text")},
)
CANDIDATES = TableKind("candidates", {}, (), {}, "query Q0 document rank score tag")


def read_table(path: Path, kind: TableKind, name: str | None = None) -> Iterator[LocatedRow]:
    """Yields the rows of a .jsonl, .json, .csv, .tsv or .trec file, also gzipped; other columns are left out.

    Args:
        path: the file.
        kind: what it holds.
        name: its name in places; None for the file's name without folders.

    Raises:
        InputError: the file cannot be read, a row is malformed, a column has two names, or a required one has none that
            is known; the message names file and line.
    """
    if table_suffix(path) in OBJECT_SUFFIXES:
        return _object_rows(path, kind, name)
    if table_suffix(path) in CELL_SUFFIXES:
        return _cell_rows(path, kind, name)
    if kind.trec and table_suffix(path) in TREC_SUFFIXES:
        return _trec_rows(path, kind, name)
    raise InputError(f"{path}: unknown form of a table; give {', '.join(TABLE_SUFFIXES)}, each also as .gz")


def read_query_log(path: Path) -> Iterator[LocatedRow]:
    """Yields the rows of a query log: a table, or a text file (.txt, .log or no suffix) with one query per line.

    Raises:
        InputError: as for ``read_table``, or a line of a text file has a tab, as those of tables.

    Warns:
        DataWarning: a table has columns that a query log does not have.
    """
    if table_suffix(path) not in ("", ".txt", ".log"):
        yield from read_table(path, QUERY_LOG)
        return
    for place, line in read_lines(path):
        if "\t" in line.strip():
            raise InputError(f"{place}: a tab in a text file of queries; name a table of ids and texts .tsv")
        yield place, {"text": line.strip()}


def _object_rows(path: Path, kind: TableKind, name: str | None) -> Iterator[LocatedRow]:
    columns_of: dict[tuple[str, ...], dict[str, str]] = {}
    for place, key, value in read_objects(path, name):
        for row in [value] if key is None else _keyed_rows(key, value, kind, place):
            if not isinstance(row, dict):
                raise InputError(f"{place}: {type(row).__name__} instead of a JSON object; write {{...}} for each row")
            names = tuple(row)
            if names not in columns_of:
                columns_of[names] = {column: names[at] for column, at in _columns(names, kind, place).items()}
            yield place, _filled({column: row[name] for column, name in columns_of[names].items()}, kind)


def _keyed_rows(key: str, value: Any, kind: TableKind, place: str) -> list[Any]:
    """Returns the rows of a member of {id: text}, {id: row} or, for judgments, {query id: {document id: grade}}."""
    id_column = "doc_id" if kind is DOCUMENTS else "query_id"
    id_names = set(chain.from_iterable(kind.columns[id_column]))
    if isinstance(value, str) and "text" in kind.columns and _plain(key) not in id_names:
        return [{id_column: key, "text": value}]
    if not isinstance(value, dict):
        raise InputError(f"{place}: the key {key!r} does not hold a row; write a list of rows: [{{...}}, ...]")
    if kind is JUDGMENTS:
        return [{"query_id": key, "doc_id": doc_id, "relevance": grade} for doc_id, grade in value.items()]
    return [value if id_names & set(map(_plain, value)) else {id_column: key, **value}]


def _cell_rows(path: Path, kind: TableKind, name: str | None) -> Iterator[LocatedRow]:
    rows = read_cells(path, name)
    peeked = list(islice(rows, PEEKED_ROWS + 1))
    if not peeked:
        return
    place, first = peeked[0]
    columns = _header(first, kind, place)
    if columns is None:
        if len(first) not in kind.without_header:
            hint = "name TREC qrels .trec, or " if kind.trec and len(first[0].split()) == 4 else ""
            raise InputError(f"{place}: {_fields(path, first)}; {hint}name them in a header: {_known_names(kind)}")
        columns = _without_header(first, [cells for _, cells in peeked[1:]], kind, place)
    else:
        del peeked[0]
    for place, cells in chain(peeked, rows):
        if len(cells) != len(first):
            raise InputError(f"{place}: {_fields(path, cells)} instead of {len(first)}; correct the line")
        row: dict[str, Any] = {column: cells[at] for column, at in columns.items()}
        if row.get("answers", "").startswith("["):
            row["answers"] = parse_json(row["answers"], place)
        yield place, _filled(row, kind)


def _trec_rows(path: Path, kind: TableKind, name: str | None) -> Iterator[LocatedRow]:
    columns = [_TREC_COLUMNS.get(column, column) for column in kind.trec.split()]
    for place, line in read_lines(path, name):
        fields = line.split()
        if len(fields) != len(columns):
            raise InputError(f"{place}: {len(fields)} fields instead of {len(columns)}; write: {kind.trec}")
        yield place, dict(zip(columns, fields, strict=True))


def _header(cells: Sequence[str], kind: TableKind, place: str) -> dict[str, int] | None:
    """Returns the place of each column if the cells are a header; None if they are data.

    Raises:
        InputError: the cells are a header that lacks a required column, or has two names for one.
    """
    known = set(chain.from_iterable(chain.from_iterable(kind.columns.values())))
    named = [_plain(cell) in known for cell in cells]
    is_id = any(map(str.isdigit, cells[0])) or (named[0] and _plain(cells[0]) in ("text", "title"))
    is_certain = sum(named) > 1 or all(named) or len(cells) not in kind.without_header
    if not any(named) or any(len(cell.split()) > MAX_NAME_WORDS for cell in cells) or (is_id and not is_certain):
        return None
    return _columns(cells, kind, place)


def _without_header(
    cells: Sequence[str], others: Sequence[Sequence[str]], kind: TableKind, place: str
) -> dict[str, int]:
    columns = kind.without_header[len(cells)]
    if _look_like_names(cells, others):
        raise InputError(
            f"{place}: {', '.join(cells)} look like unknown names of columns; use known ones: {_known_names(kind)}"
        )
    titles, texts = (sum(len(row[at]) for row in (cells, *others) if len(row) == 3) for at in (-2, -1))
    if kind is DOCUMENTS and len(columns) == 3 and titles > texts > 0:
        raise InputError(f"{place}: the second of 3 fields, the title, is longer than the text; add a header")
    if len(columns) == 4 and cells[1] not in ("0", "Q0"):
        raise InputError(f"{place}: the second of 4 fields is {cells[1]!r} instead of 0; name the columns in a header")
    return {column: at for at, column in enumerate(columns)}


def _look_like_names(cells: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Returns whether the first row are single words without digits, while the others have ids or texts."""
    if not others or any(len(cell.split()) != 1 or any(map(str.isdigit, cell)) for cell in cells):
        return False
    numbered = all(any(map(str.isdigit, row[0])) for row in others)
    several_words = len(others) > 2 and all(any(len(cell.split()) > 1 for cell in row) for row in others)
    return (numbered and len(cells) > 1) or several_words


def _columns(names: Sequence[str], kind: TableKind, place: str) -> dict[str, int]:
    """Returns the place of each column of the kind among the names.

    Raises:
        InputError: two names of one tier mean the same column, or a required column is missing.
    """
    plain = [_plain(name) for name in names]
    columns = {}
    for column, tiers in kind.columns.items():
        hits = ([at for at, name in enumerate(plain) if name in tier] for tier in tiers)
        found = next(filter(None, hits), [])
        if len(found) > 1:
            both = " and ".join(repr(names[at]) for at in found[:2])
            raise InputError(f"{place}: {both} may both be the {column} of the {kind.noun}; remove or rename one")
        if found:
            columns[column] = found[0]
        elif column in kind.required:
            others = ", ".join(name for tier in tiers for name in tier if name != column)
            given = f"; found {', '.join(map(repr, names))}" if names else ""
            raise InputError(
                f"{place}: the key {column!r} is missing; add it, or one of its other names ({others}){given}"
            )
    unused = [repr(name) for at, name in enumerate(names) if at not in columns.values()]
    if kind is QUERY_LOG and unused:
        message = f"{place}: {', '.join(unused)} not used; a query log may have {', '.join(kind.columns)}"
        warnings.warn(message, DataWarning, stacklevel=2)
    return columns


def _filled(row: dict[str, Any], kind: TableKind) -> dict[str, Any]:
    """Returns the row without empty values of columns that may be left out."""
    return {column: value for column, value in row.items() if column in kind.required or value not in (None, "")}


def _fields(path: Path, cells: Sequence[str]) -> str:
    return f"{len(cells)} {'tab-separated ' if table_suffix(path) == '.tsv' else ''}fields"


def _known_names(kind: TableKind) -> str:
    return "; ".join(", ".join(chain.from_iterable(kind.columns[column])) for column in kind.required)


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())
