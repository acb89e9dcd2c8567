"""Candidate queries for labelling: from a query log, or written by a language model."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zero2ir.data.judgments import normalised
from zero2ir.data.records import Query
from zero2ir.data.tables import read_query_log
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.io.lines import text_of

if TYPE_CHECKING:
    from zero2ir.synthetic.settings import SyntheticSettings

CandidateQuery = tuple[str, str]  # id and text


def candidate_queries(path: Path | None, queries: Sequence[Query], has_lm: bool) -> list[CandidateQuery] | None:
    """Returns the queries of a file, else those of a collection; None if a language model has to write them.

    Raises:
        InputError: as for ``read_candidate_queries``, or there are neither queries nor a language model.
    """
    if path is not None:
        return read_candidate_queries(path)
    if not queries and not has_lm:
        raise InputError(
            "no queries: give a query log with --queries FILE, or let a language model write queries with --lm smollm2"
        )
    return [(query.query_id, query.text) for query in queries] or None


def read_candidate_queries(path: Path) -> list[CandidateQuery]:
    """Reads a query log: a table with the text and optionally an id, or a text file with one query per line.

    Raises:
        InputError: as for ``read_query_log``, or there is no query, an empty text, an id with white space, or an id of
            two texts; the message names the lines.
    """
    candidates: list[CandidateQuery] = []
    first: dict[str, tuple[str, str]] = {}  # id → text and place
    for place, row in read_query_log(path):
        text = text_of(row, "text", place)
        if not text.strip():
            raise InputError(f"{place}: the query is empty; write it, or remove the line")
        if "query_id" in row:
            number = text_of(row, "query_id", place)
            if number.split() != [number]:
                raise InputError(f"{place}: the id {number!r} contains white space; change it")
            before, place_before = first.setdefault(number, (text, place))
            if before != text:
                raise InputError(f"{place_before} and {place}: two queries have the id {number!r}; change one")
        candidates.append((number if "query_id" in row else query_id(text), text))
    if not candidates:
        raise InputError(f"{path}: contains no query; write one query per line")
    return candidates


def as_candidate_queries(queries: Sequence[str]) -> list[CandidateQuery]:
    """Adds ids that depend only on the texts, so that ids stay the same when the log grows."""
    return [(query_id(query), query) for query in queries]


def query_id(text: str) -> str:
    """Returns an id that depends only on the text, ignoring case and punctuation."""
    return "q" + hashlib.sha256(normalised(text).encode("utf-8", "surrogatepass")).hexdigest()[:10]


def written_candidate_queries(corpus: Corpus, settings: "SyntheticSettings", seed: int) -> list[CandidateQuery]:
    """Lets the corpus' language model write candidate queries for some of the documents.

    Raises:
        InputError: there is no language model, or all of its queries were rejected.
    """
    from zero2ir.synthetic.queries import write_queries

    if corpus.language_model is None or not corpus.language_model.available:
        raise InputError("queries: none given and no language model to write them; give a file, or use lm=smollm2")
    rows, _ = write_queries(corpus, (), corpus.language_model, settings, seed)
    kept = [row.query for row in rows if not row.rejected]
    if not kept:
        raise InputError("queries: every query of the language model was rejected; give a file with queries")
    return as_candidate_queries(kept)
