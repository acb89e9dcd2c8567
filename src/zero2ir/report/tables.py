"""The numbers of the report, and their tables in LaTeX and CSV."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from zero2ir.errors import InputError
from zero2ir.evaluation.calibration import Calibration, calibration, selective_means
from zero2ir.evaluation.intervals import Floats, Interval, bootstrap_interval
from zero2ir.evaluation.results import Results
from zero2ir.evaluation.significance import (
    Comparison,
    Scores,
    compare,
    detectable_difference,
    holm,
    score_table,
)
from zero2ir.markdown import Table, heading
from zero2ir.progress import progress

UNTRAINED = "zero_shot"
MODELS = ("sparse", "untranslated", "learned_sparse", "dense", "late_interaction", "hybrid", "reranker", "llm_reranker")
STRATEGIES = (
    UNTRAINED,
    "fine_tune",
    "fixed_prompt",
    "prompt",
    "meta",
    "hybrid",
)  # both in the order of reading
LEVEL = 0.05  # of the tests, after Holm's correction
COVERAGES = (1.0, 0.9, 0.75, 0.5)  # shares of the queries, the surest ones
WIDE = 1.96  # standard errors to either side of a normal mean: a 95 % interval


@dataclass(frozen=True)
class System:
    """One model type trained by one strategy, over all its seeds; ``cost`` is the mean over the seeds."""

    model: str
    strategy: str
    results: Sequence[Results]
    measures: dict[str, Interval]
    cost: dict[str, float]
    calibration: Calibration | None  # None where the system states no confidence
    selective: list[Interval]  # the main measure by ``COVERAGES``; empty where the system states no confidence
    of_ceiling: dict[str, Interval]  # shares of what is found with translated queries; empty where no task asks

    @property
    def name(self) -> str:
        return f"{self.model}/{self.strategy}"

    def scores(self, measure: str) -> Scores:
        return {each.system.seed: each.per_query[measure] for each in self.results}


class Compared(NamedTuple):
    """A comparison within its family: all comparisons of one kind on one measure, corrected together."""

    family: str
    measure: str
    system: str
    other: str
    comparison: Comparison
    p_holm: float

    @property
    def verdict(self) -> str:
        """ "better" or "worse" where the corrected test and the interval both say so, else "undecided".

        The test alone would not do: it takes the draws of the judgments as given, which the interval does not.
        """
        if self.p_holm < LEVEL and self.comparison.difference.ci_low > 0:
            return "better"
        if self.p_holm < LEVEL and self.comparison.difference.ci_high < 0:
            return "worse"
        return "undecided"


@dataclass(frozen=True)
class Summary:
    """Everything that the report says in numbers."""

    dataset: str
    measures: Sequence[str]  # the first is the main one
    level: float  # of the intervals
    baseline: str
    notes: Sequence[str]  # what a reader has to know before reading the tables
    systems: Sequence[System]
    against_baseline: Sequence[Compared]
    against_untrained: Sequence[Compared]

    @property
    def main_measure(self) -> str:
        return self.measures[0]

    @property
    def results(self) -> list[Results]:
        return [each for system in self.systems for each in system.results]

    @property
    def seeds(self) -> list[int]:
        return sorted({each.system.seed for each in self.results})

    @property
    def comparisons(self) -> list[Compared]:
        return [*self.against_baseline, *self.against_untrained]

    def versus_baseline(self, system: str, measure: str) -> Compared | None:
        """The system's comparison with the baseline; None for the baseline itself."""
        found = (row for row in self.against_baseline if (row.system, row.measure) == (system, measure))
        return next(found, None)


