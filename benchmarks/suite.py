"""The collections of the development suite with their encoders, for the other benchmarks.

The environment variable ZERO2IR_SUITE names the folder of the suite. Embeddings and encoders from scratch are made once
and kept in .cache.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zero2ir.config import IngestConfig, LibraryConfig, compose
from zero2ir.data.checks import check_collection
from zero2ir.data.loading import load_collection
from zero2ir.data.records import Collection, Judgment, Query
from zero2ir.encoders.base import TextEncoder
from zero2ir.encoders.cached import CachedQueryEncoder
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.loading import load_encoder
from zero2ir.encoders.making import make_encoder, source_role, training_digest
from zero2ir.evaluation.intervals import interval_over_collections
from zero2ir.experiments.report import STATISTICS
from zero2ir.io import paths
from zero2ir.io.files import finished_file, finished_folder
from zero2ir.io.settings import Settings
from zero2ir.models.base import Retriever, encoder_roles
from zero2ir.models.ranking import Candidates, Ranking
from zero2ir.strategies.tuning import judged_values

NAMES = [
    "cacm",
    "checkthat20-claims",
    "cisi",
    "clariq-questions",
    "csfcube-papers",
    "jaquad-ja",
    "legalquad-de",
    "lisa",
    "med",
    "piaf-fr",
    "relic",
    "stackfaq-answers",
    "tomt-books",
]
MAX_QUERIES = 400  # of a collection, drawn by a fixed seed
SEED = 0
LOSS = 0.005  # of nDCG@10, which is counted as one


@dataclass(frozen=True)
class SuiteCollection:
    """One collection, with at most ``MAX_QUERIES`` of its queries, each of which has a relevant document."""

    name: str
    collection: Collection
    queries: Sequence[Query]
    corpus: Corpus

    @cached_property
    def texts(self) -> list[str]:
        return [query.text for query in self.queries]

    @cached_property
    def query_ids(self) -> list[str]:
        return [query.query_id for query in self.queries]

    @cached_property
    def text_of(self) -> dict[str, str]:
        """The text of each query by its id."""
        return dict(zip(self.query_ids, self.texts, strict=True))

    @cached_property
    def topics(self) -> list[str]:
        return [query.topic or query.query_id for query in self.queries]

    @cached_property
    def qrels(self) -> list[Judgment]:
        known = set(self.query_ids)
        return [row for row in self.collection.judgments if row.query_id in known]

    @cached_property
    def relevant(self) -> list[set[int]]:
        """The numbers of the relevant documents of each query."""
        found: dict[str, set[int]] = {query_id: set() for query_id in self.query_ids}
        for row in self.qrels:
            if row.relevance > 0:
                found[row.query_id].add(self.corpus.number_of[row.doc_id])
        return list(found.values())

    @cached_property
    def candidates(self) -> Candidates | None:
        """The numbers of the documents that each query ranks; None for all."""
        ids = self.collection.candidates_of(self.query_ids)
        return None if ids is None else [np.sort(self.corpus.numbers_of(ids[one])) for one in self.query_ids]

    def values(self, ranking: Ranking, measure: str = "nDCG@10") -> np.ndarray:
        """Returns (n_queries,), the measure of a ranking of all queries by all judgments."""
        return judged_values(ranking, self.corpus, self.query_ids, self.qrels, measure)

    def draw(self, number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Draws queries of different topics; returns their places, and those of the queries of all other topics."""
        chosen: dict[str, int] = {}
        for place in np.random.default_rng([SEED, seed]).permutation(len(self.topics)):
            chosen.setdefault(self.topics[place], int(place))
        places = np.array(list(chosen.values())[:number], dtype=np.int64)
        return places, self.of_other_topics(places)

    def of_other_topics(self, places: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns the places of the queries whose topic is none of those at ``places``."""
        drawn = {self.topics[place] for place in places}
        return np.array([place for place, topic in enumerate(self.topics) if topic not in drawn], dtype=np.int64)


class Gains(NamedTuple):
    """The gains in one collection.

    Attributes:
        values: (n_draws, n_queries), NaN for the queries that a draw does not test.
        topics: (n_queries,).
    """

    values: np.ndarray
    topics: Sequence[str]

    @property
    def of_draws(self) -> np.ndarray:
        """(n_draws,), the mean over queries."""
        return np.nanmean(self.values, axis=1)


def mean_text(collections: Sequence[Gains]) -> str:
    """Returns the mean over collections with its 95 % interval over collections, draws and queries."""
    interval = interval_over_collections(*zip(*collections, strict=True), **STATISTICS)
    return f"{interval.mean:+.4f} [{interval.ci_low:+.4f}, {interval.ci_high:+.4f}]"


def losses_text(collections: Sequence[Gains]) -> str:
    """Returns the share of draws that lose more than ``LOSS``; each collection weighs the same."""
    return f"{np.mean([(one.of_draws < -LOSS).mean() for one in collections]):.0%}"


def open_collection(name: str, models: Sequence[Retriever], overrides: Sequence[str] = ()) -> SuiteCollection:
    """Reads a collection and makes the encoders that the models need, by the configuration with overrides."""
    config = compose("library", LibraryConfig, overrides)
    settings = compose("ingest", IngestConfig, [f"dataset=suite/{name}"]).dataset
    collection, _ = check_collection(load_collection(settings))
    collection = replace(collection, metadata={**collection.metadata, "deep_judgments": settings.deep_judgments})
    relevant = {row.query_id for row in collection.judgments if row.relevance > 0}
    usable = sorted(query for query in collection.queries if query.query_id in relevant)
    chosen = sorted(np.random.default_rng(SEED).permutation(len(usable))[:MAX_QUERIES].tolist())
    queries = [usable[place] for place in chosen]
    corpus = Corpus(collection.documents, cache=paths.CACHE_FOLDER / "embeddings")
    for role in sorted({role for model in models for role in encoder_roles(model)}):
        encoder = _encoder(source_role(role, config.encoder, corpus.language), corpus, config)
        corpus.encoders[role] = CachedQueryEncoder(encoder, [query.text for query in queries])
    return SuiteCollection(name, collection, queries, corpus)


def write_reviewed(content: Settings, path: Path) -> None:
    """Writes what the package knows of the suite as JSON that people review: lists of numbers are one line each."""
    text = json.dumps(content.model_dump(), indent=1)
    with finished_file(path) as file:
        file.write(re.sub(r"\[[^\[\]{}]*\]", lambda found: " ".join(found[0].split()), text) + "\n")


def _encoder(role: str, corpus: Corpus, config: LibraryConfig) -> TextEncoder:
    """Makes an encoder, or loads it if it was trained before."""
    choices = role, corpus, config.encoder, config.pretraining, SEED
    folder = paths.CACHE_FOLDER / "suite" / training_digest(*choices)
    if folder.is_dir():
        return load_encoder(folder)
    encoder = make_encoder(*choices)
    if encoder.trained:
        with finished_folder(folder) as made:
            encoder.save(made)
    return encoder
