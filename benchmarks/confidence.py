"""Measures on the development suite how scores tell relevance, and how well confidence holds on other collections.

    python -m benchmarks.confidence            # all collections; or the names of some, for a shorter test

Writes src/zero2ir/program/confidence_prior.json, which training reads (see ``zero2ir.program.confidence_prior``), and
prints the tables of the documentation. Each collection is left out of the prior that it is measured with. There, ten
judged queries are drawn several times; the error is that on the queries of all other topics, less the error of a
perfectly calibrated system on as many queries.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.prior import COMMITTEE, QUERIES, draw, library_model, pooled
from benchmarks.suite import NAMES, SuiteCollection, open_collection, write_reviewed
from zero2ir.data.digest import content_digest
from zero2ir.data.records import JudgedDocument
from zero2ir.evaluation.calibration import error_if_calibrated, reliability
from zero2ir.io.terminal import progress
from zero2ir.models.ranking import NO_DOCUMENT, Ranking
from zero2ir.program import confidence_prior as stored
from zero2ir.program.confidence import Confidence, QueryJudgments, signals, squashed
from zero2ir.program.confidence_prior import ANY_MODEL, ConfidencePrior, ModelSignals, Regression
from zero2ir.program.policy import CAUTION, Policy
from zero2ir.strategies.prior import family_of

MODELS = ("sparse", "dense", "static", "pretrained_hybrid", "static_hybrid", "hybrid")
UNKNOWN, UNJUDGED = "`hybrid`, as a model that the suite does not know", "`hybrid`, without judged queries"
STATED = {"`hybrid`": "hybrid", "`dense`": "dense", "`sparse`": "sparse", UNKNOWN: "hybrid", UNJUDGED: "hybrid"}
RISKS = (0.1, 0.2, 0.3)
DRAWS, RESAMPLES = 20, 100
DEPTH = 2  # documents by which the signals of the first one are known
HEAVIEST = 100  # queries that a collection counts as at most, so that none outweighs the others
RIDGE = np.diag([0.1, 1.0, 1.0])  # precision of the prior of level and slopes around 0
STEPS = 30  # of Newton's method
PATH = Path(stored.__file__).with_name(stored.CONFIDENCE_PRIOR_FILE)


class FirstDocuments(NamedTuple):
    """What a model ranks first in one collection.

    Attributes:
        family: of the model.
        ranking: of all n queries, two documents deep.
        relevant: (n,) whether the first document is, by all judgments.
    """

    family: str
    ranking: Ranking
    relevant: np.ndarray


class Measured(NamedTuple):
    """One collection.

    Attributes:
        digest: content digest of the documents.
        models: by name.
        judged: (n,) pooled judgments of each query.
        draws: places of the drawn queries, and of the queries of all other topics.
    """

    digest: str
    models: Mapping[str, FirstDocuments]
    judged: Sequence[QueryJudgments]
    draws: Sequence[tuple[Sequence[int], np.ndarray]]


class Outcome(NamedTuple):
    """How the confidence of one draw held on the other queries.

    Attributes:
        error: calibration error, less that of a perfectly calibrated system.
        inside: whether the share of relevant first documents is inside the interval of the mean confidence.
        width: half of that interval.
        coverage: (n_risks,) share of the queries that are plainly answered.
        kept: (n_risks,) whether the share of wrong first documents among them is at most the stated risk.
    """

    error: float
    inside: bool
    width: float
    coverage: np.ndarray
    kept: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", nargs="*", default=NAMES)
    collections = {name: measured(name) for name in parser.parse_args().collections}
    prior = prior_of(collections)
    write_reviewed(prior, PATH)
    report({row: [outcomes(prior, one, name, row) for name, one in collections.items()] for row in STATED}, collections)


def measured(name: str) -> Measured:
    """Searches one collection with all models."""
    suite = open_collection(name, [library_model(one) for one in {*MODELS, *COMMITTEE}])
    drawn, _ = suite.draw(QUERIES, 0)
    corpus = suite.corpus.with_queries([suite.texts[place] for place in drawn])
    rows = pooled(suite, {member: library_model(member).index(corpus) for member in COMMITTEE})
    models = {}
    for model in progress(MODELS, name):
        retriever = library_model(model).index(corpus)
        ranking = retriever.search(suite.texts, DEPTH, suite.candidates)
        first = zip(ranking.numbers[:, 0].tolist(), suite.relevant, strict=True)
        models[model] = FirstDocuments(family_of(retriever), ranking, np.array([one in known for one, known in first]))
    judged = [judgments(suite, rows[query_id]) for query_id in suite.query_ids]
    draws = [draw(suite, rows, QUERIES, seed) for seed in range(DRAWS)]
    places = [([suite.query_ids.index(one) for one in ids], rest) for ids, rest in draws]
    return Measured(content_digest(suite.collection.documents), models, judged, places)


def judgments(suite: SuiteCollection, rows: Sequence[JudgedDocument]) -> QueryJudgments:
    numbers = suite.corpus.number_of
    relevant, nonrelevant = (
        frozenset(numbers[row.doc_id] for row in rows if (row.relevance > 0) == is_relevant)
        for is_relevant in (True, False)
    )
    return QueryJudgments(relevant, nonrelevant)


def prior_of(collections: Mapping[str, Measured]) -> ConfidencePrior:
    """Returns what the file holds."""
    models = {}
    for model in (*MODELS, ANY_MODEL):
        firsts = {name: first_documents(one, model) for name, one in collections.items()}
        moments = [[one.mean(axis=0), one.std(axis=0)] for one, _ in firsts.values()]
        typical = np.mean(moments, axis=0).round(2)  # -> (2, 2)
        centre, spread = typical[0], typical[1]
        regressions = {
            f"suite/{name}": regression(squashed(one, centre, spread), right) for name, (one, right) in firsts.items()
        }
        family = ANY_MODEL if model == ANY_MODEL else next(iter(collections.values())).models[model].family
        models[family] = ModelSignals(
            centre=(float(centre[0]), float(centre[1])),
            spread=(float(spread[0]), float(spread[1])),
            collections=regressions,
        )
    return ConfidencePrior(documents={f"suite/{name}": one.digest for name, one in collections.items()}, models=models)


def first_documents(collection: Measured, model: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the signals of a model's first documents, (n, 2), or those of all models, and their relevance, (n,)."""
    chosen = list(collection.models.values()) if model == ANY_MODEL else [collection.models[model]]
    is_found = np.concatenate([one.ranking.numbers[:, 0] != NO_DOCUMENT for one in chosen])
    found = np.concatenate([signals(one.ranking)[:, 0] for one in chosen])
    return found[is_found], np.concatenate([one.relevant for one in chosen])[is_found].astype(float)


