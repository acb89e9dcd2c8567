"""Measures how fast documents are encoded, and how near the vectors are to those in float32 with batches of 32.

    OMP_NUM_THREADS=2 python benchmarks/encoding.py beir/scifact 200

Counts processor seconds, which other work on the machine hardly changes; the best of three rounds counts.
"""

import sys
import time
from collections.abc import Sequence

import ir_datasets
import numpy as np

from zero2ir.config import LibraryConfig, compose
from zero2ir.encoders.dense import DenseEncoder

SETTINGS = {
    f"{precision}, batches of {size}": {"precision": precision, "batch_size": size}
    for precision in ("float32", "bfloat16", "int8")
    for size in (32, 8)
}
ROUNDS = 3


def read_texts(dataset: str, number: int) -> list[str]:
    """Returns the first documents of a collection."""
    return [document.default_text() for document in ir_datasets.load(dataset).docs_iter()[:number]]


def encoders() -> dict[str, DenseEncoder]:
    """Returns the default encoder in each setting."""
    given = compose("library", LibraryConfig, []).encoder
    return {name: DenseEncoder(given.model_copy(update=update)) for name, update in SETTINGS.items()}


def measure(encoder: DenseEncoder, texts: Sequence[str]) -> tuple[float, float, np.ndarray]:
    """Returns processor seconds, wall seconds and vectors of one round."""
    processor, wall = time.process_time(), time.perf_counter()
    vectors = encoder.encode(texts)
    return time.process_time() - processor, time.perf_counter() - wall, vectors


def main(dataset: str, number: int) -> None:
    texts, tried = read_texts(dataset, number), encoders()
    for encoder in tried.values():
        encoder.encode(texts[:1])  # opens and compiles
    rounds = [{name: measure(encoder, texts) for name, encoder in tried.items()} for _ in range(ROUNDS)]
    first = next(iter(tried))
    print(f"{'':30} {'documents':>10} {'documents':>10} {'':>8} {'least':>8}")
    print(f"{'':30} {'/ cpu s':>10} {'/ s':>10} {'ratio':>8} {'cosine':>8}")
    least = min(one[first][0] for one in rounds)
    for name in tried:
        processor, wall = min(one[name][0] for one in rounds), min(one[name][1] for one in rounds)
        cosine = (rounds[0][name][2] * rounds[0][first][2]).sum(axis=1).min()
        print(f"{name:30} {number / processor:10.1f} {number / wall:10.1f} {least / processor:8.2f} {cosine:8.4f}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
