"""Reads users' text files line by line; error messages name file and line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zero2ir.errors import InputError

_BOM = b"\xef\xbb\xbf"


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yields (place, line) of a UTF-8 file, place being "file:line"; skips a byte order mark and blank lines.

    Raises:
        InputError: the file cannot be opened, or a line is not UTF-8.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    with file:
        for number, raw in enumerate(file, start=1):
            place = f"{path.name}:{number}"
            try:
                line = (raw.removeprefix(_BOM) if number == 1 else raw).decode("utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise InputError(f"{place}: not UTF-8 (byte {error.start + 1}); save the file as UTF-8") from error
            if line.strip():
                yield place, line


def read_json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (place, object) of a JSON Lines file.

    Raises:
        InputError: a line is not a JSON object.
    """
    for place, line in read_lines(path):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{place}: invalid JSON ({error.msg}, column {error.colno}); correct the line") from error
        except ValueError as error:  # Python's limit on the digits of an integer
            raise InputError(f"{place}: invalid JSON (a number has too many digits); correct the line") from error
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
    if not isinstance(value, str):
        raise InputError(f"{place}: {key!r} is {value!r}; write a string")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise InputError(f"{place}: {key!r} contains a lone surrogate; remove the invalid character")
    return value


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
    """Returns a relevance grade as an integer.

    Raises:
        InputError: ``value`` is not an integer.
    """
    if not isinstance(value, bool):
        if isinstance(value, int):
            return value
        if isinstance(value, str) and value.strip().removeprefix("-").isdecimal():
            return int(value)
    raise InputError(
        f"{place}: the grade {value!r} is not an integer; write 0 for not relevant, 1 or more for relevant"
    )
