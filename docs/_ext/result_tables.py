"""Tables of results from reproduction.yaml, the checks of their figures, and the trials of promises."""

import json
from functools import cache
from pathlib import Path

from zero2ir.experiments.reproduction import Reproduction, figures, read_reproduction
from zero2ir.experiments.reproduction_log import read_log, reproductions, write_page
from zero2ir.io.markdown import Table, escaped, markdown
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


def promises_markdown(part: str) -> str:
    """The trials of one part of docs/results/promises.json, and where they ran."""
    record = json.loads((PROJECT / "docs" / "results" / "promises.json").read_text(encoding="utf-8"))
    command = f"`python -m benchmarks.promises {part}`"
    if (trials := record["parts"].get(part)) is None:
        return f"{command}: not run at full size yet.\n"
    lines, rows = [], []
    for one in trials["outcomes"]:
        if cells := one.get("cells"):
            rows.append({one["trial"]: one["promise"], "kept": f"{one['kept']} of {one['tried']}", **cells})
            continue
        promise, trial, notes = (escaped(one[key].rstrip(".")) for key in ("promise", "trial", "notes"))
        lines.append(f"- **{one['kept']:,} of {one['tried']:,}**: {promise}.\n  *How:* {trial}.")
        lines[-1] += f" *Figures:* {notes}." if notes else ""
    if rows:
        lines += ["", markdown(Table(list(rows[0]), [list(row.values()) for row in rows], labels=1))]
    where = f"{trials['date'][:10]}, {trials['revision']}, {trials['processor']}, {trials['system']}"
    ran = f"Python {trials['python']}, seed {trials['seed']}, {trials['seconds'] / 60:,.0f} minutes"
    return "\n".join([*lines, f"\n{command}: {where}, {ran}\n"])
