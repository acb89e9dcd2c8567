"""Two systems, or two states of the project, against each other on the same test queries."""

import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from zero2ir.errors import InputError
from zero2ir.evaluation.intervals import Interval, bootstrap_interval
from zero2ir.evaluation.results import Results, read_results
from zero2ir.evaluation.significance import (
    SIGNIFICANCE_LEVEL,
    Comparison,
    ScoresBySeed,
    compare_scores,
    holm,
    score_table,
)
from zero2ir.experiments.workspaces import git
from zero2ir.io import paths
from zero2ir.report.tables import difference_text, format_signed, interval_text, probability

SYSTEM_PATTERN = re.compile(r"[\w.]+/[\w.]+")

ResultsBySystem = Mapping[str, Mapping[int, Results]]  # "model/strategy" to seed to results


class SystemComparison(NamedTuple):
    """One system of the one side against one of the other."""

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
        """What can be said; where that is nothing, what could have been seen."""
        found = self.comparison
        if self.p_holm < SIGNIFICANCE_LEVEL and (found.difference.ci_low > 0 or found.difference.ci_high < 0):
            first, second = (self.one, self.other) if found.difference.mean > 0 else (self.other, self.one)
            return f"{first} is better than {second}"
        if math.isnan(found.sd):
            return "the two cannot be told apart: hardly a query differs"
        return (
            f"the two cannot be told apart; {found.difference.n} queries with this spread show a difference of "
            f"{found.detectable(SIGNIFICANCE_LEVEL):.3f} in four of five trials"
        )


def compare_sides(one: str, other: str, *, resamples: int, level: float, seed: int) -> list[SystemComparison]:
    """Compares what two descriptions stand for, on the first measure; p-values are Holm-corrected over all rows.

    Args:
        one: a results folder; a folder of them; "model/strategy" of the pipeline here; a git revision or the name of
            a DVC experiment, for all its systems, or with ":model/strategy" for one.
        other: the same. Where both hold one system these are compared, else those that have the same name.
        resamples: of each bootstrap and randomisation test.
        level: coverage of the intervals.
        seed: of the resampling.

    Raises:
        InputError: a description stands for nothing, or there is nothing in common.
    """
    options: dict[str, Any] = {"resamples": resamples, "level": level, "seed": seed}
    pairs = match_systems(read_side(one), read_side(other), (one, other))
    measure = _measure([results for pair in pairs.values() for side in pair for results in side.values()])
    scores = {names: tuple(_scores(side, measure) for side in pair) for names, pair in pairs.items()}
    compared = {names: compare_scores(*both, **options) for names, both in scores.items()}
    adjusted = holm([found.p_value for found in compared.values()])
    return [
        SystemComparison(
            measure,
            next(iter(pairs[names][0].values())).system.dataset,
            *names,
            sorted(set(scores[names][0]) & set(scores[names][1])),
            tuple(bootstrap_interval(score_table(side), **options) for side in scores[names]),  # type: ignore[arg-type]
            found,
            p,
        )
        for (names, found), p in zip(compared.items(), adjusted, strict=True)
    ]


def comparison_lines(one: str, other: str) -> list[str]:
    """As ``compare_sides``, in lines for people."""
    rows = compare_sides(one, other, resamples=10_000, level=0.95, seed=0)
    lines = []
    for row in rows:
        found = row.comparison
        seeds = ", ".join(map(str, row.seeds))
        lines.append(f"{row.measure} on {found.difference.n} test queries of {row.dataset}, draws {seeds}")
        width = max(len(row.one), len(row.other))
        lines += [
            f"  {name:{width}}  {interval_text(value)}"
            for name, value in zip((row.one, row.other), row.values, strict=True)
        ]
        lines.append(
            f"  difference {difference_text(found.difference)}, p = {probability(row.p_holm)}, "
            f"effect size {format_signed(found.effect_size)}, "
            f"{found.wins} wins, {found.ties} ties, {found.losses} losses"
        )
        lines.append(f"  {row.verdict}")
    corrected = f" p is Holm-corrected over {len(rows)}." if len(rows) > 1 else ""
    return [*lines, f"Brackets: 95 % intervals.{corrected}"]


