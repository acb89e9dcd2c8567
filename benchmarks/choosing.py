"""Measures what fitting settings to ten judged queries gains and loses, by the measure that decides.

    python benchmarks/choosing.py beir/scifact beir/nfcorpus

Draws ten of 400 train queries many times, with up to five judged documents each, and chooses the settings of BM25 and
of two hybrids on them. The rest of the 400 queries measure the choice; test queries are not used. A good rule loses
nothing where the default is about the best candidate, and gains where another candidate is better. So each candidate
plays the default in turn. Columns: `default`, the mean gain of nDCG@10 over the configured default with a 95 % interval
over the draws; `wrong default`, the mean share of the distance to the best candidate that is gained over defaults that
are at least 0.008 worse. A significance of 0.5 is no test: any expected gain suffices.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

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
from zero2ir.io import paths
from zero2ir.models.capabilities import sweep
from zero2ir.models.ranking import Ranking
from zero2ir.strategies.tuning import TuningSettings, choose, judged_values

MODELS = ("sparse", "static_hybrid", "hybrid")
QUERIES, BUDGET = 400, JudgmentBudget(queries=10, documents_per_query=5, judging="relevant")
RULES = [(measure, significance) for measure in ("nDCG@10", "nDCG@100") for significance in (0.5, 0.1, 0.05, 0.025)]
TUNING, GOAL = TuningSettings(), "nDCG@10"
WRONG = 0.008  # of nDCG@10 below the best candidate
EACH = 4  # a wrong default sees every fourth draw


class JudgmentDraw(NamedTuple):
    """The judged queries of one draw, by their numbers, and each measure of each candidate on them."""

    places: np.ndarray
    values: dict[str, np.ndarray]


class Bench(NamedTuple):
    """The candidates of one model on the train queries of one collection."""

    goal: np.ndarray  # (n_candidates, n_queries) by the complete judgments
    draws: list[JudgmentDraw]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*", default=["beir/scifact", "beir/nfcorpus"])
    parser.add_argument("--draws", type=int, default=300)
    given = parser.parse_args()
    found = {dataset: benches(dataset, given.draws) for dataset in given.datasets}
    names = [f"{model}, {dataset}" for dataset, models in found.items() for model in models]
    print(f"\n| decides | significance | {' | '.join(names)} | mean | wrong default |\n|{'---|' * (len(names) + 4)}")
    for measure, significance in RULES:
        rows = [outcome(bench, measure, significance) for models in found.values() for bench in models.values()]
        shares = [share for _, wrong in rows for share in wrong]
        cells = [interval(gains) for gains, _ in rows]
        mean = float(np.mean([gains.mean() for gains, _ in rows]))
        print(f"| {measure} | {significance} | {' | '.join(cells)} | {mean:+.4f} | {np.mean(shares):.0%} |", flush=True)


def benches(dataset: str, draws: int) -> dict[str, Bench]:
    """Searches with every candidate once."""
    collection = sampled(
        check_collection(load_collection(compose("ingest", IngestConfig, [f"dataset={dataset}"]).dataset))[0]
    )
    texts = [query.text for query in collection.queries]
    config = compose("library", LibraryConfig, [])
    corpus = Corpus(collection.documents, cache=paths.CACHE_FOLDER / "embeddings")
    for role in ("static", "pretrained"):
        encoder = make_encoder(role, corpus, config.encoder, config.pretraining, 0)
        corpus.encoders[role] = CachedQueryEncoder(encoder, texts)
    found: dict[str, Bench] = {}
    for name in MODELS:
        model = build(compose("library", LibraryConfig, [f"model={name}"]).model, "model").index(corpus)
        rankings = [ranking for _, ranking in sweep(model, texts, TUNING.depth)]
        found[name] = measured(collection, corpus, rankings, draws)
    return found


def sampled(collection: Collection) -> Collection:
    """Returns some train queries, each with a relevant document, and their judgments."""
    relevant = {row.query_id for row in collection.judgments if row.relevance > 0}
    train = sorted(one for one in collection.queries if one.split == "train" and one.query_id in relevant)
    queries = [train[place] for place in np.random.default_rng(11).permutation(len(train))[:QUERIES]]
    ids = {query.query_id for query in queries}
    return replace(collection, queries=queries, judgments=[row for row in collection.judgments if row.query_id in ids])


def measured(collection: Collection, corpus: Corpus, rankings: Sequence[Ranking], draws: int) -> Bench:
    ids = [query.query_id for query in collection.queries]
    place = {query_id: number for number, query_id in enumerate(ids)}
    drawn: list[JudgmentDraw] = []
    for seed in range(draws):
        rows = [Judgment(row.query_id, row.doc_id, row.relevance) for row in draw_judgments(collection, BUDGET, seed)]
        judged = list(dict.fromkeys(row.query_id for row in rows))
        places = np.array([place[query_id] for query_id in judged])
        own = [ranking.select_queries(places) for ranking in rankings]
        drawn.append(
            JudgmentDraw(
                places,
                {
                    measure: np.stack([judged_values(one, corpus, judged, rows, measure) for one in own])
                    for measure in dict.fromkeys(measure for measure, _ in RULES)
                },
            )
        )
    goal = np.stack([judged_values(ranking, corpus, ids, collection.judgments, GOAL) for ranking in rankings])
    return Bench(goal, drawn)


def outcome(bench: Bench, measure: str, significance: float) -> tuple[np.ndarray, list[float]]:
    """Returns (n_draws,) the gains over the configured default, and for each wrong default the share that is gained."""
    means = bench.goal.mean(axis=1)
    short = means.max() - means
    wrong = [default for default in range(1, len(means)) if short[default] >= WRONG]
    shares = [
        float(gains(bench, default, measure, significance, bench.draws[::EACH]).mean() / short[default])
        for default in wrong
    ]
    return gains(bench, 0, measure, significance, bench.draws), shares


def gains(bench: Bench, default: int, measure: str, significance: float, draws: Sequence[JudgmentDraw]) -> np.ndarray:
    """Returns (n_draws,) what the choice gains over a default on the queries that were not drawn."""
    order = [default, *(number for number in range(len(bench.goal)) if number != default)]
    chosen = [order[choose(one.values[measure][order], TUNING.prior_deviation, significance).index] for one in draws]
    rest = [np.setdiff1d(np.arange(bench.goal.shape[1]), one.places) for one in draws]
    return np.array(
        [(bench.goal[best] - bench.goal[default])[others].mean() for best, others in zip(chosen, rest, strict=True)]
    )


def interval(values: np.ndarray) -> str:
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():+.4f} ± {half:.4f}"


if __name__ == "__main__":
    main()
