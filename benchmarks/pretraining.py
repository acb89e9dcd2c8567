"""Measures the worth of each pretext task and of each filter of synthetic queries to the static encoder from scratch.

    dvc repro evaluate                                 # of a collection, with a strategy that has synthetic queries
    python benchmarks/pretraining.py                   # in the same folder: the tables "tasks" and "filters"
    python benchmarks/pretraining.py learned_sparse    # the worth of its two trainings: some minutes a row
    python benchmarks/pretraining.py adapted           # reconstruction first: twenty minutes for 1,000 documents
    python benchmarks/pretraining.py pairs             # the static encoder on fewer pairs than there are

Trains the encoder again for every row, with the settings, queries and seed of the folder's pipeline, and measures it on
the test queries, as a static encoder alone and fused with BM25 (conf/model/static_hybrid.yaml). Nothing is chosen here.
Differences are paired, with 95 % bootstrap intervals; p-values are of randomisation tests on the encoder alone,
Holm-corrected within a table.

Filters are measured by what an encoder learns from the synthetic queries alone; beside the pretext tasks they would
hardly show. A filter that the pipeline does not use (pretraining.synthetic.filters) has no row.
"""

import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from zero2ir.config import PretrainConfig, TrainConfig, build, compose
from zero2ir.data.judgments import read_judgments, test_queries
from zero2ir.data.records import Judgment, Query
from zero2ir.data.store import is_ordered, read_collection
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.making import make_encoder
from zero2ir.encoders.pretext.synthetic_pairs import SyntheticPairs
from zero2ir.encoders.pretext.tasks import DEFAULT_PAIR_TASKS, PairTasks
from zero2ir.encoders.static import StaticSettings
from zero2ir.evaluation.measures import score_run
from zero2ir.evaluation.significance import Comparison, compare_scores, holm
from zero2ir.io import paths
from zero2ir.models.base import Retriever
from zero2ir.program.ranking import as_run
from zero2ir.synthetic.records import SyntheticQuery
from zero2ir.synthetic.settings import SyntheticSettings
from zero2ir.synthetic.store import read_synthetic

SEED = 0
MEASURE = "nDCG@10"
DEPTH = 100
MODELS = {
    "tasks": ("static", "static_hybrid"),
    "filters": ("static", "static_hybrid"),
    "pairs": ("static", "static_hybrid"),
    "learned_sparse": ("learned_sparse",),
    "adapted": ("adapted",),
}  # the files of conf/model that measure a table; the first one is an encoder's own


class Condition(NamedTuple):
    """What an encoder is trained on, and how."""

    name: str
    tasks: PairTasks
    changes: Sequence[str] = ()  # Hydra overrides of the settings


PAIR_SHARES = (2, 4, 8)


def pair_conditions(documents: int, tasks: PairTasks) -> Iterator[Condition]:
    """Returns all pairs first, then a half, a quarter and an eighth of those of a pair a document, task and epoch."""
    yield Condition("all pairs", tasks, ["pretraining.static.max_pairs=null"])
    whole = documents * len(tasks.enabled) * StaticSettings().fit.epochs
    for share in PAIR_SHARES:
        most = whole // share
        yield Condition(f"at most {most:,} pairs", tasks, [f"pretraining.static.max_pairs={most}"])


def part_conditions(table: str, tasks: PairTasks) -> Iterator[Condition]:
    """Returns the default first, then each part of the training off, and its alternatives."""
    rows = {
        "learned_sparse": {
            "masked, then pairs": "",
            "− masked": "learned_sparse.reconstruction.steps=0",
            "− pairs": "learned_sparse.contrast.steps=0",
        },
        "adapted": {
            "masked, then pairs": "",
            "denoising, then pairs": "adapted.reconstruction=denoising",
            "− masked": "adapted.reconstruction=none",
        },
    }
    for name, change in rows[table].items():
        yield Condition(name, tasks, [f"pretraining.{change}"] if change else [])


def task_conditions(queries: Sequence[SyntheticQuery], ordered: bool) -> Iterator[Condition]:
    """Returns the default tasks first, then each of them off, each other one on, all, and each alone."""
    alone = {name: compose_tasks(name) for name in PairTasks.model_fields}
    everything = {name: getattr(tasks, name) for name, tasks in alone.items()}
    written = accepted(queries, SyntheticSettings().filters)
    if not written:
        del everything["synthetic"]
    on = {name: task for name, task in everything.items() if getattr(DEFAULT_PAIR_TASKS, name) is not None}
    rows = {"default: " + " + ".join(on): on}
    rows |= {f"− {name}": {key: task for key, task in on.items() if key != name} for name in on}
    rows |= {f"+ {name}": {**on, name: task} for name, task in everything.items() if name not in on}
    rows |= {"all": everything}
    rows |= {f"{name} alone": {name: task} for name, task in everything.items() if name not in on}
    for name, tasks in rows.items():
        yield Condition(name, PairTasks(**tasks).with_collection(ordered, written))
    own = ["pretraining.static.tokenizer=collection"]
    yield Condition(
        "default, the collection's own tokenizer", DEFAULT_PAIR_TASKS.with_collection(ordered, written), own
    )


