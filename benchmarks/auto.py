"""Measures model=auto on the development suite: the model types that it chooses with a few judged queries.

    python -m benchmarks.auto              # all collections; or their names

A draw judges some queries of a collection as people would: the first documents of three pooled rankings. The choice
knows these judgments and the other collections (see ``zero2ir.strategies.prior``). Its gain of nDCG@10 over a fixed
choice is measured on the queries of all other topics by all judgments, with 95 % intervals over collections, draws and
queries. Losses are the share of draws that lose more than 0.005; *lost* is what the best type of the collection would
have gained over the choice, beside what the choice states of that.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.prior import TYPES, judged_draws, library_model, tested, type_gains, with_judgments
from benchmarks.suite import NAMES, Gains, losses_text, mean_text, open_collection
from zero2ir.strategies.prior import DRAWS as POSTERIOR_DRAWS
from zero2ir.strategies.prior import suite

SMALL = ("static_hybrid", "sparse", "static")  # types for a limit that rules out pretrained weights
SHOWN = 10  # judged queries, for which each collection is shown
NUMBERS = (0, 1, 2, 5, 10, 20, 50)  # judged queries
DRAWS = 30


class Draw(NamedTuple):
    """Judged queries, and the queries of all other topics.

    Attributes:
        judged: (n_types, n_judged) gains over the first type, of the queries with a relevant document.
        tested: (n_types, n_queries) gains over the first type, NaN for queries that are not tested.
    """

    judged: np.ndarray
    tested: np.ndarray


class Measured(NamedTuple):
    """One collection.

    Attributes:
        topics: (n_queries,) of its queries.
        draws: by the number of judged queries; none if it has too few.
    """

    topics: Sequence[str]
    draws: Mapping[int, Sequence[Draw]]


class Choice(NamedTuple):
    """A choice after one draw: the number of the type, its stated probability and loss, and its true ones."""

    chosen: int
    probability: float
    loss: float
    is_best: bool
    lost: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", nargs="*", default=NAMES)
    values = {name: measured(name) for name in parser.parse_args().collections}
    report(values, range(len(TYPES)))
    report(values, [TYPES.index(one) for one in SMALL])


def measured(name: str) -> Measured:
    """Measures all model types, and draws judged queries."""
    collection = open_collection(name, [library_model(one) for one in TYPES])
    corpus, rows = with_judgments(collection)
    _, full, [judged] = type_gains(collection, corpus, [rows])

    def draws(number: int) -> list[Draw]:
        found = judged_draws(collection, rows, judged, number, DRAWS if number else 1)
        return [Draw(drawn, tested(full, rest)) for drawn, rest in found]

    return Measured(collection.topics, {number: draws(number) for number in NUMBERS})


def report(values: Mapping[str, Measured], allowed: Sequence[int]) -> None:
    """Prints what choosing among the allowed types gains over the one with the best mean over these collections."""
    means = [[np.nanmean(row) for row in one.draws[0][0].tested] for one in values.values()]
    fixed = max(allowed, key=lambda number: np.mean(means, axis=0)[number])
    print(f"\nauto - {TYPES[fixed]}, among {', '.join(TYPES[one] for one in allowed)}")
    for number in NUMBERS:
        found = {name: choices(name, one.draws[number], allowed) for name, one in values.items() if one.draws[number]}
        if not found:
            continue
        gains = {
            name: Gains(
                np.stack([one.tested[row.chosen] - one.tested[fixed] for row, one in zip(rows, draws, strict=True)]),
                values[name].topics,
            )
            for name, rows in found.items()
            if (draws := values[name].draws[number])
        }
        every = [row for rows in found.values() for row in rows]
        lost, stated, best, probability = (
            np.mean([getattr(row, name) for row in every]) for name in ("lost", "loss", "is_best", "probability")
        )
        collections = list(gains.values())
        print(
            f"  {number:2} judged queries, {len(found)} collections: {mean_text(collections)}, losses "
            f"{losses_text(collections)}; lost {lost:.4f}, stated {stated:.4f}; the best in {best:.0%}, "
            f"stated {probability:.0%}"
        )
        if number == SHOWN:
            for name, rows in found.items():
                counts = np.bincount([row.chosen for row in rows], minlength=len(TYPES))
                types = ", ".join(f"{TYPES[place]} {counts[place]}" for place in np.flatnonzero(counts))
                print(f"       {name:20} {gains[name].of_draws.mean():+.4f}  {types}")


def choices(name: str, draws: Sequence[Draw], allowed: Sequence[int]) -> list[Choice]:
    """Returns the choices among the allowed types after each draw."""
    prior = suite().model_type_prior(TYPES, [f"suite/{name}"])
    found = []
    for seed, one in enumerate(draws):
        posterior = prior.posterior(one.judged)
        chosen = prior.choose(posterior, allowed)
        place = list(allowed).index(chosen)
        beliefs = posterior.draws(POSTERIOR_DRAWS, np.random.default_rng(seed))[:, list(allowed)]
        true = np.nanmean(one.tested[list(allowed)], axis=1)
        found.append(
            Choice(
                chosen,
                probability=float((beliefs.argmax(axis=1) == place).mean()),
                loss=float((beliefs.max(axis=1) - beliefs[:, place]).mean()),
                is_best=bool(true.argmax() == place),
                lost=float(true.max() - true[place]),
            )
        )
    return found


if __name__ == "__main__":
    main()
