"""Measures on the development suite what settings, learning and model types gain, as a prior for other collections.

    python -m benchmarks.prior            # all collections; or the names of some, to measure these again

Writes src/zero2ir/strategies/prior.json, which training reads (see ``zero2ir.strategies.prior``). The gain of a setting
is that of nDCG@10 over the model's own settings, by all judgments. Beside it stands what pooled judgments show of it by
the tuning measure, and the covariance of that over queries. For learning, ten judged queries are drawn several times:
the gain is that on the queries of all other topics, and what the judgments show is the gain out of fold. The gain of a
model type is that over the first one.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.suite import NAMES, SuiteCollection, open_collection, write_reviewed
from zero2ir.config import LibraryConfig, build, compose
from zero2ir.data.digest import content_digest
from zero2ir.data.records import JudgedDocument, Judgment
from zero2ir.encoders.corpus import Corpus
from zero2ir.io.terminal import progress
from zero2ir.labelling.pooling import JudgmentPool
from zero2ir.models.base import Retriever, parts
from zero2ir.models.capabilities import Tunable
from zero2ir.models.initialization import interpolate
from zero2ir.models.ranking import Ranking
from zero2ir.strategies import prior
from zero2ir.strategies.base import TrainingInputs
from zero2ir.strategies.fine_tune import (
    cross_validate_learning,
    judgment_learner,
    learning_family,
    measure,
    strengths,
)
from zero2ir.strategies.prior import (
    MODEL_TYPES,
    PRIOR_FILE,
    Basis,
    CollectionGains,
    Family,
    Suite,
    family_of,
    type_coordinates,
)
from zero2ir.strategies.tuning import TuningSettings, judged_values

MODELS = ("sparse", "hybrid", "pretrained_hybrid", "static_hybrid", "smoothed", "feedback")
LEARNERS = ("dense", "hybrid", "pretrained_hybrid")
TYPES = ("hybrid", "pretrained_hybrid", "static_hybrid", "sparse", "dense", "static")
COMMITTEE = ("sparse", "dense", "static")
JUDGED, QUERIES, DRAWS = 5, 10, 8
MIN_TEST_QUERIES = 10  # of other topics, in a draw of judged queries
TUNING = TuningSettings()
PATH = Path(prior.__file__).with_name(PRIOR_FILE)

Rows = dict[str, list[JudgedDocument]]  # the pooled judgments of each query


class Measured(NamedTuple):
    """The gains of one family in one collection.

    Attributes:
        family: its name.
        coordinates: (n_points,) by name.
        gains: what the file holds.
    """

    family: str
    coordinates: Sequence[Mapping[str, float]]
    gains: CollectionGains


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", nargs="*", default=NAMES)
    for name in parser.parse_args().collections:
        suite = open_collection(name, [library_model(one) for one in {*MODELS, *LEARNERS, *TYPES}])
        write(suite, list(measured(suite)))


def measured(suite: SuiteCollection) -> Iterator[Measured]:
    """Yields all families in one collection."""
    corpus, rows = with_judgments(suite)
    yield measured_gains(MODEL_TYPES, *type_gains(suite, corpus, [rows]))
    known = set[str]()
    for name in progress(MODELS, suite.name):
        for model in chain(library_model(name).index(corpus)):
            if isinstance(model, Tunable) and family_of(model) not in known:
                known.add(family_of(model))
                yield measured_gains(family_of(model), *settings_gains(suite, model, [rows]))
    for name in progress(LEARNERS, f"{suite.name}, learning"):
        yield of_learning(suite, library_model(name).index(corpus), rows)


def with_judgments(suite: SuiteCollection) -> tuple[Corpus, Rows]:
    """Returns the documents, with some queries that models know, and the pooled judgments of all queries."""
    drawn, _ = suite.draw(QUERIES, 0)
    corpus = suite.corpus.with_queries([suite.texts[place] for place in drawn])
    return corpus, pooled(suite, {name: library_model(name).index(corpus) for name in COMMITTEE})


def pooled(suite: SuiteCollection, members: Mapping[str, Retriever]) -> Rows:
    """Returns the first judged documents of each query that a committee ranks; see ``data.judgments``."""
    pool = JudgmentPool(suite.collection, {}, lambda: members)
    grades: dict[str, dict[str, int]] = {}
    for row in suite.qrels:
        grades.setdefault(row.query_id, {})[row.doc_id] = row.relevance
    rows: Rows = {}
    deep = bool(suite.collection.metadata.get("deep_judgments"))
    for query in suite.queries:
        known = grades[query.query_id]
        ids = islice((one for one in pool(query) if deep or one in known), JUDGED)
        rows[query.query_id] = [JudgedDocument(query.query_id, query.text, one, known.get(one, 0)) for one in ids]
    return rows


def measured_gains(
    family: str, coordinates: Sequence[Mapping[str, float]], full: np.ndarray, judged: Sequence[np.ndarray]
) -> Measured:
    """Summarises the gains of settings or model types."""
    few = judged[0][:, ~np.isnan(judged[0][0])]
    return Measured(family, coordinates, _gains(coordinates, full.mean(axis=1), few.mean(axis=1), few))


def type_gains(
    suite: SuiteCollection, corpus: Corpus, judgments: Sequence[Rows]
) -> tuple[list[dict[str, float]], np.ndarray, list[np.ndarray]]:
    """Measures the gain of each model type over the first one; returns the same as ``settings_gains``."""
    rankings = [
        library_model(name).index(corpus).search(suite.texts, TUNING.depth, suite.candidates)
        for name in progress(TYPES, f"{suite.name}, model types")
    ]
    full = np.stack([suite.values(ranking) for ranking in rankings])
    judged = [np.stack([judged_values_of(suite, ranking, rows) for ranking in rankings]) for rows in judgments]
    return type_coordinates(TYPES), full - full[:1], [values - values[:1] for values in judged]


def settings_gains(
    suite: SuiteCollection, model: Tunable, judgments: Sequence[Rows]
) -> tuple[list[Mapping[str, float]], np.ndarray, list[np.ndarray]]:
    """Measures the gain of each setting of an indexed model over its own.

    Returns:
        The settings' coordinates; (n_settings, n_queries) by all judgments; and for each of ``judgments`` the same by
        the tuning measure, NaN for queries without a relevant document.
    """
    coordinates, full = list[Mapping[str, float]](), list[np.ndarray]()
    judged: list[list[np.ndarray]] = [[] for _ in judgments]
    for one, ranking in model.sweep(suite.texts, TUNING.depth, suite.candidates):
        coordinates.append(model.coordinates(one))
        full.append(suite.values(ranking))
        for found, rows in zip(judged, judgments, strict=True):
            found.append(judged_values_of(suite, ranking, rows))
    return coordinates, np.stack(full) - full[0], [np.stack(found) - found[0] for found in judged]


def judged_values_of(suite: SuiteCollection, ranking: Ranking, rows: Rows) -> np.ndarray:
    """Returns (n_queries,), the tuning measure by some judgments, NaN without a relevant document."""
    places = [place for place, one in enumerate(suite.query_ids) if any(row.relevance > 0 for row in rows[one])]
    ids = [suite.query_ids[place] for place in places]
    qrels = [Judgment(one, row.doc_id, row.relevance) for one in ids for row in rows[one]]
    values = np.full(len(suite.texts), np.nan)
    values[places] = judged_values(ranking.select_queries(places), suite.corpus, ids, qrels, TUNING.measure)
    return values


def of_learning(suite: SuiteCollection, model: Retriever, rows: Rows) -> Measured:
    """Measures what an indexed model learns from ten judged queries, at several strengths."""
    coordinates, full, judged = learning_gains(suite, model, rows, DRAWS)
    few = np.stack([gains.mean(axis=1) for gains in judged])  # -> (n_draws, n_strengths)
    # The covariance of the mean over ten queries is a tenth of that of one query.
    observed = few.T * np.sqrt(QUERIES)
    gains = np.nanmean(full, axis=(0, 2))
    return Measured(learning_family(model), coordinates, _gains(coordinates, gains, few.mean(axis=0), observed))


def learning_gains(
    suite: SuiteCollection, model: Retriever, rows: Rows, draws: int
) -> tuple[list[Mapping[str, float]], np.ndarray, list[np.ndarray]]:
    """Measures the gain of an indexed model over itself after learning with each strength, 0 first.

    Returns:
        The strengths' coordinates; (n_draws, n_strengths, n_queries) by all judgments, NaN for queries of drawn topics;
        and for each draw (n_strengths, n_drawn) out of fold, by the tuning measure.
    """
    full, judged = list[np.ndarray](), list[np.ndarray]()
    default = suite.values(model.search(suite.texts, TUNING.depth, suite.candidates))
    for seed in range(draws):
        ids, rest = draw(suite, rows, QUERIES, seed)
        judgments = [row._replace(query_id=one, query=suite.text_of[one]) for one in ids for row in rows[one]]
        candidates = suite.collection.candidates_of(ids)
        inputs = TrainingInputs(suite.corpus, judgments, tuning=TUNING, seed=seed, candidates=candidates)
        learned = judgment_learner(model, inputs)(ids)
        if learned is None or not (out_of_fold := cross_validate_learning(model, inputs)):
            continue
        values = [default]
        for strength in strengths(model):
            ranking = interpolate(model, learned, strength).search(suite.texts, TUNING.depth, suite.candidates)
            values.append(suite.values(ranking))
        full.append(tested(np.stack(values) - default, rest))
        before = measure(model, inputs, inputs.measured_queries)
        judged.append(np.stack([before, *(one.values for one in out_of_fold)]) - before)
    return [{"strength": strength} for strength in (0.0, *strengths(model))], np.stack(full), judged


def tested(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Returns (..., n_queries) values with NaN for all queries but those at some places."""
    found = np.full(values.shape, np.nan)
    found[..., places] = values[..., places]
    return found