def summarise(results: Sequence[Results], *, baseline: str, resamples: int, level: float, seed: int) -> Summary:
    """Puts the seeds of each system together and compares the systems.

    Two families are declared, each on each measure: every system against the baseline, and every trained system
    against the same model type untrained.

    Args:
        results: of one dataset.
        baseline: "model/strategy"; where it was not evaluated, the first system takes its place and a note says so.
        resamples: of each bootstrap and randomisation test.
        level: coverage of the intervals.
        seed: of the resampling.

    Raises:
        InputError: there are no results, or they were not measured alike.
    """
    measures = _shared_measures(results)
    options: dict[str, Any] = {"resamples": resamples, "level": level, "seed": seed}
    grouped: dict[tuple[str, str], list[Results]] = {}
    for each in sorted(results, key=_reading_order):
        grouped.setdefault((each.system.model, each.system.strategy), []).append(each)
    systems = {
        f"{key[0]}/{key[1]}": _system(*key, found, measures, options)
        for key, found in progress(grouped.items(), "intervals", total=len(grouped))
    }
    notes = []
    if baseline not in systems:
        first = next(iter(systems))
        notes.append(f"The declared baseline {baseline} was not evaluated; {first} stands in for it.")
        baseline = first
    if ceilings := [each.metrics["ceiling"][measures[0]]["mean"] for each in results if "ceiling" in each.metrics]:
        notes.append(
            f"The ceiling is BM25 with the queries' human translations, as if they had been asked in the documents' "
            f"language: {measures[0]} {np.mean(ceilings):.3f}."
        )
    seeds = {name: [each.system.seed for each in system.results] for name, system in systems.items()}
    if len({tuple(each) for each in seeds.values()}) > 1:
        notes.append("The systems have different seeds; each comparison uses the seeds that both systems have.")
    with_baseline = [(name, baseline) for name in systems if name != baseline]
    untrained = [(name, f"{system.model}/{UNTRAINED}") for name, system in systems.items()]
    with_untrained = [(name, other) for name, other in untrained if name != other and other in systems]
    for name, other in sorted({*with_baseline, *with_untrained}):
        if not set(seeds[name]) & set(seeds[other]):
            raise InputError(f"report: {name} and {other} have no seed in common; evaluate both with the same seeds")
    return Summary(
        dataset=results[0].system.dataset,
        measures=measures,
        level=level,
        baseline=baseline,
        notes=notes,
        systems=list(systems.values()),
        against_baseline=_family(f"against {baseline}", with_baseline, systems, measures, options),
        against_untrained=_family(f"against {UNTRAINED}", with_untrained, systems, measures, options),
    )


def _reading_order(results: Results) -> tuple[int, str, int, str, int]:
    """Simple to elaborate; names from elsewhere come last, by the alphabet."""
    model, strategy = results.system.model, results.system.strategy
    return (*_place(model, MODELS), *_place(strategy, STRATEGIES), results.system.seed)


def _place(name: str, order: Sequence[str]) -> tuple[int, str]:
    return order.index(name) if name in order else len(order), name


def _shared_measures(results: Sequence[Results]) -> list[str]:
    if not results:
        raise InputError("report: no results; run evaluate first")
    measures = list(results[0].per_query)
    for each in results:
        if list(each.per_query) != measures:
            differing = f"{each.system.name} has {list(each.per_query)}, {results[0].system.name} has {measures}"
            raise InputError(f"report: systems were not measured alike ({differing}); run evaluate again for all")
    return measures


def _system(
    model: str, strategy: str, results: Sequence[Results], measures: Sequence[str], options: dict[str, Any]
) -> System:
    scores = {measure: {each.system.seed: each.per_query[measure] for each in results} for measure in measures}
    intervals = {measure: bootstrap_interval(score_table(scores[measure]), **options) for measure in measures}
    costs: dict[str, list[float]] = {}
    for each in results:
        for name, value in each.metrics["cost"].items():
            costs.setdefault(name, []).append(value)
    mean_cost = {name: sum(values) / len(values) for name, values in costs.items()}
    stating = any(each.confidence for each in results)
    trust = calibration(*stated(results), **options) if stating else None
    selective = _selective(results, measures[0], options) if stating else []
    return System(model, strategy, results, intervals, mean_cost, trust, selective, _shares(results))


def _selective(results: Sequence[Results], measure: str, options: dict[str, Any]) -> list[Interval]:
    confidence = {each.system.seed: {row.query_id: row.confidence for row in each.confidence} for each in results}
    values = {
        each.system.seed: {row.query_id: each.per_query[measure][row.query_id] for row in each.confidence}
        for each in results
    }
    return selective_means(score_table(confidence), score_table(values), COVERAGES, **options)


