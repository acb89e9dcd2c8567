"""Layout of the interactive plot of per-query differences; each bar links to its query."""

from typing import NamedTuple

from zero2ir.report.query_cases import Cases, QueryCase
from zero2ir.report.tables import format_signed

WIDTH, HEIGHT = 900.0, 240.0
LEFT, TOP, BOTTOM = 46.0, 10.0, 12.0  # margins: for the scale, above and below the bars
GAP = 34.0  # width of the gap for omitted queries in the middle


class Bar(NamedTuple):
    """The bar of one query; lengths in units of the plot."""

    case: QueryCase
    x: float  # left end of the bar
    width: float  # of the bar and of its clickable column
    y: float  # upper end of the bar
    height: float
    label: str  # the difference and the query


class Tick(NamedTuple):
    y: float
    label: str


class DeltaPlot(NamedTuple):
    """The layout; ``gap`` is the x of the gap for ``between`` omitted queries, None if none is omitted."""

    bars: list[Bar]
    ticks: list[Tick]
    zero: float
    gap: float | None
    between: int
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT


def delta_plot(cases: Cases) -> DeltaPlot:
    """Lays out the bars, in descending order of the difference."""
    bars = cases.bars
    highest = max(0.0, *(case.delta for case in bars))
    lowest = min(0.0, *(case.delta for case in bars))
    unit = (HEIGHT - TOP - BOTTOM) / ((highest - lowest) or 1.0)
    zero = TOP + highest * unit
    gap = GAP if cases.between else 0.0
    width = (WIDTH - LEFT - gap) / len(bars)
    half = len(bars) // 2 if cases.between else len(bars)
    placed = [
        Bar(
            case,
            round(LEFT + width * place + gap * (place >= half), 2),
            round(width, 2),
            round(zero - max(0.0, case.delta) * unit, 2),
            round(abs(case.delta) * unit, 2),
            f"{format_signed(case.delta)} {case.query}",
        )
        for place, case in enumerate(bars)
    ]
    ticks = [Tick(round(zero - value * unit, 2), format_signed(value)) for value in _scale(lowest, highest)]
    return DeltaPlot(placed, ticks, round(zero, 2), LEFT + width * half + gap / 2 if gap else None, cases.between)


def _scale(lowest: float, highest: float) -> list[float]:
    """Returns round tick values from ``lowest`` to ``highest``, including 0."""
    step = next(one for one in (0.05, 0.1, 0.2, 0.25, 0.5, 1.0) if (highest - lowest) / one <= 6 or one == 1.0)
    return [
        step * place
        for place in range(int(lowest / step) - 1, int(highest / step) + 2)
        if lowest <= step * place <= highest
    ]
