"""Measures what it costs to add 1 and 100 documents to an indexed collection, wall and processor seconds.

    python benchmarks/adding.py                 # 10,000 and 200,000 documents, some minutes
    python benchmarks/adding.py 2000 --exact-limit 1000

Documents are two sentences each, drawn from the documents of beir/scifact, so that words are as frequent as there.
Vectors have 384 dimensions and are random: 200 clusters in 32 dimensions, and noise in all. The whole path is measured,
from the program to its index; encoding is not, since vectors are drawn.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any
from zlib import crc32

import ir_datasets
import numpy as np

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.models.base import Retriever
from zero2ir.models.dense import Dense
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.smoothed import Smoothed
from zero2ir.models.sparse import Sparse
from zero2ir.program.program import Program

DIMENSION, LATENT, CLUSTERS, NOISE = 384, 32, 200, 0.5
SENTENCES = 2  # of a document
ADDED = (1, 100)
ROUNDS = 5
QUERIES = 200


class RandomEncoder:
    """Draws a text's vector by its content; stands in for an encoder, whose time is not measured here."""

    settings = EncoderSettings(name="random vectors", source="static")

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._centres, self._map = rng.normal(size=(CLUSTERS, LATENT)), rng.normal(size=(LATENT, DIMENSION))

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Returns (n_texts, dimension) float32 unit vectors."""
        rows = np.empty((len(texts), DIMENSION), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            rng = np.random.default_rng(crc32(text.encode()))
            latent = self._centres[rng.integers(CLUSTERS)] + rng.normal(size=LATENT)
            row[:] = latent @ self._map + NOISE * rng.normal(size=DIMENSION)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    encode_queries = encode


@cache
def scifact_sentences() -> list[str]:
    texts = [document.text for document in ir_datasets.load("beir/scifact").docs_iter()]
    return [sentence for text in texts for sentence in text.split(". ")]


def sampled_documents(number: int, seed: int) -> list[Document]:
    """Returns documents of sentences that are drawn from beir/scifact."""
    sentences = scifact_sentences()
    drawn = np.random.default_rng(seed).integers(len(sentences), size=(number, SENTENCES))
    return [
        Document(f"{seed}-{place}", "", ". ".join(sentences[one] for one in row)) for place, row in enumerate(drawn)
    ]


def seconds(action: Callable[[], Any]) -> tuple[float, float, Any]:
    """Returns wall and processor seconds of an action, and its result."""
    wall, processor = time.perf_counter(), time.process_time()
    result = action()
    return time.perf_counter() - wall, time.process_time() - processor, result


def told(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.4f} ({min(values):.4f} to {max(values):.4f})"


def measure(name: str, model: Retriever, documents: Sequence[Document], encoder: RandomEncoder) -> None:
    """Prints a model's rows of the table."""
    encoded = {"static": encoder.encode([one.content for one in documents])} if model.needs() else {}
    corpus = Corpus(documents, {"static": encoder}, encoded, language="en")  # type: ignore[dict-item]
    wall, processor, retriever = seconds(lambda: model.index(corpus))
    print(f"| {name} | {len(documents):,} | index | {wall:.2f} | {processor:.2f} |", flush=True)
    program = Program(retriever, documents, about={"language": "en"})
    queries = [document.text for document in sampled_documents(QUERIES, seed=2)]
    rows: dict[str, list[tuple[float, float]]] = {}
    for round_ in range(ROUNDS):
        for number in ADDED:
            more = sampled_documents(number, seed=3 + round_)
            wall, processor, changed = seconds(lambda more=more: program.with_documents(more, ()))
            rows.setdefault(f"add {number}", []).append((wall, processor))
        for turn in ("first", "second"):
            action = lambda changed=changed: changed.retriever.search(queries, 10)  # noqa: E731
            rows.setdefault(f"{turn} {QUERIES} queries after", []).append(seconds(action)[:2])
    for action, figures in rows.items():
        walls, processors = zip(*figures, strict=True)
        print(f"| {name} | {len(documents):,} | {action} | {told(walls)} | {told(processors)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", nargs="*", type=int, default=[10_000, 200_000])
    parser.add_argument("--exact-limit", type=int, default=5_000, help="documents beyond which a graph is built")
    arguments = parser.parse_args()
    encoder = RandomEncoder()
    print(f"| model | documents | action | seconds, median of {ROUNDS} (spread) | processor seconds |\n|{'---|' * 5}")
    for number in arguments.documents:
        documents = sampled_documents(number, seed=1)
        measure("sparse", Sparse(), documents, encoder)
        measure("dense, exact", Dense("static", exact_limit=number + 1_000), documents, encoder)
        hybrid = Hybrid([Sparse(), Dense("static", exact_limit=number + 1_000)])
        measure("smoothed hybrid", Smoothed(hybrid, "static", exact_limit=number + 1_000), documents, encoder)
        measure("dense, graph", Dense("static", exact_limit=arguments.exact_limit), documents, encoder)


if __name__ == "__main__":
    main()
