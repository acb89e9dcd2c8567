"""Compares two systems, or two states of the project, on the same test queries."""

import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from zero2ir.errors import InputError
from zero2ir.evaluation.intervals import Interval
from zero2ir.evaluation.results import Results, all_topics, read_results
from zero2ir.evaluation.significance import (
    SIGNIFICANCE_LEVEL,
    Comparison,
    ScoresBySeed,
    compare_scores,
    holm,
    mean_interval,
)
from zero2ir.experiments.workspaces import git
from zero2ir.io import paths
from zero2ir.report.tables import difference_text, format_signed, interval_text, probability

SYSTEM_PATTERN = re.compile(r"[\w.]+/[\w.]+")

ResultsBySystem = Mapping[str, Mapping[int, Results]]  # "model/strategy" to seed to results


class SystemComparison(NamedTuple):
    """Comparison of one system of each side."""

    measure: str
    dataset: str
    one: str
    other: str
    seeds: Sequence[int]
    values: tuple[Interval, Interval]
    comparison: Comparison
    p_holm: float

    @property
    def verdict(self) -> str:
        """Which system is better; or, without a significant difference, which difference could have been detected."""
        result = self.comparison
        if self.p_holm < SIGNIFICANCE_LEVEL and (result.difference.ci_low > 0 or result.difference.ci_high < 0):
            first, second = (self.one, self.other) if result.difference.mean > 0 else (self.other, self.one)
            return f"{first} is better than {second}"
        if math.isnan(result.sd):
            return "no significant difference: too few queries differ"
        return (
            f"no significant difference; with {result.difference.n} queries and this variance a difference of "
            f"{result.detectable(SIGNIFICANCE_LEVEL):.3f} is detected with a power of 80 %"
        )


def compare_sides(one: str, other: str, *, resamples: int, level: float, seed: int) -> list[SystemComparison]:
    """Compares the systems of two sides on the first measure; p-values are Holm-corrected over all rows.

    Args:
        one: a results folder; a folder of results folders; "model/strategy" of the pipeline here; a git revision or the
            name of a DVC experiment, for all its systems, or with ":model/strategy" for one.
        other: likewise. If each side has one system, these two are compared, else systems with the same name.
        resamples: resamples of each bootstrap and randomisation test.
        level: coverage of the intervals.
        seed: seed of the resampling.

    Raises:
        InputError: a side cannot be resolved, or the sides have no system in common.
    """
    pairs = match_systems(read_side(one), read_side(other), (one, other))
    results = [each for pair in pairs.values() for side in pair for each in side.values()]
    measure, topics = _measure(results), all_topics(results)
    options: dict[str, Any] = {"resamples": resamples, "level": level, "seed": seed, "topics": topics}
    scores = {names: tuple(scores_by_seed(side, measure) for side in pair) for names, pair in pairs.items()}
    compared = {names: compare_scores(*both, **options) for names, both in scores.items()}
    adjusted = holm([result.p_value for result in compared.values()])
    return [
        SystemComparison(
            measure,
            next(iter(pairs[names][0].values())).system.dataset,
            *names,
            sorted(set(scores[names][0]) & set(scores[names][1])),
            tuple(mean_interval(side, **options) for side in scores[names]),  # type: ignore[arg-type]
            result,
            p,
        )
        for (names, result), p in zip(compared.items(), adjusted, strict=True)
    ]


def comparison_lines(one: str, other: str) -> list[str]:
    """Describes the result of ``compare_sides``, in lines."""
    rows, lines = compare_sides(one, other, resamples=10_000, level=0.95, seed=0), []
    for row in rows:
        result = row.comparison
        seeds = ", ".join(map(str, row.seeds))
        lines.append(f"{row.measure} on {result.difference.n} test queries of {row.dataset}, draws {seeds}")
        width = max(len(row.one), len(row.other))
        lines += [
            f"  {name:{width}}  {interval_text(value)}"
            for name, value in zip((row.one, row.other), row.values, strict=True)
        ]
        lines.append(
            f"  difference {difference_text(result.difference)}, p = {probability(row.p_holm)}, "
            f"effect size {format_signed(result.effect_size)}, "
            f"{result.wins} wins, {result.ties} ties, {result.losses} losses"
        )
        lines.append(f"  {row.verdict}")
    corrected = f" p is Holm-corrected over {len(rows)}." if len(rows) > 1 else ""
    return [*lines, f"Brackets: 95 % intervals.{corrected}"]


