"""The queries that may be asked about: those that people asked, or those that a language model writes."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zero2ir.data.judgments import normalised
from zero2ir.data.records import Query
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.io.lines import read_json_lines, read_lines, text_of

if TYPE_CHECKING:
    from zero2ir.synthetic.settings import SyntheticSettings

CandidateQuery = tuple[str, str]  # id and text


def candidate_queries(path: Path | None, queries: Sequence[Query], has_lm: bool) -> list[CandidateQuery] | None:
    """The queries of a file, else those of a collection; None where a language model has to write some.

    Raises:
        InputError: as ``read_candidate_queries``; or there is neither a query nor a language model.
    """
    if path is not None:
        return read_candidate_queries(path)
    if not queries and not has_lm:
        raise InputError(
            "no queries: give what people ask with --queries FILE, or let a model write some: --lm smollm2"
        )
    return [(query.query_id, query.text) for query in queries] or None


def read_candidate_queries(path: Path) -> list[CandidateQuery]:
    """Reads a log of queries: one a line, or JSON Lines with ``text`` and perhaps ``query_id`` (a file *.jsonl).

    Raises:
        InputError: the file cannot be read or holds no query; names the line.
    """
    if path.suffix == ".jsonl":
        rows = [(place, row) for place, row in read_json_lines(path)]
        found = [
            (
                text_of(row, "query_id", place) if "query_id" in row else query_id(text_of(row, "text", place)),
                row["text"],
            )
            for place, row in rows
        ]
    else:
        found = as_candidate_queries([line.strip() for _, line in read_lines(path)])
    if not found:
        raise InputError(f"{path}: no query in it; write one a line")
    return found


def as_candidate_queries(queries: Sequence[str]) -> list[CandidateQuery]:
    """Texts with ids that follow from them, so that a log may grow."""
    return [(query_id(query), query) for query in queries]


def query_id(text: str) -> str:
    """An id that depends on nothing but the text, whatever its case and punctuation."""
    return "q" + hashlib.sha256(normalised(text).encode("utf-8", "surrogatepass")).hexdigest()[:10]


def written_candidate_queries(corpus: Corpus, settings: "SyntheticSettings", seed: int) -> list[CandidateQuery]:
    """Queries that the corpus' language model writes for some of the documents, where nobody has a log.

    Raises:
        InputError: there is no language model, or none of its queries was good enough.
    """
    from zero2ir.synthetic.queries import write_queries

    if corpus.language_model is None or not corpus.language_model.available:
        raise InputError("queries: none given, and no language model to write some; give a file, or choose lm=smollm2")
    rows, _ = write_queries(corpus, (), corpus.language_model, settings, seed)
    kept = [row.query for row in rows if not row.rejected]
    if not kept:
        raise InputError("queries: none that the language model wrote passed the filters; give a file with some")
    return as_candidate_queries(kept)
