"""Runs and their measures.

One tie rule holds everywhere, trec_eval's: scores are compared in single precision, and equal scores go by document
id, last first. A run file that is written here and measured elsewhere therefore gives the same figures.
"""

import gzip
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zero2ir.data.records import Judgment
from zero2ir.errors import InputError
from zero2ir.evaluation.intervals import FloatArray
from zero2ir.io.files import finished_file

DEFAULT_MEASURES = ("nDCG@10", "R@100", "AP", "RR@10", "Judged@10")


@dataclass(frozen=True, eq=False)
class Run:
    """The ranking of documents for each query.

    Attributes:
        query_ids: [queries].
        doc_ids: strings [queries, k]; "" where a query has fewer than k results.
        scores: [queries, k], higher is better; the column order carries no meaning beside it.
    """

    query_ids: Sequence[str]
    doc_ids: Sequence[Sequence[str]] | npt.NDArray[Any]
    scores: Sequence[Sequence[float]] | FloatArray


class RankedList(NamedTuple):
    """One query's documents, best first by the tie rule."""

    query_id: str
    doc_ids: list[str]
    scores: npt.NDArray[np.float32]


class QueryScore(NamedTuple):
    """One measure of one query."""

    query_id: str
    measure: str
    value: float


def ranked_lists(run: Run, depth: int | None = None) -> Iterator[RankedList]:
    """Each query's documents, best first by the tie rule, at most ``depth`` of them.

    Raises:
        InputError: the shapes disagree, or a query or a query's document stands twice, or a score is not finite.
    """
    if not len(run.query_ids) == len(run.doc_ids) == len(run.scores):
        lengths = f"{len(run.query_ids)} query_ids, {len(run.doc_ids)} rows of doc_ids, {len(run.scores)} of scores"
        raise InputError(f"run: {lengths}; give one row of documents and one of scores for each query")
    if len(set(run.query_ids)) < len(run.query_ids):
        raise InputError("run: a query_id stands twice; give each query one row")
    for query_id, doc_ids, scores in zip(run.query_ids, run.doc_ids, run.scores, strict=True):
        yield _ranking(query_id, np.asarray(doc_ids, dtype=str), np.asarray(scores, dtype=np.float32), depth)


def _ranking(
    query_id: str, doc_ids: npt.NDArray[Any], scores: npt.NDArray[np.float32], depth: int | None
) -> RankedList:
    if doc_ids.shape != scores.shape:
        raise InputError(
            f"run, query {query_id}: {doc_ids.size} doc_ids but {scores.size} scores; give as many of each"
        )
    doc_ids, scores = doc_ids[doc_ids != ""], scores[doc_ids != ""]
    if not np.isfinite(scores).all():
        raise InputError(f"run, query {query_id}: a score is not a finite number; check the model's scores")
    if len(set(doc_ids.tolist())) < len(doc_ids):
        raise InputError(f"run, query {query_id}: a document stands twice; keep its best score only")
    best_first = np.lexsort((doc_ids, scores))[::-1][:depth]
    return RankedList(query_id, doc_ids[best_first].tolist(), scores[best_first])


def parse_measures(names: Sequence[str]) -> list[Any]:
    """The ir-measures objects of these names, in this order.

    Raises:
        InputError: a name is unknown, incomplete or given twice, or nothing installed can compute it.
    """
    if not names or len(set(names)) < len(names):
        raise InputError(f"measures: name at least one and each once, not {list(names)}")
    return [_parse_measure(name) for name in names]


def _parse_measure(name: str) -> Any:
    import ir_measures

    try:
        measure = ir_measures.parse_measure(name)
        measure.validate_params()
        ir_measures.evaluator([measure], {"q": {"d": 1}})
    except (NameError, ValueError, AssertionError, RuntimeError) as error:
        examples = ", ".join((*DEFAULT_MEASURES, "P@5", "Success@1", "nDCG@20"))
        raise InputError(f"measures: cannot compute {name!r}; ir-measures names are like {examples}") from error
    return measure


