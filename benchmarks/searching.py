"""Measures how many queries a second models answer, one by one and in batches, beside their quality.

    OMP_NUM_THREADS=2 python benchmarks/searching.py beir/scifact
    OMP_NUM_THREADS=2 python benchmarks/searching.py suite/med --models hybrid full

Models see no judgments; nDCG@10 is that of the test queries. Each cell is the median of five rounds with the least and
the greatest; in a round the models take turns. Processor milliseconds are those of all threads, and depend less on
other work on the machine than queries a second do. "Encoding" is the part of the encoders in a search of one query.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from zero2ir.config import IngestConfig, LibraryConfig, build, compose
from zero2ir.data.checks import check_collection
from zero2ir.data.loading import load_collection
from zero2ir.data.records import Collection, Query
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.making import make_encoder, source_role
from zero2ir.io import paths
from zero2ir.models.base import Retriever, encoder_roles, parts
from zero2ir.models.encoder_based import EncoderBased
from zero2ir.strategies.tuning import judged_values

MODELS = ("sparse", "static_hybrid", "hybrid", "full")
ROUNDS, SINGLE, BATCH, K, SEED = 5, 50, 400, 10, 0
COLUMNS = ("one by one: queries/s", "CPU ms", "batch: queries/s", "CPU ms", "encoding: CPU ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="of conf/dataset")
    parser.add_argument("--models", nargs="+", default=MODELS, help="files of conf/model (default: %(default)s)")
    given = parser.parse_args()
    settings = compose("ingest", IngestConfig, [f"dataset={given.dataset}"]).dataset
    collection, _ = check_collection(load_collection(settings))
    models = {name: indexed(name, collection) for name in given.models}
    judged = {row.query_id for row in collection.judgments if row.relevance > 0}
    queries = [query for query in collection.queries if query.query_id in judged and query.split == "test"]
    texts = [query.text for query in queries[:BATCH]]
    for model in models.values():
        paces(model, texts)  # opens and compiles
    rounds = [{name: paces(model, texts) for name, model in models.items()} for _ in range(ROUNDS)]
    print(f"| {given.dataset} | nDCG@10 | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 2)}")
    for name, model in models.items():
        cells = map(spread, zip(*[one[name] for one in rounds], strict=True))
        print(f"| `{name}` | {ndcg(model, queries, collection):.4f} | {' | '.join(cells)} |", flush=True)


def indexed(name: str, collection: Collection) -> Retriever:
    """Returns a model over the collection's documents."""
    config = compose("library", LibraryConfig, [f"model={name}"])
    model: Retriever = build(config.model, "model")
    corpus = Corpus(collection.documents, cache=paths.CACHE_FOLDER / "embeddings")
    for role in encoder_roles(model):
        source = source_role(role, config.encoder, corpus.language)
        corpus.encoders[role] = make_encoder(source, corpus, config.encoder, config.pretraining, SEED)
    return model.index(corpus)


def ndcg(model: Retriever, queries: Sequence[Query], collection: Collection) -> float:
    """Returns nDCG@10 of queries over the whole collection."""
    found = model.search([query.text for query in queries], K)
    ids = [query.query_id for query in queries]
    return float(judged_values(found, Corpus(collection.documents), ids, collection.judgments, "nDCG@10").mean())


def paces(model: Retriever, texts: Sequence[str]) -> list[float]:
    """Returns queries a second and CPU milliseconds a query, one by one and in a batch; and the latter of encoding."""
    first, networks = texts[:SINGLE], [part.network for part in encoder_parts(model)]
    return [
        *pace(lambda: [model.search([text], K) for text in first], len(first)),
        *pace(lambda: model.search(texts, K), len(texts)),
        pace(lambda: [network.encode_queries([text]) for text in first for network in networks], len(first))[1],
    ]


def encoder_parts(model: Retriever) -> Iterator[EncoderBased]:
    """Yields the parts of a model that encode queries."""
    if isinstance(model, EncoderBased):
        yield model
    for part in parts(model):
        yield from encoder_parts(part)


def pace(work: Callable[[], object], queries: int) -> tuple[float, float]:
    """Returns queries a second, and processor milliseconds a query."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return queries / wall, 1000 * processor / queries


def spread(values: Sequence[float]) -> str:
    return f"{np.median(values):,.1f} [{min(values):,.1f}, {max(values):,.1f}]"


if __name__ == "__main__":
    main()
