"""Measures what fine_tune gains from a few judged queries on the development suite.

    python -m benchmarks.choosing          # all collections; or their names

The judged queries are drawn several times, with the first five documents of a committee judged for each. The settings
of each model, or how strongly it learns, are chosen as in training, by the prior of the other collections (see
``zero2ir.strategies.prior``); the queries of all other topics measure the gain of nDCG@10 over the model as it is.
*Shuffled*: each query has the judgments of another one. Columns: the mean over the collections with its 95 % interval
over collections, draws and queries, the lowest collection, and the share of draws that lose more than 0.005.
"""

import argparse
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.prior import (
    COMMITTEE,
    LEARNERS,
    MODELS,
    QUERIES,
    Rows,
    chain,
    judged_draws,
    learning_gains,
    library_model,
    settings_gains,
    tested,
    with_judgments,
)
from benchmarks.suite import NAMES, Gains, SuiteCollection, losses_text, mean_text, open_collection
from zero2ir.io.terminal import progress
from zero2ir.models.capabilities import Tunable
from zero2ir.strategies.fine_tune import learning_family
from zero2ir.strategies.prior import family_of, suite
from zero2ir.strategies.tuning import choose

NUMBERS, DRAWS, LEARNING_DRAWS = (0, 1, 2, 5, 10, 20, 50), 30, 8


class Condition(NamedTuple):
    """A row of the table."""

    family: str
    queries: int
    shuffled: bool

    def __str__(self) -> str:
        return f"{self.family}, {self.queries} queries{', shuffled' * self.shuffled}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", nargs="*", default=NAMES)
    found: dict[Condition, list[Gains]] = {}  # of each collection
    for name in parser.parse_args().collections:
        for condition, gains in measured(name):
            found.setdefault(condition, []).append(gains)
            print(f"{name}, {condition}: {gains.of_draws.mean():+.4f}", flush=True)
    print("\n| choice and judgments | collections | gain | lowest | losses |\n|---|---|---|---|---|")
    for condition, rows in sorted(found.items()):
        lowest = min(gains.of_draws.mean() for gains in rows)
        print(f"| {condition} | {len(rows)} | {mean_text(rows)} | {lowest:+.4f} | {losses_text(rows)} |")


def measured(name: str) -> Iterator[tuple[Condition, Gains]]:
    """Yields the gains of all draws in one collection, for the numbers of queries that it has."""
    collection = open_collection(name, [library_model(one) for one in {*MODELS, *LEARNERS, *COMMITTEE}])
    corpus, rows = with_judgments(collection)
    controls = rows, shuffled(rows)
    known = set[str]()
    for one in progress(MODELS, name):
        for model in chain(library_model(one).index(corpus)):
            if isinstance(model, Tunable) and family_of(model) not in known:
                known.add(family_of(model))
                yield from of_settings(collection, model, controls)
    for one in progress(LEARNERS, f"{name}, learning"):
        model = library_model(one).index(corpus)
        for is_shuffled, judgments in enumerate(controls):
            coordinates, full, judged = learning_gains(collection, model, judgments, LEARNING_DRAWS)
            prior = suite().families[learning_family(model)].prior(coordinates, [f"suite/{name}"])
            assert prior is not None
            gains = [row[choose(values, prior).index] for row, values in zip(full, judged, strict=True)]
            condition = Condition(learning_family(model), QUERIES, bool(is_shuffled))
            yield condition, Gains(np.stack(gains), collection.topics)


def of_settings(
    collection: SuiteCollection, model: Tunable, controls: Sequence[Rows]
) -> Iterator[tuple[Condition, Gains]]:
    """Yields the gains by choosing a model's settings on the right judgments and on shuffled ones."""
    coordinates, full, judged = settings_gains(collection, model, controls)
    prior = suite().families[family_of(model)].prior(coordinates, [f"suite/{collection.name}"])
    assert prior is not None
    for is_shuffled, (rows, values) in enumerate(zip(controls, judged, strict=True)):
        for number in NUMBERS:
            draws = judged_draws(collection, rows, values, number, DRAWS)
            gains = [tested(full[choose(drawn, prior).index], rest) for drawn, rest in draws]
            if gains:
                condition = Condition(family_of(model), number, bool(is_shuffled))
                yield condition, Gains(np.stack(gains), collection.topics)


def shuffled(rows: Rows) -> Rows:
    """Returns the judgments of another query for each one."""
    ids = list(rows)
    order = [ids[place] for place in np.random.default_rng(0).permutation(len(ids))]
    return {one: rows[other] for one, other in zip(order, [*order[1:], *order[:1]], strict=True)}


if __name__ == "__main__":
    main()
