"""Reads users' tables: JSON Lines, JSON, CSV and TSV, each also gzipped; every row has a place, "file:line"."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from zero2ir.errors import InputError
from zero2ir.io.lines import parse_json, read_json_lines, read_lines, read_raw_lines

OBJECT_SUFFIXES = (".jsonl", ".json")
CELL_SUFFIXES = (".csv", ".tsv")
MAX_JSON_CHARACTERS = 2**28  # of a .json file, which is read at once
_FIELD = {  # RFC 4180: a quoted field, in which a doubled mark stands for one, or a field without any mark
    delimiter: re.compile(rf'(?:"([^"]*+(?:""[^"]*+)*+)"|([^"{delimiter}]*+))({delimiter}|\Z)') for delimiter in ",;\t"
}
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def table_suffix(path: Path) -> str:
    """Returns the suffix in lower case, without ".gz"."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def read_cells(path: Path, name: str | None = None) -> Iterator[tuple[str, list[str]]]:
    """Yields (place, cells) of a .csv or .tsv file; rows of blank cells are skipped.

    CSV is read as in RFC 4180, with commas, semicolons or tabs. TSV has quotes only if every line is exactly what a
    CSV writer writes: marks around each field, each text, or each field that needs them.

    Args:
        path: the file.
        name: its name in places; None for the file's name without folders.

    Raises:
        InputError: the file cannot be read, or the quotes of a .csv file are wrong.
    """
    suffix = table_suffix(path)
    if suffix == ".csv" or _is_quoted(path):
        rows = _quoted_rows(path, name, "" if suffix == ".csv" else "\t")
    else:
        rows = ((place, line.split("\t")) for place, line in read_lines(path, name))
    return ((place, cells) for place, cells in rows if any(map(str.strip, cells)))


def _quoted_rows(path: Path, name: str | None, delimiter: str) -> Iterator[tuple[str, list[str]]]:
    for place, record in _records(path, name):
        delimiter = delimiter or _first_delimiter(record)
        cells = _split(record, delimiter)
        if cells is None:
            raise InputError(
                f"{place}: a quotation mark is open or within a field; put marks around the field, double those within"
            )
        yield place, cells


def _records(path: Path, name: str | None = None) -> Iterator[tuple[str, str]]:
    """Yields (place of the first line, record); a record goes on over the line ends inside quotes."""
    parts: list[str] = []
    start, is_open = "", False
    for place, line in read_raw_lines(path, name):
        if not parts:
            start = place
        parts.append(line)
        is_open ^= line.count('"') % 2 == 1
        if not is_open:
            if any(map(str.strip, parts)):
                yield start, "".join(parts).rstrip("\r\n")
            parts = []
    if parts:
        yield start, "".join(parts)


def _first_delimiter(record: str) -> str:
    """Returns the delimiter after the first field, which is a name or an id; a comma if there is one field only."""
    match = re.match(r'(?:"[^"]*"|[^",;\t])*([,;\t])', record)
    return match.group(1) if match else ","


def _split(record: str, delimiter: str) -> list[str] | None:
    """Returns the fields; None if the quotes are wrong."""
    cells, at = [], 0
    while match := _FIELD[delimiter].match(record, at):
        quoted, bare, end = match.groups()
        cells.append(bare if quoted is None else quoted.replace('""', '"'))
        if not end:
            return cells
        at = match.end()
    return None


def _is_quoted(path: Path) -> bool:
    """Returns whether a TSV file has quotes, and all of them are those of one style of CSV writers."""
    if not any('"' in line for _, line in read_lines(path)):
        return False
    styles: list[Callable[[str], Any]] = [
        re.compile('["\t\r\n]').search,
        lambda cell: True,
        lambda cell: not _NUMBER.fullmatch(cell),
    ]
    for _, record in _records(path):
        cells = _split(record, "\t")
        if cells is None:
            return False
        doubled = [f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in cells]
        written = [
            "\t".join(quoted if style(cell) else cell for cell, quoted in zip(cells, doubled, strict=True))
            for style in styles
        ]
        styles = [style for style, line in zip(styles, written, strict=True) if line == record]
        if not styles:
            return False
    return True


def read_objects(path: Path, name: str | None = None) -> Iterator[tuple[str, str | None, Any]]:
    """Yields (place, key, value) of a .jsonl or .json file.

    A .json file is an array of values, an object of values by key, or JSON Lines. The key is None except for the
    members of an object that is the whole file.

    Raises:
        InputError: the file cannot be read, or is not JSON of this form.
    """
    if table_suffix(path) == ".jsonl" or _has_an_object_on_each_line(path):
        yield from ((place, None, row) for place, row in read_json_lines(path, name))
        return
    name = name or path.name
    text = _whole_text(path, name)
    whole = parse_json(text, name)
    if not isinstance(whole, list | dict):
        raise InputError(f"{name}: {type(whole).__name__} instead of a JSON array or object; write [{{...}}, ...]")
    line, end = 1, 0
    for start, key, value in _members(text, isinstance(whole, dict)):
        line, end = line + text.count("\n", end, start), start
        yield f"{name}:{line}", key, value


def _has_an_object_on_each_line(path: Path) -> bool:
    first_lines = [line for (_, line), _ in zip(read_lines(path), range(2), strict=False)]
    try:
        return len(first_lines) == 2 and isinstance(json.loads(first_lines[0]), dict)
    except (ValueError, RecursionError):
        return False


def _whole_text(path: Path, name: str) -> str:
    lines, length = [], 0
    for _, line in read_raw_lines(path, name):
        lines.append(line)
        length += len(line)
        if length > MAX_JSON_CHARACTERS:
            raise InputError(f"{name}: longer than {MAX_JSON_CHARACTERS >> 20} MiB; write it as .jsonl")
    return "".join(lines)


def _members(text: str, is_object: bool) -> Iterator[tuple[int, str | None, Any]]:
    """Yields (offset, key, value) of the members of a valid JSON array or object; keys are None in an array."""
    decoder, separators, key = json.JSONDecoder(), re.compile(r"[\s,:]*"), None

    def behind(at: int) -> int:
        return separators.match(text, at).end()  # type: ignore[union-attr]  # matches the empty text, too

    at = behind(behind(0) + 1)  # behind the opening bracket
    while text[at] not in "]}":
        start = at
        if is_object:
            key, at = decoder.raw_decode(text, at)
        value, at = decoder.raw_decode(text, behind(at))
        yield start, key, value
        at = behind(at)
