"""Measures model=auto on the development suite: the model types that it chooses with a few judged queries.

A draw judges some queries of a collection as people would: the first documents of three pooled rankings. The choice
knows these judgments and the other collections. Its gain over a fixed choice is measured on all other queries by all
judgments. Intervals resample collections, draws and queries.

    ZERO2IR_SUITE=../shared/collections/suite python benchmarks/auto.py [--write]

--write renews what the package knows of the suite, src/zero2ir/strategies/model_types.json. The values of each query
are kept in .cache/model_types; remove this folder to measure them again.
"""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.prior import tested
from benchmarks.suite import NAMES, SEED, Gains, SuiteCollection, losses_text, mean_text, open_collection
from zero2ir.config import IngestConfig, built, compose
from zero2ir.data.digest import content_digest
from zero2ir.data.records import Judgment
from zero2ir.data.settings import JudgmentBudget
from zero2ir.io import paths
from zero2ir.io.files import finished_file
from zero2ir.labelling.committee import Committee
from zero2ir.models.ranking import Ranking
from zero2ir.strategies import model_prior
from zero2ir.strategies.model_prior import ModelTypes
from zero2ir.strategies.tuning import TuningSettings, judged_values

MODEL_TYPES = ("hybrid", "pretrained_hybrid", "static_hybrid", "sparse", "dense", "static")
COMMITTEE = ("sparse", "dense", "static")
POOL_DEPTH = 100
SMALL = ("static_hybrid", "sparse", "static")  # types for a limit that rules out pretrained weights
SHOWN = 10  # judged queries, for which each collection is shown
BUDGETS = (1, 2, 5, 10, 20, 50)  # judged queries
DRAWS = 30
MEASURED = paths.CACHE_FOLDER / "model_types"
STATISTICS = Path(model_prior.__file__).with_name(model_prior.STATISTICS)
DRAWN, REST = 1, 0

Values = Mapping[str, np.ndarray]


def measured(name: str) -> Values:
    """Returns the values of a collection.

    "full" is (n_types, n_queries) nDCG@10 by all judgments, "judged" the tuning measure by pooled judgments, NaN for
    queries without a relevant one, and "drawn/N" is (n_draws, n_queries): DRAWN, REST, or another one of a drawn topic.
    """
    path = MEASURED / f"{name}.npz"
    if not path.exists():
        MEASURED.mkdir(parents=True, exist_ok=True)
        np.savez(path, **measure(name))
    with np.load(path) as file:
        return dict(file)


def measure(name: str) -> Values:
    models = dict(zip(MODEL_TYPES, built("model", MODEL_TYPES), strict=True))
    collection = open_collection(name, list(models.values()))
    some = np.random.default_rng(SEED).permutation(len(collection.queries))[:10]
    corpus = collection.corpus.with_queries([collection.texts[place] for place in some])
    rankings = {
        one: model.index(corpus).search(collection.texts, TuningSettings().depth, collection.candidates)
        for one, model in models.items()
    }
    pooled = pooled_judgments(collection, {one: rankings[one] for one in COMMITTEE})
    relevant = {row.query_id for row in pooled if row.relevance > 0}
    places = np.array([place for place, one in enumerate(collection.query_ids) if one in relevant])
    ids = [collection.query_ids[place] for place in places]
    judged = np.full((len(models), len(collection.queries)), np.nan)
    for row, ranking in zip(judged, rankings.values(), strict=True):
        row[places] = judged_values(ranking.select_queries(places), corpus, ids, pooled, TuningSettings().measure)
    return {
        "digest": np.array(content_digest(corpus.documents)),
        "topics": np.array(collection.topics),
        "full": np.stack([collection.values(ranking) for ranking in rankings.values()]),
        "judged": judged,
        **{f"drawn/{number}": drawn(collection, number) for number in BUDGETS},
    }


def pooled_judgments(collection: SuiteCollection, rankings: Mapping[str, Ranking]) -> list[Judgment]:
    """Returns the judgments of the first documents of the rankings, for all queries."""
    committee = Committee(collection.corpus, collection.texts, {})
    committee.__dict__["rankings"] = rankings
    grades = {(row.query_id, row.doc_id): row.relevance for row in collection.qrels}
    is_deep = compose("ingest", IngestConfig, [f"dataset=suite/{collection.name}"]).dataset.deep_judgments
    rows = []
    for place, query_id in enumerate(collection.query_ids):
        pool = committee.pool(place, "round-robin", POOL_DEPTH)
        keys = [(query_id, collection.corpus.documents[number].doc_id) for number in pool]
        known = [key for key in keys if is_deep or key in grades]
        rows += [Judgment(*key, grades.get(key, 0)) for key in known[: JudgmentBudget().documents_per_query]]
    return rows


def drawn(collection: SuiteCollection, number: int) -> np.ndarray:
    marks = np.full((DRAWS, len(collection.queries)), -1)
    for draw, row in enumerate(marks):
        chosen, rest = collection.draw(number, draw)
        row[rest], row[chosen] = REST, DRAWN
    return marks


