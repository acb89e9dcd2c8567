"""What each strategy is worth to each kind of model: collections x models x strategies x draws of the judgments.

    python benchmarks/strategies.py cranfield beir/scifact beir/nfcorpus

runs ``dvc repro pretrain-synthetic`` for each collection in a copy of the project (.cache/benchmark/strategies-...),
trains and measures every system there in one process, by the functions that the stages call, and prints a table for
each collection and one of their averages. What is finished is not done again by a second call; for newer code delete
the copy. ``--shuffled`` adds the control in which every query gets another one's judged documents, ``--unlabelled`` the
one in which nothing is judged, for the strategies that can do without judgments. Intervals are 95 %
bootstrap intervals over queries and draws; differences are paired, their p-values are of randomisation tests and
Holm-corrected over a collection.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from copies import COPIES, PROJECT, copy_of_the_project, run_in, set_panel

from zero2ir.evaluation.intervals import Interval, bootstrap_interval, crossed_weights
from zero2ir.evaluation.results import Results, SystemIdentity, read_results, write_results
from zero2ir.evaluation.significance import Comparison, compare, holm, paired_differences, score_table

MODELS = ("sparse", "static", "dense", "hybrid", "full")
STRATEGIES = ("zero_shot", "fine_tune", "fixed_prompt", "prompt", "meta", "hybrid")
WITHOUT_LABELS = ("zero_shot", "fixed_prompt")
SEEDS = (0, 1, 2)
MEASURE = "nDCG@10"
HERE = "--in-this-folder"
STATISTICS: dict[str, Any] = {"resamples": 10_000, "level": 0.95, "seed": 0}


class Condition(NamedTuple):
    """What training sees of the judgments.

    Attributes:
        title: of its tables.
        name: in front of the names of its copies.
        changes: to the panel.
        strategies: that can be trained so.
    """

    title: str
    name: str
    changes: Mapping[str, Any]
    strategies: Sequence[str] = STRATEGIES


TEN = Condition("ten judged queries", "strategies", {"budget": {"queries": 10, "documents_per_query": 5}})
SHUFFLED = Condition(
    "control: shuffled judgments",
    "strategies-shuffled",
    {"budget": {"queries": 10, "documents_per_query": 5, "shuffled": True}},
)
UNLABELLED = Condition(
    "control: no judgments",
    "strategies-unlabelled",
    {"budget": {"queries": 0}, "pretraining": "unlabelled"},
    WITHOUT_LABELS,
)


class System(NamedTuple):
    """One training: its names are those of the stages."""

    model: str
    strategy: str
    seed: int


class Table(NamedTuple):
    """The results of one collection, by model and strategy and then by seed."""

    name: str
    results: Mapping[tuple[str, str], Mapping[int, Results]]

    def scores(self, model: str, strategy: str) -> dict[int, Mapping[str, float]]:
        return {seed: one.per_query[MEASURE] for seed, one in self.results[model, strategy].items()}

    def gains(self, model: str, strategy: str, other: str) -> np.ndarray:
        """(n_seeds, n_queries) what one strategy gains over another."""
        return paired_differences(self.scores(model, strategy), self.scores(model, other))

    def difference(self, model: str, strategy: str, other: str) -> Comparison:
        return compare(self.scores(model, strategy), self.scores(model, other), **STATISTICS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*", default=["cranfield", "beir/scifact", "beir/nfcorpus"])
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--shuffled", action="store_true", help="the control with shuffled judgments, too")
    parser.add_argument("--unlabelled", action="store_true", help="the control without judgments, too")
    parser.add_argument("--strategies", nargs="+", default=STRATEGIES, help=argparse.SUPPRESS)
    parser.add_argument(HERE, action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.in_this_folder:
        train_all(systems(given.models, given.strategies))
        return
    for condition in (TEN, *[SHUFFLED] * given.shuffled, *[UNLABELLED] * given.unlabelled):
        tables = [table(dataset, given.models, condition) for dataset in given.datasets]
        print(f"\n## {condition.title}\n")
        for one in tables:
            show(one)
        show_averages(tables)


def systems(models: Sequence[str], strategies: Sequence[str]) -> Iterator[System]:
    """Those of the cheaper models first."""
    for model, seed, strategy in product(models, SEEDS, strategies):
        yield System(model, strategy, seed)


def table(dataset: str, models: Sequence[str], condition: Condition) -> Table:
    """Runs what is missing for one collection, and reads the results."""
    name, strategies = f"{condition.name}-{dataset.replace('/', '-')}", condition.strategies
    folder = COPIES / name if (COPIES / name).exists() else copy_of_the_project(name)
    panel = {"dataset": dataset, "lm": "smollm2", "seeds": list(SEEDS), **condition.changes}
    set_panel(folder, panel | {"models": list(models), "strategies": list(strategies)})
    run_in(folder, ["dvc", "repro", "--quiet", "pretrain-synthetic"])
    here = [sys.executable, str(PROJECT / "benchmarks" / "strategies.py"), HERE]
    run_in(folder, [*here, "--models", *models, "--strategies", *strategies])
    read = {
        one: read_results(folder / "results" / f"{one.model}-{one.strategy}-seed{one.seed}")
        for one in systems(models, strategies)
    }
    return Table(
        dataset,
        {
            (model, strategy): {seed: read[model, strategy, seed] for seed in SEEDS}
            for model, strategy in product(models, strategies)
        },
    )


def train_all(wanted: Iterator[System]) -> None:
    """Trains and measures, in the folder of a pipeline, the systems that have no results yet."""
    from stages.train import training_inputs
    from zero2ir import paths
    from zero2ir.collections import read_collection, read_judgments, test_queries
    from zero2ir.config import EvaluateConfig, TrainConfig, build, compose
    from zero2ir.experiment import code_revision, rank, train_program
    from zero2ir.lm.factory import open_lm

    collection = read_collection(paths.COLLECTION)
    for system in wanted:
        names = system._asdict()
        if paths.results(**names).exists():
            continue
        start = time.perf_counter()
        config = compose("train", TrainConfig, [f"{key}={value}" for key, value in names.items()] + ["lm=smollm2"])
        model, strategy = build(config.model, "model"), build(config.strategy, "strategy")
        with open_lm(config.lm, paths.CACHE / "lm", config.seed) as language_model:
            inputs = training_inputs(config, model.encoder_roles(), language_model, writes=True)
            trained = train_program(model, strategy, inputs, names)
            queries, qrels = test_queries(collection, read_judgments(paths.judgments(system.seed)))
            settings = compose("evaluate", EvaluateConfig, []).evaluation
            run, confidence = rank(trained.program, queries, settings.depth)
        seconds = time.perf_counter() - start
        notes = {"chosen": trained.fitted.chosen, "because": trained.fitted.because, "code": code_revision()}
        write_results(
            paths.results(**names),
            system=SystemIdentity(**names, dataset=collection.facts["name"], notes=notes),
            run=run,
            qrels=qrels,
            confidence=confidence,
            cost=trained.cost | {"seconds": seconds},
            settings=settings,
            seed=system.seed,
        )
        print(f"{seconds:6.0f} s  {system}: {notes['chosen']}, because {notes['because']}", flush=True)


def show(table: Table) -> None:
    """Prints one collection: a row a model and strategy, each beside zero_shot."""
    others = [key for key in table.results if key[1] != STRATEGIES[0]]
    compared = {key: table.difference(*key, STRATEGIES[0]) for key in others}
    corrected = dict(zip(others, holm([one.p_value for one in compared.values()]), strict=True))
    print(f"\n**{table.name}**\n\n| system | {MEASURE} | − zero_shot | p (Holm) | ECE | seconds | fell back |")
    print("|---|---|---|---|---|---|---|")
    for key, results in table.results.items():
        values = bootstrap_interval(score_table(table.scores(*key)), **STATISTICS)
        cells = [" / ".join(key), interval(values)]
        cells += [interval(compared[key].difference, "+"), f"{corrected[key]:.3f}"] if key in compared else ["", ""]
        stated = [one.metrics["confidence"]["ECE"]["mean"] for one in results.values() if one.metrics["confidence"]]
        cells += [f"{np.mean(stated):.3f}" if stated else "–"]
        cells += [f"{np.mean([one.metrics['cost']['seconds'] for one in results.values()]):.0f}"]
        simpler = simpler_than(table, key)
        same = [one.per_query == simpler[seed].per_query for seed, one in results.items()]
        cells += [f"{sum(same)}/{len(same)}" if key in compared else ""]
        print(f"| {' | '.join(cells)} |", flush=True)


def simpler_than(table: Table, key: tuple[str, str]) -> Mapping[int, Results]:
    """What a strategy ends in where it falls back: fine_tune's system, or zero_shot's where that is not there."""
    model, strategy = key
    fine_tuned = table.results.get((model, "fine_tune"))
    return fine_tuned if fine_tuned and strategy != "fine_tune" else table.results[model, STRATEGIES[0]]


def show_averages(tables: Sequence[Table]) -> None:
    """Prints the mean over the collections of what each strategy gains, each collection counting alike."""
    print("\n**average of the collections**\n\n| model | difference | nDCG@10 |\n|---|---|---|")
    strategies = list(dict.fromkeys(strategy for _, strategy in tables[0].results))
    pairs = [(strategy, STRATEGIES[0]) for strategy in strategies[1:]]
    if "prompt" in strategies:
        pairs += [("fixed_prompt", "fine_tune"), ("prompt", "fixed_prompt"), ("hybrid", "prompt")]
    for model in dict.fromkeys(model for model, _ in tables[0].results):
        for one, other in pairs:
            print(
                f"| {model} | {one} − {other} | {averaged([t.gains(model, one, other) for t in tables])} |", flush=True
            )


def averaged(gains: Sequence[np.ndarray]) -> str:
    """The mean over collections with its interval; each collection's queries and draws are resampled on their own."""
    means = [np.concatenate(list(resampled_means(one, place))) for place, one in enumerate(gains)]
    low, high = np.quantile(np.mean(means, axis=0), [0.025, 0.975])
    return interval(Interval(float(np.mean([np.nanmean(one) for one in gains])), low, high, len(gains)), "+")


def resampled_means(table: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    known = ~np.isnan(table)
    filled = np.where(known, table, 0.0)
    for draws, picks in crossed_weights(*table.shape, resamples=STATISTICS["resamples"], seed=seed):
        yield ((draws @ filled) * picks).sum(axis=1) / ((draws @ known) * picks).sum(axis=1)


def interval(found: Interval, sign: str = "") -> str:
    return f"{found.mean:{sign}.3f} [{found.ci_low:{sign}.3f}, {found.ci_high:{sign}.3f}]"


if __name__ == "__main__":
    main()
