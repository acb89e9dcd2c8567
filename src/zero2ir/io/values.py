"""Checks single values that users give, in files or in Python: texts, ids and grades."""

import math
import re
import reprlib
from decimal import Decimal
from numbers import Real
from typing import Any

from zero2ir.errors import InputError, escaped

MAX_GRADE = 1_000_000  # trec_eval needs memory in proportion to the highest grade
MAX_EXACT_FLOAT = 2**53  # larger whole floats stand for several integers
MAX_NUMERIC_ID = 10**100
_SURROGATE = re.compile("[\ud800-\udfff]")


def shown(value: Any) -> str:
    """Returns a value in one short line of printable characters, for messages."""
    return escaped(" ".join(reprlib.repr(value).split()))


def _is_number(value: Any) -> bool:
    return isinstance(value, Real | Decimal) and not isinstance(value, bool)


def is_missing(value: Any) -> bool:
    """Returns whether a value is an empty cell of a table: None, NaN of any type, ``pandas.NA`` or ``pandas.NaT``."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    try:
        return _is_number(value) and bool(value != value)
    except ArithmeticError:  # a signalling NaN cannot be compared
        return True


def whole_number(value: Any, most: int) -> int | None:
    """Returns a whole number of any numeric type (1, 1.0, ``Decimal(1)``, ``numpy.int64(1)``), else None.

    Booleans are not numbers. ``most`` is the largest absolute value.
    """
    try:
        return int(value) if _is_number(value) and abs(value) <= most and int(value) == value else None
    except (ArithmeticError, ValueError):
        return None


def seed_value(value: Any) -> int:
    """Returns a random seed; raises ``InputError`` if it is not a whole number from 0 to 2³² - 1."""
    number = whole_number(value, 2**32 - 1)
    if number is None or number < 0:
        raise InputError(f"seed is {shown(value)}; pass a whole number from 0 to {2**32 - 1}")
    return number


def number_value(value: Any, what: str) -> float:
    """Returns a number of any numeric type; raises ``InputError`` for other values, NaN and infinity."""
    if not _is_number(value) or is_missing(value) or abs(value) == math.inf:
        raise InputError(f"{what} is {shown(value)}; pass a number")
    return float(value)


def text_value(value: Any, what: str) -> str:
    """Returns a string; ``what`` names it in messages, e.g. "documents[3]: text".

    Raises:
        InputError: the value is missing, not a string, or not valid in UTF-8.
    """
    if not isinstance(value, str):
        leave = ", or leave the row out" if is_missing(value) else ""
        raise InputError(f"{what} is {shown(value)}; pass a string{leave}")
    if surrogate := _SURROGATE.search(value):
        place = surrogate.end()
        raise InputError(f"{what} contains a lone surrogate (character {place}); remove the invalid character")
    return str.__str__(value)  # str(value) of an enumeration's member would be its name


def id_value(value: Any, what: str) -> str:
    """Returns an id, a string that is not empty; converts a whole number, because ids are often numbers.

    Raises:
        InputError: the value is neither a valid text nor a whole number, or is empty.
    """
    number = whole_number(value, MAX_NUMERIC_ID if isinstance(value, int) else MAX_EXACT_FLOAT)
    text = text_value(value, what) if number is None else str(number)
    if not text.strip():
        raise InputError(f"{what} is empty; set it or remove the row")
    return text


def grade_value(value: Any, what: str) -> int:
    """Returns a relevance grade, which may be negative.

    Raises:
        InputError: the value is missing, no whole number (booleans are none), or larger than ``MAX_GRADE``.
    """
    number = whole_number(value, MAX_GRADE)
    if number is None:
        raise InputError(
            f"{what} {shown(value)} is not an integer of at most {MAX_GRADE}; write 0 (not relevant), 1, 2, ..."
        )
    return number
