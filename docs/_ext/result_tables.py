"""Tables of results from reproduction.yaml, and the checks of their figures."""

from functools import cache
from pathlib import Path

from zero2ir.experiments.reproduction import Reproduction, figures, read_reproduction
from zero2ir.experiments.reproduction_log import read_log, reproductions, write_page
from zero2ir.io.markdown import Table, markdown
from zero2ir.io.paths import REPRODUCTIONS_FILE

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
    former = ", with the defaults before today's; not made again yet" if table.former_defaults else ""
    return f":::{{container}} results\n\n{table.markdown()}\n:::\n\nMade by: `{table.command}`{former}\n"


def reproductions_markdown() -> str:
    """The checks of the log, by day, revision and machine."""
    rows = [
        [one.date, f"{one.agreeing} of {one.checked}", one.revision, one.machine, one.python]
        for one in reproductions(read_log(PROJECT / REPRODUCTIONS_FILE))
    ]
    return markdown(Table(["date", "figures that agree", "revision", "machine", "Python"], rows, labels=5))


def write_figures(folder: Path) -> None:
    """Writes the page of every published figure and its last check."""
    write_page(folder, figures(published()), read_log(PROJECT / REPRODUCTIONS_FILE))
