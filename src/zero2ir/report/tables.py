"""Computes the figures of the report and their tables."""

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from zero2ir.errors import InputError
from zero2ir.evaluation.calibration import Calibration, calibration, selective_means, weighted_mean
from zero2ir.evaluation.intervals import FloatArray, Interval
from zero2ir.evaluation.results import LANGUAGE_MODEL, PRETRAINED_WEIGHTS, Results, all_topics, graded_measures
from zero2ir.evaluation.significance import (
    SIGNIFICANCE_LEVEL,
    Comparison,
    ScoresBySeed,
    compare_scores,
    detectable_difference,
    holm,
    mean_interval,
    score_table,
    table_topics,
)
from zero2ir.io.markdown import Table, heading
from zero2ir.io.terminal import printable, progress

UNTRAINED_STRATEGY = "zero_shot"
BETTER, WORSE = "▲", "▼"  # than the baseline, by the corrected test and the interval
COVERAGES = (1.0, 0.9, 0.75, 0.5)  # shares of the queries with the highest confidence
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
NORMAL_QUANTILE = 1.96  # half-width of a 95 % interval, in standard errors


@dataclass(frozen=True)
class System:
    """A model type trained by a strategy, with all seeds; ``cost`` is the mean over the seeds."""

    model: str
    strategy: str
    results: Sequence[Results]
    measures: dict[str, Interval]
    cost: dict[str, float]
    calibration: Calibration | None  # None if the system states no confidence
    selective: list[Interval]  # the main measure at ``COVERAGES``; empty if the system states no confidence
    weighted: Interval | None  # the main measure weighted by confidence; None if the system states no confidence
    condensed: dict[str, Interval]  # measures of the rankings without unjudged documents
    ceiling_share: dict[str, Interval]  # share of the result with translated queries; empty for tasks without them

    @property
    def name(self) -> str:
        return f"{self.model}/{self.strategy}"

    @property
    def sources(self) -> frozenset[str] | None:
        """What it learned from beside documents and judgments, under any seed; None if unknown."""
        stated = [each.system.sources for each in self.results]
        return None if None in stated else frozenset(source for one in stated for source in one or ())

    def scores(self, measure: str) -> ScoresBySeed:
        return {each.system.seed: each.per_query[measure] for each in self.results}

    def condensed_scores(self, measure: str) -> ScoresBySeed:
        return {each.system.seed: each.condensed[measure] for each in self.results}


class DistinctSystem(NamedTuple):
    """A system, and all strategies whose training ended at it."""

    system: System  # by the first of them
    strategies: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.system.model}/{self.strategy}"

    @property
    def strategy(self) -> str:
        return ", ".join(self.strategies)

    @property
    def names(self) -> list[str]:
        """The names of the merged systems."""
        return [f"{self.system.model}/{strategy}" for strategy in self.strategies]


def same_ranking(one: System, other: System) -> bool:
    """Whether two systems agree on every query, seed and measure, as after a fallback to another strategy."""
    return all(
        {each.system.seed: getattr(each, kind) for each in one.results}
        == {each.system.seed: getattr(each, kind) for each in other.results}
        for kind in ("per_query", "condensed")
    )


def same_confidence(one: System, other: System) -> bool:
    """Whether two systems also state the same confidence."""
    stated = ({each.system.seed: each.confidence for each in system.results} for system in (one, other))
    return same_ranking(one, other) and next(stated) == next(stated)


def distinct(systems: Sequence[System], alike: Callable[[System, System], bool] = same_ranking) -> list[DistinctSystem]:
    """Merges the systems of a model type that are ``alike``; the order is that of the first ones."""
    found: list[DistinctSystem] = []
    for system in systems:
        known = (n for n, one in enumerate(found) if one.system.model == system.model and alike(one.system, system))
        if (place := next(known, None)) is None:
            found.append(DistinctSystem(system, (system.strategy,)))
        else:
            found[place] = found[place]._replace(strategies=(*found[place].strategies, system.strategy))
    return found


