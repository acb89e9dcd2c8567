"""Measures the errors and the power of interleaving on simulated users.

    python benchmarks/interleaving.py beir/scifact --second hybrid

Draws test queries with replacement and shows the team-draft interleaving of the first ten documents of BM25 and of the
second model. Position-based, cascade and dependent users click on it; they take one in ten irrelevant documents for
relevant and miss one in ten relevant ones. Prints for each kind of user:

- errors: the share of 2,000 experiments between equally good rankers (a coin decides for each search which of the two
  is called the first) that find a difference at the 5 % level, by the sign test at the planned end, and by the
  always-valid test after every search, as if the experiment stopped at the first p of 0.05;
- power: the number of searches after which 80 % of the experiments between BM25 and the second model have found the
  better one, with bootstrap intervals over experiments; the same for an A/B test on the reciprocal rank of the first
  click, with two searches per pair.

Every search is by another user. Prints Markdown and writes interleaving.json.
"""

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from zero2ir.config import IngestConfig, LibraryConfig, build, compose
from zero2ir.data.checks import check_collection
from zero2ir.data.loading import load_collection
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.loading import load_encoder
from zero2ir.encoders.making import make_encoder
from zero2ir.io import paths
from zero2ir.io.files import finished_folder, write_json
from zero2ir.online.feedback.clicks import CascadeModel, ClickModel, DependentClickModel, PositionBasedModel, attraction
from zero2ir.online.trials.interleaving import FIRST, NEITHER, SECOND, preference, team_draft
from zero2ir.online.trials.sequential import e_values, sign_test

DEPTH, LEVEL, POWER, EXPERIMENTS = 10, 0.05, 0.8, 2000
DRAWS = 100  # interleavings of each query
SPEAKS = {FIRST: -1, SECOND: 1, NEITHER: 0}
PEOPLE: dict[str, ClickModel] = {
    "position-based": PositionBasedModel(),
    "cascade": CascadeModel(),
    "dependent": DependentClickModel(),
}
CACHE = paths.CACHE_FOLDER / "benchmark" / "interleaving"


class Asked(NamedTuple):
    """One query: its two rankings, and how attractive each document is."""

    first: list[str]
    second: list[str]
    attraction: dict[str, float]


