"""Checks published figures: runs their conditions again and compares the results.

reproduction.yaml contains every table of results and, for each column, the condition and the figure that it shows. The
tables of the documentation and of the README are written from that file; ``check_figures`` runs the conditions again.
After the "two-click reproductions" of Pyserini (Lin et al., SIGIR 2021, doi:10.1145/3404835.3463238).
"""

import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, model_validator

from zero2ir.errors import InputError, one_line
from zero2ir.evaluation.intervals import Interval
from zero2ir.evaluation.results import all_topics
from zero2ir.evaluation.significance import compare_scores, mean_interval
from zero2ir.experiments.comparison import grouped, scores_by_seed
from zero2ir.experiments.preset import Condition, condition, read_preset
from zero2ir.experiments.report import STATISTICS
from zero2ir.experiments.runner import run_conditions
from zero2ir.experiments.workspaces import Workspace
from zero2ir.io.files import finished_file
from zero2ir.io.settings import Settings
from zero2ir.report.tables import difference_text, interval_text

REPRODUCTION_FILE = Path("reproduction.yaml")
ROUNDING = 0.0005  # half of the last printed decimal
NUMBER = re.compile(r"[-−+]?\d[\d,]*(?:\.\d+)?")
MARKERS = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


class ColumnSpec(Settings):
    """One column of a published table.

    Attributes:
        head: printed header.
        panel: changes of the panel of the table's preset ("budget.queries" for a nested key).
        system: "model/strategy"; "{row}" stands for the row's first cell; "a − b" for a difference.
        figure: a measure of metrics.json, "cost/..." for a cost; None for a column that is not checked.
        printed: instead of a figure: header of the column in the tables that the preset's command prints.
        tolerance: replaces the table's tolerance.
    """

    head: str
    panel: dict[str, Any] = Field(default_factory=dict)
    system: str = "{row}"
    figure: str | None = None
    printed: str | None = None
    tolerance: float | None = None


class TableSpec(Settings):
    """One published table.

    Attributes:
        command: command that reproduces the whole table.
        preset: the experiment that the figures come from; None if ``check_figures`` does not check the table.
        strategy: strategy of rows that name a model only.
        tolerance: maximum difference of a figure.
        columns: the columns; the first one contains the names of the rows.
        rows: cells as printed.
        unchecked_rows: first cells of rows that are not checked.
        former_defaults: whether the defaults have changed since; such a table is not checked until it is made again.
    """

    command: str
    preset: str | None = None
    strategy: str | None = None
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    columns: Annotated[tuple[ColumnSpec, ...], Field(min_length=2)]
    rows: tuple[tuple[str, ...], ...]
    unchecked_rows: tuple[str, ...] = ()
    former_defaults: bool = False

    @model_validator(mode="after")
    def _rectangular(self) -> "TableSpec":
        for row in self.rows:
            if len(row) != len(self.columns):
                raise InputError(f"the row {row[0]!r} has {len(row)} cells, the table {len(self.columns)} columns")
        return self

    def markdown(self) -> str:
        head, *lines = (f"| {' | '.join(cells)} |\n" for cells in ([one.head for one in self.columns], *self.rows))
        return "".join([head, f"|{'---|' * len(self.columns)}\n", *lines])


class Reproduction(Settings):
    """Contents of reproduction.yaml; a cell "=TABLE; ROW; COLUMN" repeats a cell of an earlier table."""

    tables: dict[str, TableSpec]

    @model_validator(mode="after")
    def _cells_repeated(self) -> "Reproduction":
        for name, table in self.tables.items():
            rows = tuple(tuple(map(self._cell, row)) for row in table.rows)
            self.tables[name] = table.model_copy(update={"rows": rows})
        return self

    def _cell(self, cell: str) -> str:
        """Returns the cell itself, or the cell that it refers to; an InputError if that does not exist."""
        if not cell.startswith("="):
            return cell
        name, row, head = (part.strip() for part in f"{cell.removeprefix('=')};;".split(";")[:3])
        table = self.tables.get(name)
        cells = {} if table is None else {one[0]: one for one in table.rows}
        heads = [] if table is None else [column.head for column in table.columns]
        if row not in cells or head not in heads:
            raise InputError(f"{cell}: no such cell; give a table, the first cell of a row, and the header of a column")
        return cells[row][heads.index(head)]


