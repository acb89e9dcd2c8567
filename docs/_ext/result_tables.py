"""Tables of results, from reproduction.yaml."""

from functools import cache
from pathlib import Path

from zero2ir.experiments.reproduction import Reproduction, read_reproduction

PROJECT = Path(__file__).parents[2]


@cache
def published() -> Reproduction:
    return read_reproduction(PROJECT / "reproduction.yaml")


def table_markdown(name: str) -> str:
    """A table and the command that makes it.

    Raises:
        KeyError: there is no such table.
    """
    table = published().tables[name]
    return f":::{{container}} results\n\n{table.markdown()}\n:::\n\nMade by: `{table.command}`\n"
