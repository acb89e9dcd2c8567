"""Draws the figures of the report as SVG and PNG; a strategy has the same colour and marker in all figures."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zero2ir.evaluation.calibration import reliability, risk_coverage
from zero2ir.evaluation.results import LANGUAGE_MODEL, PRETRAINED_WEIGHTS
from zero2ir.report.budget_curves import Curve
from zero2ir.report.efficiency import CostAxis, differing_cost_axes, pareto_front
from zero2ir.report.query_cases import best_system, values_of
from zero2ir.report.tables import (
    NORMAL_QUANTILE,
    UNTRAINED_STRATEGY,
    DistinctSystem,
    Summary,
    System,
    as_words,
    confidence_arrays,
    format_amount,
    format_value,
    gain_of,
    sort_by_expected_gain,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The palette of Okabe and Ito (2008), which is safe for colour-blind readers, without its yellow.
COLOURS = ("#000000", "#0072B2", "#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
_MARKERS = "osD^vPX"
_GROUPS = ("documents alone", f"with {PRETRAINED_WEIGHTS}", f"with {LANGUAGE_MODEL}")
GREY = "#6b6b6b"
_UNIT = {"xlim": (-0.02, 1.02), "ylim": (-0.02, 1.02), "xticks": (0, 0.5, 1), "yticks": (0, 0.5, 1)}
STYLE: Any = {
    "svg.hashsalt": "zero2ir",  # makes the ids in the SVG deterministic
    "text.parse_math": False,  # names may contain a dollar sign
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
}


class RenderedFigure(NamedTuple):
    """A figure on disk with its caption and alternative text."""

    name: str  # name of its files, without suffix
    caption: str
    alt: str


class SeriesStyle(NamedTuple):
    colour: str
    marker: str


def draw_figures(summary: Summary, folder: Path, curves: Sequence[Curve] = ()) -> list[RenderedFigure]:
    """Draws all figures for which there are results, as ``folder``/name.svg and ``folder``/png/name.png.

    The same summary gives the same SVG.
    """
    drawn = [_draw_intervals(summary, summary.measures[:1], "quality", folder)]
    if len(summary.measures) > 1:
        drawn.append(_draw_intervals(summary, summary.measures[1:], "other-measures", folder))
    if best := best_system(summary):
        drawn.append(_draw_differences(summary, best, folder))
    if any(system.calibration for system in summary.systems):
        drawn.append(_draw_reliability(summary, folder))
        drawn.append(_draw_risk_coverage(summary, folder))
    if cost_axes := differing_cost_axes(summary):
        drawn.append(_draw_front(summary, cost_axes, folder))
    if curves:
        drawn.append(_draw_budgets(summary, curves, folder))
    if any(each.system.prompts for each in summary.results):
        drawn.append(_draw_prompts(summary, folder))
    return drawn


@contextmanager
def _canvas(folder: Path, name: str, width: float, height: float) -> Iterator["Figure"]:
    """Yields a figure of this size in inches and saves it; works without pyplot and its global state."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        (folder / "png").mkdir(parents=True, exist_ok=True)  # a folder of its own, so that DVC plots each figure once
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        figure.savefig(folder / "png" / f"{name}.png", dpi=200)


def _looks(summary: Summary) -> dict[str, SeriesStyle]:
    """Returns strategy → style, in the order that strategies state."""
    strategies = sorted({(system.results[0].system.strategy_order, system.strategy) for system in summary.systems})
    return {
        name: SeriesStyle(COLOURS[i % len(COLOURS)], _MARKERS[i % len(_MARKERS)])
        for i, (_, name) in enumerate(strategies)
    }


def _models(summary: Summary) -> list[str]:
    return list(dict.fromkeys(system.model for system in summary.systems))