def regression(found: np.ndarray, relevant: np.ndarray) -> Regression:
    """Explains the relevance of (n, 2) signals by logistic regression, with a weak prior around 0."""
    values = np.column_stack([np.ones(len(found)), found])
    weight = min(1.0, HEAVIEST / len(found))
    coefficients = np.zeros(3)
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-values @ coefficients))
        gradient = weight * values.T @ (p - relevant) + RIDGE @ coefficients
        precision = weight * (values.T * (p * (1 - p))) @ values + RIDGE
        coefficients = coefficients - np.linalg.solve(precision, gradient)
    return Regression(coefficients=np.round(coefficients, 3).tolist(), precision=np.round(precision, 2).tolist())


def outcomes(prior: ConfidencePrior, collection: Measured, name: str, row: str) -> list[Outcome]:
    """Returns the outcome of each draw on one collection."""
    first = collection.models[STATED[row]]
    before = Confidence.prior(ANY_MODEL if row == UNKNOWN else first.family, {f"suite/{name}"}, prior)
    found = []
    for places, rest in collection.draws:
        judged = [] if row == UNJUDGED else places
        ranking = first.ranking.select_queries(judged)
        found.append(outcome(before.given(ranking, [collection.judged[one] for one in judged]), first, rest))
    return found


def outcome(confidence: Confidence, first: FirstDocuments, rest: np.ndarray) -> Outcome:
    """Compares a confidence with the relevance of the first documents of the other queries."""
    stated, right = confidence.probabilities(first.ranking)[rest, 0], first.relevant[rest]
    points = reliability(stated, right)
    error = np.abs(points.confidence - points.accuracy) @ points.queries / len(rest)
    low, high = np.mean(confidence.intervals(stated), axis=0)
    lowest = confidence.bound(stated, -CAUTION)
    answered = [np.array([Policy.of(risk).decide(one) == "answer" for one in lowest]) for risk in RISKS]
    return Outcome(
        float(error) - error_if_calibrated(stated, resamples=RESAMPLES, seed=0),
        bool(low <= right.mean() <= high),
        float(high - low) / 2,
        np.array([one.mean() for one in answered]),
        np.array([not one.any() or (1 - right[one].mean()) <= risk for one, risk in zip(answered, RISKS, strict=True)]),
    )


def report(rows: Mapping[str, Sequence[Sequence[Outcome]]], names: Iterable[str]) -> None:
    """Prints the tables: calibration errors, and of stated risks and intervals how often they hold."""
    print_row("calibration error", "mean", *(name.split("-")[0] for name in names))
    for row, found in rows.items():
        errors = [np.mean([one.error for one in draws]) for draws in found]
        print_row(row, *(f"{error:.3f}" for error in (np.mean(errors), *errors)))
    print_row("risk kept, share answered", *RISKS, "lowest collection", "half of the interval", "inside")
    for row, found in rows.items():
        # -> (n_collections, n_draws, n_risks) or, of the interval, (n_collections, n_draws)
        inside, width, coverage, kept = (
            np.array([[one[at] for one in draws] for draws in found]) for at in range(1, 5)
        )
        pairs = zip(kept.mean(axis=(0, 1)), coverage.mean(axis=(0, 1)), strict=True)
        rest = (kept.mean(axis=(1, 2)).min(), width.mean(), inside.mean())
        print_row(row, *(f"{often:.2f}, {share:.2f}" for often, share in pairs), *(f"{one:.2f}" for one in rest))


def print_row(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
