"""What each pretext task and each filter of written queries is worth, on and off, to the static encoder from scratch.

    dvc repro evaluate                  # of a collection, with a strategy that has queries written
    python benchmarks/pretraining.py    # in the same folder

trains the encoder again for every row of two tables, with the settings, queries and seed of the folder's pipeline, and
measures it on the test queries, alone and fused with BM25 (conf/model/static_hybrid.yaml). Nothing is chosen here: the
rows are what they are. Differences are paired, with 95 % bootstrap intervals; p-values are of randomisation tests on
the encoder alone, Holm-corrected within a table.

Filters are judged by what an encoder learns from the written queries alone; beside the pretext tasks they would hardly
show. A filter that the pipeline was not asked about (pretraining.synthetic.filters) has no row.
"""

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from zero2ir import paths
from zero2ir.collections import Judgment, Query, is_ordered, read_collection, read_judgments, test_queries
from zero2ir.config import PretrainConfig, TrainConfig, build, compose
from zero2ir.corpus import Corpus
from zero2ir.evaluation.measures import score_run
from zero2ir.evaluation.significance import Comparison, compare, holm
from zero2ir.experiment import as_run
from zero2ir.models import Retriever
from zero2ir.pretext.tasks import DEFAULT, PairTasks
from zero2ir.pretext.written import Written
from zero2ir.static import train_static
from zero2ir.synthetic.records import SyntheticQuery
from zero2ir.synthetic.settings import SyntheticSettings
from zero2ir.synthetic.store import read_synthetic

SEED = 0
MEASURE = "nDCG@10"
DEPTH = 100
MODELS = ("static", "static_hybrid")


class Condition(NamedTuple):
    """What an encoder is trained on."""

    name: str
    tasks: PairTasks


def task_conditions(queries: Sequence[SyntheticQuery], ordered: bool) -> Iterator[Condition]:
    """The default tasks first, then each of them off, each other one on, all, and each alone."""
    alone = {name: compose_tasks(name) for name in PairTasks.model_fields}
    everything = {name: getattr(tasks, name) for name, tasks in alone.items()}
    written = accepted(queries, SyntheticSettings().filters)
    if not written:
        del everything["written"]
    on = {name: task for name, task in everything.items() if getattr(DEFAULT, name) is not None}
    rows = {"default: " + " + ".join(on): on}
    rows |= {f"− {name}": {key: task for key, task in on.items() if key != name} for name in on}
    rows |= {f"+ {name}": {**on, name: task} for name, task in everything.items() if name not in on}
    rows |= {"all": everything}
    rows |= {f"{name} alone": {name: task} for name, task in everything.items() if name not in on}
    for name, tasks in rows.items():
        yield Condition(name, PairTasks(**tasks).informed(ordered, written))


def compose_tasks(name: str) -> PairTasks:
    return compose("pretrain_synthetic", PretrainConfig, [f"pretraining={name}"]).pretraining.pairs


def filter_conditions(queries: Sequence[SyntheticQuery]) -> Iterator[Condition]:
    """The default filters first, then none, each of them off, and each other one on."""
    default = SyntheticSettings().filters
    asked = {name for row in queries for name in row.objections}
    rows = {"default filters": set(default), "no filter": {"empty"}}
    rows |= {f"− {name}": set(default) - {name} for name in default if name in asked - {"empty"}}
    rows |= {f"+ {name}": {*default, name} for name in sorted(asked - set(default))}
    for name, filters in rows.items():
        kept = accepted(queries, filters)
        yield Condition(f"{name} ({len(kept)})", PairTasks(written=Written(queries=tuple(kept))))


def accepted(queries: Sequence[SyntheticQuery], filters: Collection[str]) -> list[tuple[str, str]]:
    """The queries that none of some filters objects to, each with its document."""
    return [(row.query, row.doc_id) for row in queries if set(filters).isdisjoint(row.objections)]


def main(tables: Sequence[str]) -> None:
    collection = read_collection(paths.COLLECTION)
    tested = test_queries(collection, read_judgments(paths.judgments(SEED)))
    synthetic = read_synthetic(paths.synthetic(SEED))
    conditions = {
        "tasks": lambda: task_conditions(synthetic, is_ordered(paths.COLLECTION)),
        "filters": lambda: filter_conditions(synthetic),
    }
    settings = compose("pretrain_synthetic", PretrainConfig, []).pretraining.static
    for table in tables:
        values: dict[str, Mapping[str, Mapping[str, float]]] = {}
        for condition in conditions[table]():
            encoder = train_static(collection.documents, settings, SEED, condition.tasks)
            corpus = Corpus(collection.documents, {"static": encoder})
            values[condition.name] = {name: per_query(model(name), corpus, *tested) for name in MODELS}
            print(condition.name, {name: mean(one) for name, one in values[condition.name].items()}, file=sys.stderr)
        show(f"{collection.facts['name']}, {table}", values)


def model(name: str) -> Retriever:
    return build(compose("train", TrainConfig, [f"model={name}", "strategy=zero_shot"]).model, "model")


def per_query(
    retriever: Retriever, corpus: Corpus, queries: Sequence[Query], qrels: Sequence[Judgment]
) -> dict[str, float]:
    """The measure of each test query."""
    ranking = retriever.index(corpus).search([query.text for query in queries], DEPTH)
    run = as_run(ranking, [query.query_id for query in queries], corpus.documents)
    return {row.query_id: row.value for row in score_run(run, qrels, [MEASURE])}


def mean(values: Mapping[str, float]) -> float:
    return round(sum(values.values()) / len(values), 4)


def show(title: str, values: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """Prints a Markdown table; every row is compared with the first."""
    (first, base), *others = values.items()
    compared = {
        name: {
            key: compare({SEED: row[key]}, {SEED: base[key]}, resamples=10_000, level=0.95, seed=SEED) for key in MODELS
        }
        for name, row in others
    }
    corrected = holm([row["static"].p_value for row in compared.values()])
    print(f"\n**{title}**\n\n| | static | difference | p (Holm) | static_hybrid | difference |")
    print("|---|---|---|---|---|---|")
    print(f"| {first} | {mean(base['static']):.3f} | | | {mean(base['static_hybrid']):.3f} | |")
    for (name, row), p_value in zip(others, corrected, strict=True):
        alone, fused = (f"{mean(row[key]):.3f} | {difference(compared[name][key])}" for key in MODELS)
        print(f"| {name} | {alone} | {p_value:.3f} | {fused} |", flush=True)


def difference(comparison: Comparison) -> str:
    found = comparison.difference
    return f"{found.mean:+.3f} [{found.ci_low:+.3f}, {found.ci_high:+.3f}]"


if __name__ == "__main__":
    main(sys.argv[1:] or ["tasks", "filters"])
