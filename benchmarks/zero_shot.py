"""Measures the defaults without labels on the development suite, and how they would have been chosen without each
collection.

    python -m benchmarks.zero_shot             # all collections; or their names

Ten queries are drawn, of which the models know the texts; all others measure nDCG@10. The first table has the models,
the second one the differences of which each collection weighs the same, with 95 % intervals over collections and
queries. The third one chooses among the settings of a grid by the mean over all other collections: what the default
would have gained on a collection that it was not chosen on.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from benchmarks.suite import NAMES, Gains, SuiteCollection, mean_text, open_collection
from zero2ir.config import LibraryConfig, build, compose
from zero2ir.models.base import Retriever
from zero2ir.models.dense import Dense
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.query_adaptation import AdaptationSettings
from zero2ir.models.smoothed import Smoothed
from zero2ir.models.sparse import Sparse

QUERIES = 10
KEPT = "encoder.languages=[]"  # MiniLM for documents in every language
PLAIN = "model.adaptation=null"
BEFORE: dict[str, Sequence[str]] = {  # the defaults of earlier versions
    "sparse, k1 0.9, b 0.4": ["model=sparse", "model.k1=0.9", "model.b=0.4"],
    "dense, as it is": ["model=dense", PLAIN],
    "static, as it is": ["model=static", PLAIN],
    "two views, as they are": ["model=pretrained_hybrid", "model.retrievers.1.adaptation=null"],
}
NOW: dict[str, Sequence[str]] = {
    "sparse": ["model=sparse"],
    "dense": ["model=dense"],
    "static": ["model=static"],
    "static_hybrid": ["model=static_hybrid"],
    "pretrained_hybrid": ["model=pretrained_hybrid"],
    "hybrid, not smoothed": ["model=hybrid", "model.weight=0"],
    "hybrid": ["model=hybrid"],
}
DIFFERENCES = [
    ("sparse", "sparse, k1 0.9, b 0.4"),
    ("dense", "dense, as it is"),
    ("static", "static, as it is"),
    ("pretrained_hybrid", "two views, as they are"),
    ("hybrid, not smoothed", "pretrained_hybrid"),
    ("hybrid", "hybrid, not smoothed"),
    ("hybrid", "two views, as they are"),
]
BM25 = [(0.9, 0.4), *product((0.6, 0.9, 1.2, 1.6, 2.0), (0.2, 0.4, 0.6, 0.75, 0.9))]
ADAPTATIONS = list(product((0.0, 0.25, 0.5, 0.75, 1.0), (0.0, 0.1, 0.2, 0.3)))
WEIGHTS = [(0.3, 0.7, 0.0), (0.3, 0.5, 0.2), (0.35, 0.5, 0.15), (0.4, 0.45, 0.15), (0.4, 0.5, 0.1), (0.4, 0.4, 0.2)]
SMOOTHING = (0.0, 0.1, 0.15, 0.2, 0.25)
GRIDS: dict[str, tuple[list[Any], Any]] = {  # the settings, those of before first, and the default
    "`sparse`, (k1, b)": (BM25, (1.2, 0.75)),
    "`dense`, (centring, power)": (ADAPTATIONS, (0.5, 0.2)),
    "`static`, (centring, power)": (ADAPTATIONS, (0.5, 0.2)),
    "`hybrid`, (weights, smoothing)": (list(product(WEIGHTS, SMOOTHING)), ((0.35, 0.5, 0.15), 0.15)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", nargs="*", default=NAMES)
    names = parser.parse_args().collections
    values: dict[str, list[Gains]] = {}  # of each collection
    grids: dict[str, list[np.ndarray]] = {}  # (n_settings,) of each collection, the default of before first
    for name in names:
        for model, found in measured(name).items():
            values.setdefault(model, []).append(found)
        for grid, found in swept(name).items():
            grids.setdefault(grid, []).append(found)
        print(f"{name} measured", flush=True)
    print(f"\n| nDCG@10 | {' | '.join(names)} | mean |\n|{'---|' * (len(names) + 2)}")
    for model, rows in values.items():
        means = [float(row.values.mean()) for row in rows]
        print(f"| {model} | {' | '.join(f'{one:.3f}' for one in means)} | {np.mean(means):.3f} |")
    print(f"\n| difference | {' | '.join(names)} | mean |\n|{'---|' * (len(names) + 2)}")
    for one, other in DIFFERENCES:
        pairs = zip(values[one], values[other], strict=True)
        rows = [a._replace(values=a.values - b.values) for a, b in pairs]
        means = [f"{row.values.mean():+.3f}" for row in rows]
        print(f"| {one} − {other} | {' | '.join(means)} | {mean_text(rows)} |")
    print("\n| chosen on the other collections | gain | gain of the default | chosen |\n|---|---|---|---|")
    for grid, rows in grids.items():
        gains = np.stack([row - row[0] for row in rows])
        chosen = [int(np.delete(gains, place, axis=0).mean(axis=0).argmax()) for place in range(len(gains))]
        held_out = gains[np.arange(len(gains)), chosen]
        settings, default = GRIDS[grid]
        counts = ", ".join(f"{chosen.count(one)} × {settings[one]}" for one in sorted(set(chosen)))
        print(f"| {grid} | {held_out.mean():+.4f} | {gains[:, settings.index(default)].mean():+.4f} | {counts} |")


def measured(name: str) -> dict[str, Gains]:
    """Returns nDCG@10 of the models on the queries that were not drawn."""
    found: dict[str, Gains] = {}
    for models, overrides in ((BEFORE, [KEPT]), (NOW, [])):
        configured = {model: compose("library", LibraryConfig, choice).model for model, choice in models.items()}
        built = {model: build(choice, "model") for model, choice in configured.items()}
        suite, rest = opened(name, list(built.values()), overrides)
        for model, retriever in built.items():
            values = ndcg(suite, retriever.index(suite.corpus))[rest]
            found[model] = Gains(values[None], [suite.topics[place] for place in rest])
    return found


def opened(name: str, models: Sequence[Retriever], overrides: Sequence[str]) -> tuple[SuiteCollection, np.ndarray]:
    """Opens a collection whose models know the texts of the drawn queries; returns the places of the others, too."""
    suite = open_collection(name, models, overrides)
    drawn, rest = suite.draw(QUERIES, 0)
    suite.corpus.queries = [suite.texts[place] for place in drawn]
    return suite, rest


def ndcg(suite: SuiteCollection, model: Retriever) -> np.ndarray:
    return suite.values(model.search(suite.texts, 10, suite.candidates))


def swept(name: str) -> dict[str, np.ndarray]:
    """Returns nDCG@10, (n_settings,), of every setting of each grid."""
    suite, rest = opened(name, [Dense(), Dense("static")], [])
    corpus = suite.corpus
    sparse = Sparse(0.9, 0.4).index(corpus)
    hybrid = Hybrid([sparse, Dense(), Dense("static")])
    smoothed = Smoothed(hybrid).index(corpus)

    def adapted(encoder: str, centring: float, power: float) -> Retriever:
        return Dense(encoder, adaptation=AdaptationSettings(centring=centring, power=power)).index(corpus)

    def fused(weights: Sequence[float], weight: float) -> Retriever:
        return smoothed.with_params(retriever=hybrid.with_params(weights=list(weights))).with_settings(
            {"weight": weight}
        )

    models: list[Callable[..., Retriever]] = [
        lambda k1, b: sparse.with_settings({"k1": k1, "b": b}),
        partial(adapted, "pretrained"),
        partial(adapted, "static"),
        fused,
    ]
    return {
        grid: np.array([ndcg(suite, model(*setting))[rest].mean() for setting in settings])
        for (grid, (settings, _)), model in zip(GRIDS.items(), models, strict=True)
    }


if __name__ == "__main__":
    main()
