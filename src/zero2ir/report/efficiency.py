"""Quality beside what it costs: which systems nothing else beats at the same price."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from zero2ir.io.markdown import Table
from zero2ir.report.tables import Summary, System, format_amount, interval_text

PARETO_MARK = "●"


class CostAxis(NamedTuple):
    """A cost that quality is set against: the sum of the costs in metrics.json that begin and end so."""

    label: str
    starts: tuple[str, ...]
    ends: tuple[str, ...]

    def total(self, system: System) -> float | None:
        """What a system costs, the mean over its seeds; None where nobody says."""
        parts = [
            value for name, value in system.cost.items() if name.startswith(self.starts) and name.endswith(self.ends)
        ]
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
    """Those that any two systems state differently; who does not state a price, pays none."""
    return [price for price in COST_AXES if len({price.total(system) or 0.0 for system in summary.systems}) > 1]


def pareto_front(summary: Summary, price: CostAxis) -> list[System]:
    """The systems that none beats in quality or price without losing in the other, the cheapest first.

    By the means alone: a step of the front may be within chance, which the comparisons tell.
    """
    quality: Mapping[str, float] = {one.name: one.measures[summary.main_measure].mean for one in summary.systems}
    kept: list[System] = []
    for system in sorted(summary.systems, key=lambda one: (price.total(one) or 0.0, -quality[one.name])):
        if not kept or quality[system.name] > quality[kept[-1].name]:
            kept.append(system)
    return kept


def pareto_table(summary: Summary, prices: Sequence[CostAxis]) -> Table:
    """One row for each system; a dot behind each price at which nothing else is better."""
    fronts = {price: {system.name for system in pareto_front(summary, price)} for price in prices}
    rows = [
        [
            *(system.model, system.strategy, interval_text(system.measures[summary.main_measure])),
            *(
                format_amount(price.total(system) or 0.0) + f" {PARETO_MARK}" * (system.name in fronts[price])
                for price in prices
            ),
        ]
        for system in summary.systems
    ]
    return Table(["Model", "Strategy", summary.main_measure, *(price.label for price in prices)], rows, labels=2)
