"""Quality by how many queries were judged, where results of several budgets are there."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from zero2ir.errors import InputError
from zero2ir.evaluation.intervals import Interval, bootstrap_interval
from zero2ir.evaluation.results import Results, read_results
from zero2ir.evaluation.significance import score_table
from zero2ir.io.markdown import Table
from zero2ir.report.tables import interval_text


class Curve(NamedTuple):
    """One system over its budgets; ``points`` maps the number of judged queries, rising, to the main measure."""

    model: str
    strategy: str
    points: dict[int, Interval]


def read_other_budgets(folders: Sequence[Path], dataset: str) -> list[Results]:
    """Reads every results folder below the given ones.

    Raises:
        InputError: a folder holds no results, or results of another dataset.
    """
    found = []
    for folder in folders:
        inside = [read_results(path.parent) for path in sorted(folder.glob("*/system.json"))]
        if not inside:
            raise InputError(f"other_results: {folder} holds no results; give the folder results of a finished project")
        found += inside
    if strange := {each.system.dataset for each in found} - {dataset}:
        raise InputError(f"other_results: they are of {', '.join(sorted(strange))}, not of {dataset}; leave them out")
    return found


def budget_curves(results: Sequence[Results], measure: str, **options: Any) -> list[Curve]:
    """The curve of each system with results of two budgets or more, on the queries that all its budgets test.

    A budget's judged queries may leave the test; the points of a curve would not be comparable otherwise.

    Args:
        results: of any budgets; those that state none are left out.
        measure: the main one.
        options: of ``bootstrap_interval``.
    """
    grouped: dict[tuple[str, str], dict[int, list[Results]]] = {}
    for each in results:
        if each.system.judged_queries is not None:
            budgets = grouped.setdefault((each.system.model, each.system.strategy), {})
            budgets.setdefault(each.system.judged_queries, []).append(each)
    return [Curve(*name, _points(budgets, measure, options)) for name, budgets in grouped.items() if len(budgets) > 1]


def _points(budgets: dict[int, list[Results]], measure: str, options: dict[str, Any]) -> dict[int, Interval]:
    tested = [{query_id for each in found for query_id in each.per_query[measure]} for found in budgets.values()]
    shared = set.intersection(*tested)
    scores = {
        budget: {
            each.system.seed: {one: value for one, value in each.per_query[measure].items() if one in shared}
            for each in found
        }
        for budget, found in sorted(budgets.items())
    }
    return {budget: bootstrap_interval(score_table(found), **options) for budget, found in scores.items()}


def budgets_table(curves: Sequence[Curve]) -> Table:
    """One row for each system, one column for each number of judged queries."""
    budgets = sorted({budget for curve in curves for budget in curve.points})
    rows = [
        [
            *(curve.model, curve.strategy),
            *(interval_text(curve.points[budget]) if budget in curve.points else "–" for budget in budgets),
        ]
        for curve in curves
    ]
    return Table(["Model", "Strategy", *(f"{budget} judged" for budget in budgets)], rows, labels=2)
