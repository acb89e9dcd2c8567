"""Reads users' text files line by line, also gzipped; error messages name file and line."""

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from zero2ir.errors import InputError
from zero2ir.io.values import MAX_GRADE, shown, text_value, whole_number

MAX_LINE_BYTES = 2**26  # a longer line is no text of a person; a gzipped file could fill the memory with one
MAX_UNPACKED_BYTES, MAX_BYTES_PER_BYTE = 2**28, 100  # of a gzipped file; the larger one counts
_BOM, _GZIP = b"\xef\xbb\xbf", b"\x1f\x8b"


def read_raw_lines(path: Path, name: str | None = None) -> Iterator[tuple[str, str]]:
    """Yields (place, line with its end) of a UTF-8 file, place being "file:line"; skips a byte order mark.

    Args:
        path: the file; ``.gz`` at the end of its name means that it is gzipped.
        name: its name in places; None for the file's name without folders.

    Raises:
        InputError: the file cannot be opened or unpacked, a line is not UTF-8 or too long, or a small gzipped file
            stands for very many bytes.
    """
    number = length = 0
    try:
        with _opened(path) as file:
            most = max(MAX_UNPACKED_BYTES, MAX_BYTES_PER_BYTE * path.stat().st_size)
            while raw := file.readline(MAX_LINE_BYTES + 1):
                number, length = number + 1, length + len(raw)
                place = f"{name or path.name}:{number}"
                if len(raw) > MAX_LINE_BYTES:
                    raise InputError(f"{place}: longer than {MAX_LINE_BYTES >> 20} MiB; split the line")
                if length > most:
                    raise InputError(f"{place}: unpacks to more than {most >> 20} MiB, too many to be true; unpack it")
                yield place, _decoded(raw.removeprefix(_BOM) if number == 1 else raw, place)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: cannot be read ({reason}); check the path and the file") from error


def read_lines(path: Path, name: str | None = None) -> Iterator[tuple[str, str]]:
    """Yields (place, line) without line ends and blank lines; otherwise as ``read_raw_lines``."""
    for place, line in read_raw_lines(path, name):
        if line.strip():
            yield place, line.rstrip("\r\n")


def _opened(path: Path) -> BinaryIO:
    if path.name.lower().endswith(".gz"):
        return cast(BinaryIO, gzip.open(path, "rb"))
    file = path.open("rb")
    if file.peek(2)[:2] == _GZIP:
        file.close()
        raise InputError(f"{path}: the file is gzipped; add .gz to its name")
    return file


def _decoded(raw: bytes, place: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{place}: not UTF-8 (byte {error.start + 1}); save the file as UTF-8") from error


def parse_json(text: str, place: str) -> Any:
    """Parses JSON.

    Raises:
        InputError: the text is not JSON, or an object has a key twice.
    """

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(pairs)
        if len(row) < len(pairs):
            names = [name for name, _ in pairs]
            repeated = next(name for name in names if names.count(name) > 1)
            raise InputError(f"{place}: the key {repeated!r} occurs twice in one object; remove one")
        return row

    try:
        return json.loads(text, object_pairs_hook=distinct)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise InputError(f"{place}: invalid JSON ({error.msg}, {line}column {error.colno}); correct it") from error
    except RecursionError as error:
        raise InputError(f"{place}: invalid JSON (too deeply nested); correct the line") from error
    except InputError:
        raise
    except ValueError as error:  # Python's limit on the digits of an integer
        raise InputError(f"{place}: invalid JSON (a number has too many digits); correct the line") from error


def read_json_lines(path: Path, name: str | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (place, object) of a JSON Lines file.

    Raises:
        InputError: a line is not a JSON object.
    """
    for place, line in read_lines(path, name):
        row = parse_json(line, place)
        if not isinstance(row, dict):
            raise InputError(f"{place}: {type(row).__name__} instead of a JSON object; write {{...}} on each line")
        yield place, row


def text_of(row: dict[str, Any], key: str, place: str) -> str:
    """Returns the string under ``key``; converts an integer to a string, because ids are often numbers.

    Raises:
        InputError: the key is missing, or its value is not a string or not valid in UTF-8.
    """
    if key not in row:
        raise InputError(f"{place}: the key {key!r} is missing; add it")
    value = row[key]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text_value(value, f"{place}: {key!r}")


def texts_of(row: dict[str, Any], key: str, place: str) -> tuple[str, ...]:
    """Returns the string or the list of strings under ``key`` as a tuple, without blank ones; () if it is missing.

    Raises:
        InputError: the value is neither a string nor a list of strings.
    """
    value = row.get(key)
    if value is None:
        return ()
    if not isinstance(value, list | str):
        raise InputError(f"{place}: {key!r} is {value!r}; write a list of strings")
    texts = value if isinstance(value, list) else [value]
    return tuple(text for text in (text_of({key: one}, key, place) for one in texts) if text.strip())


def grade_of(value: Any, place: str) -> int:
    """Returns a relevance grade as an integer; a whole number may be written with a point, as in "1.0".

    Raises:
        InputError: ``value`` is not an integer, or is larger than ``MAX_GRADE``.
    """
    is_numeral = isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,10}(\.0*)?\s*", value)
    if (grade := whole_number(float(value) if is_numeral else value, MAX_GRADE)) is not None:
        return grade
    raise InputError(
        f"{place}: the grade {shown(value)} is not an integer; write 0 for not relevant, 1 or more for relevant"
    )


def json_line(value: Any) -> str:
    """Returns a value as JSON in one line of printable characters; some readers end lines at U+2028, too."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)
