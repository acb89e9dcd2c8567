"""What is observed of each search, and where it is read from."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer

from zero2ir.data.languages import identify_language, tokenize
from zero2ir.errors import InputError
from zero2ir.io.lines import read_lines

if TYPE_CHECKING:
    from zero2ir.models.base import Retriever
    from zero2ir.program.program import Program

HASHED = 256  # dimensions of queries as hashed words, for a searcher without an encoder of texts
LENGTH_SIGNAL, UNKNOWN_SIGNAL, SCORE_SIGNAL, CONFIDENCE_SIGNAL, SECONDS_SIGNAL, FALLBACK_SIGNAL, NEARNESS_SIGNAL = (
    SIGNALS
) = (
    "query length",
    "unknown terms",
    "score",
    "confidence",
    "seconds",
    "fallback",
    "nearness",
)
QUERY_VECTORS = "queries"  # their vectors, all at once


class SearchEvent(NamedTuple):
    """One search.

    Attributes:
        query: its text.
        timestamp: seconds since 1970; 0 where it is not known.
        seconds: how long it took; None where it is not known, like the next one.
        fallback: whether something else answered than should have.
    """

    query: str
    timestamp: float = 0.0
    seconds: float | None = None
    fallback: bool | None = None


def read_searches(path: Path) -> list[SearchEvent]:
    """Reads searches from a text file (a query a line), JSON lines, or the feedback that a server keeps.

    Raises:
        InputError: there is no such file, it holds no search, or a line is none; names the line.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; give queries as .txt or .jsonl, or the feedback that the server keeps")
    if path.suffix in (".txt", ".jsonl"):
        parsed = _from_json if path.suffix == ".jsonl" else lambda line, _: SearchEvent(line.strip())
        found = [parsed(line, place) for place, line in read_lines(path)]
    else:
        found = _from_feedback(path)
    if not found:
        raise InputError(f"{path}: holds no search; a server records what was shown with --impressions")
    return found


def _from_json(line: str, place: str) -> SearchEvent:
    try:
        row = json.loads(line)
        query, timestamp, seconds, fallback = (row.get(key) for key in SearchEvent._fields)
        made = SearchEvent(str(query), float(timestamp or 0), None if seconds is None else float(seconds), fallback)
    except (ValueError, TypeError, AttributeError):
        raise InputError(
            f"{place}: no search; a line is like {{'query': '...', 'timestamp': 0.0, 'seconds': 0.1}}"
        ) from None
    if not isinstance(query, str) or not query.strip() or not isinstance(fallback, bool | None):
        raise InputError(f"{place}: query is a text, and fallback true or false where it is there; correct the line")
    return made


def _from_feedback(path: Path) -> list[SearchEvent]:
    """Each search once, whether it showed anything or not: its impressions have its query, its user and its time."""
    from zero2ir.online.feedback.store import FeedbackStore

    with FeedbackStore(path) as store:
        searches = {
            (one.query, one.user, one.timestamp): None
            for one in store.events()
            if one.kind in ("impression", "nothing")
        }
    return [SearchEvent(query, timestamp) for query, _, timestamp in searches]


class SearchSignals(NamedTuple):
    """What is known of n searches.

    Attributes:
        queries: (n,) texts.
        signals: by name, (n,) each; NaN where it is not known. Without those that nobody knows.
        vectors: (n, dimension) of the queries.
    """

    queries: list[str]
    signals: dict[str, np.ndarray]
    vectors: np.ndarray

    def select(self, places: Sequence[int] | np.ndarray) -> "SearchSignals":
        """Some of the searches."""
        signals = {name: row[places] for name, row in self.signals.items()}
        return SearchSignals([self.queries[place] for place in places], signals, self.vectors[places])


class SignalMeter:
    """Measures searches by a searcher.

    Args:
        program: the searcher; it searches again, alone, for scores and confidence.
        reference: queries whose mean vector is what nearness is measured to.
    """

    def __init__(self, program: "Program", reference: Sequence[str]) -> None:
        self.program = program
        contents = [document.content for document in program.documents]
        self.language = identify_language(contents)
        self.known = {token for text in tokenize(contents, self.language) for token in text}
        centre = self.vectors(reference).mean(axis=0)
        self.centre = centre / max(float(np.linalg.norm(centre)), 1e-12)

    def measure(self, observations: Sequence[SearchEvent]) -> SearchSignals:
        """What is known of these searches."""
        queries = [one.query for one in observations]
        tokens = tokenize(queries, self.language)
        ranking, probabilities = self.program.search(queries, 1)
        vectors = self.vectors(queries)
        scores = np.where(ranking.numbers[:, 0] >= 0, ranking.scores[:, 0], 0.0)
        columns: dict[str, Any] = {
            LENGTH_SIGNAL: [len(query.split()) for query in queries],
            UNKNOWN_SIGNAL: [np.mean([token not in self.known for token in row]) if row else 1.0 for row in tokens],
            SCORE_SIGNAL: scores,
            CONFIDENCE_SIGNAL: np.full(len(queries), np.nan) if probabilities is None else probabilities[:, 0],
            SECONDS_SIGNAL: [math.nan if one.seconds is None else one.seconds for one in observations],
            FALLBACK_SIGNAL: [math.nan if one.fallback is None else float(one.fallback) for one in observations],
            NEARNESS_SIGNAL: vectors @ self.centre,
        }
        arrays = {name: np.asarray(values, dtype=float) for name, values in columns.items()}
        return SearchSignals(queries, {name: row for name, row in arrays.items() if not np.isnan(row).all()}, vectors)

    def vectors(self, queries: Sequence[str]) -> np.ndarray:
        """(n, dimension) unit vectors: by the searcher's own encoder, as hashed words where it has none."""
        if encoder := _encoder(self.program.retriever):
            return encoder.encode_queries(list(queries))
        hashed = HashingVectorizer(n_features=HASHED, alternate_sign=False)
        return np.asarray(hashed.transform(queries).todense(), dtype=np.float32)


def _encoder(retriever: "Retriever") -> Any:
    """The first part that turns queries into one vector each; None where there is none."""
    from zero2ir.models.dense import Dense

    if isinstance(retriever, Dense):
        return retriever
    return next((found for part in retriever.parts() if (found := _encoder(part)) is not None), None)