class CorrectedComparison(NamedTuple):
    """A comparison corrected within its family: all comparisons of one kind on one measure."""

    family: str
    measure: str
    system: str
    other: str
    comparison: Comparison
    p_holm: float
    t_p_holm: float  # of the t-test, for information; does not affect the verdict
    detectable: float  # smallest true difference detected with 80 % power at Holm's strictest level

    @property
    def verdict(self) -> str:
        """ "better" or "worse" if both the corrected test and the interval show it, else "undecided".

        The test alone is not enough, because it is conditional on the draws of the judgments; the interval is not.
        """
        if self.p_holm < SIGNIFICANCE_LEVEL and self.comparison.difference.ci_low > 0:
            return "better"
        if self.p_holm < SIGNIFICANCE_LEVEL and self.comparison.difference.ci_high < 0:
            return "worse"
        return "undecided"

    @property
    def is_equal(self) -> bool:
        """Whether the systems have the same value on every query."""
        return self.comparison.wins == self.comparison.losses == 0

    @property
    def mark(self) -> str:
        return {"better": BETTER, "worse": WORSE}.get(self.verdict, "")

    @property
    def verdict_text(self) -> str:
        """The verdict; if undecided, with the detectable difference, unless no query differs."""
        if self.is_equal:
            return "equal on all queries"
        if self.verdict != "undecided" or math.isnan(self.detectable):
            return self.verdict
        return f"undecided; detectable from {format_value(self.detectable)}"


@dataclass(frozen=True)
class Summary:
    """All figures of the report."""

    dataset: str
    measures: Sequence[str]  # the first is the main one
    level: float  # of the intervals
    baseline: str
    notes: Sequence[str]  # remarks shown above the tables
    systems: Sequence[System]
    against_baseline: Sequence[CorrectedComparison]
    against_untrained: Sequence[CorrectedComparison]
    against_condensed: Sequence[CorrectedComparison]  # the baseline, on the main measure without unjudged documents
    with_weights: Sequence[CorrectedComparison] = ()  # untrained systems with pretrained weights against those without
    with_lm: Sequence[CorrectedComparison] = ()  # strategies with a language model against those without
    best_models: Sequence[CorrectedComparison] = ()  # the two model types with the highest means, chosen after the fact

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
    def comparisons(self) -> list[CorrectedComparison]:
        """All but that of the best model types, which were chosen by their results."""
        families = (self.against_baseline, self.against_untrained, self.against_condensed, self.with_weights)
        return [row for family in (*families, self.with_lm) for row in family]

    @cached_property
    def distinct(self) -> list[DistinctSystem]:
        """The systems with those merged that rank alike; a baseline stands for those that rank as it does."""
        baseline = next((system for system in self.systems if system.name == self.baseline), None)
        merged = distinct(self.systems)
        return [one._replace(system=baseline) if baseline and self.baseline in one.names else one for one in merged]

    def distinct_rows(self, rows: Sequence[CorrectedComparison]) -> list[CorrectedComparison]:
        """Returns the comparisons of distinct systems, each once, with the names of all strategies of the former."""
        one_of = {name: one for one in self.distinct for name in one.names}
        kept: dict[tuple[str, ...], CorrectedComparison] = {}
        for row in rows:
            system, other = one_of[row.system], one_of[row.other]
            if system is not other:
                named = row._replace(system=system.name, other=other.system.name)
                kept.setdefault((row.family, row.measure, named.system, named.other), named)
        return list(kept.values())

    def versus_baseline(self, system: str, measure: str) -> CorrectedComparison | None:
        """Returns the system's comparison with the baseline; None for the baseline itself."""
        rows = (row for row in self.against_baseline if (row.system, row.measure) == (system, measure))
        return next(rows, None)


