"""What an experiment found: the systems of all its conditions beside each other, and what differs beyond chance.

Means come with bootstrap intervals over queries and draws of the judgments; differences are paired, with the project's
randomisation test, and corrected by Holm within each condition, or within each comparison of the conditions.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from zero2ir.evaluation.intervals import Floats, Interval, bootstrap_interval, crossed_weights, percentiles
from zero2ir.evaluation.results import Results, read_all
from zero2ir.evaluation.significance import Comparison, Scores, compare, holm, paired_differences, score_table
from zero2ir.experiments.copies import Copy
from zero2ir.experiments.preset import Condition, ExperimentConfig
from zero2ir.io import paths
from zero2ir.io.files import finished_file, finished_folder
from zero2ir.io.markdown import Table, markdown
from zero2ir.report.latex import latex
from zero2ir.report.tables import UNTRAINED, amount, difference_text, figure, interval_text, probability

STATISTICS: dict[str, Any] = {"resamples": 10_000, "level": 0.95, "seed": 0}
SIMPLER = "fine_tune"  # what every strategy beyond it ends in where it falls back
NOTHING = "–"

System = tuple[str, str]  # model and strategy


class Finished:
    """The results of one condition.

    Args:
        condition: which.
        results: of all its systems.
    """

    def __init__(self, condition: Condition, results: Sequence[Results]) -> None:
        self.condition = condition
        self.by_system: dict[System, dict[int, Results]] = {}
        for one in results:
            self.by_system.setdefault((one.system.model, one.system.strategy), {})[one.system.seed] = one

    @cached_property
    def measure(self) -> str:
        """The first measure, which all tables are about."""
        first = next(iter(self.by_system.values()))
        return next(iter(next(iter(first.values())).per_query))

    def scores(self, system: System) -> Scores:
        return {seed: one.per_query[self.measure] for seed, one in self.by_system[system].items()}

    def value(self, system: System) -> Interval:
        return bootstrap_interval(score_table(self.scores(system)), **STATISTICS)

    def gains(self) -> dict[System, tuple[Comparison, float]]:
        """What each trained system gains over its model untrained, with the p-value corrected over all of them."""
        pairs = [(model, strategy) for model, strategy in self.by_system if strategy != UNTRAINED]
        pairs = [pair for pair in pairs if (pair[0], UNTRAINED) in self.by_system]
        return corrected({pair: (self.scores(pair), self.scores((pair[0], UNTRAINED))) for pair in pairs})

    def fell_back(self, system: System) -> int:
        """Under how many seeds the strategy ended in the simpler one's system."""
        model, strategy = system
        simpler = SIMPLER if strategy != SIMPLER and (model, SIMPLER) in self.by_system else UNTRAINED
        others = self.by_system.get((model, simpler), {})
        own = self.by_system[system]
        return sum(seed in others and one.per_query == others[seed].per_query for seed, one in own.items())

    def cost(self, system: System, name: str) -> float | None:
        """The mean over the seeds; None where none states it."""
        stated = [one.metrics["cost"].get(name) for one in self.by_system[system].values()]
        known = [value for value in stated if value is not None]
        return sum(known) / len(known) if known else None

    def calibration_error(self, system: System) -> float | None:
        stated = [one.metrics["confidence"] for one in self.by_system[system].values()]
        known = [one["ECE"]["mean"] for one in stated if "ECE" in one]
        return sum(known) / len(known) if known else None


def corrected(pairs: Mapping[Any, tuple[Scores, Scores]]) -> dict[Any, tuple[Comparison, float]]:
    """Each comparison with its p-value corrected over all of them."""
    compared = {key: compare(one, other, **STATISTICS) for key, (one, other) in pairs.items()}
    adjusted = holm([found.p_value for found in compared.values()])
    return {key: (found, p) for (key, found), p in zip(compared.items(), adjusted, strict=True)}


def write_report(preset: ExperimentConfig, copies: Sequence[Copy], output: Path) -> None:
    """Writes the whole folder, or nothing: index.md, a LaTeX table, and each condition's own report.

    Args:
        preset: the experiment.
        copies: of the conditions that are finished; all of one commit.
        output: replaced where it exists.
    """
    commit, titles = copies[0].revision[:12], ", ".join(one.condition.title for one in copies)
    parts = [f"# {preset.title}\n\nCommit {commit}; conditions: {titles}.\n"]
    with finished_folder(output) as folder:
        if preset.target == "report":
            found = [Finished(copy.condition, read_all(copy.results())) for copy in copies]
            parts += list(sections(found))
            _write(folder / "systems.tex", latex(overview(found), preset.title))
            for copy in copies:
                shutil.copytree(copy.folder / paths.REPORT, folder / copy.condition.name)
        if preset.then:
            parts += [f"## {copy.condition.title}\n\n{copy.printed.read_text('utf-8').strip()}\n" for copy in copies]
        _write(folder / "index.md", "\n".join(parts))