def _shares(results: Sequence[Results]) -> dict[str, Interval]:
    """The shares of the ceiling: the mean over the seeds, and the widest of their intervals."""
    found = [each.metrics.get("of_ceiling", {}) for each in results]
    return {
        measure: Interval(
            float(np.mean([each[measure]["mean"] for each in found])),
            min(each[measure]["ci_low"] for each in found),
            max(each[measure]["ci_high"] for each in found),
            found[0][measure]["n"],
        )
        for measure in found[0]
        if all(measure in each for each in found)
    }


def stated(results: Sequence[Results]) -> tuple[Floats, Floats]:
    """Confidence and correctness, each [seeds, queries]; NaN where a seed did not test a query."""
    confidence = {each.system.seed: {row.query_id: row.confidence for row in each.confidence} for each in results}
    correct = {each.system.seed: {row.query_id: float(row.correct) for row in each.confidence} for each in results}
    return score_table(confidence), score_table(correct)


def _family(
    family: str,
    pairs: Sequence[tuple[str, str]],
    systems: dict[str, System],
    measures: Sequence[str],
    options: dict[str, Any],
) -> list[Compared]:
    rows = []
    for measure in measures:
        compared = [
            compare(systems[a].scores(measure), systems[b].scores(measure), **options)
            for a, b in progress(pairs, f"{family}: {measure}")
        ]
        adjusted = holm([each.p_value for each in compared])
        rows += [
            Compared(family, measure, *pair, comparison, p)
            for pair, comparison, p in zip(pairs, compared, adjusted, strict=True)
        ]
    return rows


class Power(NamedTuple):
    """What the test queries can show, on the main measure against the baseline."""

    queries: int
    single: float  # smallest difference that one planned comparison finds with 80 % power
    family: float  # the same at the strictest level that Holm's correction applies
    comparisons: int
    ten: float  # what ten queries with the same spread would find, one comparison


