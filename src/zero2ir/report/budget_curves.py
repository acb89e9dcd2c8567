"""Curves of the main measure over the number of judged queries, for results of several budgets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from zero2ir.errors import InputError
from zero2ir.evaluation.intervals import Interval
from zero2ir.evaluation.results import Results, read_results
from zero2ir.evaluation.significance import mean_interval
from zero2ir.io.markdown import Table
from zero2ir.report.tables import interval_text


class Curve(NamedTuple):
    """The curve of a system; ``points`` maps the number of judged queries, ascending, to the main measure."""

    model: str
    strategy: str
    points: dict[int, Interval]


def read_other_budgets(folders: Sequence[Path], dataset: str) -> list[Results]:
    """Reads all results folders in these folders.

    Raises:
        InputError: a folder contains no results, or results of another dataset.
    """
    results = []
    for folder in folders:
        below = [read_results(path.parent) for path in sorted(folder.glob("*/system.json"))]
        if not below:
            fix = "set it to the results folder of a finished project"
            raise InputError(f"other_results: {folder} contains no results; {fix}")
        results += below
    if others := {each.system.dataset for each in results} - {dataset}:
        named = ", ".join(sorted(others))
        raise InputError(f"other_results: there are results of {named} instead of {dataset}; remove them")
    return results


def budget_curves(results: Sequence[Results], measure: str, **options: Any) -> list[Curve]:
    """Returns the curve of each system with at least two budgets, on the test queries that its budgets share.

    Judged queries may be excluded from the test set, so that only shared queries make the points comparable. Results
    without a stated budget are left out. ``options`` are those of ``mean_interval``.
    """
    grouped: dict[tuple[str, str], dict[int, list[Results]]] = {}
    for each in results:
        if each.system.judged_queries is not None:
            budgets = grouped.setdefault((each.system.model, each.system.strategy), {})
            budgets.setdefault(each.system.judged_queries, []).append(each)
    return [Curve(*name, _points(budgets, measure, options)) for name, budgets in grouped.items() if len(budgets) > 1]


def _points(budgets: dict[int, list[Results]], measure: str, options: dict[str, Any]) -> dict[int, Interval]:
    tested = [{query_id for each in results for query_id in each.per_query[measure]} for results in budgets.values()]
    shared = set.intersection(*tested)
    scores = {
        budget: {
            each.system.seed: {one: value for one, value in each.per_query[measure].items() if one in shared}
            for each in results
        }
        for budget, results in sorted(budgets.items())
    }
    return {budget: mean_interval(by_seed, **options) for budget, by_seed in scores.items()}


def budgets_table(curves: Sequence[Curve]) -> Table:
    """Returns a table with one row per system and one column per number of judged queries."""
    budgets = sorted({budget for curve in curves for budget in curve.points})
    rows = [
        [
            *(curve.model, curve.strategy),
            *(interval_text(curve.points[budget]) if budget in curve.points else "–" for budget in budgets),
        ]
        for curve in curves
    ]
    return Table(["Model", "Strategy", *(f"{budget} judged" for budget in budgets)], rows, labels=2)
