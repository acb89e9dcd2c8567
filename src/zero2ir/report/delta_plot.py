"""The plot of differences by query, drawn into the page itself: each bar leads to its query."""

from typing import NamedTuple

from zero2ir.report.query_cases import Cases, QueryCase
from zero2ir.report.tables import format_signed

WIDTH, HEIGHT = 900.0, 240.0
LEFT, TOP, BOTTOM = 46.0, 10.0, 12.0  # room for the scale, and above and below the bars
GAP = 34.0  # for the queries between, where some are left out


class Bar(NamedTuple):
    """One query; lengths in the plot's own units.

    Attributes:
        case: the query.
        x: its left end.
        width: of its column, which can be hit over the whole height.
        y: the upper end of the bar.
        height: of the bar.
        label: the query and its difference.
    """

    case: QueryCase
    x: float
    width: float
    y: float
    height: float
    label: str


class Tick(NamedTuple):
    """A line of the scale."""

    y: float
    label: str


class DeltaPlot(NamedTuple):
    """Where everything stands; ``gap`` is the middle of the place of the queries between, None where there are none."""

    bars: list[Bar]
    ticks: list[Tick]
    zero: float
    gap: float | None
    between: int
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT


def delta_plot(cases: Cases) -> DeltaPlot:
    """Lays the bars out, in falling order from the left."""
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
    """Round values between the ends, 0 among them."""
    step = next(one for one in (0.05, 0.1, 0.2, 0.25, 0.5, 1.0) if (highest - lowest) / one <= 6 or one == 1.0)
    return [
        step * place
        for place in range(int(lowest / step) - 1, int(highest / step) + 2)
        if lowest <= step * place <= highest
    ]
