"""Report of an experiment: tables of all systems under all conditions, with intervals and tests.

Means have bootstrap intervals over queries and draws of the judgments. Differences are paired and tested with the
project's randomisation test, Holm-corrected within each condition, or within each comparison of conditions.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from zero2ir.evaluation.intervals import Interval, interval_over_collections
from zero2ir.evaluation.results import Results, all_topics, read_all
from zero2ir.evaluation.significance import (
    Comparison,
    ScoresBySeed,
    compare_scores,
    holm,
    mean_interval,
    paired_differences,
    score_table,
    table_topics,
)
from zero2ir.experiments.comparison import scores_by_seed
from zero2ir.experiments.preset import Condition, ExperimentConfig
from zero2ir.experiments.workspaces import Workspace
from zero2ir.io import paths
from zero2ir.io.files import finished_file, finished_folder
from zero2ir.io.markdown import Table, markdown
from zero2ir.report.latex import latex
from zero2ir.report.tables import (
    UNTRAINED_STRATEGY,
    difference_text,
    format_amount,
    format_value,
    interval_text,
    probability,
)

STATISTICS: dict[str, Any] = {"resamples": 10_000, "level": 0.95, "seed": 0}
FALLBACK_STRATEGY = "fine_tune"  # the strategy that more complex strategies fall back to
EMPTY_CELL = "–"
ABOUT_AVERAGES = (
    "The intervals are for further collections of this kind: they resample collections, and the draws and queries of "
    "each. For these collections alone, only draws and queries are resampled."
)

ModelStrategy = tuple[str, str]


class ConditionResults:
    """Results of all systems of one condition."""

    def __init__(self, condition: Condition, results: Sequence[Results]) -> None:
        self.condition = condition
        self.by_system: dict[ModelStrategy, dict[int, Results]] = {}
        for one in results:
            self.by_system.setdefault((one.system.model, one.system.strategy), {})[one.system.seed] = one

    @cached_property
    def measure(self) -> str:
        """The first measure; all tables show this measure."""
        first = next(iter(self.by_system.values()))
        return next(iter(next(iter(first.values())).per_query))

    @cached_property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of ``mean_interval`` and ``compare_scores``."""
        results = [each for by_seed in self.by_system.values() for each in by_seed.values()]
        return STATISTICS | {"topics": all_topics(results)}

    def scores(self, system: ModelStrategy) -> ScoresBySeed:
        return scores_by_seed(self.by_system[system], self.measure)

    def value(self, system: ModelStrategy) -> Interval:
        return mean_interval(self.scores(system), **self.options)

    def gains(self) -> dict[ModelStrategy, tuple[Comparison, float]]:
        """Gains of each trained system over its untrained model, with p-values Holm-corrected over all systems."""
        untrained = {pair: (pair[0], UNTRAINED_STRATEGY) for pair in self.by_system if pair[1] != UNTRAINED_STRATEGY}
        pairs = {pair: other for pair, other in untrained.items() if other in self.by_system}
        scores = {pair: (self.scores(pair), self.scores(other)) for pair, other in pairs.items()}
        return corrected(scores, self.options)

    def fell_back(self, system: ModelStrategy) -> int:
        """Returns the number of seeds under which the strategy fell back to the simpler one."""
        simpler = (system[0], FALLBACK_STRATEGY)
        if simpler == system or simpler not in self.by_system:
            simpler = (system[0], UNTRAINED_STRATEGY)
        fallback = self.by_system.get(simpler, {})
        own = self.by_system[system]
        return sum(seed in fallback and one.per_query == fallback[seed].per_query for seed, one in own.items())

    def cost(self, system: ModelStrategy, name: str) -> float | None:
        """Returns the mean cost over the seeds; None if no result has it."""
        values = [one.metrics["cost"].get(name) for one in self.by_system[system].values()]
        return mean_or_none([value for value in values if value is not None])

    def calibration_error(self, system: ModelStrategy) -> float | None:
        values = [one.metrics["confidence"] for one in self.by_system[system].values()]
        return mean_or_none([one["ECE"]["mean"] for one in values if "ECE" in one])


def mean_or_none(values: Sequence[float]) -> float | None:
    """Returns the mean; None without values."""
    return sum(values) / len(values) if values else None


def corrected(
    pairs: Mapping[Any, tuple[ScoresBySeed, ScoresBySeed]], options: dict[str, Any]
) -> dict[Any, tuple[Comparison, float]]:
    """Compares pairs of systems; p-values are Holm-corrected over all of them."""
    compared = {key: compare_scores(one, other, **options) for key, (one, other) in pairs.items()}
    adjusted = holm([results.p_value for results in compared.values()])
    return {key: (results, p) for (key, results), p in zip(compared.items(), adjusted, strict=True)}


def write_experiment_report(preset: ExperimentConfig, copies: Sequence[Workspace], output: Path) -> None:
    """Writes the report folder, completely or not at all: index.md, a LaTeX table, and each condition's own report.

    Args:
        preset: the experiment.
        copies: workspaces of the finished conditions; all of one commit.
        output: folder of the report; replaced if it exists.
    """
    commit, titles = copies[0].revision[:12], ", ".join(one.condition.title for one in copies)
    parts = [f"# {preset.title}\n\nCommit {commit}; conditions: {titles}.\n"]
    with finished_folder(output) as folder:
        if preset.target == "report":
            results = [ConditionResults(copy.condition, read_all(copy.results())) for copy in copies]
            parts += list(sections(results))
            _write(folder / "systems.tex", latex(overview(results), preset.title))
            for copy in copies:
                shutil.copytree(copy.folder / paths.REPORT_FOLDER, folder / copy.condition.name)
        if preset.benchmark:
            parts += [f"## {copy.condition.title}\n\n{copy.printed.read_text('utf-8').strip()}\n" for copy in copies]
        _write(folder / "index.md", "\n".join(parts))


