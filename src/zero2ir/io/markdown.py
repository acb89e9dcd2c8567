"""Text tables and their Markdown form."""

import re
from collections.abc import Collection
from typing import NamedTuple

from zero2ir.io.terminal import printable


class Table(NamedTuple):
    """Headers and rows of text; the first ``labels`` columns hold labels, the others figures."""

    headers: list[str]
    rows: list[list[str]]
    labels: int


def heading(key: str) -> str:
    """Returns a key as a column header: ``lm_calls`` → "LM calls"."""
    spaced = " ".join("LM" if word == "lm" else word for word in key.split("_"))
    return spaced[:1].upper() + spaced[1:]


def markdown(table: Table, bold: Collection[tuple[int, int]] = ()) -> str:
    """Returns a GitHub-flavoured table; cell text is escaped, so that it cannot become markup or links.

    Args:
        table: the table.
        bold: (row, column) of the cells in bold.
    """
    marks = [":--" if column < table.labels else "--:" for column in range(len(table.headers))]
    lines = [[escaped(cell) for cell in table.headers], marks]
    lines += [
        [f"**{escaped(cell)}**" if (row, column) in bold else escaped(cell) for column, cell in enumerate(cells)]
        for row, cells in enumerate(table.rows)
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def escaped(text: str) -> str:
    """Returns the text as one line with Markdown's special characters escaped."""
    plain = re.sub(r"([\\`*_{}\[\]<>|#&])", r"\\\1", printable(" ".join(text.split())))
    return re.sub(r"\\(\[|\](?!\())", r"\1", plain)  # brackets are harmless unless a link target follows
