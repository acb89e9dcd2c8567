"""Measures how much feedback improves a program: ten rounds of simulated feedback on Cranfield.

    python benchmarks/improving.py

For each seed, simulated users search with one half of Cranfield's queries, and the other half tests; nothing about a
test query is used. The program starts from ten judged queries of the first half, five documents each, by fine_tune. In
each round users search 1,000 times, each time with a query of the first half. They look at rank k once in k times,
click on one in ten irrelevant documents, and miss one in ten relevant ones. One search in five has its first document
swapped with another one. ``zero2ir improve`` then learns from all clicks so far and keeps the better program, judged by
the clicks on the queries that it holds out. Compared with: doing nothing; learning without the guards of fine_tune and
keeping whatever has the higher mean on the held-out queries, significant or not; no correction for ranks; and learning
from all judgments of the first half, which is the most that feedback can reach.

Prints Markdown, and writes improving.json and a figure (``--output``). Intervals are 95 % bootstrap intervals over
queries and seeds. Differences to doing nothing are paired; their p-values are Holm-corrected over the rounds of an arm.
Finished parts are kept in .cache/benchmark/improving.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zero2ir.config import IngestConfig, LibraryConfig, build, compose
from zero2ir.data.checks import check_collection
from zero2ir.data.judgments import draw_judgments
from zero2ir.data.loading import load_collection
from zero2ir.data.records import Collection, Judgment
from zero2ir.data.settings import JudgmentBudget
from zero2ir.encoders.cached import CachedQueryEncoder
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.making import make_encoder
from zero2ir.evaluation.intervals import bootstrap_interval
from zero2ir.evaluation.significance import compare_scores, holm, score_table
from zero2ir.io import paths
from zero2ir.io.files import write_json
from zero2ir.models.base import Retriever, encoder_roles
from zero2ir.online.feedback.clicks import PositionBasedModel, attraction
from zero2ir.online.feedback.improvement import ImproveSettings, improve
from zero2ir.online.feedback.judgments import ClickSettings
from zero2ir.online.feedback.position_bias import swap_for_exploration
from zero2ir.online.feedback.store import FeedbackEvent
from zero2ir.program.program import Program
from zero2ir.program.training import calibrate
from zero2ir.strategies.base import FitResult, Need, TrainingInputs
from zero2ir.strategies.fine_tune import FineTune, judgment_learner
from zero2ir.strategies.tuning import judged_values

SEEDS, ROUNDS, SEARCHES, DEPTH, MEASURE = range(3), 10, 1000, 10, "nDCG@10"
UNGUARDED = "always learn"
ARMS: dict[str, dict[str, Any]] = {
    "improve": {},
    UNGUARDED: {"level": 0.999},
    "without correction": {"clicks": ClickSettings(debias=False)},
}
NOTHING, ALL = "nothing", "all judgments"
PEOPLE = PositionBasedModel(bias=1.0)
CACHE = paths.CACHE_FOLDER / "benchmark" / "improving"
STATISTICS: dict[str, Any] = {"resamples": 10_000, "level": 0.95, "seed": 0}

Values = dict[str, float]  # of each test query


class Learns:
    """Learns from all judgments, with or without a gain."""

    needs: frozenset[Need] = frozenset()

    def fit(self, model: Retriever, inputs: TrainingInputs) -> FitResult:
        learned = judgment_learner(model, inputs)(list(inputs.queries))
        return FitResult(learned or model, "learned", "it always learns", labels=len(inputs.judgments))


class Bench(NamedTuple):
    """What all seeds share."""

    collection: Collection
    corpus: Corpus
    model: Retriever
    config: LibraryConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", nargs="?", default="cranfield")
    parser.add_argument("--model", default="hybrid", help="a file of conf/model")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--output", type=Path, default=CACHE, help="the folder for improving.json, .svg and .png")
    given = parser.parse_args()
    bench = opened(given.dataset, given.model)
    found = {
        arm: {seed: finished(bench, given.dataset, given.model, arm, seed) for seed in given.seeds}
        for arm in (NOTHING, ALL, *given.arms)
    }
    table = summary(found)
    show(given, table, found)
    given.output.mkdir(parents=True, exist_ok=True)
    write_json(given.output / "improving.json", {"dataset": given.dataset, "model": given.model, "arms": table})
    figure(table, given.output / "improving")


def opened(dataset: str, model: str) -> Bench:
    config = compose("library", LibraryConfig, [f"model={model}", "tuning.folds=2"])  # of 5: 60 improvements a seed
    collection, _ = check_collection(load_collection(compose("ingest", IngestConfig, [f"dataset={dataset}"]).dataset))
    corpus = Corpus(collection.documents, cache=paths.CACHE_FOLDER / "embeddings")
    chosen = build(config.model, "model")
    for role in encoder_roles(chosen):
        encoder = make_encoder(role, corpus, config.encoder, config.pretraining, 0)
        corpus.encoders[role] = encoder
        _ = corpus.encoded(role)
        corpus.encoders[role] = CachedQueryEncoder(encoder, [query.text for query in collection.queries])
    return Bench(collection, corpus, chosen.index(corpus), config)


def finished(bench: Bench, dataset: str, model: str, arm: str, seed: int) -> dict[str, Any]:
    path = CACHE / dataset.replace("/", "-") / model / f"{arm.replace(' ', '-')}-{seed}.json"
    if not path.is_file():
        start = time.perf_counter()
        write_json(path, simulated(bench, arm, seed))
        print(f"{time.perf_counter() - start:6.0f} s  {arm} {seed}", file=sys.stderr, flush=True)
    return json.loads(path.read_text(encoding="utf-8"))


def simulated(bench: Bench, arm: str, seed: int) -> dict[str, Any]:
    """Returns the measure of each test query after each round, and whether the round replaced the program."""
    asked, tested = halves(bench.collection, seed)
    if arm == ALL:
        return {"values": [measured(bench, trained(bench, judgments_of(bench, asked)), tested)] * (ROUNDS + 1)}
    judged = draw_judgments(asked, JudgmentBudget(judging="relevant"), seed)
    program = trained(bench, TrainingInputs(bench.corpus, judged, tuning=bench.config.tuning, seed=seed))
    values = [measured(bench, program, tested)]
    if arm == NOTHING:
        return {"values": values * (ROUNDS + 1)}
    rows = [(row.query, row.doc_id, row.relevance) for row in judged]
    events, moved = list[FeedbackEvent](), []
    settings = ImproveSettings(**ARMS[arm], tuning=bench.config.tuning)
    strategy = Learns() if arm == UNGUARDED else None
    for number in range(ROUNDS):
        events += searched(bench, program, asked, number, seed)
        improved = improve(program, events, rows, settings=settings, strategy=strategy, seed=seed)
        program = improved.program if improved.better else program
        moved.append(improved.better)
        values.append(measured(bench, program, tested))
        mean = np.mean(list(values[-1].values()))
        print(f"  {arm} {seed}.{number}: {mean:.4f}; {improved.text}", file=sys.stderr, flush=True)
    return {"values": values, "moved": moved}


def halves(collection: Collection, seed: int) -> tuple[Collection, Collection]:
    """Returns the searched half as train queries, and the half that tests, without texts that are in both."""
    relevant = {row.query_id for row in collection.judgments if row.relevance > 0}
    queries = sorted(query for query in collection.queries if query.query_id in relevant)
    order = np.random.default_rng(seed).permutation(len(queries))
    first = [queries[place]._replace(split="train") for place in sorted(order[: len(order) // 2])]
    texts = {query.text for query in first}
    second = [queries[place] for place in sorted(order[len(order) // 2 :]) if queries[place].text not in texts]
    return of_queries(collection, first), of_queries(collection, second)


def of_queries(collection: Collection, queries: Sequence[Any]) -> Collection:
    ids = {query.query_id for query in queries}
    judgments = [row for row in collection.judgments if row.query_id in ids]
    return replace(collection, queries=queries, judgments=judgments)


def trained(bench: Bench, inputs: TrainingInputs) -> Program:
    fitted = FineTune().fit(bench.model, inputs)
    calibration = calibrate(fitted.retriever, inputs, fitted.learner)
    return Program(
        fitted.retriever,
        bench.collection.documents,
        calibration.confidence,
        {"model": "bench"},
    )


def judgments_of(bench: Bench, asked: Collection) -> TrainingInputs:
    from zero2ir.data.records import JudgedDocument

    text = {query.query_id: query.text for query in asked.queries}
    rows = [JudgedDocument(row.query_id, text[row.query_id], row.doc_id, row.relevance) for row in asked.judgments]
    return TrainingInputs(bench.corpus, rows, tuning=bench.config.tuning)


def searched(bench: Bench, program: Program, asked: Collection, number: int, seed: int) -> list[FeedbackEvent]:
    """Returns the feedback of one round."""
    rng = np.random.default_rng([seed, number])
    queries = [asked.queries[place] for place in rng.integers(len(asked.queries), size=SEARCHES)]
    grades = {(row.query_id, row.doc_id): row.relevance for row in asked.judgments}
    most = max(grades.values())
    ranking, _ = program.search([query.text for query in queries], DEPTH)
    events = []
    for place, (query, numbers) in enumerate(zip(queries, ranking.numbers.tolist(), strict=True)):
        user = f"{number}-{place}"
        best = [bench.collection.documents[one].doc_id for one in numbers if one >= 0]
        shown = swap_for_exploration(best, user, query.text, f"seed {seed}", share=0.2)
        attracts = attraction(np.array([grades.get((query.query_id, doc_id), 0) for doc_id in shown]), most=most)
        for rank, (doc_id, click) in enumerate(zip(shown, PEOPLE.click(attracts[None], rng)[0], strict=True), 1):
            told = (query.text, doc_id, rank, None, float(number), user)
            events.append(FeedbackEvent(f"{user}/{rank}", "impression", *told))
            events += [FeedbackEvent(f"{user}/{rank}!", "click", *told)] if click else []
    return events


def measured(bench: Bench, program: Program, tested: Collection) -> Values:
    ranking, _ = program.search([query.text for query in tested.queries], DEPTH)
    ids = [query.query_id for query in tested.queries]
    qrels = [Judgment(*row) for row in tested.judgments]
    values = judged_values(ranking, bench.corpus, ids, qrels, MEASURE)
    return {query_id: round(float(value), 6) for query_id, value in zip(ids, values, strict=True)}


def summary(found: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> dict[str, Any]:
    """Returns for each arm the mean after each round with its interval, and its difference to doing nothing; JSON."""
    nothing = {seed: one["values"][0] for seed, one in found[NOTHING].items()}
    table: dict[str, Any] = {}
    for name, seeds in found.items():
        rounds = [{seed: one["values"][number] for seed, one in seeds.items()} for number in range(ROUNDS + 1)]
        compared = [compare_scores(values, nothing, **STATISTICS) for values in rounds]
        table[name] = {
            "means": [bootstrap_interval(score_table(values), **STATISTICS).rounded() for values in rounds],
            "differences": [one.difference.rounded() for one in compared],
            "p_holm": [1.0, *(round(p, 4) for p in holm([one.p_value for one in compared[1:]]))],
        }
    return table


def show(given: argparse.Namespace, table: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    seeds = len(given.seeds)
    print(f"\n**{given.dataset}**, {given.model}, {MEASURE} after rounds of {SEARCHES} searches; {seeds} seeds\n")
    shown = (1, 2, 3, 5, 10)
    print(
        f"| | start | {' | '.join(f'round {number}' for number in shown)} | round 10 − nothing | p (Holm) | replaced |"
    )
    print(f"|{'---|' * (len(shown) + 5)}")
    for name, row in table.items():
        means = [f"{row['means'][number]['mean']:.3f}" for number in (0, *shown)]
        last = row["differences"][-1]
        difference = f"{last['mean']:+.3f} [{last['ci_low']:+.3f}, {last['ci_high']:+.3f}]"
        moves = [sum(one["moved"]) for one in found[name].values()] if name in ARMS else []
        cells = [*means, difference, f"{row['p_holm'][-1]:.4f}", f"{np.mean(moves):.1f} times" if moves else ""]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def figure(table: Mapping[str, Any], path: Path) -> None:
    import matplotlib.pyplot as plt

    drawn, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
    colours = ("#6b6b6b", "#009E73", "#0072B2", "#D55E00", "#CC79A7")
    for (name, row), colour in zip(table.items(), colours, strict=False):
        means, numbers = row["means"], range(ROUNDS + 1)
        axis.plot(numbers, [one["mean"] for one in means], color=colour, label=name, marker="o", markersize=3)
        if name in ARMS:
            low, high = ([row["means"][number][key] for number in numbers] for key in ("ci_low", "ci_high"))
            axis.fill_between(numbers, low, high, color=colour, alpha=0.12, linewidth=0)
    axis.set(xlabel=f"rounds of {SEARCHES} searches", ylabel=MEASURE)
    axis.legend(fontsize=8, frameon=False)
    for suffix in (".svg", ".png"):
        drawn.savefig(path.with_suffix(suffix), dpi=130)
    plt.close(drawn)


if __name__ == "__main__":
    main()
