"""Published figures: where each comes from, what it was, and whether it is so again.

reproduction.yaml holds every table of results, and for each column which condition and which figure it shows. Tables
of the documentation and of the README are written from that file; ``check_figures`` runs the conditions again and
compares. After the "two-click reproductions" of Pyserini (Lin et al., SIGIR 2021, doi:10.1145/3404835.3463238).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, ValidationError, model_validator

from zero2ir.config import Settings
from zero2ir.errors import InputError
from zero2ir.evaluation.intervals import Interval
from zero2ir.evaluation.significance import compare_scores
from zero2ir.experiments.comparison import grouped
from zero2ir.experiments.preset import Condition, condition, read_preset
from zero2ir.experiments.report import STATISTICS
from zero2ir.experiments.runner import run_conditions
from zero2ir.experiments.workspaces import Workspace
from zero2ir.io.files import finished_file
from zero2ir.report.tables import difference_text, interval_text

REPRODUCTION_FILE = Path("reproduction.yaml")
ROUNDING = 0.0005  # half of the last decimal that is printed
NUMBER = re.compile(r"[-−+]?\d[\d,]*(?:\.\d+)?")
MARKERS = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


class ColumnSpec(Settings):
    """One column of a published table.

    Attributes:
        head: as it is printed.
        panel: what its condition changes in the panel of the table's preset ("budget.queries" is inside another key).
        system: which one, "{row}" for what the row's first cell names; "a − b" for a difference.
        figure: a measure of metrics.json, "cost/..." for a cost, None for a column that is not run again.
        printed: in place of a figure, the column's head in the tables that the preset's command prints.
        tolerance: in place of the table's.
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
        command: what a person types to have the whole of it again.
        preset: the experiment whose conditions its figures come from; None where it is not run again by
            ``check_figures``.
        strategy: of rows that name a model alone.
        tolerance: by how much a figure may differ.
        columns: the first one holds the rows' names.
        rows: cells as they are printed.
        unchecked_rows: the first cells of rows that are not run again.
    """

    command: str
    preset: str | None = None
    strategy: str | None = None
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    columns: Annotated[tuple[ColumnSpec, ...], Field(min_length=2)]
    rows: tuple[tuple[str, ...], ...]
    unchecked_rows: tuple[str, ...] = ()

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
    """reproduction.yaml; a cell "=TABLE; ROW; COLUMN" repeats a cell of a table above."""

    tables: dict[str, TableSpec]

    @model_validator(mode="after")
    def _cells_repeated(self) -> "Reproduction":
        for name, table in self.tables.items():
            rows = tuple(tuple(map(self._cell, row)) for row in table.rows)
            self.tables[name] = table.model_copy(update={"rows": rows})
        return self

    def _cell(self, cell: str) -> str:
        """The cell itself, or the one that "=TABLE; ROW; COLUMN" names.

        Raises:
            InputError: there is no such cell.
        """
        if not cell.startswith("="):
            return cell
        name, row, head = (part.strip() for part in f"{cell.removeprefix('=')};;".split(";")[:3])
        table = self.tables.get(name)
        cells = {} if table is None else {one[0]: one for one in table.rows}
        heads = [] if table is None else [column.head for column in table.columns]
        if row not in cells or head not in heads:
            raise InputError(f"{cell}: no such cell; name a table, the first cell of a row, and a column's head")
        return cells[row][heads.index(head)]


class PublishedFigure(NamedTuple):
    """One cell that can be run again."""

    table: str
    row: str
    column: ColumnSpec
    spec: TableSpec
    expected: str

    @property
    def name(self) -> str:
        """table/row/column, which ``--only`` is matched with."""
        place = self.column.panel.get("dataset", "")
        head = self.column.head if place in ("", self.column.head) else f"{place} {self.column.head}"
        return f"{self.table}/{self.row}/{head}"

    @property
    def tolerance(self) -> float:
        return self.spec.tolerance if self.column.tolerance is None else self.column.tolerance

    @property
    def systems(self) -> list[str]:
        """ "model/strategy" of the system, and of the one that it is compared with."""
        named = self.column.system.format(row=self.row).split(" − ")
        return [name if "/" in name else f"{name}/{self.spec.strategy}" for name in named]


class FigureCheck(NamedTuple):
    """One figure run again; ``reproduced`` is empty where that failed, and ``error`` says why."""

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
        return f"DIFFERS {name}: {self.reproduced} in place of {expected} (tolerance {self.figure.tolerance:g})"

    @property
    def agrees(self) -> bool:
        """Whether every number in the published cell is there again, within the tolerance and rounding."""
        published, found = numbers(self.figure.expected), numbers(self.reproduced)
        most = self.figure.tolerance + ROUNDING
        pairs = zip(published, found, strict=False)
        return bool(published) and len(found) >= len(published) and all(abs(a - b) <= most + 1e-9 for a, b in pairs)


def read_reproduction(path: Path = REPRODUCTION_FILE) -> Reproduction:
    """Reads the file.

    Raises:
        InputError: it is missing or malformed.
    """
    import yaml

    try:
        return Reproduction.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError:
        raise InputError(f"{path}: not here; run in the project's folder") from None
    except (yaml.YAMLError, ValidationError) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())[:300]}") from None


def write_tables(document: Path, tables: Mapping[str, TableSpec]) -> None:
    """Puts each table between its markers in a Markdown file.

    Raises:
        InputError: a marker names no table.
    """
    text = with_tables(document.read_text(encoding="utf-8"), tables)
    with finished_file(document) as file:
        file.write(text)


def with_tables(text: str, tables: Mapping[str, TableSpec]) -> str:
    """The text with each table between its markers.

    Raises:
        InputError: a marker names no table.
    """

    def fill(found: re.Match[str]) -> str:
        if found[2] not in tables:
            raise InputError(f"table {found[2]}: not in {REPRODUCTION_FILE}; it has {', '.join(tables)}")
        return f"{found[1]}{tables[found[2]].markdown()}{found[3]}"

    return MARKERS.sub(fill, text)


def numbers(cell: str) -> list[float]:
    """Every number in a cell."""
    return [float(found.replace("−", "-").replace(",", "")) for found in NUMBER.findall(cell)]


def figures(reproduction: Reproduction, only: Sequence[str] = ()) -> list[PublishedFigure]:
    """The figures that can be run again, those whose name matches a pattern where there are any.

    Raises:
        InputError: a pattern matches none.
    """
    every = list(_figures(reproduction))
    if idle := [pattern for pattern in only if not any(_matches(one, pattern) for one in every)]:
        raise InputError(f"--only {idle[0]}: no figure is called so; zero2ir check --list lists all")
    return [one for one in every if not only or any(_matches(one, pattern) for pattern in only)]


def _figures(reproduction: Reproduction) -> Iterator[PublishedFigure]:
    for name, table in reproduction.tables.items():
        for row in table.rows if table.preset else ():
            if row[0] in table.unchecked_rows:
                continue
            label = row[0].replace("`", "").replace(" / ", "/")
            for column, cell in zip(table.columns, row, strict=True):
                if (column.figure or column.printed) and numbers(cell):
                    yield PublishedFigure(name, label, column, table, cell)


def _matches(figure: PublishedFigure, pattern: str) -> bool:
    return fnmatch(figure.name, pattern) or figure.name.startswith(pattern)


def check_figures(wanted: Sequence[PublishedFigure], jobs: int | None = None) -> Iterator[FigureCheck]:
    """Runs the conditions of some figures again, and compares.

    Args:
        wanted: which.
        jobs: conditions side by side; as many as memory and cores allow where None.

    Raises:
        InputError: a preset is bad, or the project has uncommitted changes.
    """
    groups: dict[tuple[str, str], list[PublishedFigure]] = {}
    for figure in wanted:
        groups.setdefault((str(figure.spec.preset), repr(sorted(figure.column.panel.items()))), []).append(figure)
    by_preset: dict[str, list[tuple[Condition, list[PublishedFigure]]]] = {}
    for (preset, _), group in groups.items():
        by_preset.setdefault(preset, []).append((needed_condition(preset, group), group))
    for preset, runs in by_preset.items():
        settings = read_preset(preset)
        if settings.target == "report":
            settings = settings.model_copy(update={"target": "evaluate"})
        copies = run_conditions(f"check-{preset}", settings, [one for one, _ in runs], jobs)
        for (copy, error), (_, group) in zip(copies, runs, strict=True):
            for figure in group:
                yield measure_again(figure, copy, error)


def needed_condition(preset: str, group: Sequence[PublishedFigure]) -> Condition:
    """The condition of some figures of one column, with those systems only that they are about."""
    changes = dict(read_preset(preset).panel)
    if group[0].column.figure:
        systems = [system.split("/") for figure in group for system in figure.systems]
        changes["models"] = list(dict.fromkeys(model for model, _ in systems))
        changes["strategies"] = list(dict.fromkeys(strategy for _, strategy in systems))
    return condition(group[0].column.panel, changes)


def measure_again(figure: PublishedFigure, copy: Workspace, error: InputError | None) -> FigureCheck:
    """The figure as it is now."""
    if error is not None:
        return FigureCheck(figure, "", str(error))
    try:
        return FigureCheck(figure, _printed(figure, copy) if figure.column.printed else _measured(figure, copy), "")
    except InputError as failed:
        return FigureCheck(figure, "", str(failed))


def _measured(figure: PublishedFigure, copy: Workspace) -> str:
    """A measure, a cost, or the difference of two systems, out of the results."""
    name = str(figure.column.figure)
    results = grouped([folder for folder in copy.results() if folder.is_dir()])
    one, *other = [results[system] for system in figure.systems]
    if name.startswith("cost/"):
        costs = [each.metrics["cost"][name.removeprefix("cost/")] for each in one.values()]
        return f"{sum(costs) / len(costs):,.0f}"
    scores = {seed: each.per_query[name] for seed, each in one.items()}
    if other:
        against = {seed: each.per_query[name] for seed, each in other[0].items()}
        return difference_text(compare_scores(scores, against, **STATISTICS).difference)
    return interval_text(_interval(one, name))


def _interval(results: Mapping[int, Any], measure: str) -> Interval:
    """As metrics.json says where there is one draw, else over queries and draws."""
    from zero2ir.evaluation.intervals import bootstrap_interval
    from zero2ir.evaluation.significance import score_table

    if len(results) == 1:
        return Interval(**next(iter(results.values())).metrics[measure])
    return bootstrap_interval(
        score_table({seed: one.per_query[measure] for seed, one in results.items()}), **STATISTICS
    )


def _printed(figure: PublishedFigure, copy: Workspace) -> str:
    """The cell of the tables that the preset's command printed.

    Raises:
        InputError: it is not among them.
    """
    for heads, rows in tables_in(copy.printed.read_text(encoding="utf-8")):
        for row in rows:
            if _same_row(row[0], figure.row) and figure.column.printed in heads:
                return row[heads.index(figure.column.printed)]
    raise InputError(f"no row {figure.row} with a column {figure.column.printed} was printed")


def _same_row(printed: str, published: str) -> bool:
    """Numbers of queries in brackets do not count."""
    return re.sub(r" \(.*", "", printed) == re.sub(r" \(.*", "", published)


def tables_in(text: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """The heads and rows of every Markdown table in a text."""
    for block in re.findall(r"(?:^\|.*\|\n?)+", text, re.MULTILINE):
        heads, _, *rows = [
            [cell.strip() for cell in line.strip().strip("|").split("|")] for line in block.strip().splitlines()
        ]
        yield heads, rows