def score_run(run: Run, qrels: Sequence[Judgment], measures: Sequence[str] = DEFAULT_MEASURES) -> list[QueryScore]:
    """Measures a run for each judged query, ordered by measure as given, then by query id.

    A judged query that the run misses counts 0; a query without judgments is not scored.

    Raises:
        InputError: a measure's name is bad, the run is malformed, or there are no judgments.
    """
    import ir_measures

    if not qrels:
        raise InputError("qrels: no judgments, so there is nothing to measure against")
    parsed = parse_measures(measures)
    graded: dict[str, dict[str, int]] = {}
    for judgment in qrels:
        graded.setdefault(judgment.query_id, {})[judgment.doc_id] = judgment.relevance
    # Numbers instead of query ids: one of the tools behind ir-measures (gdeval, for ERR) takes nothing else.
    query_ids = sorted(graded)
    number = {query_id: str(place) for place, query_id in enumerate(query_ids)}
    # Ranks instead of scores: the tools break ties differently, and so they never see one.
    # A query without documents counts 0 like one that is missed: Judged@k would divide by their number.
    ranked = {
        number[r.query_id]: {doc_id: -float(rank) for rank, doc_id in enumerate(r.doc_ids)}
        for r in ranked_lists(run)
        if r.doc_ids and r.query_id in number
    }
    values = {measure: dict.fromkeys(query_ids, 0.0) for measure in parsed}
    judged = {number[query_id]: grades for query_id, grades in graded.items()}
    for row in ir_measures.evaluator(parsed, judged).iter_calc(ranked):
        values[row.measure][query_ids[int(row.query_id)]] = float(row.value)
    return [
        QueryScore(query_id, name, value)
        for name, measure in zip(measures, parsed, strict=True)
        for query_id, value in values[measure].items()
    ]


def condensed(run: Run, qrels: Sequence[Judgment]) -> Run:
    """The run without the documents that nobody judged for their query, in the same order.

    An unjudged document counts as not relevant, which punishes a system for finding what the judges were never shown.
    Measures of the condensed list leave it out instead (Sakai 2007, "Alternatives to Bpref", section 3.1); they favour
    a system a little that finds many such, so both are stated.
    """
    judged = {(judgment.query_id, judgment.doc_id) for judgment in qrels}
    return run_of(
        {
            ranking.query_id: [
                (doc_id, -float(rank))
                for rank, doc_id in enumerate(ranking.doc_ids)
                if (ranking.query_id, doc_id) in judged
            ]
            for ranking in ranked_lists(run)
        }
    )


def top_relevant(run: Run, qrels: Sequence[Judgment]) -> dict[str, bool]:
    """Judged query id → whether the run's first document for it is judged relevant (grade 1 or more)."""
    relevant = {(j.query_id, j.doc_id) for j in qrels if j.relevance >= 1}
    first = {ranking.query_id: ranking.doc_ids[0] for ranking in ranked_lists(run, depth=1) if ranking.doc_ids}
    return {query_id: (query_id, first.get(query_id)) in relevant for query_id in sorted({j.query_id for j in qrels})}


def write_trec_run(path: Path, run: Run, tag: str, depth: int | None = None) -> None:
    """Writes ``query Q0 document rank score tag`` lines, gzipped; the same run gives the same bytes.

    Raises:
        InputError: an id or the tag is empty or holds white space, which the format cannot carry.
    """
    with (
        finished_file(path, "wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as file,
    ):
        for query_id, doc_ids, scores in ranked_lists(run, depth):
            _check_words(path, [tag, query_id, *doc_ids])
            for rank, (doc_id, score) in enumerate(zip(doc_ids, scores, strict=True), start=1):
                file.write(f"{query_id} Q0 {doc_id} {rank} {score!s} {tag}\n")


def _check_words(path: Path, words: Sequence[str]) -> None:
    for word in words:
        if word.split() != [word]:
            raise InputError(f"{path.name}: {word!r} is empty or holds white space; TREC files need ids without it")


def read_trec_run(path: Path) -> Run:
    """Reads what ``write_trec_run`` wrote, or any gzipped TREC run; queries in the file's order.

    Raises:
        InputError: the file is no gzipped TREC run.
    """
    rows: dict[str, list[tuple[str, float]]] = {}
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                query_id, doc_id, score = _parse_line(path, number, line)
                rows.setdefault(query_id, []).append((doc_id, score))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a gzipped TREC run ({error}); run evaluate again") from error
    return run_of(rows)


def _parse_line(path: Path, number: int, line: str) -> tuple[str, str, float]:
    try:
        query_id, _, doc_id, _, score, _ = line.split()
        return query_id, doc_id, float(score)
    except ValueError as error:
        raise InputError(
            f"{path}:{number}: expected 'query Q0 document rank score tag', got {line.strip()!r}"
        ) from error


def run_of(rows: Mapping[str, Sequence[tuple[str, float]]]) -> Run:
    """The run of query id → (document id, score) pairs, padded to the longest."""
    width = max((len(pairs) for pairs in rows.values()), default=0)
    doc_ids = [[doc_id for doc_id, _ in pairs] + [""] * (width - len(pairs)) for pairs in rows.values()]
    scores = [[score for _, score in pairs] + [0.0] * (width - len(pairs)) for pairs in rows.values()]
    shape = (len(rows), width)
    return Run(list(rows), np.array(doc_ids, dtype=str).reshape(shape), np.array(scores, dtype=float).reshape(shape))