def _write(path: Path, text: str) -> None:
    with finished_file(path) as file:
        file.write(text)


def sections(results: Sequence[ConditionResults]) -> Iterator[str]:
    """Yields the text of the report, one table at a time."""
    measure = results[0].measure
    yield (
        f"{measure} on the test queries with 95 % bootstrap intervals over queries and draws of the judgments. "
        "Differences are paired; p-values are from randomisation tests, Holm-corrected within a condition.\n"
    )
    yield f"## All systems\n\n{markdown(overview(results))}"
    for one in results:
        topics = one.options["topics"]
        shared = f"{len(topics)} queries of {len({*topics.values()})} topics, which are resampled as wholes.\n\n"
        yield f"## {one.condition.title}\n\n{shared if topics else ''}{markdown(details(one))}"
    if averages := averages_table(results):
        heading = f"Mean over the {len(results)} collections, equally weighted"
        yield f"## {heading}\n\n{ABOUT_AVERAGES}\n\n{markdown(averages)}"
    for reference, others in references(results):
        yield f"## Compared with {reference.condition.title}\n\n{markdown(against(reference, others))}"


def overview(results: Sequence[ConditionResults]) -> Table:
    """Builds the overview table: a row per system, a column per condition."""
    systems = list(dict.fromkeys(system for one in results for system in one.by_system))
    rows = [
        [*system, *(interval_text(one.value(system)) if system in one.by_system else EMPTY_CELL for one in results)]
        for system in systems
    ]
    return Table(["Model", "Strategy", *(one.condition.title for one in results)], rows, labels=2)


def details(condition: ConditionResults) -> Table:
    """Builds the table of one condition: a row per system, each compared with its untrained model."""
    gains = condition.gains()
    rows = []
    for system, results in condition.by_system.items():
        row = [*system, str(len(results)), interval_text(condition.value(system))]
        if system in gains:
            comparison, p = gains[system]
            record = f"{comparison.wins}/{comparison.ties}/{comparison.losses}"
            fell_back = f"{condition.fell_back(system)}/{len(results)}"
            row += [difference_text(comparison.difference), probability(p), record, fell_back]
        else:
            row += [EMPTY_CELL] * 4
        error, seconds = condition.calibration_error(system), condition.cost(system, "train_seconds")
        row.append(EMPTY_CELL if error is None else format_value(error))
        row.append(EMPTY_CELL if seconds is None else format_amount(seconds))
        rows.append(row)
    compared = [f"− {UNTRAINED_STRATEGY}", "p (Holm)", "Wins / ties / losses", "Fell back"]
    headers = ["Model", "Strategy", "Draws", condition.measure, *compared, "Calibration error", "Train seconds"]
    return Table(headers, rows, labels=2)


def averages_table(results: Sequence[ConditionResults]) -> Table | None:
    """Builds the table of means over collections; None unless every condition has its own collection."""
    if len({one.condition.panel.dataset for one in results}) < max(len(results), 2):
        return None
    rows = []
    for system in [system for system in results[0].by_system if all(system in one.by_system for one in results)]:
        row = [*system, interval_text(mean_over_collections([one.scores(system) for one in results], results))]
        untrained = system[0], UNTRAINED_STRATEGY
        if system != untrained and all(untrained in one.by_system for one in results):
            gains = [paired_differences(one.scores(system), one.scores(untrained)) for one in results]
            row.append(difference_text(mean_over_collections(gains, results)))
            row.append(difference_text(mean_over_collections(gains, results, resample_collections=False)))
            means = [float(np.nanmean(score_table(one))) for one in gains]
            row.append(f"{sum(one > 0 for one in means)}/{sum(one < 0 for one in means)}")
        rows.append(row + [EMPTY_CELL] * (6 - len(row)))
    gain = f"− {UNTRAINED_STRATEGY}"
    return Table(
        ["Model", "Strategy", results[0].measure, gain, f"{gain}, these alone", "Better / worse on"],
        rows,
        labels=2,
    )


def mean_over_collections(
    scores: Sequence[ScoresBySeed], results: Sequence[ConditionResults], resample_collections: bool = True
) -> Interval:
    """Returns the mean of the collections' means with its interval; see ``interval_over_collections``.

    Args:
        scores: the values of each collection.
        results: the conditions, one per collection.
        resample_collections: as there.
    """
    topics = [table_topics(one, each.options["topics"]) for one, each in zip(scores, results, strict=True)]
    tables = [score_table(one) for one in scores]
    return interval_over_collections(tables, topics, **STATISTICS, resample_collections=resample_collections)


def references(results: Sequence[ConditionResults]) -> Iterator[tuple[ConditionResults, list[ConditionResults]]]:
    """Yields the first condition of each collection with the other conditions of this collection."""
    by_dataset: dict[str, list[ConditionResults]] = {}
    for one in results:
        by_dataset.setdefault(one.condition.panel.dataset, []).append(one)
    for first, *others in by_dataset.values():
        if others:
            yield first, others


def against(reference: ConditionResults, others: Sequence[ConditionResults]) -> Table:
    """Builds the table of changes relative to a reference condition, on common queries and draws; Holm-corrected."""
    pairs = {
        (one.condition.title, *system): (one.scores(system), reference.scores(system))
        for one in others
        for system in one.by_system
        if system in reference.by_system
    }
    rows = [
        [*key, str(results.difference.n), difference_text(results.difference), probability(p)]
        for key, (results, p) in corrected(pairs, reference.options).items()
    ]
    return Table(["Condition", "Model", "Strategy", "Queries", "Difference", "p (Holm)"], rows, labels=3)