def draw(suite: SuiteCollection, rows: Rows, number: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Draws the ids of judged queries, fewer if there are fewer, and the places of the queries of all other topics."""
    order, _ = suite.draw(len(suite.texts), seed)
    places = [place for place in order if rows[suite.query_ids[place]]][:number]
    return [suite.query_ids[place] for place in places], suite.of_other_topics(places)


def judged_draws(
    suite: SuiteCollection, rows: Rows, values: np.ndarray, number: int, draws: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draws so many judged queries several times; none if the collection has too few.

    Args:
        suite: the collection.
        rows: its pooled judgments.
        values: (n_candidates, n_queries) by these judgments, NaN for queries without a relevant document.
        number: of judged queries.
        draws: how often.

    Yields:
        The values of the drawn queries that have a relevant document, and the places of the queries of other topics.
    """
    place = {query_id: number for number, query_id in enumerate(suite.query_ids)}
    for seed in range(draws):
        ids, rest = draw(suite, rows, number, seed)
        if len(ids) == number and len(rest) >= MIN_TEST_QUERIES:
            drawn = values[:, [place[query_id] for query_id in ids]]
            yield drawn[:, ~np.isnan(drawn[0])], rest


def write(suite: SuiteCollection, rows: Sequence[Measured]) -> None:
    """Replaces one collection in the file."""
    name = f"suite/{suite.name}"
    old = Suite.model_validate_json(PATH.read_text(encoding="utf-8")) if PATH.exists() else None
    documents = dict(old.documents) if old else {}
    families = dict(old.families) if old else {}
    documents[name] = content_digest(suite.collection.documents)
    for row in rows:
        names = list(row.coordinates[0])
        points = [[round(one[key], 4) for key in names] for one in row.coordinates]
        known = families.get(row.family)
        others = known.collections if known and (known.coordinates, known.points) == (names, points) else {}
        families[row.family] = Family(coordinates=names, points=points, collections={**others, name: row.gains})
    new = Suite(measure=TUNING.measure, documents=dict(sorted(documents.items())), families=families)
    write_reviewed(new, PATH)


def chain(model: Retriever) -> Iterator[Retriever]:
    """Yields a retriever after those that it wraps."""
    if len(parts(model)) == 1:
        yield from chain(parts(model)[0])
    yield model


def library_model(name: str) -> Retriever:
    """Returns a model of conf/model, not indexed."""
    return build(compose("library", LibraryConfig, [f"model={name}"]).model, "model")


def _gains(
    coordinates: Sequence[Mapping[str, float]], full: np.ndarray, judged: np.ndarray, observed: np.ndarray
) -> CollectionGains:
    """Summarises (n_points,) gains, the judged ones, and (n_points, n) observations of these."""
    basis = Basis(np.array([list(one.values()) for one in coordinates]))
    covariance = np.atleast_2d(np.cov(basis.fit(observed.T).T))
    return CollectionGains(
        gains=np.round(full, 5).tolist(),
        judged=np.round(judged, 5).tolist(),
        covariance=[[float(f"{value:.3g}") for value in row] for row in covariance],
    )


if __name__ == "__main__":
    main()
