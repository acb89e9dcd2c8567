"""Compares every way to select judgments with random selection: learning curves over the judged documents.

    python benchmarks/selection.py cranfield beir/nfcorpus beir/scifact

Simulates a labelling for each way, collection and seed: the qrels answer (a document without a judgment is not
relevant), five documents of each selected query are judged, and the model learns from all judgments and is measured on
the test queries after 1, 2, 5, 10, 20 and 50 of them. It always learns: the guards of the strategies would keep the
former model, whatever was judged. Candidates are 200 train queries, drawn by the seed; Cranfield has no train queries,
so one half of its queries is used, and the other half tests. Rankings and vectors are computed once per collection, so
that one labelling takes seconds. Finished parts are kept in .cache/benchmark/selection and not computed again; delete
that folder after a change of the code.

Prints a table for each collection and writes a figure and its data (``--output``). The area under the curve is the mean
measure over the judged documents, from 0 to all, by trapezoids. Intervals are 95 % bootstrap intervals over queries and
seeds. Differences to random selection are paired; their p-values are of randomisation tests and Holm-corrected over a
collection.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from zero2ir.config import IngestConfig, LabelConfig, build, compose
from zero2ir.data.checks import check_collection
from zero2ir.data.loading import load_collection
from zero2ir.data.records import Collection, Judgment
from zero2ir.encoders.cached import CachedQueryEncoder
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.loading import load_encoder
from zero2ir.encoders.making import make_encoder
from zero2ir.evaluation.intervals import Interval, bootstrap_interval
from zero2ir.evaluation.significance import compare_scores, holm, score_table
from zero2ir.io import paths
from zero2ir.io.files import finished_folder, write_json
from zero2ir.labelling.annotators import AnswerList, Simulated
from zero2ir.labelling.loop import Labelling
from zero2ir.labelling.settings import LabellingSettings
from zero2ir.models.base import Retriever
from zero2ir.models.ranking import Candidates, Ranking
from zero2ir.strategies.base import FitResult, Need, TrainingInputs
from zero2ir.strategies.fine_tune import cross_validate, judgment_learner, measure
from zero2ir.strategies.tuning import judged_values

FIRST = "random"
SELECTIONS = (
    FIRST,
    "margin",
    "entropy",
    "k_centre",
    "k_means",
    "uncertain_diverse",
    "disagreement",
    "model_change",
    "bandit",
)
BUDGETS = (1, 2, 5, 10, 20, 50)
BATCHES = (1, 1, 3, 5, 10)
SEEDS = range(10)
MEASURE, DEPTH = "nDCG@10", 10
CACHE = paths.CACHE_FOLDER / "benchmark" / "selection"
STATISTICS: dict[str, Any] = {"resamples": 10_000, "level": 0.95, "seed": 0}

Curve = Mapping[int, Mapping[str, float]]  # judged queries to the measure of each test query


class Tabled(Retriever):
    """A retriever that has searched with some queries once, and accepts no others."""

    kind = "tabled"

    def __init__(self, retriever: Retriever, queries: Sequence[str], depth: int) -> None:
        texts = list(dict.fromkeys(queries))
        self.retriever, self.queries, self.depth = retriever, queries, depth
        self.place = {text: number for number, text in enumerate(texts)}
        self.ranking = retriever.search(texts, depth)

    def needs(self) -> set[str]:
        return self.retriever.needs()

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        assert candidates is None
        assert k <= self.ranking.numbers.shape[1]
        return self.ranking.select_queries(np.array([self.place[query] for query in queries])).cut(k)

    def index(self, corpus: Corpus) -> Self:
        return self

    def score(self, *_: Any) -> list[np.ndarray]:
        raise NotImplementedError


class Learns:
    """Learns from all judgments, with or without a gain.

    Args:
        measured: whether cross-validation measures the gain, for selections that use it.
    """

    needs: frozenset[Need] = frozenset()

    def __init__(self, measured: bool) -> None:
        self.measured = measured

    def fit(self, model: Retriever, inputs: TrainingInputs) -> FitResult:
        query_ids = list(inputs.queries)
        learner = judgment_learner(model, inputs)
        found = cross_validate(learner, inputs) if self.measured else []
        report: dict[str, Any] = {}
        if found:
            default = measure(model, inputs, inputs.measured_queries).mean()
            report = {"default": default, "expected_gain": found[0].values.mean() - default}
        return FitResult(learner(query_ids) or model, "learned", "it always learns", report=report)


class Bench(NamedTuple):
    """One collection with everything that is computed once."""

    collection: Collection
    corpus: Corpus
    members: Mapping[str, Retriever]
    model: Retriever
    config: LabelConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*", default=["cranfield", "beir/nfcorpus", "beir/scifact"])
    parser.add_argument("--model", default="dense", help="a file of conf/model that needs no other encoders")
    parser.add_argument("--selections", nargs="+", default=SELECTIONS, help="random is always among them")
    parser.add_argument("--output", type=Path, default=CACHE, help="the folder for selection.json, .svg and .png")
    given = parser.parse_args()
    selections = list(dict.fromkeys([FIRST, *given.selections]))
    curves = {dataset: simulated(dataset, given.model, selections) for dataset in given.datasets}
    tables = {dataset: summary(found) for dataset, found in curves.items()}
    for dataset, table in tables.items():
        show(dataset, table)
    given.output.mkdir(parents=True, exist_ok=True)
    write_json(given.output / "selection.json", {"model": given.model, "measure": MEASURE, "collections": tables})
    draw(tables, given.output / "selection")


def simulated(dataset: str, model: str, selections: Sequence[str]) -> dict[str, dict[int, Curve]]:
    """Returns each selection's curve for each seed; computes missing ones, seed by seed."""
    folder = CACHE / dataset.replace("/", "-") / model
    bench: Bench | None = None
    for seed in SEEDS:
        for selection in selections:
            path = folder / f"{selection}-{seed}.json"
            if path.is_file():
                continue
            bench = bench or opened(dataset, model)
            start = time.perf_counter()
            write_json(path, curve(bench, selection, seed))
            print(f"{time.perf_counter() - start:6.1f} s  {dataset} {selection} {seed}", file=sys.stderr, flush=True)
    return {
        selection: {seed: read_curve(folder / f"{selection}-{seed}.json") for seed in SEEDS} for selection in selections
    }