def power(summary: Summary) -> Power | None:
    """Computed from the median spread of the observed differences; None where there is nothing to compare."""
    rows = [row.comparison for row in summary.against_baseline if row.measure == summary.main_measure]
    spreads = sorted(row.sd for row in rows if not math.isnan(row.sd))
    if not spreads:
        return None
    sd, queries = spreads[len(spreads) // 2], min(row.difference.n for row in rows)
    return Power(
        queries=queries,
        single=detectable_difference(sd, queries, level=LEVEL),
        family=detectable_difference(sd, queries, level=LEVEL / len(rows)),
        comparisons=len(rows),
        ten=detectable_difference(sd, 10, level=LEVEL),
    )


def figure(value: float) -> str:
    """Three decimals, as retrieval measures are reported; an en dash where there is no value."""
    return "–" if math.isnan(value) else f"{value:.3f}"


def signed(value: float) -> str:
    """Three decimals with a sign; a true minus."""
    return "–" if math.isnan(value) else f"{value:+.3f}".replace("-", "−")


def probability(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def amount(value: float) -> str:
    """Up to three significant digits, thousands apart, no needless decimals."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def words(key: str) -> str:
    """A name without underscores: ``late_interaction`` → "late interaction"."""
    return key.replace("_", " ")


def interval_text(interval: Interval) -> str:
    return f"{figure(interval.mean)} [{figure(interval.ci_low)}, {figure(interval.ci_high)}]"


def difference_text(interval: Interval) -> str:
    return f"{signed(interval.mean)} [{signed(interval.ci_low)}, {signed(interval.ci_high)}]"


def cost_names(summary: Summary) -> list[str]:
    """Every cost that any system states, in the order met."""
    return list(dict.fromkeys(name for system in summary.systems for name in system.cost))


def systems_table(summary: Summary, *, cost: bool = True) -> Table:
    """One row for each model type and strategy: measures, difference to the baseline, and cost where wanted."""
    main, costs = summary.main_measure, cost_names(summary) if cost else []
    ceiling = any(main in system.of_ceiling for system in summary.systems)
    headers = ["Model", "Strategy", "Seeds", *summary.measures, *([f"{main} of ceiling"] if ceiling else [])]
    headers += [f"Δ {main}", "p (Holm)", "Effect size"]
    headers += ["Wins / ties / losses", *map(heading, costs)]
    rows = []
    for system in summary.systems:
        row = [system.model, system.strategy, str(len(system.results))]
        row += [interval_text(system.measures[measure]) for measure in summary.measures]
        if ceiling:
            row.append(interval_text(system.of_ceiling[main]) if main in system.of_ceiling else "–")
        row += _difference_cells(summary, system)
        row += [amount(system.cost[name]) if name in system.cost else "–" for name in costs]
        rows.append(row)
    return Table(headers, rows, labels=2)


def _difference_cells(summary: Summary, system: System) -> list[str]:
    found = summary.versus_baseline(system.name, summary.main_measure)
    if found is None:
        return ["baseline", "–", "–", "–"]
    each = found.comparison
    record = f"{each.wins}/{each.ties}/{each.losses}"
    return [difference_text(each.difference), probability(found.p_holm), signed(each.effect_size), record]


def cost_table(summary: Summary) -> Table:
    """What each system took, the mean over its seeds."""
    costs = cost_names(summary)
    rows = [
        [system.model, system.strategy, *(amount(system.cost[name]) if name in system.cost else "–" for name in costs)]
        for system in summary.systems
    ]
    return Table(["Model", "Strategy", *map(heading, costs)], rows, labels=2)


def calibration_table(summary: Summary) -> Table:
    """How far each system's confidence can be trusted; systems that state none are left out."""
    headers = ["Model", "Strategy", "First document relevant", "Brier score", "Calibration error", "If calibrated"]
    rows = []
    for system in summary.systems:
        if system.calibration is not None:
            accuracy, brier, ece, floor, area = system.calibration
            figures = [*map(interval_text, (accuracy, brier, ece)), figure(floor), figure(area)]
            rows.append([system.model, system.strategy, *figures])
    return Table([*headers, "Risk–coverage area"], rows, labels=2)


def selective_table(summary: Summary) -> Table:
    """The main measure where only the surest queries are answered; systems that state no confidence are left out."""
    main = summary.main_measure
    headers = ["Model", "Strategy", *(f"{main} of {share:.0%}" for share in COVERAGES)]
    rows = [
        [system.model, system.strategy, *map(interval_text, system.selective)]
        for system in summary.systems
        if system.selective
    ]
    return Table(headers, rows, labels=2)


def prompts_table(prompts: Sequence[Mapping[str, Any]]) -> Table:
    """One row for each prompt that a training tried, those of one part together, the most promising first."""
    named = [
        "Part",
        "Prompt",
        "Chosen",
        "Proposed by",
        "Style",
        "Instruction",
        "Demonstrated queries",
        "Words",
        "Temperature",
    ]
    figures = [
        "Accepted",
        "Judged queries",
        "Synthetic queries",
        "Expected gain",
        "Reached rung",
        "LM calls",
        "Seconds",
    ]
    rows = [
        [
            one["part"],
            one["digest"],
            "chosen" if one["chosen"] else "–",
            one["origin"],
            one["style"],
            one["instruction"],
            " · ".join(pair["query"] for pair in one["demonstrations"]) or "–",
            str(one.get("document_words", "–")),
            "the LM's own" if one.get("temperature") is None else f"{one['temperature']:g}",
            f"{one['accepted']} of {one['written']}" if "written" in one else "–",
            interval_text(Interval(**one["judged"])) if one["judged"] else "–",
            "–" if one["synthetic"] is None else figure(one["synthetic"]),
            _gain_text(one),
            str(one["rung"]),
            str(one["lm_calls"]),
            amount(one["seconds"]),
        ]
        for one in by_promise(prompts)
    ]
    return Table([*named, *figures], rows, labels=len(named))


def by_promise(prompts: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """By their parts; those that were measured further first, and among them those with the higher expected gain."""
    parts = list(dict.fromkeys(one["part"] for one in prompts))
    return sorted(prompts, key=lambda one: (parts.index(one["part"]), -one["rung"], -gain_of(one)[0]))


def gain_of(prompt: Mapping[str, Any]) -> tuple[float, float]:
    """A prompt's expected gain over the fixed one, and its standard error; 0 where nothing is known."""
    return prompt["expected_gain"] or 0.0, prompt["standard_error"] or 0.0


def _gain_text(prompt: Mapping[str, Any]) -> str:
    if prompt["origin"] == "fixed" or prompt["expected_gain"] is None:
        return "–"
    gain, error = gain_of(prompt)
    return f"{signed(gain)} [{signed(gain - WIDE * error)}, {signed(gain + WIDE * error)}]"


def comparisons_table(rows: Sequence[Compared], *, family: bool = True) -> Table:
    """One row for each comparison; ``family`` says whether to name measure and family, by which they are corrected."""
    headers = ["System", "Against", "Verdict", "Queries", "Difference", "p", "p (Holm)", "Effect size"]
    headers += ["Wins / ties / losses"]
    cells = [
        [
            row.system,
            row.other,
            row.verdict,
            str(row.comparison.difference.n),
            difference_text(row.comparison.difference),
            probability(row.comparison.p_value),
            probability(row.p_holm),
            signed(row.comparison.effect_size),
            f"{row.comparison.wins}/{row.comparison.ties}/{row.comparison.losses}",
        ]
        for row in rows
    ]
    if family:
        named = [[row.family, row.measure, *cell] for row, cell in zip(rows, cells, strict=True)]
        return Table(["Family", "Measure", *headers], named, labels=5)
    return Table(headers, cells, labels=3)


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "Δ": r"$\Delta$",
    "−": r"$-$",
    "–": "--",
    **{special: "\\" + special for special in "&%$#_{}"},
}


def latex(table: Table, caption: str) -> str:
    r"""A booktabs table; the document needs ``\usepackage{booktabs,graphicx}``."""
    columns = "l" * table.labels + "r" * (len(table.headers) - table.labels)
    lines = [" & ".join(map(_latex_cell, row)) + r" \\" for row in [table.headers, *table.rows]]
    head = [r"\begin{table}", r"\centering", rf"\caption{{{_latex_cell(caption)}}}"]
    head += [r"\resizebox{\linewidth}{!}{%", rf"\begin{{tabular}}{{{columns}}}", r"\toprule", lines[0], r"\midrule"]
    return "\n".join([*head, *lines[1:], r"\bottomrule", r"\end{tabular}}", r"\end{table}", ""])


def _latex_cell(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


def systems_csv(summary: Summary) -> str:
    """The systems as plain numbers, for plots."""
    costs, main = cost_names(summary), summary.main_measure
    headers = ["system", "model", "strategy", "seeds"]
    headers += [f"{measure}{part}" for measure in summary.measures for part in ("", "_low", "_high")]
    headers += ["difference", "difference_low", "difference_high", "p", "p_holm", "effect_size", "wins", "ties"]
    headers += ["losses", *costs]
    rows = []
    for system in summary.systems:
        found = summary.versus_baseline(system.name, main)
        rows.append(
            [system.name, system.model, system.strategy, len(system.results)]
            + [value for measure in summary.measures for value in system.measures[measure][:3]]
            + (_plain(found) if found else [""] * 9)
            + [system.cost.get(name, "") for name in costs]
        )
    return _csv(headers, rows)


def comparisons_csv(rows: Sequence[Compared]) -> str:
    """The comparisons as plain numbers."""
    headers = ["family", "measure", "system", "against", "queries", "difference", "difference_low"]
    headers += ["difference_high", "p", "p_holm", "effect_size", "wins", "ties", "losses", "verdict"]
    return _csv(headers, [[*row[:4], row.comparison.difference.n, *_plain(row), row.verdict] for row in rows])


def _plain(row: Compared) -> list[Any]:
    each = row.comparison
    return [*each.difference[:3], each.p_value, row.p_holm, each.effect_size, each.wins, each.ties, each.losses]


def _csv(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(headers)
    for row in rows:
        writer.writerow([_csv_cell(cell) for cell in row])
    return text.getvalue()


def _csv_cell(cell: Any) -> Any:
    if isinstance(cell, float):
        return "" if math.isnan(cell) else f"{cell:.6g}"
    return cell