class PublishedFigure(NamedTuple):
    """One published cell that can be checked."""

    table: str
    row: str
    column: ColumnSpec
    spec: TableSpec
    expected: str

    @property
    def name(self) -> str:
        """table/row/column; ``--only`` matches this name."""
        place = self.column.panel.get("dataset", "")
        head = self.column.head if place in ("", self.column.head) else f"{place} {self.column.head}"
        return f"{self.table}/{self.row}/{head}"

    @property
    def tolerance(self) -> float:
        return self.spec.tolerance if self.column.tolerance is None else self.column.tolerance

    @property
    def systems(self) -> list[str]:
        """ "model/strategy" of the system, and of the one subtracted from it if there is one."""
        named = self.column.system.format(row=self.row).split(" − ")
        return [name if "/" in name else f"{name}/{self.spec.strategy}" for name in named]


class FigureCheck(NamedTuple):
    """Result of checking one figure; ``reproduced`` is empty if the run failed with ``error``."""

    figure: PublishedFigure
    reproduced: str
    error: str

    @property
    def line(self) -> str:
        name, expected = self.figure.name, self.figure.expected
        if not self.reproduced:
            return f"FAILED  {name}: {self.error}"
        if self.agrees:
            return f"OK      {name}: {self.reproduced}"
        return f"DIFFERS {name}: {self.reproduced} instead of {expected} (tolerance {self.figure.tolerance:g})"

    @property
    def agrees(self) -> bool:
        """Whether every number of the published cell is reproduced within tolerance and rounding."""
        published, reproduced = numbers(self.figure.expected), numbers(self.reproduced)
        if not published or len(reproduced) < len(published):
            return False
        most = self.figure.tolerance + ROUNDING + 1e-9
        return all(abs(a - b) <= most for a, b in zip(published, reproduced, strict=False))


def read_reproduction(path: Path = REPRODUCTION_FILE) -> Reproduction:
    """Reads reproduction.yaml, and raises an InputError if it is missing or malformed."""
    import yaml

    try:
        return Reproduction.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError:
        raise InputError(f"{path}: missing; run this in a clone of zero2ir") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: {one_line(error)[:300]}") from None


def write_tables(document: Path, tables: Mapping[str, TableSpec]) -> None:
    """Writes each table between its markers in a Markdown file; see ``with_tables``."""
    text = with_tables(document.read_text(encoding="utf-8"), tables)
    with finished_file(document) as file:
        file.write(text)


def with_tables(text: str, tables: Mapping[str, TableSpec]) -> str:
    """Returns the text with each table between its markers; an InputError if a marker names an unknown table."""

    def fill(marker: re.Match[str]) -> str:
        if marker[2] not in tables:
            raise InputError(f"table {marker[2]}: not in {REPRODUCTION_FILE}; it has {', '.join(tables)}")
        return f"{marker[1]}{tables[marker[2]].markdown()}{marker[3]}"

    return MARKERS.sub(fill, text)


def numbers(cell: str) -> list[float]:
    """Returns all numbers in a cell."""
    return [float(number.replace("−", "-").replace(",", "")) for number in NUMBER.findall(cell)]


def figures(reproduction: Reproduction, only: Sequence[str] = ()) -> list[PublishedFigure]:
    """Returns the figures that can be checked, or those that match a pattern; an InputError if a pattern has none."""
    every = list(_figures(reproduction))
    if idle := [pattern for pattern in only if not any(_matches(one, pattern) for one in every)]:
        raise InputError(f"--only {idle[0]}: matches no figure; zero2ir check --list lists all")
    return [one for one in every if not only or any(_matches(one, pattern) for pattern in only)]


def _figures(reproduction: Reproduction) -> Iterator[PublishedFigure]:
    for name, table in reproduction.tables.items():
        for row in table.rows if table.preset and not table.former_defaults else ():
            if row[0] in table.unchecked_rows:
                continue
            label = row[0].replace("`", "").replace(" / ", "/")
            for column, cell in zip(table.columns, row, strict=True):
                if (column.figure or column.printed) and numbers(cell):
                    yield PublishedFigure(name, label, column, table, cell)


def _matches(figure: PublishedFigure, pattern: str) -> bool:
    return fnmatch(figure.name, pattern) or figure.name.startswith(pattern)


def sampled(every: Sequence[PublishedFigure], number: int, seed: int) -> list[PublishedFigure]:
    """Returns so many figures drawn by chance, or all if there are fewer, in their order."""
    drawn = random.Random(seed).sample(range(len(every)), min(number, len(every)))
    return [every[place] for place in sorted(drawn)]