def summarise(results: Sequence[Results], *, baseline: str, resamples: int, level: float, seed: int) -> Summary:
    """Groups results by system and compares the systems.

    There are two families of comparisons for each measure: all systems with the baseline, and all trained systems with
    the same model type untrained. Four families are of the main measure only: all systems with the baseline on rankings
    without unjudged documents; untrained systems with pretrained weights with those without; systems that learned from
    a language model with the same model type without; and the two model types with the highest means.

    If the ``baseline`` "model/strategy" was not evaluated, the first system replaces it and a note says so.

    Raises:
        InputError: there are no results, or they have different measures or no common seeds.
    """
    measures = _shared_measures(results)
    topics = all_topics(results)
    options: dict[str, Any] = {"resamples": resamples, "level": level, "seed": seed, "topics": topics}
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
        notes.append(f"The configured baseline {baseline} was not evaluated; {first} replaces it.")
        baseline = first
    if ceilings := [each.metrics["ceiling"][measures[0]]["mean"] for each in results if "ceiling" in each.metrics]:
        notes.append(
            f"The ceiling is BM25 with the queries' human translations into the documents' language: "
            f"{measures[0]} {np.mean(ceilings):.3f}."
        )
    if topics:
        notes.append(
            f"The {len(topics)} test queries have {len({*topics.values()})} topics. Queries of one topic are not "
            "independent: intervals and tests resample whole topics."
        )
    seeds = {name: [each.system.seed for each in system.results] for name, system in systems.items()}
    if len({tuple(each) for each in seeds.values()}) > 1:
        notes.append("The systems have different seeds; each comparison uses the seeds that both systems have.")
    with_baseline = [(name, baseline) for name in systems if name != baseline]
    untrained = [(name, f"{system.model}/{UNTRAINED_STRATEGY}") for name, system in systems.items()]
    with_untrained = [(name, other) for name, other in untrained if name != other and other in systems]
    for name, other in sorted({*with_baseline, *with_untrained}):
        if not set(seeds[name]) & set(seeds[other]):
            raise InputError(f"report: {name} and {other} have no seed in common; evaluate both with the same seeds")
    graded = measures[:1] if all(measures[0] in each.condensed for each in results) else []
    plain, condensed = (
        {name: {measure: scores(system, measure) for measure in measures} for name, system in systems.items()}
        for scores, measures in ((System.scores, measures), (System.condensed_scores, graded))
    )
    alike = {name: one.system.name for one in distinct([*systems.values()]) for name in one.names}
    further = {
        kind: [pair for pair in kind(systems.values(), measures[0]) if set(seeds[pair[0]]) & set(seeds[pair[1]])]
        for kind in (_with_weights, _with_lm, _best_models)
    }
    return Summary(
        dataset=results[0].system.dataset,
        measures=measures,
        level=level,
        baseline=baseline,
        notes=notes,
        systems=list(systems.values()),
        against_baseline=_family(f"against {baseline}", with_baseline, plain, measures, options, alike),
        against_untrained=_family(f"against {UNTRAINED_STRATEGY}", with_untrained, plain, measures, options, alike),
        against_condensed=_family(f"against {baseline}, condensed", with_baseline, condensed, graded, options, alike),
        with_weights=_family(f"with {PRETRAINED_WEIGHTS}", further[_with_weights], plain, measures[:1], options, alike),
        with_lm=_family(f"with {LANGUAGE_MODEL}", further[_with_lm], plain, measures[:1], options, alike),
        best_models=_family("the two best model types", further[_best_models], plain, measures[:1], options, alike),
    )


def untrained_systems(systems: Iterable[System], *sources: str) -> list[System]:
    """Returns the untrained systems that learned from the documents and exactly these further sources."""
    return [one for one in systems if one.strategy == UNTRAINED_STRATEGY and one.sources == frozenset(sources)]


def _with_weights(systems: Iterable[System], _: str) -> list[tuple[str, str]]:
    alone, weighted = (untrained_systems(systems, *sources) for sources in ((), (PRETRAINED_WEIGHTS,)))
    return [(one.name, other.name) for one in weighted for other in alone]


def _with_lm(systems: Iterable[System], _: str) -> list[tuple[str, str]]:
    """Pairs each system that learned from a language model with the last strategy before it that did not."""
    pairs = []
    without: dict[str, str] = {}  # by model type; systems are in the order of strategies
    for one in systems:
        if one.sources is not None and LANGUAGE_MODEL not in one.sources:
            without[one.model] = one.name
        elif one.sources is not None and one.model in without:
            pairs.append((one.name, without[one.model]))
    return pairs