def statistics(values: Mapping[str, Values]) -> ModelTypes:
    """Returns what the package knows of these collections."""
    rows = {}
    for name, one in values.items():
        gains, judged = one["full"] - one["full"][:1], one["judged"] - one["judged"][:1]
        judged = judged[:, ~np.isnan(judged[0])]
        rows[f"suite/{name}"] = {
            "digest": str(one["digest"]),
            "gains": gains.mean(axis=1).round(5).tolist(),
            "judged": judged.mean(axis=1).round(5).tolist(),
            "covariance": np.cov(judged).round(6).tolist(),
            "error": (np.cov(gains) / gains.shape[1]).round(8).tolist(),
        }
    return ModelTypes.model_validate({"names": MODEL_TYPES, "collections": rows})


class Choice(NamedTuple):
    """A choice after one draw: the chosen type, the places of the other queries, its stated probability and loss."""

    chosen: int
    rest: np.ndarray
    probability: float
    loss: float


def choices(values: Values, known: ModelTypes, number: int, allowed: Sequence[int]) -> list[Choice]:
    """Returns the choices among the allowed types after each draw of so many judged queries."""
    prior = known.prior(MODEL_TYPES, str(values["digest"]))
    everything = range(len(MODEL_TYPES))
    found = []
    for draw, marks in enumerate(values[f"drawn/{number}"] if number else values["drawn/1"][:1] * 0):
        if number and ((marks == DRAWN).sum() < number or (marks == REST).sum() < 10):
            continue
        judged = values["judged"][:, marks == DRAWN]
        judged = judged[:, ~np.isnan(judged[0])]
        gains = judged.mean(axis=1) if judged.size else np.zeros(len(MODEL_TYPES))
        belief = prior.posterior(gains, everything, judged.shape[1])
        best = prior.choose(belief, allowed)
        draws = belief.draws(2000, np.random.default_rng(draw))[:, allowed]
        probability = float((draws.argmax(axis=1) == list(allowed).index(best)).mean())
        loss = float((draws.max(axis=1) - draws[:, list(allowed).index(best)]).mean())
        found.append(Choice(best, np.flatnonzero(marks == REST), probability, loss))
    return found


def report(values: Mapping[str, Values], allowed: Sequence[int]) -> None:
    """Prints what choosing among the allowed types gains over the best fixed one of them."""
    known = statistics(values)
    means = np.array([one["full"].mean(axis=1) for one in values.values()])
    fixed = max(allowed, key=lambda number: means[:, number].mean())
    print(f"\nauto - {MODEL_TYPES[fixed]}, among {', '.join(MODEL_TYPES[one] for one in allowed)}")
    for number in (0, *BUDGETS):
        chosen = {name: rows for name, one in values.items() if (rows := choices(one, known, number, allowed))}
        gains, lost, is_best = [], [], []
        for name, rows in chosen.items():
            full = values[name]["full"]
            drawn = np.stack([tested(full[row.chosen] - full[fixed], row.rest) for row in rows])
            gains.append(Gains(drawn, values[name]["topics"].tolist()))
            best = [full[allowed][:, row.rest].mean(axis=1) for row in rows]
            lost += [one.max() - full[row.chosen, row.rest].mean() for one, row in zip(best, rows, strict=True)]
            is_best += [allowed[int(one.argmax())] == row.chosen for one, row in zip(best, rows, strict=True)]
        everyone = [row for rows in chosen.values() for row in rows]
        print(
            f"  {number:2} judged queries, {len(chosen)} collections: {mean_text(gains)}, losses {losses_text(gains)}; "
            f"lost {1000 * np.mean(lost):.1f}, stated {1000 * np.mean([row.loss for row in everyone]):.1f}; "
            f"the best in {np.mean(is_best):.0%}, stated {np.mean([row.probability for row in everyone]):.0%}"
        )
        if number == SHOWN:
            for (name, rows), one in zip(chosen.items(), gains, strict=True):
                counts = np.bincount([row.chosen for row in rows], minlength=len(MODEL_TYPES))
                types = ", ".join(f"{MODEL_TYPES[place]} {counts[place]}" for place in np.flatnonzero(counts))
                print(f"       {name:20} {1000 * one.of_draws.mean():+6.1f}  {types}")


def print_means(values: Mapping[str, Values]) -> None:
    print("nDCG@10 x 1000 of untrained model types:", ", ".join(MODEL_TYPES))
    means = {name: one["full"].mean(axis=1) for name, one in values.items()}
    for name, row in {**means, "mean": np.mean(list(means.values()), axis=0)}.items():
        print(f"  {name:20}", *(f"{1000 * value:7.1f}" for value in row))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", nargs="*", default=NAMES, help="collections")
    arguments = parser.parse_args()
    values = {name: measured(name) for name in arguments.only}
    print_means(values)
    report(values, range(len(MODEL_TYPES)))
    report(values, [MODEL_TYPES.index(one) for one in SMALL])
    if arguments.write:
        text = json.dumps(statistics(values).model_dump(), indent=1)
        with finished_file(STATISTICS) as file:
            file.write(re.sub(r"\[[^\[\]]*\]", lambda found: " ".join(found[0].split()), text) + "\n")


if __name__ == "__main__":
    main()
