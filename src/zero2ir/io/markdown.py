"""Tables of text, and how they are written in Markdown."""

import re
from collections.abc import Collection
from typing import NamedTuple


class Table(NamedTuple):
    """Headers and rows of text, ready to be written; the first ``labels`` columns are names, the others figures."""

    headers: list[str]
    rows: list[list[str]]
    labels: int


def heading(key: str) -> str:
    """A key as a column's head: ``lm_calls`` → "LM calls"."""
    spaced = " ".join("LM" if word == "lm" else word for word in key.split("_"))
    return spaced[:1].upper() + spaced[1:]


def markdown(table: Table, bold: Collection[tuple[int, int]] = ()) -> str:
    """A GitHub table; no text can break out of its cell, or become a link or markup.

    Args:
        table: any.
        bold: (row, column) of the cells to stand out.
    """
    marks = [":--" if column < table.labels else "--:" for column in range(len(table.headers))]
    lines = [[escaped(cell) for cell in table.headers], marks]
    lines += [
        [f"**{escaped(cell)}**" if (row, column) in bold else escaped(cell) for column, cell in enumerate(cells)]
        for row, cells in enumerate(table.rows)
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def escaped(text: str) -> str:
    """One line of text as it is: no markup, no links."""
    plain = re.sub(r"([\\`*_{}\[\]<>|#&])", r"\\\1", " ".join(text.split()))
    return re.sub(r"\\(\[|\](?!\())", r"\1", plain)  # brackets without a link behind them are only brackets