def _best_models(systems: Iterable[System], measure: str) -> list[tuple[str, str]]:
    """Pairs the best systems of the two model types with the highest means."""
    best: dict[str, System] = {}
    for one in sorted(systems, key=lambda one: -one.measures[measure].mean):
        best.setdefault(one.model, one)
    first, *others = best.values()
    return [(first.name, other.name) for other in others[:1]]


def _reading_order(results: Results) -> tuple[int, str, int, str, int]:
    """Orders by the order that model types and strategies state, then by name."""
    system = results.system
    return system.model_order, system.model, system.strategy_order, system.strategy, system.seed


def _shared_measures(results: Sequence[Results]) -> list[str]:
    if not results:
        raise InputError("report: no results; run evaluate first")
    measures = list(results[0].per_query)
    for each in results:
        if list(each.per_query) != measures:
            differing = f"{each.system.name} has {list(each.per_query)}, {results[0].system.name} has {measures}"
            raise InputError(f"report: the systems have different measures ({differing}); run evaluate again for all")
    return measures


def _system(
    model: str, strategy: str, results: Sequence[Results], measures: Sequence[str], options: dict[str, Any]
) -> System:
    scores = {measure: {each.system.seed: each.per_query[measure] for each in results} for measure in measures}
    intervals = {measure: mean_interval(scores[measure], **options) for measure in measures}
    costs: dict[str, list[float]] = {}
    for each in results:
        for name, value in each.metrics["cost"].items():
            costs.setdefault(name, []).append(value)
    mean_cost = {name: sum(values) / len(values) for name, values in costs.items()}
    stating = any(each.confidence for each in results)
    trust = calibration(*confidence_arrays(results), **_array_options(results, options)) if stating else None
    selective, weighted = _adjusted(results, measures[0], options) if stating else ([], None)
    condensed = {
        measure: mean_interval({each.system.seed: each.condensed[measure] for each in results}, **options)
        for measure in graded_measures(measures)
        if all(measure in each.condensed for each in results)
    }
    return System(
        *(model, strategy, results, intervals, mean_cost, trust, selective, weighted, condensed), _shares(results)
    )


def _adjusted(results: Sequence[Results], measure: str, options: dict[str, Any]) -> tuple[list[Interval], Interval]:
    """Returns a measure over the most confident queries at ``COVERAGES``, and weighted by confidence."""
    confidence = {each.system.seed: {row.query_id: row.confidence for row in each.confidence} for each in results}
    values = {
        each.system.seed: {row.query_id: each.per_query[measure][row.query_id] for row in each.confidence}
        for each in results
    }
    pair, options = (score_table(confidence), score_table(values)), _array_options(results, options)
    return selective_means(*pair, COVERAGES, **options), weighted_mean(*pair, **options)


def _shares(results: Sequence[Results]) -> dict[str, Interval]:
    """Returns the shares of the ceiling: the mean over the seeds, and the hull of their intervals."""
    shares = [each.metrics.get("ceiling_share", {}) for each in results]
    return {
        measure: Interval(
            float(np.mean([each[measure]["mean"] for each in shares])),
            min(each[measure]["ci_low"] for each in shares),
            max(each[measure]["ci_high"] for each in shares),
            shares[0][measure]["n"],
        )
        for measure in shares[0]
        if all(measure in each for each in shares)
    }


def _array_options(results: Sequence[Results], options: dict[str, Any]) -> dict[str, Any]:
    """Returns the options for arrays of confidences, with the topic of each column instead of by query id."""
    scores = {each.system.seed: {row.query_id: row.confidence for row in each.confidence} for each in results}
    return options | {"topics": table_topics(scores, options["topics"])}


def confidence_arrays(results: Sequence[Results]) -> tuple[FloatArray, FloatArray]:
    """Returns confidence and correctness, each [seeds, queries]; NaN if a seed did not test a query."""
    confidence = {each.system.seed: {row.query_id: row.confidence for row in each.confidence} for each in results}
    correct = {each.system.seed: {row.query_id: float(row.correct) for row in each.confidence} for each in results}
    return score_table(confidence), score_table(correct)


