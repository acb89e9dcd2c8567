"""Checks a GPU: every kind of network computes on it, as fast as it should, and as on the processor.

    python benchmarks/gpu.py            # cuda, or mps; ZERO2IR_DEVICE names one

Each row trains or applies one kind of network on the first 500 documents of pydocs, on the device and on the processor,
in float32. It must print a "yes" in each row: of the first ten documents of 50 queries at least 99 in 100 are the same
(trained networks: 90, since a GPU adds in another order), and all scores are finite. The ratio of seconds is for you to
judge; below 1 the device does not pay. The exit status is 1 if a row has a "no".
"""

import os
import sys
import time
from itertools import islice
from typing import NamedTuple

import numpy as np

import zero2ir
from zero2ir.data import pydocs
from zero2ir.encoders.devices import DEVICE_VARIABLE, device

DOCUMENTS, QUERIES, K = 500, 50, 10
UNTRAINED, TRAINED = 0.99, 0.9  # least share of equal documents
FLOAT32 = ["encoder.precision=float32"]
SYSTEMS = [  # model, strategy, further settings, least share
    ("static", "zero_shot", [], TRAINED),
    ("dense", "zero_shot", [], UNTRAINED),
    ("late_interaction", "zero_shot", [], UNTRAINED),
    ("sentences", "zero_shot", [], UNTRAINED),
    ("learned_sparse", "zero_shot", [], TRAINED),
    ("dense", "fine_tune", ["model.learning=encoder"], TRAINED),
    ("reranker", "fine_tune", [], TRAINED),
]


class Run(NamedTuple):
    """Seconds of training and of searching, and each query's first documents."""

    seconds: float
    numbers: np.ndarray
    is_finite: bool


def run(model: str, strategy: str, settings: list[str], where: str) -> Run:
    """Trains a system on a device and searches with it."""
    os.environ[DEVICE_VARIABLE] = where
    documents = list(islice(pydocs.read().documents, DOCUMENTS))
    texts = [document.text for document in documents]
    queries = [" ".join(text.split()[:8]) for text in texts[:: DOCUMENTS // QUERIES]]
    judged = [(query, documents[place].doc_id, 1) for query, place in zip(queries[:10], range(0, 100, 10), strict=True)]
    start = time.perf_counter()
    program = zero2ir.train(
        [document._asdict() for document in documents],
        judged if strategy == "fine_tune" else [],
        model=model,
        strategy=strategy,
        language="en",
        settings=[*FLOAT32, *settings],
    )
    ranking, _ = program.search(queries, K)
    return Run(time.perf_counter() - start, ranking.numbers, bool(np.isfinite(ranking.scores).all()))


def main() -> int:
    where = device()
    if where == "cpu" and not os.environ.get(DEVICE_VARIABLE):  # ZERO2IR_DEVICE=cpu checks the script itself
        sys.exit("torch finds no GPU on this machine; run this where there is one")
    print("| model | strategy | seconds on cpu | seconds on " + where + " | ratio | same documents | passes |")
    print("|---" * 7 + "|")
    passed = True
    for model, strategy, settings, least in SYSTEMS:
        other, own = (run(model, strategy, settings, place) for place in ("cpu", where))
        rows = zip(own.numbers, other.numbers, strict=True)
        same = float(np.mean([len(set(one) & set(two)) / K for one, two in rows]))
        passes = own.is_finite and same >= least
        passed &= passes
        seconds = f"{other.seconds:.1f} | {own.seconds:.1f} | {other.seconds / own.seconds:.2f}"
        print(
            f"| {' '.join([model, *settings])} | {strategy} | {seconds} | {same:.3f} | {'yes' if passes else 'no'} |",
            flush=True,
        )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