def match_systems(
    one: ResultsBySystem, other: ResultsBySystem, sides: tuple[str, str]
) -> dict[tuple[str, str], tuple[Any, Any]]:
    """Returns the pairs of systems to compare, by their names."""
    if len(one) == len(other) == 1:
        named = zip((*one, *other), sides, strict=True)
        first, second = (side if side.endswith(name) else f"{side} ({name})" for name, side in named)
        return {(first, second): (*one.values(), *other.values())}  # type: ignore[dict-item]
    shared = [name for name in one if name in other]
    if not shared:
        raise InputError(f"{sides[0]} has {', '.join(one)}, {sides[1]} has {', '.join(other)}: no system in common")
    return {(f"{name} of {sides[0]}", f"{name} of {sides[1]}"): (one[name], other[name]) for name in shared}


def _measure(results: Sequence[Results]) -> str:
    """Returns the first measure, which all results must share."""
    datasets = sorted({each.system.dataset for each in results})
    measures = sorted({next(iter(each.per_query)) for each in results})
    for name, values in (("datasets", datasets), ("first measures", measures)):
        if len(values) > 1:
            raise InputError(f"compare: different {name}, {' and '.join(values)}; compare results with the same {name}")
    return measures[0]


def read_side(described: str) -> ResultsBySystem:
    """Returns the systems of one side, or raises an InputError; see ``compare_sides``."""
    folder = Path(described)
    if (folder / "metrics.json").is_file():
        return grouped([folder])
    if folders := sorted(path.parent for path in folder.glob("*/metrics.json")):
        return grouped(folders)
    if SYSTEM_PATTERN.fullmatch(described) and (own := system_folders(described, paths.RESULTS_FOLDER)):
        return grouped(own)
    revision, _, system = described.partition(":")
    return at_revision(described, commit_of(revision), system)


def system_folders(system: str, results: Path) -> list[Path]:
    """Returns the results folders of a system, one per seed."""
    return sorted(path.parent for path in results.glob(f"{system.replace('/', '-')}-seed*/metrics.json"))


def grouped(folders: Sequence[Path]) -> dict[str, dict[int, Results]]:
    """Reads results and groups them by system and seed."""
    groups: dict[str, dict[int, Results]] = {}
    for results in map(read_results, folders):
        groups.setdefault(f"{results.system.model}/{results.system.strategy}", {})[results.system.seed] = results
    return groups


def scores_by_seed(results: Mapping[int, Results], measure: str) -> ScoresBySeed:
    """Returns a measure of each query, by seed and query id."""
    return {seed: one.per_query[measure] for seed, one in results.items()}


def commit_of(described: str) -> str:
    """Returns the commit of a git revision or of a DVC experiment; an InputError if there is neither."""
    try:
        experiments = git("for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
        named = [name for name in experiments if name.rpartition("/")[2] == described]
        return git("rev-parse", "--verify", "--quiet", f"{(named or [described])[-1]}^{{commit}}")
    except InputError:
        raise InputError(
            f"{described}: not a results folder, nor a system in {paths.RESULTS_FOLDER}, nor a git revision, nor a DVC "
            "experiment"
        ) from None


def at_revision(described: str, commit: str, system: str) -> ResultsBySystem:
    """Reads the results in a commit's dvc.lock from the DVC cache.

    Raises:
        InputError: DVC is missing, the commit has no results, or they are not in the cache.
    """
    try:
        from dvc.api import DVCFileSystem
        from dvc.exceptions import DvcException
    except ImportError:
        raise InputError(
            f"{described}: reading results of a revision needs DVC; pip install 'zero2ir[pipeline]'"
        ) from None
    with tempfile.TemporaryDirectory() as folder:
        try:
            DVCFileSystem(".", rev=commit).get(str(paths.RESULTS_FOLDER), folder, recursive=True)
        except (DvcException, OSError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(
                f"{described}: no results ({reason}); commit a dvc.lock whose results are in the DVC cache: dvc repro, "
                "dvc commit, git add dvc.lock"
            ) from error
        results = next(iter(Path(folder).rglob("metrics.json"))).parent.parent
        own = [path.parent for path in results.glob("*/metrics.json")]
        if folders := system_folders(system, results) if system else sorted(own):
            return grouped(folders)
        raise InputError(f"{described}: has no {system or 'results'}")