def _family(
    family: str,
    pairs: Sequence[tuple[str, str]],
    scores: Mapping[str, Mapping[str, ScoresBySeed]],
    measures: Sequence[str],
    options: dict[str, Any],
    alike: Mapping[str, str],
) -> list[CorrectedComparison]:
    """Compares pairs of systems on each measure; the p-values of one measure are corrected together.

    Pairs that are equal up to systems that rank alike are one comparison; a system is not compared with one that ranks
    as it does. ``alike`` maps each system to the one that stands for those that rank as it does.
    """
    rows = []
    standing = [(alike[a], alike[b]) for a, b in pairs]
    distinct_pairs = list(dict.fromkeys(pair for pair in standing if pair[0] != pair[1]))
    for measure in measures:
        compared = {
            (a, b): compare_scores(scores[a][measure], scores[b][measure], **options)
            for a, b in progress(list(dict.fromkeys(standing)), f"{family}: {measure}")
        }
        adjusted, t_adjusted = (
            dict(zip(distinct_pairs, holm([p_of(compared[pair]) for pair in distinct_pairs]), strict=True))
            for p_of in (attrgetter("p_value"), attrgetter("t_p_value"))
        )
        level = SIGNIFICANCE_LEVEL / max(1, len(distinct_pairs))
        rows += [
            CorrectedComparison(
                *(family, measure, *pair, compared[key]),
                *(adjusted.get(key, 1.0), t_adjusted.get(key, 1.0), compared[key].detectable(level)),
            )
            for pair, key in zip(pairs, standing, strict=True)
        ]
    return rows


class Power(NamedTuple):
    """Detectable differences of the main measure from the baseline, with 80 % power."""

    queries: int
    single: float  # in a single planned comparison
    family: float  # at the strictest level of Holm's correction
    comparisons: int
    ten: float  # in a single comparison on ten queries with the same standard deviation


