"""Quality beside what it costs: which systems nothing else beats at the same price."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from zero2ir.io.markdown import Table
from zero2ir.report.tables import Summary, System, amount, interval_text

ON_FRONT = "●"


class Price(NamedTuple):
    """A cost that quality is set against: the sum of the costs in metrics.json that begin and end so."""

    said: str
    starts: tuple[str, ...]
    ends: tuple[str, ...]

    def of(self, system: System) -> float | None:
        """What a system costs, the mean over its seeds; None where nobody says."""
        parts = [
            value for name, value in system.cost.items() if name.startswith(self.starts) and name.endswith(self.ends)
        ]
        return sum(parts) if parts else None


PRICES = (
    Price("Building, s", ("pretrain_", "synthetic_", "encode_", "index_", "train_"), ("_seconds",)),
    Price("Search, ms a query", ("milliseconds_per_query",), ("",)),
    Price("Memory, MiB", ("peak_memory_mb",), ("",)),
    Price("Index, bytes a document", ("bytes_per_document",), ("",)),
    Price("LM calls", ("lm_calls", "search_lm_calls"), ("",)),
    Price("LM tokens", ("lm_", "search_lm_"), ("_tokens",)),
    Price("Labels", ("labels",), ("",)),
)


def prices_that_differ(summary: Summary) -> list[Price]:
    """Those that any two systems state differently; who does not state a price, pays none."""
    return [price for price in PRICES if len({price.of(system) or 0.0 for system in summary.systems}) > 1]


def front(summary: Summary, price: Price) -> list[System]:
    """The systems that none beats in quality or price without losing in the other, the cheapest first.

    By the means alone: a step of the front may be within chance, which the comparisons tell.
    """
    quality: Mapping[str, float] = {one.name: one.measures[summary.main_measure].mean for one in summary.systems}
    kept: list[System] = []
    for system in sorted(summary.systems, key=lambda one: (price.of(one) or 0.0, -quality[one.name])):
        if not kept or quality[system.name] > quality[kept[-1].name]:
            kept.append(system)
    return kept


def front_table(summary: Summary, prices: Sequence[Price]) -> Table:
    """One row for each system; a dot behind each price at which nothing else is better."""
    fronts = {price: {system.name for system in front(summary, price)} for price in prices}
    rows = [
        [
            *(system.model, system.strategy, interval_text(system.measures[summary.main_measure])),
            *(amount(price.of(system) or 0.0) + f" {ON_FRONT}" * (system.name in fronts[price]) for price in prices),
        ]
        for system in summary.systems
    ]
    return Table(["Model", "Strategy", summary.main_measure, *(price.said for price in prices)], rows, labels=2)
