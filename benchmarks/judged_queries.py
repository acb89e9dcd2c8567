"""Curves over the number of judged queries: meta-learning against fine-tuning, from the same encoder.

    dvc repro pretrain-synthetic             # of a collection with 50 train queries or more
    python benchmarks/judged_queries.py      # in the same folder; or with the names of models of conf/model

draws 1, 2, 5, ... judged queries several times, a smaller number as a part of a larger one, trains each strategy on
each draw, and measures it on the test queries that no draw holds. Strategies see no synthetic queries here: the prompt
that those were written with shows judgments, more of them than the smaller draws have; tasks are made from pretext
queries.
Intervals are 95 % bootstrap intervals over queries and draws; differences are paired. "kept" counts the draws in which
the strategy did not fall back to what fine_tune makes.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from zero2ir import paths
from zero2ir.collections import Collection, JudgedDocument, Judgment, JudgmentBudget, Query, draw, read_collection
from zero2ir.collections.judgments import test_queries
from zero2ir.config import TrainConfig, build, compose, read_panel
from zero2ir.corpus import Corpus
from zero2ir.encoders import load_encoded
from zero2ir.errors import InputError
from zero2ir.evaluation.intervals import bootstrap_interval
from zero2ir.models import Retriever
from zero2ir.strategies import Fitted, TrainingInputs
from zero2ir.strategies.tuning import judged_values

NUMBERS = (1, 2, 5, 10, 20, 50)
DRAWS = range(5)
FIRST, *OTHERS = ("fine_tune", "meta", "meta_anil", "meta_reweight")
SEED = 0  # of the encoders
DEPTH = 100


class Bench(NamedTuple):
    """A model over the pipeline's documents and encoders, and the test queries that no draw holds."""

    model: Retriever
    corpus: Corpus
    queries: Sequence[Query]
    qrels: Sequence[Judgment]


def main(models: Sequence[str]) -> None:
    collection = read_collection(paths.COLLECTION)
    drawn = all_draws(collection, read_panel().budget.documents_per_query)
    tested = test_queries(collection, [row for rows in drawn.values() for row in rows])
    for name in models:
        bench = Bench(*indexed(name, collection), *tested)
        values, kept = curves(bench, drawn)
        show(f"{collection.facts['name']}, {name}, zero-shot {measured(bench.model, bench).mean():.3f}", values, kept)


def all_draws(collection: Collection, documents_per_query: int) -> dict[tuple[int, int], list[JudgedDocument]]:
    """The judgments by their number of queries and their draw; numbers that the collection has not are left out."""
    drawn: dict[tuple[int, int], list[JudgedDocument]] = {}
    for number in NUMBERS:
        budget = JudgmentBudget(queries=number, documents_per_query=documents_per_query)
        try:
            drawn |= {(number, seed): draw(collection, budget, seed) for seed in DRAWS}
        except InputError as error:
            print(f"{number} judged queries are left out: {error}", file=sys.stderr)
    return drawn


def indexed(name: str, collection: Collection) -> tuple[Retriever, Corpus]:
    """A model over the documents and encoders of the folder's pipeline."""
    model = build(compose("train", TrainConfig, [f"model={name}"]).model, "model")
    loaded = {
        role: load_encoded(paths.encoder(role, SEED), len(collection.documents)) for role in model.encoder_roles()
    }
    encoders = {role: encoder for role, (encoder, _) in loaded.items()}
    corpus = Corpus(collection.documents, encoders, {role: rows for role, (_, rows) in loaded.items()})
    return model.index(corpus), corpus


def curves(
    bench: Bench, drawn: Mapping[tuple[int, int], list[JudgedDocument]]
) -> tuple[dict[tuple[str, int], np.ndarray], dict[tuple[str, int], int]]:
    """For each strategy and number of judged queries [draws, queries] the measure, and how many draws kept it."""
    values: dict[tuple[str, int], list[np.ndarray]] = {}
    kept: dict[tuple[str, int], int] = {}
    for (number, seed), judgments in drawn.items():
        for strategy in (FIRST, *OTHERS):
            fitted = fit(strategy, bench, judgments, seed)
            key = strategy, number
            values.setdefault(key, []).append(measured(fitted.retriever, bench))
            kept[key] = kept.get(key, 0) + ("gain_over_fine_tune" in fitted.report)
            print(f"{number} {seed} {strategy}: {fitted.chosen}, because {fitted.because}", file=sys.stderr, flush=True)
    return {key: np.stack(rows) for key, rows in values.items()}, kept


def fit(strategy: str, bench: Bench, judgments: Sequence[JudgedDocument], seed: int) -> Fitted:
    config = compose("train", TrainConfig, [f"strategy={strategy}"])
    inputs = TrainingInputs(bench.corpus, judgments, tuning=config.tuning, seed=seed)
    return build(config.strategy, "strategy").fit(bench.model, inputs)


def measured(retriever: Retriever, bench: Bench) -> np.ndarray:
    """(n_queries,) nDCG@10 of the test queries."""
    query_ids = [query.query_id for query in bench.queries]
    ranking = retriever.search([query.text for query in bench.queries], DEPTH)
    return judged_values(ranking, bench.corpus, query_ids, bench.qrels, "nDCG@10")


def show(title: str, values: Mapping[tuple[str, int], np.ndarray], kept: Mapping[tuple[str, int], int]) -> None:
    """Prints a Markdown table, a row a number of judged queries."""
    heads = ["judged queries", FIRST, *(head for name in OTHERS for head in (f"{name} − {FIRST}", "kept"))]
    print(f"\n**{title}**\n\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for number in sorted({number for _, number in values}):
        base = values[FIRST, number]
        cells = [str(number), interval(base)]
        for name in OTHERS:
            cells += [interval(values[name, number] - base, "+"), f"{kept[name, number]}/{len(base)}"]
        print(f"| {' | '.join(cells)} |", flush=True)


def interval(values: np.ndarray, sign: str = "") -> str:
    found = bootstrap_interval(values, resamples=10_000, level=0.95, seed=SEED)
    return f"{found.mean:{sign}.3f} [{found.ci_low:{sign}.3f}, {found.ci_high:{sign}.3f}]"


if __name__ == "__main__":
    main(sys.argv[1:] or ["dense"])
