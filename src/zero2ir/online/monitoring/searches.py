"""Reads searches and measures their drift signals."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer

from zero2ir.data.tables import read_query_log
from zero2ir.data.words import split_words, tokenize
from zero2ir.errors import InputError
from zero2ir.io.paths import is_url
from zero2ir.io.values import id_value

if TYPE_CHECKING:
    from zero2ir.models.base import Retriever
    from zero2ir.program.program import Program

HASHED = 256  # dimension of hashed word counts of queries, for a program without a text encoder
LENGTH_SIGNAL, UNKNOWN_SIGNAL, SCORE_SIGNAL, CONFIDENCE_SIGNAL, SECONDS_SIGNAL, FALLBACK_SIGNAL, NEARNESS_SIGNAL = (
    SIGNALS
) = ("query length", "unknown terms", "score", "confidence", "seconds", "fallback", "nearness")
_SQLITE = b"SQLite format 3\0"  # the first bytes of the file
QUERY_VECTORS = "queries"  # the query vectors as one signal


class SearchEvent(NamedTuple):
    """One search.

    Attributes:
        query: text of the query.
        timestamp: seconds since 1970; 0 if unknown.
        seconds: duration of the search; None if unknown.
        fallback: whether a fallback answered; None if unknown.
        query_id: id of the query, if it may be a document of the collection.
    """

    query: str
    timestamp: float = 0.0
    seconds: float | None = None
    fallback: bool | None = None
    query_id: str | None = None


def read_searches(place: str | Path) -> list[SearchEvent]:
    """Reads searches from a query log (a table, or a text file with one query per line) or a server's feedback store.

    Args:
        place: a file, or the URL of a server's database.

    Raises:
        InputError: the file does not exist, contains no search, or has an invalid line; the message names the line.
    """
    if is_url(place):
        return _checked(_from_feedback(place), "the database")
    path = Path(place)
    if not path.is_file():
        raise InputError(f"{path}: no such file; give queries as .txt or .jsonl, or the feedback file of a server")
    with path.open("rb") as file:
        is_feedback = file.read(len(_SQLITE)) == _SQLITE
    searches = _from_feedback(path) if is_feedback else [_event(row, line) for line, row in read_query_log(path)]
    return _checked(searches, str(path))


def _checked(searches: list[SearchEvent], place: str) -> list[SearchEvent]:
    if not searches:
        raise InputError(f"{place}: contains no search; a server records impressions with --impressions")
    return searches


def _event(row: dict[str, Any], place: str) -> SearchEvent:
    query, fallback = row["text"], row.get("fallback")
    if isinstance(fallback, str):
        fallback = {"true": True, "false": False}.get(fallback.lower(), fallback)
    if not isinstance(query, str) or not query.strip() or not isinstance(fallback, bool | None):
        raise InputError(f"{place}: query must be a non-empty text, fallback true or false if given; correct the line")
    try:
        timestamp, seconds = float(row.get("timestamp", 0)), float(row.get("seconds", 0))
    except (ValueError, TypeError, OverflowError):
        timestamp = seconds = math.nan
    if not (math.isfinite(timestamp) and math.isfinite(seconds)):
        raise InputError(f"{place}: timestamp and seconds must be numbers, in seconds; correct the line")
    query_id = id_value(row["query_id"], f"{place}: query_id") if "query_id" in row else None
    return SearchEvent(query, timestamp, seconds if "seconds" in row else None, fallback, query_id)


def _from_feedback(place: str | Path) -> list[SearchEvent]:
    """Reads each search once, with or without results: its impressions share query, user and time."""
    from zero2ir.online.feedback.store import FeedbackStore

    with FeedbackStore(place, create=False) as store:
        searches = {
            (one.query, one.user, one.timestamp): None
            for one in store.events()
            if one.kind in ("impression", "nothing")
        }
    return [SearchEvent(query, timestamp) for query, _, timestamp in searches]


class SearchSignals(NamedTuple):
    """Signals of n searches.

    Attributes:
        queries: (n,) texts.
        signals: (n,) values by name; NaN where unknown. Signals unknown for all searches are left out.
        vectors: (n, dimension) query vectors.
    """

    queries: list[str]
    signals: dict[str, np.ndarray]
    vectors: np.ndarray

    def select(self, places: Sequence[int] | np.ndarray) -> "SearchSignals":
        """Returns a selection of the searches."""
        signals = {name: row[places] for name, row in self.signals.items()}
        return SearchSignals([self.queries[place] for place in places], signals, self.vectors[places])


class SignalMeter:
    """Measures the signals of searches.

    Args:
        program: the program; it searches each query again, without fallback, for score and confidence.
        reference: queries whose mean vector the nearness is measured to.
    """

    def __init__(self, program: "Program", reference: Sequence[str]) -> None:
        self.program = program
        contents = [document.content for document in program.documents]
        self.language = program.language
        self.known = {token for text in tokenize(contents, self.language) for token in text}
        centre = self.vectors(reference).mean(axis=0)
        self.centre = centre / max(float(np.linalg.norm(centre)), 1e-12)

    def measure(self, observations: Sequence[SearchEvent]) -> SearchSignals:
        """Returns the signals of searches."""
        queries = [one.query for one in observations]
        tokens = tokenize(queries, self.language)
        ranking, probabilities = self.program.search(queries, 1, query_ids=[one.query_id for one in observations])
        vectors = self.vectors(queries)
        scores = np.where(ranking.numbers[:, 0] >= 0, ranking.scores[:, 0], 0.0)
        columns: dict[str, Any] = {
            LENGTH_SIGNAL: [len(split_words(query)) for query in queries],
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
        """Returns (n, dimension) unit vectors: by the program's encoder, or hashed word counts if it has none."""
        if encoder := _encoder(self.program.retriever):
            return encoder.encode_queries(list(queries))
        hashed = HashingVectorizer(n_features=HASHED, alternate_sign=False)
        return np.asarray(hashed.transform(queries).todense(), dtype=np.float32)


def _encoder(retriever: "Retriever") -> Any:
    """Returns the first part that encodes a query as one vector; None if there is none."""
    from zero2ir.models.base import parts
    from zero2ir.models.dense import Dense

    if isinstance(retriever, Dense):
        return retriever
    return next((encoder for part in parts(retriever) if (encoder := _encoder(part)) is not None), None)
