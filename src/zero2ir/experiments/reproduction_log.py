"""Keeps what each check of a published figure gave, and shows the last one of every figure on a page."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

from pydantic import AwareDatetime, ValidationError

from zero2ir.errors import InputError, one_line
from zero2ir.experiments.reproduction import FigureCheck, PublishedFigure
from zero2ir.io.files import add_line, finished_file
from zero2ir.io.lines import read_lines
from zero2ir.io.pages import render_page
from zero2ir.io.settings import Settings
from zero2ir.tracking.provenance import code_revision, describe_runtime

PAGE_FILE = "index.html"


class LoggedCheck(Settings):
    """One check of one figure.

    Attributes:
        figure: its name.
        expected: the published cell at that time.
        reproduced: the cell of the run; empty if the run failed.
        agrees: whether it agrees within the tolerance.
        error: why the run failed.
        date: when.
        revision: commit of the code.
        system: operating system of the machine.
        processor: of the machine.
        python: version.
    """

    figure: str
    expected: str
    reproduced: str
    agrees: bool
    error: str = ""
    date: AwareDatetime
    revision: str
    system: str
    processor: str
    python: str

    @classmethod
    def of(cls, check: FigureCheck) -> Self:
        """Describes a check that just ended, and where it ran."""
        runtime = describe_runtime()
        return cls(
            figure=check.figure.name,
            expected=check.figure.expected,
            reproduced=check.reproduced,
            agrees=check.agrees,
            error=check.error,
            date=datetime.now(UTC).replace(microsecond=0),
            revision=code_revision()[:12],
            system=runtime["system"],
            processor=runtime["processor"],
            python=runtime["python"],
        )


class LoggedReproduction(NamedTuple):
    """The checks of one revision on one machine and day.

    Attributes:
        date: the day.
        revision: commit of the code.
        machine: processor and operating system.
        python: version.
        agreeing: figures that agree.
        checked: figures that were checked.
    """

    date: str
    revision: str
    machine: str
    python: str
    agreeing: int
    checked: int


def append_check(path: Path, check: FigureCheck) -> None:
    """Adds a line for a check, which is on disk when this returns."""
    add_line(path, LoggedCheck.of(check).model_dump_json())


def read_log(path: Path) -> list[LoggedCheck]:
    """Returns all checks, the oldest first; none if there is no file.

    Raises:
        InputError: a line is not a check.
    """
    checks = []
    for place, line in read_lines(path) if path.exists() else ():
        try:
            checks.append(LoggedCheck.model_validate_json(line))
        except ValidationError as error:
            raise InputError(f"{place}: not a check ({one_line(error)[:200]}); remove the line") from None
    return checks


def reproductions(checks: Iterable[LoggedCheck]) -> list[LoggedReproduction]:
    """Returns how many figures agreed, by day, revision and machine, the newest first."""
    groups: dict[tuple[str, str, str, str], dict[str, bool]] = {}
    for one in checks:
        key = (f"{one.date:%Y-%m-%d}", one.revision, f"{one.processor}; {one.system}", one.python)
        groups.setdefault(key, {})[one.figure] = one.agrees
    found = [LoggedReproduction(*key, sum(figures.values()), len(figures)) for key, figures in groups.items()]
    return sorted(found, key=lambda one: one.date, reverse=True)


def write_page(folder: Path, published: Sequence[PublishedFigure], checks: Sequence[LoggedCheck]) -> Path:
    """Writes the page with every published figure, the command that checks it, and the last check; returns its path."""
    last = {one.figure: one for one in checks}
    tables: dict[str, list[dict[str, Any]]] = {}
    for figure in published:
        check = last.get(figure.name)
        tables.setdefault(figure.table, []).append({"figure": figure, "check": check, "state": _state(figure, check)})
    states = [row["state"] for rows in tables.values() for row in rows]
    folder.mkdir(parents=True, exist_ok=True)
    with finished_file(folder / PAGE_FILE) as file:
        file.write(render_page("zero2ir.experiments", "page.html.j2", tables=tables, states=states))
    return folder / PAGE_FILE


def _state(figure: PublishedFigure, check: LoggedCheck | None) -> str:
    """Returns "agrees", "differs" or "failed"; "unchecked" if the figure as it is published was never checked."""
    if check is None or check.expected != figure.expected:
        return "unchecked"
    if not check.reproduced:
        return "failed"
    return "agrees" if check.agrees else "differs"