def _write(path: Path, text: str) -> None:
    with finished_file(path) as file:
        file.write(text)


def sections(found: Sequence[Finished]) -> Iterator[str]:
    """The report's text, a table at a time."""
    measure = found[0].measure
    yield (
        f"{measure} on the test queries with 95 % bootstrap intervals over queries and draws of the judgments. "
        "Differences are paired; p-values are of randomisation tests, Holm-corrected within a condition.\n"
    )
    yield f"## All systems\n\n{markdown(overview(found))}"
    for one in found:
        yield f"## {one.condition.title}\n\n{markdown(details(one))}"
    if averages := averages_table(found):
        yield f"## Mean over the collections, each counting alike\n\n{markdown(averages)}"
    for reference, others in references(found):
        yield f"## Against {reference.condition.title}\n\n{markdown(against(reference, others))}"


def overview(found: Sequence[Finished]) -> Table:
    """A row a system, a column a condition."""
    systems = list(dict.fromkeys(system for one in found for system in one.by_system))
    rows = [
        [*system, *(interval_text(one.value(system)) if system in one.by_system else NOTHING for one in found)]
        for system in systems
    ]
    return Table(["Model", "Strategy", *(one.condition.title for one in found)], rows, labels=2)


def details(found: Finished) -> Table:
    """A row a system of one condition, each beside its model untrained."""
    gains = found.gains()
    rows = []
    for system, results in found.by_system.items():
        row = [*system, str(len(results)), interval_text(found.value(system))]
        if system in gains:
            comparison, p = gains[system]
            record = f"{comparison.wins}/{comparison.ties}/{comparison.losses}"
            row += [difference_text(comparison.difference), probability(p), record]
            row += [f"{found.fell_back(system)}/{len(results)}"]
        else:
            row += [NOTHING] * 4
        error, seconds = found.calibration_error(system), found.cost(system, "train_seconds")
        row += [NOTHING if error is None else figure(error), NOTHING if seconds is None else amount(seconds)]
        rows.append(row)
    headers = ["Model", "Strategy", "Draws", found.measure, f"− {UNTRAINED}", "p (Holm)", "Wins / ties / losses"]
    return Table([*headers, "Fell back", "Calibration error", "Train seconds"], rows, labels=2)


def averages_table(found: Sequence[Finished]) -> Table | None:
    """What each strategy gains, the mean over collections; None where the conditions are not so many collections."""
    if len({one.condition.panel.dataset for one in found}) < max(len(found), 2):
        return None
    systems = [system for system in found[0].gains() if all(system in one.by_system for one in found[1:])]
    rows = []
    for system in systems:
        untrained = system[0], UNTRAINED
        differences = [paired_differences(one.scores(system), one.scores(untrained)) for one in found]
        rows.append([*system, difference_text(averaged(differences))])
    return Table(["Model", "Strategy", f"− {UNTRAINED}"], rows, labels=2) if rows else None


def averaged(differences: Sequence[Floats]) -> Interval:
    """The mean of several collections' means with its interval; each one's queries and draws are resampled alone.

    Args:
        differences: [seeds, queries] of each collection; NaN where a seed did not test a query.
    """
    means = [np.concatenate(list(_resampled_means(one, place))) for place, one in enumerate(differences)]
    low, high = percentiles(np.mean(means, axis=0), STATISTICS["level"])
    mean = float(np.mean([np.nanmean(one) for one in differences]))
    return Interval(mean, low, high, sum(one.shape[1] for one in differences))


def _resampled_means(table: Floats, seed: int) -> Iterator[Floats]:
    known = ~np.isnan(table)
    filled = np.where(known, table, 0.0)
    for draws, picks in crossed_weights(*table.shape, resamples=STATISTICS["resamples"], seed=seed):
        yield ((draws @ filled) * picks).sum(axis=1) / ((draws @ known) * picks).sum(axis=1)


def references(found: Sequence[Finished]) -> Iterator[tuple[Finished, list[Finished]]]:
    """The first condition of each collection, and the others of the same one."""
    by_dataset: dict[str, list[Finished]] = {}
    for one in found:
        by_dataset.setdefault(one.condition.panel.dataset, []).append(one)
    for first, *others in by_dataset.values():
        if others:
            yield first, others


def against(reference: Finished, others: Sequence[Finished]) -> Table:
    """What each other condition changes, by the queries and draws that both have; Holm-corrected over the table."""
    pairs = {
        (one.condition.title, *system): (one.scores(system), reference.scores(system))
        for one in others
        for system in one.by_system
        if system in reference.by_system
    }
    rows = [
        [*key, str(found.difference.n), difference_text(found.difference), probability(p)]
        for key, (found, p) in corrected(pairs).items()
    ]
    return Table(["Condition", "Model", "Strategy", "Queries", "Difference", "p (Holm)"], rows, labels=3)