def check_figures(
    wanted: Sequence[PublishedFigure], jobs: int | None = None, seconds: float | None = None
) -> Iterator[FigureCheck]:
    """Runs the conditions of some figures again and compares the figures.

    Args:
        wanted: the figures.
        jobs: number of conditions run in parallel; None for as many as memory and cores allow.
        seconds: after which no condition starts; the figures of those that have not are not checked. With it, one
            condition runs at a time.

    Raises:
        InputError: a preset is invalid, or the project has uncommitted changes.
    """
    groups: dict[tuple[str, str], list[PublishedFigure]] = {}
    for figure in wanted:
        groups.setdefault((str(figure.spec.preset), repr(sorted(figure.column.panel.items()))), []).append(figure)
    by_preset: dict[str, list[tuple[Condition, list[PublishedFigure]]]] = {}
    for (preset, _), group in groups.items():
        by_preset.setdefault(preset, []).append((needed_condition(preset, group), group))
    start = time.monotonic()
    for preset, runs in _turns(by_preset, seconds):
        if seconds is not None and time.monotonic() - start > seconds:
            return
        settings = read_preset(preset)
        if settings.target == "report":
            settings = settings.model_copy(update={"target": "evaluate"})
        copies = run_conditions(f"check-{preset}", settings, [one for one, _ in runs], jobs)
        for (copy, error), (_, group) in zip(copies, runs, strict=True):
            for figure in group:
                yield measure_again(figure, copy, error)


def _turns(
    by_preset: Mapping[str, list[tuple[Condition, list[PublishedFigure]]]], seconds: float | None
) -> Iterator[tuple[str, list[tuple[Condition, list[PublishedFigure]]]]]:
    """Yields what runs together: the conditions of a preset, or with a limit of time one of them."""
    for preset, runs in by_preset.items():
        yield from [(preset, runs)] if seconds is None else [(preset, [one]) for one in runs]


def needed_condition(preset: str, group: Sequence[PublishedFigure]) -> Condition:
    """Returns the condition of some figures of one column, restricted to the systems that they need."""
    changes = dict(read_preset(preset).panel)
    if group[0].column.figure:
        systems = [system.split("/") for figure in group for system in figure.systems]
        changes["models"] = list(dict.fromkeys(model for model, _ in systems))
        changes["strategies"] = list(dict.fromkeys(strategy for _, strategy in systems))
    return condition(group[0].column.panel, changes)


def measure_again(figure: PublishedFigure, copy: Workspace, error: InputError | None) -> FigureCheck:
    """Returns the check of one figure after its condition has run."""
    try:
        if error is not None:
            raise error
        return FigureCheck(figure, _printed(figure, copy) if figure.column.printed else _measured(figure, copy), "")
    except InputError as failed:
        return FigureCheck(figure, "", str(failed))


def _measured(figure: PublishedFigure, copy: Workspace) -> str:
    """Returns a measure, a cost, or the difference of two systems from the results."""
    name = str(figure.column.figure)
    results = grouped([folder for folder in copy.results() if folder.is_dir()])
    one, *other = [results[system] for system in figure.systems]
    if name.startswith("cost/"):
        costs = [each.metrics["cost"][name.removeprefix("cost/")] for each in one.values()]
        return f"{sum(costs) / len(costs):,.0f}"
    scores, options = scores_by_seed(one, name), STATISTICS | {"topics": all_topics(one.values())}
    if other:
        return difference_text(compare_scores(scores, scores_by_seed(other[0], name), **options).difference)
    if len(one) == 1:
        return interval_text(Interval(**next(iter(one.values())).metrics[name]))
    return interval_text(mean_interval(scores, **options))


def _printed(figure: PublishedFigure, copy: Workspace) -> str:
    """Returns the cell from the tables that the preset's command printed; an InputError if it is not there."""
    for heads, rows in tables_in(copy.printed.read_text(encoding="utf-8")):
        for row in rows:
            if _same_row(row[0], figure.row) and figure.column.printed in heads:
                return row[heads.index(figure.column.printed)]
    raise InputError(f"no printed table has the row {figure.row} and the column {figure.column.printed}")


def _same_row(printed: str, published: str) -> bool:
    """Compares the names of rows without numbers of queries in brackets."""
    return re.sub(r" \(.*", "", printed) == re.sub(r" \(.*", "", published)


def tables_in(text: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Yields the headers and rows of every Markdown table in a text."""
    for block in re.findall(r"(?:^\|.*\|\n?)+", text, re.MULTILINE):
        heads, _, *rows = [
            [cell.strip() for cell in line.strip().strip("|").split("|")] for line in block.strip().splitlines()
        ]
        yield heads, rows