def match_systems(
    one: ResultsBySystem, other: ResultsBySystem, sides: tuple[str, str]
) -> dict[tuple[str, str], tuple[Any, Any]]:
    """The systems to compare, by what each is called."""
    if len(one) == len(other) == 1:
        names = tuple(
            side if side.endswith(name) else f"{side} ({name})"
            for name, side in zip((*one, *other), sides, strict=True)
        )
        return {(names[0], names[1]): (*one.values(), *other.values())}  # type: ignore[dict-item]
    shared = [name for name in one if name in other]
    if not shared:
        raise InputError(f"{sides[0]} has {', '.join(one)}, {sides[1]} has {', '.join(other)}: nothing in common")
    return {(f"{name} of {sides[0]}", f"{name} of {sides[1]}"): (one[name], other[name]) for name in shared}


def _measure(results: Sequence[Results]) -> str:
    """The first measure of all of them."""
    datasets = sorted({each.system.dataset for each in results})
    measures = sorted({next(iter(each.per_query)) for each in results})
    for name, found in (("datasets", datasets), ("first measures", measures)):
        if len(found) > 1:
            raise InputError(f"compare: two {name}, {' and '.join(found)}; compare what was measured alike")
    return measures[0]


def _scores(side: Mapping[int, Results], measure: str) -> ScoresBySeed:
    return {seed: results.per_query[measure] for seed, results in side.items()}


def read_side(described: str) -> ResultsBySystem:
    """The systems that a description stands for; see ``compare_sides``.

    Raises:
        InputError: it stands for nothing.
    """
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
    """The results folders of a system, one a seed."""
    return sorted(path.parent for path in results.glob(f"{system.replace('/', '-')}-seed*/metrics.json"))


def grouped(folders: Sequence[Path]) -> dict[str, dict[int, Results]]:
    """Results by system and seed."""
    found: dict[str, dict[int, Results]] = {}
    for results in map(read_results, folders):
        found.setdefault(f"{results.system.model}/{results.system.strategy}", {})[results.system.seed] = results
    return found


def commit_of(described: str) -> str:
    """The commit of a git revision, or of a DVC experiment by its name.

    Raises:
        InputError: it is neither.
    """
    try:
        experiments = git("for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
        named = [name for name in experiments if name.rpartition("/")[2] == described]
        return git("rev-parse", "--verify", "--quiet", f"{(named or [described])[-1]}^{{commit}}")
    except InputError:
        raise InputError(
            f"{described}: neither a results folder, nor a system of {paths.RESULTS_FOLDER} here, nor a git revision, "
            "nor a DVC experiment"
        ) from None


def at_revision(described: str, commit: str, system: str) -> ResultsBySystem:
    """The results that a commit's dvc.lock names, out of the DVC cache.

    Raises:
        InputError: DVC is missing, or the commit names no results, or the cache does not have them.
    """
    try:
        from dvc.api import DVCFileSystem
        from dvc.exceptions import DvcException
    except ImportError:
        raise InputError(f"{described}: a revision's results are in DVC's cache; pip install dvc") from None
    with tempfile.TemporaryDirectory() as folder:
        try:
            DVCFileSystem(".", rev=commit).get(str(paths.RESULTS_FOLDER), folder, recursive=True)
        except (DvcException, OSError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(
                f"{described}: no results there ({reason}); a revision has them where its dvc.lock is committed and "
                "the DVC cache holds them: dvc repro, dvc commit, git add dvc.lock"
            ) from error
        results = next(iter(Path(folder).rglob("metrics.json"))).parent.parent
        folders = (
            system_folders(system, results) if system else [path.parent for path in results.glob("*/metrics.json")]
        )
        if not folders:
            raise InputError(f"{described}: {system or 'results'} is not there")
        return grouped(sorted(folders))