def read_curve(path: Path) -> Curve:
    return {int(number): values for number, values in json.loads(path.read_text(encoding="utf-8")).items()}


def opened(dataset: str, model: str) -> Bench:
    """Reads a collection, trains its static encoder once, and searches with every query once."""
    config = compose("label", LabelConfig, [f"model={model}", "labelling.patience=0"])
    collection, _ = check_collection(load_collection(compose("ingest", IngestConfig, [f"dataset={dataset}"]).dataset))
    queries = [query.text for query in collection.queries]
    corpus = Corpus(collection.documents, cache=paths.CACHE_FOLDER / "embeddings")
    for role in ("pretrained", "static"):
        folder = CACHE / dataset.replace("/", "-") / role
        if not folder.is_dir():
            with finished_folder(folder) as part:
                make_encoder(role, corpus, config.encoder, config.pretraining, 0).save(part)
        corpus.encoders[role] = CachedQueryEncoder(load_encoder(folder), queries)
    depth = min(1000, len(collection.documents))
    members = {
        name: Tabled(build(choice, "committee").index(corpus), queries, depth)
        for name, choice in config.committee.items()
    }
    return Bench(collection, corpus, members, build(config.model, "model").index(corpus), config)


def curve(bench: Bench, selection: str, seed: int) -> dict[str, dict[str, float]]:
    """Labels by one selection with one seed, and measures at each budget."""
    candidates, qrels, tested = halves(bench.collection, seed)
    settings = bench.config.labelling.model_copy(update={"budget": max(BUDGETS), "batches": BATCHES, "candidates": 200})
    labelling = Labelling(
        bench.model,
        Learns(measured=selection == "bandit"),
        TrainingInputs(bench.corpus, (), tuning=bench.config.tuning.model_copy(update={"depth": DEPTH}), seed=seed),
        candidates,
        bench.members,
        build(compose("label", LabelConfig, [f"selection={selection}"]).selection, "selection"),
        AnswerList(),
        LabellingSettings.model_validate(settings.model_dump()),
    )
    annotator = Simulated(qrels, seed=seed)
    values = {"0": measured(bench, bench.model, *tested)}
    while items := list(labelling.waiting):
        for grade in annotator.grades(items):
            labelling.answer(grade, annotator.name)
        if (number := labelling.progress.queries) in BUDGETS:
            values[str(number)] = measured(bench, labelling.fit.retriever, *tested)
    return values