class Interleavings(NamedTuple):
    """What users may be shown.

    Attributes:
        attraction: (n_queries * DRAWS, DEPTH) of the documents of interleavings.
        teams: the same shape, 1 where a document is of the second ranker, -1 of the first, 0 of neither.
        rankings: (2, n_queries, DEPTH) attraction of the documents of the rankings themselves.
    """

    attraction: np.ndarray
    teams: np.ndarray
    rankings: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", nargs="?", default="beir/scifact")
    parser.add_argument("--second", default="hybrid", help="a file of conf/model")
    parser.add_argument("--searches", type=int, default=500, help="of each experiment between equal rankers")
    parser.add_argument("--most", type=int, default=2000, help="searches after which an experiment ends")
    parser.add_argument("--experiments", type=int, default=EXPERIMENTS)
    given = parser.parse_args()
    drawn = interleaved(rankings(given.dataset, given.second), np.random.default_rng(0))
    found = {
        name: {
            "errors": errors(drawn, people, given.experiments, given.searches),
            "power": power(drawn, people, given.experiments // 5, given.most),
        }
        for name, people in PEOPLE.items()
    }
    show(given, found)
    write_json(CACHE / "interleaving.json", {**vars(given), "people": found})


def rankings(dataset: str, model: str) -> list[Asked]:
    """Returns both rankings of each test query."""
    config = compose("library", LibraryConfig, [f"model={model}"])
    collection, _ = check_collection(load_collection(compose("ingest", IngestConfig, [f"dataset={dataset}"]).dataset))
    corpus = Corpus(collection.documents, cache=paths.CACHE_FOLDER / "embeddings")
    for role in sorted(build(config.model, "model").needs()):
        folder = CACHE / dataset.replace("/", "-") / role
        if not folder.is_dir():
            with finished_folder(folder) as part:
                make_encoder(role, corpus, config.encoder, config.pretraining, 0).save(part)
        corpus.encoders[role] = load_encoder(folder)
    graded: dict[str, dict[str, int]] = {}
    for row in collection.judgments:
        graded.setdefault(row.query_id, {})[row.doc_id] = row.relevance
    most = max(row.relevance for row in collection.judgments)
    queries = [query for query in collection.queries if query.split == "test" and query.query_id in graded]
    ranked = []
    for name in ("sparse", model):
        retriever = build(compose("library", LibraryConfig, [f"model={name}"]).model, "model").index(corpus)
        numbers = retriever.search([query.text for query in queries], DEPTH).numbers
        ranked.append([[corpus.documents[n].doc_id for n in row if n >= 0] for row in numbers.tolist()])
    return [
        Asked(
            first,
            second,
            {
                doc_id: float(attraction(np.array(graded[query.query_id].get(doc_id, 0)), most=most))
                for doc_id in {*first, *second}
            },
        )
        for query, first, second in zip(queries, *ranked, strict=True)
    ]


def searches(drawn: Interleavings, people: ClickModel, n: int, rng: np.random.Generator) -> np.ndarray:
    """Returns (n,) the ranker that the clicks of each search prefer: 1 the second, -1 the first; see ``preference``."""
    rows = rng.integers(len(drawn.attraction), size=n)
    clicked = people.click(drawn.attraction[rows], rng)
    return np.sign((clicked * drawn.teams[rows]).sum(axis=1)).astype(int)


def interleaved(asked: list[Asked], rng: np.random.Generator) -> Interleavings:
    """Returns many interleavings of each query, from which searches are drawn, and its two rankings."""
    attractions, teams = np.zeros((len(asked) * DRAWS, DEPTH)), np.zeros((len(asked) * DRAWS, DEPTH), dtype=int)
    for row in range(len(attractions)):
        one = asked[row // DRAWS]
        made = team_draft(one.first, one.second, DEPTH, rng)
        attractions[row, : len(made.doc_ids)] = [one.attraction[doc_id] for doc_id in made.doc_ids]
        teams[row, : len(made.teams)] = [SPEAKS[team] for team in made.teams]
        assert np.sign(teams[row].sum()) == preference(made.teams, range(len(made.teams)))
    rankings = np.zeros((2, len(asked), DEPTH))
    for number, one in enumerate(asked):
        for arm, ranking in enumerate((one.first, one.second)):
            rankings[arm, number, : len(ranking)] = [one.attraction[doc_id] for doc_id in ranking]
    return Interleavings(attractions, teams, rankings)


def pairs(drawn: Interleavings, people: ClickModel, n: int, rng: np.random.Generator) -> np.ndarray:
    """Returns (n,) reciprocal rank of the first click on the second ranking, minus another search's on the first."""
    values = []
    for rankings in drawn.rankings:
        clicked = people.click(rankings[rng.integers(len(rankings), size=n)], rng)
        values.append(np.where(clicked.any(axis=1), 1 / (1 + clicked.argmax(axis=1)), 0.0))
    return values[1] - values[0]


def errors(drawn: Interleavings, people: ClickModel, experiments: int, n: int) -> dict[str, float]:
    """Returns the share of experiments between equal rankers that find a difference."""
    rng = np.random.default_rng(1)
    equal = drawn._replace(
        attraction=np.tile(drawn.attraction, (2, 1)), teams=np.concatenate([drawn.teams, -drawn.teams])
    )
    outcomes = searches(equal, people, experiments * n, rng).reshape(experiments, n)
    fixed = [sign_test(int((row > 0).sum()), int((row < 0).sum())) <= LEVEL for row in outcomes]
    daily = [e_values((row + 1) / 2).max() >= 1 / LEVEL for row in outcomes]
    naive = [min(peeked(row)) <= LEVEL for row in outcomes[:300]]
    ties = float((outcomes == 0).mean())
    return {"fixed": share(fixed), "always_valid": share(daily), "sign_test_at_each_look": share(naive), "ties": ties}


def peeked(row: np.ndarray) -> list[float]:
    """Applies the sign test after every tenth search, as users do who check often and do not correct for it."""
    wins, losses = (row > 0).cumsum()[9::10], (row < 0).cumsum()[9::10]
    return [sign_test(int(won), int(lost)) for won, lost in zip(wins, losses, strict=True)]


def share(found: list[Any]) -> float:
    return round(float(np.mean(found)), 4)


def power(drawn: Interleavings, people: ClickModel, experiments: int, most: int) -> dict[str, Any]:
    """Returns after how many searches the better ranker was found in 80 % of the experiments; None beyond the last."""
    rng = np.random.default_rng(2)
    outcomes = searches(drawn, people, experiments * most, rng).reshape(experiments, most)
    compared = pairs(drawn, people, experiments * most, rng).reshape(experiments, most)
    return {
        "preference": round(float(outcomes.mean()), 4),
        "reciprocal_rank_difference": round(float(compared.mean()), 4),
        "fixed": needed(lambda n: [sign_test(int((r[:n] > 0).sum()), int((r[:n] < 0).sum())) for r in outcomes], most),
        "always_valid": stopping([(row + 1) / 2 for row in outcomes]),
        "split_fixed": needed(lambda n: t_tests(compared[:, :n]), most, searches_a_unit=2),
        "split_always_valid": stopping([(row + 1) / 2 for row in compared], searches_a_unit=2),
    }


def t_tests(differences: np.ndarray) -> list[float]:
    from scipy.stats import ttest_1samp

    return ttest_1samp(differences, 0, axis=1).pvalue.tolist()


def needed(p_values: Callable[[int], list[float]], most: int, searches_a_unit: int = 1) -> dict[str, Any]:
    """Returns the smallest planned number of searches with 80 % power, by bisection, with its bootstrap values."""
    known = {n: np.array(p_values(n)) <= LEVEL for n in np.unique(np.geomspace(20, most, 40).astype(int)).tolist()}

    def first(rows: np.ndarray) -> float:
        return next((n for n, found in known.items() if found[rows].mean() >= POWER), np.nan)

    return bootstrapped(first, len(next(iter(known.values()))), searches_a_unit)


def stopping(outcomes: list[np.ndarray], searches_a_unit: int = 1) -> dict[str, Any]:
    """Returns after how many searches 80 % of the experiments have stopped that are checked after every search."""
    evidence = [e_values(row) >= 1 / LEVEL for row in outcomes]
    times = np.array([found.argmax() + 1 if found.any() else np.inf for found in evidence])

    def at(rows: np.ndarray) -> float:
        value = float(np.quantile(times[rows], POWER, method="inverted_cdf"))
        return value if np.isfinite(value) else np.nan

    return bootstrapped(at, len(times), searches_a_unit)


def bootstrapped(value: Callable[[np.ndarray], float], n: int, unit: int) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    drawn = [value(rng.integers(n, size=n)) for _ in range(200)]
    found = [value(np.arange(n)), *np.quantile(np.nan_to_num(drawn, nan=np.inf), [0.025, 0.975], method="inverted_cdf")]
    names = ("searches", "ci_low", "ci_high")
    return {k: round(v * unit) if np.isfinite(v) else None for k, v in zip(names, found, strict=True)}


def show(given: argparse.Namespace, found: dict[str, Any]) -> None:
    print(f"\n**{given.dataset}**, errors among {given.experiments} experiments of {given.searches} searches\n")
    print("| people | sign test at the end | always valid, every look | sign test at every tenth look | ties |")
    print("|---|---|---|---|---|")
    for name, one in found.items():
        e = one["errors"]
        cells = [e["fixed"], e["always_valid"], e["sign_test_at_each_look"], e["ties"]]
        print(f"| {name} | {' | '.join(f'{cell:.1%}' for cell in cells)} |")
    print(f"\nSearches until BM25 and {given.second} are told apart in 80 % of the experiments\n")
    print("| people | preference | interleaving, planned | always valid | A/B, planned | always valid |")
    print("|---|---|---|---|---|---|")
    for name, one in found.items():
        p = one["power"]
        cells = [worded(p[key]) for key in ("fixed", "always_valid", "split_fixed", "split_always_valid")]
        print(f"| {name} | {p['preference']:+.3f} | {' | '.join(cells)} |", flush=True)


def worded(one: dict[str, Any]) -> str:
    said = ["more" if value is None else f"{value:,}" for value in one.values()]
    return f"{said[0]} [{said[1]}, {said[2]}]"


if __name__ == "__main__":
    main()