def _draw_intervals(summary: Summary, measures: Sequence[str], name: str, folder: Path) -> RenderedFigure:
    """Draws means with intervals: one row per distinct system, grouped by what it learned from, one panel per measure.

    A single panel is narrow enough for a phone.
    """
    looks, rows = _looks(summary), _rows(summary)
    height = 0.7 + 0.22 * (rows[-1].y + 1)
    with _canvas(folder, name, 4.8 if len(measures) == 1 else 10, height) as figure:
        panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
        for axes, measure in zip(panels, measures, strict=True):
            for row in rows:
                if row.system:
                    _whisker(axes, row.system.measures[measure], row.y, looks[row.system.strategy])
            baseline = next(system for system in summary.systems if system.name == summary.baseline)
            axes.axvline(baseline.measures[measure].mean, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
            axes.set_xlabel(measure)
            axes.grid(axis="y", visible=False)
            axes.tick_params(axis="y", length=0)
        _label_rows(panels[0], rows)
        if len(measures) == 1:
            right: Any = {"transform": panels[0].get_yaxis_transform(), "va": "center"}
            for row in rows:
                if row.system:
                    panels[0].text(1.02, row.y, format_value(row.system.measures[measures[0]].mean), **right)
    named = ", ".join(measures)
    best = max(summary.systems, key=lambda system: system.measures[measures[0]].mean)
    return RenderedFigure(
        name,
        f"{named} of each system with its {summary.level:.0%} interval; the dashed line is {summary.baseline}. "
        "Strategies that end at the same ranking share a row.",
        f"Dots with intervals, one row for each of {len(summary.distinct)} systems: {named}. Highest {measures[0]}: "
        f"{best.name} with {best.measures[measures[0]].mean:.3f}. The table of systems contains the same figures.",
    )


def _label_rows(axes: "Axes", rows: Sequence["_Row"]) -> None:
    axes.set_yticks([row.y for row in rows], [row.label for row in rows])
    for row, tick in zip(rows, axes.get_yticklabels(), strict=True):
        tick.set_fontweight("normal" if row.system else "bold")
        tick.set_horizontalalignment("left")
    axes.set_ylim(rows[-1].y + 0.7, rows[0].y - 0.7)
    longest = max(len(row.label) for row in rows)
    axes.tick_params(axis="y", pad=5.2 * longest)  # left-aligned labels start this far from the axis, in points


def _draw_differences(summary: Summary, best_system: System, folder: Path) -> RenderedFigure:
    """Draws the best system's difference to the baseline on each query, in descending order."""
    seed, own, other = values_of(summary, best_system)
    differences = np.sort([own[one] - other[one] for one in own.keys() & other.keys()])[::-1]
    with _canvas(folder, "differences", 7.5, 2.6) as figure:
        axes = figure.subplots()
        colours = np.where(differences >= 0, COLOURS[1], COLOURS[3]).tolist()
        axes.bar(np.arange(1, len(differences) + 1), differences, width=1.0, color=colours)
        axes.axhline(0, color=GREY, linewidth=0.9)
        axes.set_xlim(0.5, len(differences) + 0.5)
        axes.set_xlabel("test queries, by descending difference")
        axes.set_ylabel(f"Δ {summary.main_measure}")
        axes.grid(axis="x", visible=False)
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    caption = f"{summary.main_measure} of {best_system.name} minus {summary.baseline} on each test query, seed {seed}."
    return RenderedFigure(
        "differences",
        caption,
        f"Bars in descending order, one for each of {len(differences)} queries. {caption} It is higher on {wins} and "
        f"lower on {losses} queries.",
    )


def _draw_prompts(summary: Summary, folder: Path) -> RenderedFigure:
    """Draws expected gains: one panel per training with prompt search, one row per prompt, the fixed prompt at 0."""
    searched = [each for each in summary.results if each.system.prompts]
    columns = min(3, len(searched))
    lines = math.ceil(len(searched) / columns)
    tall = max(len(each.system.prompts) for each in searched)
    with _canvas(folder, "prompts", max(4.5, 3.2 * columns), lines * (0.9 + 0.2 * tall)) as figure:
        grid = figure.subplots(lines, columns, sharex=True, squeeze=False)
        for axes, each in zip(grid.flat, searched, strict=False):
            prompts = sort_by_expected_gain(each.system.prompts)
            for y, prompt in enumerate(prompts):
                gain, error = gain_of(prompt)
                colour = COLOURS[3] if prompt["chosen"] else COLOURS[0] if prompt["rung"] > 1 else GREY
                axes.plot(
                    [gain - NORMAL_QUANTILE * error, gain + NORMAL_QUANTILE * error],
                    [y, y],
                    color=colour,
                    linewidth=1.6,
                )
                axes.plot(gain, y, "D" if prompt["chosen"] else "o", color=colour, markersize=4.5)
            axes.axvline(0, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
            labels = [f"{one['part']}: {one['origin']}, {one['style']}" for one in prompts]
            axes.set_yticks(range(len(prompts)), labels, fontsize=7)
            axes.set_ylim(len(prompts) - 0.5, -0.5)
            axes.grid(axis="y", visible=False)
            title = f"{as_words(each.system.model)}, {as_words(each.system.strategy)}, seed {each.system.seed}"
            axes.set_title(title, fontsize=8, loc="left")
        for axes in list(grid.flat)[len(searched) :]:
            axes.set_visible(False)
        figure.supxlabel("expected gain over the fixed prompt", fontsize=9)
    return RenderedFigure(
        "prompts",
        "Expected gain of each prompt over the fixed prompt of the same part, with its 95% interval, estimated in "
        "training; prompts dropped after the first rung are grey; a diamond marks the chosen prompt.",
        f"Dots with intervals, one panel for each of {len(searched)} trainings, one row per prompt. The tables of "
        "prompts contain the same figures.",
    )


class _Row(NamedTuple):
    """A line of a figure: a system, or without one the heading of a group; ``y`` counts downwards."""

    y: float
    label: str
    system: System | None


def _rows(summary: Summary) -> list[_Row]:
    """Returns the distinct systems, by what their model types learned from beside documents and judgments."""
    group_of = {model: _group(summary, model) for model in _models(summary)}
    rows: list[_Row] = []
    for group in (*_GROUPS, ""):
        members = [one for one in summary.distinct if group_of[one.system.model] == group]
        if members and group:
            rows.append(_Row(rows[-1].y + 1.4 if rows else 0.0, group, None))
        for one in members:
            rows.append(_Row(rows[-1].y + 1 if rows else 0.0, _label(one, summary), one.system))
    return rows


def _group(summary: Summary, model: str) -> str:
    """Returns the one of ``_GROUPS`` for the sources that all strategies of a model type share; empty if unknown."""
    stated = [system.sources for system in summary.systems if system.model == model]
    known = [one for one in stated if one is not None]
    if len(known) < len(stated):
        return ""
    alone, weights, language_model = _GROUPS
    shared = frozenset.intersection(*known)
    return language_model if LANGUAGE_MODEL in shared else weights if PRETRAINED_WEIGHTS in shared else alone


def _label(one: DistinctSystem, summary: Summary) -> str:
    """Returns the model type for an untrained system, and the strategies for others, which stand below it."""
    if UNTRAINED_STRATEGY in one.strategies:
        return one.system.model
    below = any(other.name == f"{one.system.model}/{UNTRAINED_STRATEGY}" for other in summary.systems)
    return f"   {one.strategy}" if below else f"{one.system.model}, {one.strategy}"


def _whisker(axes: "Axes", interval: Any, y: float, look: SeriesStyle) -> None:
    axes.plot([interval.ci_low, interval.ci_high], [y, y], color=look.colour, linewidth=1.6, solid_capstyle="butt")
    axes.plot(interval.mean, y, look.marker, color=look.colour, markersize=5.5)


def _small_multiples(
    summary: Summary, folder: Path, name: str, draw: Callable[["Axes", str], None], x: str, y: str, **shape: Any
) -> None:
    """Draws one panel per model with shared axes, and one legend of strategies above."""
    models = _models(summary)
    rows = math.ceil(len(models) / 4)
    columns = math.ceil(len(models) / rows)
    with _canvas(folder, name, max(4.5, 2.5 * columns), 1.0 + 2.3 * rows) as figure:
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        panels = list(grid.flat)
        for axes, model in zip(panels, models, strict=False):
            axes.set_title(as_words(model), fontsize=9, weight="bold", loc="left")
            axes.set(**shape)
            draw(axes, model)
        for axes in panels[len(models) :]:
            axes.set_visible(False)
        for column in range(columns):  # labels on the lowest visible panel of each column
            grid[(len(models) - 1 - column) // columns, column].tick_params(labelbottom=True)
        figure.supxlabel(x, fontsize=9)
        figure.supylabel(y, fontsize=9)
        _legend(figure, _looks(summary), max(3, 2 * columns))


def _legend(figure: "Figure", looks: dict[str, SeriesStyle], columns: int) -> None:
    """Draws one legend of strategies above all panels."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=look.colour, marker=look.marker, markersize=5, label=as_words(strategy))
        for strategy, look in looks.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), columns))


def _with_confidence(summary: Summary, model: str) -> list[System]:
    return [system for system in summary.systems if system.model == model and system.calibration]


def _draw_reliability(summary: Summary, folder: Path) -> RenderedFigure:
    looks = _looks(summary)

    def draw(axes: "Axes", model: str) -> None:
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, linestyle=(0, (4, 3)))
        for system in _with_confidence(summary, model):
            points = reliability(*confidence_arrays(system.results))
            look = looks[system.strategy]
            axes.plot(points.confidence, points.accuracy, look.marker + "-", color=look.colour, markersize=4, lw=1.2)

    _small_multiples(summary, folder, "reliability", draw, "stated confidence", "first document relevant", **_UNIT)
    return RenderedFigure(
        "reliability",
        "Reliability: the share of queries with a relevant first document, by stated confidence. On the dashed line, "
        "confidence equals accuracy; below it, the system is overconfident.",
        "Reliability diagrams, one panel per model type. The calibration table contains the figures.",
    )


def _draw_risk_coverage(summary: Summary, folder: Path) -> RenderedFigure:
    looks = _looks(summary)

    def draw(axes: "Axes", model: str) -> None:
        for system in _with_confidence(summary, model):
            coverage, risk = risk_coverage(*confidence_arrays(system.results))
            look = looks[system.strategy]
            every = (0.0, 0.25)
            axes.plot(coverage, risk, color=look.colour, lw=1.2, marker=look.marker, markevery=every, markersize=4)

    _small_multiples(
        summary,
        folder,
        "risk-coverage",
        draw,
        "coverage: share of queries answered, most confident first",
        "risk: error rate at rank 1",
        **_UNIT,
    )
    return RenderedFigure(
        "risk-coverage",
        "Risk and coverage: the share of first documents that are not relevant, if a system answers only the queries "
        "of which it is most confident. With a useful confidence, the curve rises from left to right.",
        "Risk–coverage curves, one panel per model type. The calibration table contains the areas below them.",
    )


def _draw_front(summary: Summary, cost_axes: Sequence[CostAxis], folder: Path) -> RenderedFigure:
    """Draws one panel per kind of cost: all systems and the Pareto front."""
    looks, measure = _looks(summary), summary.main_measure
    columns = min(3, len(cost_axes))
    rows = math.ceil(len(cost_axes) / columns)
    with _canvas(folder, "front", max(4.5, 3.3 * columns), 0.9 + 2.6 * rows) as figure:
        panels = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
        for axes, cost_axis in zip(panels, cost_axes, strict=False):
            _front_panel(axes, summary, cost_axis, looks)
        for axes in panels[len(cost_axes) :]:
            axes.set_visible(False)
        figure.supylabel(measure, fontsize=9)
        _legend(figure, looks, 2 * columns)
    return RenderedFigure(
        "front",
        f"{measure} against cost. The line connects the systems with the highest mean at the same or a lower cost; "
        "they are labelled. Intervals are in the table of systems.",
        f"Scatter plots of {measure} against {len(cost_axes)} kinds of cost. The table of costs has the same figures.",
    )


def _front_panel(axes: "Axes", summary: Summary, cost_axis: CostAxis, looks: dict[str, SeriesStyle]) -> None:
    measure, best = summary.main_measure, pareto_front(summary, cost_axis)
    costs = {system.name: cost_axis.total(system) or 0.0 for system in summary.systems}
    for system in summary.systems:
        look = looks[system.strategy]
        axes.plot(costs[system.name], system.measures[measure].mean, look.marker, color=look.colour, markersize=5.5)
    steps = [(costs[system.name], system.measures[measure].mean) for system in best]
    axes.step(*zip(*steps, strict=True), where="post", color=GREY, linewidth=1.0, zorder=1)
    for (system, (x, y)), after in zip(zip(best, steps, strict=True), [*best[1:], None], strict=True):
        if after is None or after.model != system.model:  # of neighbours with the same model, label the best
            side, shift = ("right", -5) if x > max(costs.values()) / 2 else ("left", 5)
            place: Any = {"xytext": (shift, 6), "textcoords": "offset points", "ha": side, "fontsize": 7.5}
            axes.annotate(as_words(system.model), (x, y), **place)
    axes.set_title(cost_axis.label, fontsize=9, loc="left")
    axes.margins(x=0.1, y=0.18)
    axes.locator_params(axis="x", nbins=4)
    axes.xaxis.set_major_formatter(lambda cost, _: format_amount(cost))
    axes.tick_params(labelleft=True)


def _draw_budgets(summary: Summary, curves: Sequence[Curve], folder: Path) -> RenderedFigure:
    """Draws one panel per model type and one line per strategy over the number of judged queries."""
    from matplotlib.ticker import MaxNLocator

    looks, measure = _looks(summary), summary.main_measure

    def draw(axes: "Axes", model: str) -> None:
        own = [curve for curve in curves if curve.model == model and curve.strategy in looks]
        for place, curve in enumerate(own):
            look = looks[curve.strategy]
            x = np.array(list(curve.points)) + 0.15 * (place - (len(own) - 1) / 2)  # keeps intervals from overlapping
            means = [interval.mean for interval in curve.points.values()]
            axes.plot(x, means, look.marker + "-", color=look.colour, markersize=4.5, lw=1.2)
            lows, highs = ([one[bound] for one in curve.points.values()] for bound in (1, 2))
            axes.vlines(x, lows, highs, color=look.colour, lw=0.9)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))

    _small_multiples(summary, folder, "budgets", draw, "judged queries in training", measure)
    return RenderedFigure(
        "budgets",
        f"{measure} by the number of judged queries in training, with {summary.level:.0%} intervals, on the test "
        "queries that all budgets of a system share.",
        f"Curves of {measure} over {len({one for curve in curves for one in curve.points})} budgets, one panel per "
        "model type. The table of budgets contains the same figures.",
    )