def compose_tasks(name: str) -> PairTasks:
    return compose("pretrain_synthetic", PretrainConfig, [f"pretraining={name}"]).pretraining.pairs


def filter_conditions(queries: Sequence[SyntheticQuery]) -> Iterator[Condition]:
    """Returns the default filters first, then none, each of them off, and each other one on."""
    default = SyntheticSettings().filters
    asked = {name for row in queries for name in row.objections}
    rows = {"default filters": set(default), "no filter": {"empty"}}
    rows |= {f"− {name}": set(default) - {name} for name in default if name in asked - {"empty"}}
    rows |= {f"+ {name}": {*default, name} for name in sorted(asked - set(default))}
    for name, filters in rows.items():
        kept = accepted(queries, filters)
        yield Condition(f"{name} ({len(kept)})", PairTasks(synthetic=SyntheticPairs(queries=tuple(kept))))


def accepted(queries: Sequence[SyntheticQuery], filters: Collection[str]) -> list[tuple[str, str]]:
    """Returns the queries that none of these filters rejects, each with its document."""
    return [(row.query, row.doc_id) for row in queries if set(filters).isdisjoint(row.objections)]


def main(tables: Sequence[str]) -> None:
    collection = read_collection(paths.COLLECTION_FOLDER)
    tested = test_queries(collection, read_judgments(paths.judgments(SEED)))
    synthetic = read_synthetic(paths.synthetic(SEED))
    default = DEFAULT_PAIR_TASKS.with_collection(is_ordered(paths.COLLECTION_FOLDER), [])
    conditions = {
        "tasks": lambda: task_conditions(synthetic, is_ordered(paths.COLLECTION_FOLDER)),
        "filters": lambda: filter_conditions(synthetic),
        "pairs": lambda: pair_conditions(len(collection.documents), default),
        "learned_sparse": lambda: part_conditions("learned_sparse", default),
        "adapted": lambda: part_conditions("adapted", default),
    }
    for table in tables:
        values: dict[str, Mapping[str, Mapping[str, float]]] = {}
        for condition in conditions[table]():
            config = compose("pretrain_synthetic", PretrainConfig, condition.changes)
            settings = config.pretraining.model_copy(update={"pairs": condition.tasks})
            role = MODELS[table][0]
            corpus, started = Corpus(collection.documents), time.perf_counter()
            encoder = make_encoder(role, corpus, config.encoder, settings, SEED)
            seconds = time.perf_counter() - started
            corpus = Corpus(collection.documents, {role: encoder})
            values[condition.name] = {name: per_query(model(name), corpus, *tested) for name in MODELS[table]}
            means = {name: mean(one) for name, one in values[condition.name].items()}
            print(f"{condition.name}, trained in {seconds:.0f} s:", means, file=sys.stderr)
        show(f"{collection.metadata['name']}, {table}", values)


def model(name: str) -> Retriever:
    return build(compose("train", TrainConfig, [f"model={name}", "strategy=zero_shot"]).model, "model")


def per_query(
    retriever: Retriever, corpus: Corpus, queries: Sequence[Query], qrels: Sequence[Judgment]
) -> dict[str, float]:
    """Returns the measure of each test query."""
    ranking = retriever.index(corpus).search([query.text for query in queries], DEPTH)
    run = as_run(ranking, [query.query_id for query in queries], corpus.documents)
    return {row.query_id: row.value for row in score_run(run, qrels, [MEASURE])}


def mean(values: Mapping[str, float]) -> float:
    return round(sum(values.values()) / len(values), 4)


def show(title: str, values: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """Prints a Markdown table; compares every row with the first."""
    (first, base), *others = values.items()
    own, *fused = base
    compared = {
        name: {
            key: compare_scores({SEED: row[key]}, {SEED: base[key]}, resamples=10_000, level=0.95, seed=SEED)
            for key in base
        }
        for name, row in others
    }
    corrected = holm([row[own].p_value for row in compared.values()])
    heads = ["", own, "difference", "p (Holm)", *(head for name in fused for head in (name, "difference"))]
    print(f"\n**{title}**\n\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    cells = [
        first,
        f"{mean(base[own]):.3f}",
        "",
        "",
        *(cell for key in fused for cell in (f"{mean(base[key]):.3f}", "")),
    ]
    print(f"| {' | '.join(cells)} |")
    for (name, row), p_value in zip(others, corrected, strict=True):
        told = {key: [f"{mean(row[key]):.3f}", difference(compared[name][key])] for key in base}
        cells = [name, *told[own], f"{p_value:.3f}", *(cell for key in fused for cell in told[key])]
        print(f"| {' | '.join(cells)} |", flush=True)


def difference(comparison: Comparison) -> str:
    found = comparison.difference
    return f"{found.mean:+.3f} [{found.ci_low:+.3f}, {found.ci_high:+.3f}]"


if __name__ == "__main__":
    main(sys.argv[1:] or ["tasks", "filters"])