def power(summary: Summary) -> Power | None:
    """Computes the power from the median standard deviation of the differences; None without comparisons."""
    shown = summary.distinct_rows([row for row in summary.against_baseline if row.measure == summary.main_measure])
    rows = [row.comparison for row in shown]
    spreads = sorted(row.sd for row in rows if not math.isnan(row.sd))
    if not spreads:
        return None
    sd, queries = spreads[len(spreads) // 2], min(row.difference.n for row in rows)
    return Power(
        queries=queries,
        single=detectable_difference(sd, queries, level=SIGNIFICANCE_LEVEL),
        family=detectable_difference(sd, queries, level=SIGNIFICANCE_LEVEL / len(rows)),
        comparisons=len(rows),
        ten=detectable_difference(sd, 10, level=SIGNIFICANCE_LEVEL),
    )


def format_value(value: float) -> str:
    """Returns a value with three decimals; an en dash for NaN."""
    return "–" if math.isnan(value) else f"{value:.3f}"


def format_signed(value: float) -> str:
    """Returns a value with sign and three decimals; uses the minus sign U+2212."""
    return "–" if math.isnan(value) else f"{value:+.3f}".replace("-", "−")


def probability(value: float) -> str:
    return "<0.001" if value < 0.001 else format_value(value)


def p_text(value: float) -> str:
    return f"p {probability(value)}" if value < 0.001 else f"p = {format_value(value)}"


def listed(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def format_amount(value: float) -> str:
    """Returns an amount with three significant digits and thousands separators, without needless decimals."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def as_words(key: str) -> str:
    """Returns a name without underscores: ``late_interaction`` → "late interaction"."""
    return key.replace("_", " ")


def interval_text(interval: Interval, mark: str = "") -> str:
    return f"{format_value(interval.mean)}{mark} [{format_value(interval.ci_low)}, {format_value(interval.ci_high)}]"


def difference_text(interval: Interval) -> str:
    return f"{format_signed(interval.mean)} [{format_signed(interval.ci_low)}, {format_signed(interval.ci_high)}]"


def cost_names(summary: Summary) -> list[str]:
    """Returns the names of all costs, in order of first occurrence."""
    return list(dict.fromkeys(name for system in summary.systems for name in system.cost))


def effect_size_text(comparison: Comparison) -> str:
    return difference_text(Interval(comparison.effect_size, comparison.effect_low, comparison.effect_high, 0))


def record_text(comparison: Comparison) -> str:
    return f"{comparison.wins}/{comparison.ties}/{comparison.losses}"


def systems_table(summary: Summary) -> Table:
    """Returns one row per distinct system: measures, and the difference to the baseline."""
    main = summary.main_measure
    ceiling = any(main in system.ceiling_share for system in summary.systems)
    headers = ["Model", "Strategy", "Seeds", main, f"{main}, lower bound", *summary.measures[1:]]
    headers += [f"{main}, share of ceiling"] if ceiling else []
    headers += [f"Δ {main}", "p (Holm)", "Effect size", "Wins / ties / losses"]
    rows = []
    for one in summary.distinct:
        system = one.system
        row = [system.model, one.strategy, str(len(system.results)), _marked(summary, system, main)]
        row += [format_value(system.measures[main].ci_low)]
        row += [_marked(summary, system, measure) for measure in summary.measures[1:]]
        if ceiling:
            row.append(interval_text(system.ceiling_share[main]) if main in system.ceiling_share else "–")
        rows.append(row + _difference_cells(summary, system))
    return Table(headers, rows, labels=2)


def _cost_cells(system: System, costs: Sequence[str]) -> list[str]:
    return [format_amount(system.cost[name]) if name in system.cost else "–" for name in costs]


def paper_table(summary: Summary) -> Table:
    """Returns a table of the distinct systems that fits on a page: measures and difference, each with its interval."""
    main = summary.main_measure
    rows = [
        [
            *(one.system.model, one.strategy),
            *(_marked(summary, one.system, measure) for measure in summary.measures),
            _difference_cells(summary, one.system)[0],
        ]
        for one in summary.distinct
    ]
    return Table(["Model", "Strategy", *summary.measures, f"Δ {main}"], rows, labels=2)


def best_cells(summary: Summary, table: Table) -> set[tuple[int, int]]:
    """Returns (row, column) of the highest mean of each graded measure in a table of the distinct systems."""
    cells = set()
    for measure in graded_measures(summary.measures):
        means = [one.system.measures[measure].mean for one in summary.distinct]
        column = table.headers.index(measure)
        cells |= {(row, column) for row, mean in enumerate(means) if mean == max(means)}
    return cells


def _marked(summary: Summary, system: System, measure: str) -> str:
    """Returns a measure with its interval, and a mark if it differs from the baseline."""
    row = summary.versus_baseline(system.name, measure)
    return interval_text(system.measures[measure], row.mark if row else "")


def _difference_cells(summary: Summary, system: System) -> list[str]:
    row = summary.versus_baseline(system.name, summary.main_measure)
    if row is None:
        return ["baseline", "–", "–", "–"]
    each = row.comparison
    return [difference_text(each.difference), probability(row.p_holm), effect_size_text(each), record_text(each)]


def condensed_table(summary: Summary) -> Table:
    """Returns the main measure with and without unjudged documents, and the latter compared with the baseline."""
    main = summary.main_measure
    judged = [measure for measure in summary.measures if measure.startswith("Judged")]
    headers = ["Model", "Strategy", *judged, main, f"{main}, condensed", "Δ, condensed", "Verdict"]
    against = {row.system: row for row in summary.against_condensed}
    rows = []
    for one in summary.distinct:
        system = one.system
        if main in system.condensed:
            row = [system.model, one.strategy, *(interval_text(system.measures[each]) for each in (*judged, main))]
            row += [interval_text(system.condensed[main]), "baseline", "–"]
            if compared := against.get(system.name):
                row[-2:] = difference_text(compared.comparison.difference), compared.verdict_text
            rows.append(row)
    return Table(headers, rows, labels=2)


def cost_table(summary: Summary) -> Table:
    """Returns the costs of each system, the mean over its seeds."""
    costs = cost_names(summary)
    rows = [[system.model, system.strategy, *_cost_cells(system, costs)] for system in summary.systems]
    return Table(["Model", "Strategy", *map(heading, costs)], rows, labels=2)


def calibration_table(summary: Summary) -> Table:
    """Returns the calibration figures of each system that states a confidence."""
    headers = ["Model", "Strategy", "Precision at 1", "Brier score", "Calibration error", "Expected if calibrated"]
    rows = []
    for one in distinct(summary.systems, same_confidence):
        system = one.system
        if system.calibration is not None:
            accuracy, brier, ece, floor, area = system.calibration
            figures = [*map(interval_text, (accuracy, brier, ece)), format_value(floor), format_value(area)]
            rows.append([system.model, one.strategy, *figures])
    return Table([*headers, "Risk–coverage area"], rows, labels=2)


def selective_table(summary: Summary) -> Table:
    """Returns the main measure weighted by confidence and of the most confident queries, for systems that state one."""
    main = summary.main_measure
    headers = ["Model", "Strategy", f"{main}, weighted", *(f"{main} of {share:.0%}" for share in COVERAGES)]
    rows = [
        [one.system.model, one.strategy, interval_text(one.system.weighted), *map(interval_text, one.system.selective)]
        for one in distinct(summary.systems, same_confidence)
        if one.system.weighted is not None
    ]
    return Table(headers, rows, labels=2)


def prompts_table(prompts: Sequence[Mapping[str, Any]]) -> Table:
    """Returns one row per prompt tried in a training, grouped by part, the highest expected gain first."""
    named = ["Part", "Prompt", "Chosen", "Proposed by", "Style", "Instruction", "Demonstrated queries"]
    named += ["Words", "Temperature"]
    figures = ["Accepted", "Judged queries", "Synthetic queries", "Expected gain", "Reached rung", "LM calls"]
    rows = [
        [
            *(one["part"], one["digest"], "chosen" if one["chosen"] else "–"),
            *(one["origin"], one["style"], one["instruction"]),
            " · ".join(pair["query"] for pair in one["demonstrations"]) or "–",
            str(one.get("document_words", "–")),
            "default" if one.get("temperature") is None else f"{one['temperature']:g}",
            f"{one['accepted']} of {one['written']}" if "written" in one else "–",
            interval_text(Interval(**one["judged"])) if one["judged"] else "–",
            "–" if one["synthetic"] is None else format_value(one["synthetic"]),
            *(_gain_text(one), str(one["rung"]), str(one["lm_calls"]), format_amount(one["seconds"])),
        ]
        for one in sort_by_expected_gain(prompts)
    ]
    return Table([*named, *figures, "Seconds"], rows, labels=len(named))


class PromptComparison(NamedTuple):
    """The first and the best prompt of a search for one part; equal if the first was kept."""

    part: str
    first: Mapping[str, Any]
    best: Mapping[str, Any]


def compare_prompts(prompts: Sequence[Mapping[str, Any]]) -> list[PromptComparison]:
    """Returns the fixed and the chosen prompt of each part that has both."""
    fixed = {one["part"]: one for one in prompts if one["origin"] == "fixed"}
    chosen = {one["part"]: one for one in prompts if one["chosen"]}
    return [PromptComparison(part, first, chosen[part]) for part, first in fixed.items() if part in chosen]


def sort_by_expected_gain(prompts: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Sorts prompts by part, then by descending rung, then by descending expected gain."""
    parts = list(dict.fromkeys(one["part"] for one in prompts))
    return sorted(prompts, key=lambda one: (parts.index(one["part"]), -one["rung"], -gain_of(one)[0]))


def gain_of(prompt: Mapping[str, Any]) -> tuple[float, float]:
    """Returns a prompt's expected gain over the fixed prompt and its standard error; 0 if unknown."""
    return prompt["expected_gain"] or 0.0, prompt["standard_error"] or 0.0


def _gain_text(prompt: Mapping[str, Any]) -> str:
    if prompt["origin"] == "fixed" or prompt["expected_gain"] is None:
        return "–"
    gain, error = gain_of(prompt)
    low, high = (format_signed(gain + sign * NORMAL_QUANTILE * error) for sign in (-1, 1))
    return f"{format_signed(gain)} [{low}, {high}]"


def comparisons_table(rows: Sequence[CorrectedComparison], *, family: bool = True) -> Table:
    """Returns one row per comparison; ``family`` adds the columns family and measure."""
    headers = ["System", "Against", "Verdict", "Queries", "Difference", "p", "p (Holm)", "t-test, p (Holm)"]
    headers += ["Effect size", "Wins / ties / losses"]
    cells = [
        [
            *(row.system, row.other, row.verdict_text),
            str(row.comparison.difference.n),
            difference_text(row.comparison.difference),
            *map(probability, (row.comparison.p_value, row.p_holm, row.t_p_holm)),
            effect_size_text(row.comparison),
            record_text(row.comparison),
        ]
        for row in rows
    ]
    if family:
        named = [[row.family, row.measure, *cell] for row, cell in zip(rows, cells, strict=True)]
        return Table(["Family", "Measure", *headers], named, labels=5)
    return Table(headers, cells, labels=3)


def systems_csv(summary: Summary) -> str:
    """Returns the systems as plain numbers."""
    costs, main = cost_names(summary), summary.main_measure
    headers = ["system", "model", "strategy", "seeds"]
    headers += [f"{measure}{part}" for measure in summary.measures for part in ("", "_low", "_high")]
    headers += [*_COMPARISON_COLUMNS, *costs]
    rows = []
    for system in summary.systems:
        row = summary.versus_baseline(system.name, main)
        rows.append(
            [system.name, system.model, system.strategy, len(system.results)]
            + [value for measure in summary.measures for value in system.measures[measure][:3]]
            + (_plain(row) if row else [""] * len(_COMPARISON_COLUMNS))
            + [system.cost.get(name, "") for name in costs]
        )
    return _csv(headers, rows)


def comparisons_csv(rows: Sequence[CorrectedComparison]) -> str:
    """Returns the comparisons as plain numbers."""
    headers = ["family", "measure", "system", "against", "queries", *_COMPARISON_COLUMNS, "verdict"]
    return _csv(headers, [[*row[:4], row.comparison.difference.n, *_plain(row), row.verdict] for row in rows])


_COMPARISON_COLUMNS = (
    *("difference", "difference_low", "difference_high", "p", "p_holm", "t_p", "t_p_holm"),
    *("effect_size", "effect_low", "effect_high", "wins", "ties", "losses", "detectable"),
)


def _plain(row: CorrectedComparison) -> list[Any]:
    """Returns the figures of ``_COMPARISON_COLUMNS``."""
    each = row.comparison
    tests = [each.p_value, row.p_holm, each.t_p_value, row.t_p_holm]
    effect = [each.effect_size, each.effect_low, each.effect_high]
    return [*each.difference[:3], *tests, *effect, each.wins, each.ties, each.losses, row.detectable]


def _csv(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(headers)
    for row in rows:
        writer.writerow(list(map(_cell, row)))
    return text.getvalue()


def _cell(value: Any) -> Any:
    """A figure, or a text that no spreadsheet takes for a formula."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    if isinstance(value, str):
        return "'" * value.startswith(FORMULA_STARTS) + printable(value)
    return value


def deltas_csv(summary: Summary) -> str:
    """Returns each query's difference to the baseline on each measure, by system and seed, as plain numbers."""
    baseline = next(system for system in summary.systems if system.name == summary.baseline)
    rows = [
        [system.name, seed, query_id, measure, value, other[query_id], value - other[query_id]]
        for system in summary.systems
        if system is not baseline
        for measure in summary.measures
        for seed, own in system.scores(measure).items()
        for other in [baseline.scores(measure).get(seed, {})]
        for query_id, value in own.items()
        if query_id in other
    ]
    return _csv(["system", "seed", "query_id", "measure", "value", "baseline", "difference"], rows)