def halves(
    collection: Collection, seed: int
) -> tuple[list[tuple[str, str]], list[Judgment], tuple[Mapping[str, str], list[Judgment]]]:
    """Returns the queries that may be judged with their qrels, and the test queries' texts and qrels by id."""
    relevant = {row.query_id for row in collection.judgments if row.relevance > 0}
    queries = sorted(query for query in collection.queries if query.query_id in relevant)
    train = [query for query in queries if query.split == "train"]
    if not train:
        order = np.random.default_rng(seed).permutation(len(queries))
        train = [queries[place] for place in sorted(order[: len(order) // 2])]
    ids = {query.query_id for query in train}
    texts = {query.text for query in train}
    test = {query.query_id: query.text for query in queries if query.query_id not in ids and query.text not in texts}
    return (
        [(query.query_id, query.text) for query in train],
        [row for row in collection.judgments if row.query_id in ids],
        (test, [row for row in collection.judgments if row.query_id in test]),
    )


def measured(
    bench: Bench, retriever: Retriever, queries: Mapping[str, str], qrels: Sequence[Judgment]
) -> dict[str, float]:
    ranking = retriever.search(list(queries.values()), DEPTH)
    values = judged_values(ranking, bench.corpus, list(queries), qrels, MEASURE)
    return {query_id: round(float(value), 6) for query_id, value in zip(queries, values, strict=True)}


def summary(curves: Mapping[str, Mapping[int, Curve]]) -> dict[str, Any]:
    """Returns for each selection its mean at each budget and its area, with their differences to random; JSON."""
    areas = {name: {seed: area(one) for seed, one in found.items()} for name, found in curves.items()}
    compared = {
        name: compare_scores(found, areas[FIRST], **STATISTICS) for name, found in areas.items() if name != FIRST
    }
    adjusted = dict(zip(compared, holm([one.p_value for one in compared.values()]), strict=True))
    table: dict[str, Any] = {}
    for name, found in curves.items():
        numbers = sorted(next(iter(found.values())))
        points = {number: {seed: one[number] for seed, one in found.items()} for number in numbers}
        table[name] = {
            "curve": {str(number): interval_of(values) for number, values in points.items()},
            "area": interval_of(areas[name]),
        }
        if name != FIRST:
            random = {number: {seed: one[number] for seed, one in curves[FIRST].items()} for number in numbers}
            table[name] |= {
                "differences": {
                    str(number): compare_scores(points[number], random[number], **STATISTICS).difference.rounded()
                    for number in numbers[1:]
                },
                "area_difference": compared[name].difference.rounded(),
                "p_holm": round(adjusted[name], 4),
            }
    return table


def area(one: Curve) -> dict[str, float]:
    """Returns each test query's mean measure over the budgets from 0, by trapezoids."""
    numbers = sorted(one)
    return {
        query_id: float(np.trapezoid([one[number][query_id] for number in numbers], numbers) / numbers[-1])
        for query_id in one[numbers[0]]
    }


def interval_of(values: Mapping[int, Mapping[str, float]]) -> dict[str, float]:
    return bootstrap_interval(score_table(values), **STATISTICS).rounded()


def show(dataset: str, table: Mapping[str, Any]) -> None:
    """Prints a Markdown table: the values of random selection, and the differences of the others."""
    numbers = list(table[FIRST]["curve"])
    heads = ["selection", *numbers, "area", "area − random", "p (Holm)"]
    print(f"\n**{dataset}**, {MEASURE} by judged queries of five documents\n")
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for name, row in table.items():
        cells = [name, *(f"{row['curve'][number]['mean']:.3f}" for number in numbers), f"{row['area']['mean']:.3f}"]
        cells += [worded(row["area_difference"]), f"{row['p_holm']:.3f}"] if name != FIRST else ["", ""]
        print(f"| {' | '.join(cells)} |", flush=True)


def worded(found: Mapping[str, float]) -> str:
    one = Interval(**{key: found[key] for key in Interval._fields})  # type: ignore[arg-type]
    return f"{one.mean:+.4f} [{one.ci_low:+.4f}, {one.ci_high:+.4f}]"


def draw(tables: Mapping[str, Any], path: Path) -> None:
    """Draws what each selection gains over the initial model, by judged documents; one panel per collection."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(tables), figsize=(4.2 * len(tables), 3.6), squeeze=False, layout="constrained")
    for axis, (dataset, table) in zip(axes[0], tables.items(), strict=True):
        for name, row in table.items():
            numbers = list(row["curve"])
            start = row["curve"]["0"]["mean"]
            gains = [row["curve"][number]["mean"] - start for number in numbers[1:]]
            documents = [5 * int(number) for number in numbers[1:]]
            style = {"color": "black", "linewidth": 2.5, "zorder": 3} if name == FIRST else {"linewidth": 1.2}
            axis.plot(documents, gains, marker="o", markersize=3, label=name, **style)
        axis.axhline(0, color="#999999", linewidth=0.8)
        axis.set(xscale="log", title=dataset, xlabel="judged documents")
        axis.set_xticks([5 * number for number in BUDGETS], [str(5 * number) for number in BUDGETS])
        axis.minorticks_off()
    axes[0][0].set_ylabel(f"{MEASURE}, gain over no judgments")
    axes[0][-1].legend(fontsize=7, frameon=False)
    for suffix in (".svg", ".png"):
        figure.savefig(path.with_suffix(suffix), dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    main()
