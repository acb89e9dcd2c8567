"""Measures how time and memory of indexing and of searching grow with the number of documents.

    OMP_NUM_THREADS=2 python -m benchmarks.growth              # 1,000 to 1,000,000 documents, hours
    OMP_NUM_THREADS=2 python -m benchmarks.growth sparse static_hybrid --documents 10000 100000

Documents are two sentences each, drawn from the documents of beir/scifact: words are as frequent as there, but no new
ones come with further documents. `static` and `static_hybrid` train and apply their own encoder. The vectors of `dense`
and `late_interaction` are random, since encoding so many documents by a transformer would take days: unit vectors
around 200 centres, and `TOKENS` vectors a document. Each size of each model is measured in a process of its own, whose
peak memory is everything: interpreter, libraries, documents. Exponents are slopes of logarithms over the sizes from
10,000 documents on; constants hide the growth below.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.adding import sampled_documents, seconds
from benchmarks.prior import library_model
from zero2ir.config import LibraryConfig, compose
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.making import make_encoder
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.encoders.tokens import Tokens
from zero2ir.models.base import Retriever, encoder_roles
from zero2ir.models.dense import Dense
from zero2ir.models.late_interaction import LateInteraction
from zero2ir.models.ranking import row_blocks
from zero2ir.models.sparse import Sparse
from zero2ir.program.cost import peak_memory_mb

DOCUMENTS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
FITTED_FROM = 10_000
DIMENSION, LATENT, CENTRES, NOISE = 384, 32, 200, 0.5
TOKENS, TOKEN_DIMENSION = 16, 192
QUERIES, K, SEED = 100, 10, 0
EXACT = 10**9  # as an exact_limit: no graph

MODELS: Mapping[str, Callable[[], Retriever]] = {
    "sparse": lambda: library_model("sparse"),
    "static": lambda: library_model("static"),
    "static_hybrid": lambda: library_model("static_hybrid"),
    "dense, exact": lambda: Dense("random", exact_limit=EXACT),
    "dense, graph": lambda: Dense("random", exact_limit=0),
    "late_interaction": lambda: LateInteraction("random tokens", first_stage=Sparse()),
}
MOST = {"late_interaction": 100_000}  # documents
FIGURES = {
    "encoder s": "encoder",
    "index s": "index",
    "CPU s": "index_cpu",
    "query ms": "query",
    "CPU ms": "query_cpu",
    "peak MB": "memory",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(MODELS), help="of %(default)s")
    parser.add_argument("--documents", nargs="+", type=int, default=DOCUMENTS)
    given = parser.parse_args()
    print(f"| model | documents | {' | '.join(FIGURES)} |\n|{'---|' * (len(FIGURES) + 2)}", flush=True)
    for model in given.models:
        rows = {}
        for number in (one for one in given.documents if one <= MOST.get(model, one)):
            rows[number] = measured_apart(model, number)
            cells = (f"{rows[number][key]:,.2f}" for key in FIGURES.values())
            print(f"| {model} | {number:,} | {' | '.join(cells)} |", flush=True)
        fitted = (f"{exponent(rows, key):.2f}" for key in FIGURES.values())
        print(f"| {model} | exponent | {' | '.join(fitted)} |", flush=True)


def measured_apart(model: str, number: int) -> dict[str, float]:
    """Returns the result of ``measure`` in a process of its own."""
    code = f"from benchmarks.growth import *; print(json.dumps(measure({model!r}, {number})))"
    done = subprocess.run([sys.executable, "-W", "default", "-c", code], stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(name: str, number: int) -> dict[str, float]:
    """Returns wall and processor seconds, milliseconds a query, and the peak memory of this process in MB."""
    model = MODELS[name]()
    corpus = Corpus(sampled_documents(number, seed=1), language="en")
    encoder = sum(seconds(lambda role=role: add_encoder(corpus, role))[0] for role in encoder_roles(model))
    index, index_cpu, _ = seconds(lambda: model.index(corpus))
    queries = [document.text for document in sampled_documents(2 * QUERIES, seed=2)]
    first, then = queries[:QUERIES], queries[QUERIES:]
    model.search(first, K)  # in one batch
    query, query_cpu, _ = seconds(lambda: [model.search([one], K) for one in then])
    scale = 1000 / QUERIES
    times = {"encoder": encoder, "index": index, "index_cpu": index_cpu}
    return times | {"query": query * scale, "query_cpu": query_cpu * scale, "memory": peak_memory_mb()}


def add_encoder(corpus: Corpus, role: str) -> None:
    """Makes the encoder of a role, or draws the documents' vectors."""
    number = len(corpus.documents)
    if role == "random":
        corpus.encoders[role], corpus._encoded[role] = Random(random_vectors), random_vectors(number, SEED)
    elif role == "random tokens":
        corpus.encoders[role], corpus._encoded[role] = Random(random_query_tokens), random_tokens(number, SEED)
    else:
        config = compose("library", LibraryConfig, [])
        corpus.encoders[role] = make_encoder(role, corpus, config.encoder, config.pretraining, SEED)


class Random:
    """Stands in for an encoder."""

    settings = EncoderSettings(name="random vectors", source="static")

    def __init__(self, draw: Callable[[int, int], Any]) -> None:
        self.draw = draw

    def encode_queries(self, texts: Sequence[str]) -> Any:
        return self.draw(len(texts), SEED + 1)


def random_vectors(number: int, seed: int) -> np.ndarray:
    """Returns (number, DIMENSION) float32 unit vectors."""
    shared = np.random.default_rng(SEED)
    centres = shared.normal(size=(CENTRES, LATENT)).astype(np.float32)
    spread = shared.normal(size=(LATENT, DIMENSION)).astype(np.float32)
    rng = np.random.default_rng([seed, number])
    rows = np.empty((number, DIMENSION), dtype=np.float32)
    for block in row_blocks(number, 1 << 13):
        part = rows[block]
        latent = centres[rng.integers(CENTRES, size=len(part))] + rng.standard_normal((len(part), LATENT), np.float32)
        part[:] = latent @ spread + NOISE * rng.standard_normal(part.shape, np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return rows


def random_tokens(number: int, seed: int) -> Tokens:
    """Returns ``TOKENS`` int8 vectors of each of some documents."""
    rng = np.random.default_rng([seed, number])
    vectors = rng.integers(-25, 26, size=(number * TOKENS, TOKEN_DIMENSION), dtype=np.int8)
    return Tokens(vectors, np.arange(number + 1) * TOKENS)


def random_query_tokens(number: int, seed: int) -> Tokens:
    """Returns the float32 unit vectors of some queries."""
    drawn = random_tokens(number, seed)
    vectors = drawn.vectors.astype(np.float32)
    return drawn._replace(vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def exponent(rows: Mapping[int, Mapping[str, float]], key: str) -> float:
    """Returns the slope of a figure's logarithm over that of the number of documents; NaN for fewer than two sizes."""
    sizes = [number for number in rows if number >= FITTED_FROM]
    values = [rows[number][key] for number in sizes]
    if len(sizes) < 2 or min(values) <= 0:
        return float("nan")
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


if __name__ == "__main__":
    main()
