"""Quality against cost: the Pareto front of the systems on each kind of cost."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from zero2ir.io.markdown import Table
from zero2ir.report.tables import Summary, System, format_amount, interval_text

PARETO_MARK = "●"


class CostAxis(NamedTuple):
    """A kind of cost: the sum of the costs in metrics.json whose names have these prefixes and suffixes."""

    label: str
    starts: tuple[str, ...]
    ends: tuple[str, ...]

    def total(self, system: System) -> float | None:
        """Returns the cost of a system, the mean over its seeds; None if it is unknown."""
        costs = system.cost.items()
        parts = [value for name, value in costs if name.startswith(self.starts) and name.endswith(self.ends)]
        return sum(parts) if parts else None


COST_AXES = (
    CostAxis("Building, s", ("pretrain_", "synthetic_", "encode_", "index_", "train_"), ("_seconds",)),
    CostAxis("Search, ms a query", ("milliseconds_per_query",), ("",)),
    CostAxis("Memory, MiB", ("peak_memory_mb",), ("",)),
    CostAxis("Index, bytes a document", ("bytes_per_document",), ("",)),
    CostAxis("LM calls", ("lm_calls", "search_lm_calls"), ("",)),
    CostAxis("LM tokens", ("lm_", "search_lm_"), ("_tokens",)),
    CostAxis("Labels", ("labels",), ("",)),
)


def differing_cost_axes(summary: Summary) -> list[CostAxis]:
    """Returns the kinds of cost on which the systems differ; an unknown cost counts as 0."""
    return [axis for axis in COST_AXES if len({axis.total(system) or 0.0 for system in summary.systems}) > 1]


def pareto_front(summary: Summary, axis: CostAxis) -> list[System]:
    """Returns the Pareto-optimal systems in quality and cost, the cheapest first.

    It compares means only; differences between neighbours on the front may not be significant.
    """
    quality: Mapping[str, float] = {one.name: one.measures[summary.main_measure].mean for one in summary.systems}
    kept: list[System] = []
    for system in sorted(summary.systems, key=lambda one: (axis.total(one) or 0.0, -quality[one.name])):
        if not kept or quality[system.name] > quality[kept[-1].name]:
            kept.append(system)
    return kept


def pareto_table(summary: Summary, cost_axes: Sequence[CostAxis]) -> Table:
    """Returns a table with one row per system; a dot marks Pareto-optimal costs."""
    fronts = {axis: {system.name for system in pareto_front(summary, axis)} for axis in cost_axes}
    rows = [
        [
            *(system.model, system.strategy, interval_text(system.measures[summary.main_measure])),
            *(
                format_amount(axis.total(system) or 0.0) + f" {PARETO_MARK}" * (system.name in fronts[axis])
                for axis in cost_axes
            ),
        ]
        for system in summary.systems
    ]
    return Table(["Model", "Strategy", summary.main_measure, *(axis.label for axis in cost_axes)], rows, labels=2)
