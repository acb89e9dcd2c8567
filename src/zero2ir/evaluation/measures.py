"""Runs and their measures.

The tie rule is that of trec_eval: scores are compared in single precision, and equal scores are ordered by document id,
descending. Therefore other tools compute the same figures from a run file written here.
"""

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zero2ir.data.inputs import Qrels, as_qrels
from zero2ir.errors import InputError
from zero2ir.evaluation.intervals import FloatArray
from zero2ir.io.files import finished_file
from zero2ir.io.values import id_value

DEFAULT_MEASURES = ("nDCG@10", "R@100", "AP", "RR@10", "Judged@10")


@dataclass(frozen=True, eq=False)
class Run:
    """The rankings of all queries.

    Attributes:
        query_ids: [queries].
        doc_ids: strings [queries, k]; padded with "" if a query has fewer than k results.
        scores: [queries, k], higher is better; the order of the columns has no meaning.
    """

    query_ids: Sequence[str]
    doc_ids: Sequence[Sequence[str]] | npt.NDArray[Any]
    scores: Sequence[Sequence[float]] | FloatArray


class RankedList(NamedTuple):
    """A query's documents, best first, ties by the tie rule."""

    query_id: str
    doc_ids: list[str]
    scores: npt.NDArray[np.float32]


class QueryScore(NamedTuple):
    """The value of one measure for one query; ``topic`` is that of ``data.records.Query``."""

    query_id: str
    measure: str
    value: float
    topic: str = ""


def ranked_lists(run: Run, depth: int | None = None) -> Iterator[RankedList]:
    """Yields each query's documents, best first, ties by the tie rule, at most ``depth`` of them.

    Raises:
        InputError: the shapes differ, an id is missing or no text, a query or a document of a query is repeated, or a
            score is not finite.
    """
    if not len(run.query_ids) == len(run.doc_ids) == len(run.scores):
        lengths = f"{len(run.query_ids)} query_ids, {len(run.doc_ids)} rows of doc_ids, {len(run.scores)} of scores"
        raise InputError(f"run: {lengths}; pass one row of documents and one of scores for each query")
    query_ids = _ids(run.query_ids, "run: query_id")
    if len(set(query_ids)) < len(query_ids):
        raise InputError("run: a query_id is repeated; pass one row per query")
    for query_id, row, values in zip(query_ids, run.doc_ids, run.scores, strict=True):
        is_text = isinstance(row, np.ndarray) and row.dtype.kind == "U"
        doc_ids = row if is_text else np.array(_ids(row, f"run, query {query_id}: doc_id"), dtype=str)
        try:
            scores = np.asarray(values, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise InputError(f"run, query {query_id}: a score is not a number; check the model's scores") from error
        yield _ranking(query_id, doc_ids, scores, depth)


def _ids(values: Iterable[Any], what: str) -> list[str]:
    """Returns ids; whole numbers become strings, and "" for padding stays."""
    return [one if type(one) is str else id_value(one, what) for one in values]


def _ranking(
    query_id: str, doc_ids: npt.NDArray[Any], scores: npt.NDArray[np.float32], depth: int | None
) -> RankedList:
    if doc_ids.shape != scores.shape:
        raise InputError(
            f"run, query {query_id}: {doc_ids.size} doc_ids but {scores.size} scores; pass one score per document"
        )
    doc_ids, scores = doc_ids[doc_ids != ""], scores[doc_ids != ""]
    if not np.isfinite(scores).all():
        raise InputError(f"run, query {query_id}: a score is not a finite number; check the model's scores")
    if len(set(doc_ids.tolist())) < len(doc_ids):
        raise InputError(f"run, query {query_id}: a document is repeated; keep only its best score")
    best_first = np.lexsort((doc_ids, scores))[::-1][:depth]
    return RankedList(query_id, doc_ids[best_first].tolist(), scores[best_first])


def parse_measures(names: Sequence[str]) -> list[Any]:
    """Returns the ir-measures objects of these names, in order.

    Raises:
        InputError: a name is unknown, incomplete or repeated, or no installed provider can compute it.
    """
    if not names or len(set(names)) < len(names):
        raise InputError(f"measures: {list(names)} is empty or has repetitions; name at least one measure, each once")
    return [_parse_measure(name) for name in names]


def _parse_measure(name: str) -> Any:
    import ir_measures

    try:
        measure = ir_measures.parse_measure(name)
        measure.validate_params()
        ir_measures.evaluator([measure], {"q": {"d": 1}})
    except (NameError, ValueError, AssertionError, RuntimeError) as error:
        examples = ", ".join((*DEFAULT_MEASURES, "P@5", "Success@1", "nDCG@20"))
        raise InputError(f"measures: cannot compute {name!r}; use ir-measures names such as {examples}") from error
    return measure


def score_run(run: Run, qrels: Qrels, measures: Sequence[str] = DEFAULT_MEASURES) -> list[QueryScore]:
    """Scores a run for each judged query, in the order of ``measures``, then by query id.

    A judged query that the run lacks scores 0; a query without judgments is not scored. For the forms of ``qrels`` see
    ``zero2ir.data.inputs.as_qrels``.

    Raises:
        InputError: a measure is invalid, the run is malformed, or a judgment is invalid, or there are none.
    """
    import ir_measures

    qrels = as_qrels(qrels)
    if not qrels:
        raise InputError("qrels: there are no judgments; add judgments of the test queries")
    parsed = parse_measures(measures)
    graded: dict[str, dict[str, int]] = {}
    for judgment in qrels:
        graded.setdefault(judgment.query_id, {})[judgment.doc_id] = judgment.relevance
    # Numbers instead of query ids, because a provider of ir-measures (gdeval, for ERR) accepts nothing else.
    query_ids = sorted(graded)
    number = {query_id: str(place) for place, query_id in enumerate(query_ids)}
    # Ranks instead of scores, because providers break ties differently.
    # Queries without documents are left out and score 0, because Judged@k divides by the number of documents.
    ranked = {
        number[r.query_id]: {doc_id: -float(rank) for rank, doc_id in enumerate(r.doc_ids)}
        for r in ranked_lists(run)
        if r.doc_ids and r.query_id in number
    }
    values = {measure: dict.fromkeys(query_ids, 0.0) for measure in parsed}
    judged = {number[query_id]: _readable_by_trec_eval(grades) for query_id, grades in graded.items()}
    for row in ir_measures.evaluator(parsed, judged).iter_calc(ranked):
        values[row.measure][query_ids[int(row.query_id)]] = float(row.value)
    return [
        QueryScore(query_id, name, value)
        for name, measure in zip(measures, parsed, strict=True)
        for query_id, value in values[measure].items()
    ]


def _readable_by_trec_eval(grades: dict[str, int]) -> dict[str, int]:
    """Returns grades of 0 if all are negative: the same measures, but trec_eval would write beyond its memory."""
    return grades if max(grades.values()) >= 0 else dict.fromkeys(grades, 0)


def condensed(run: Run, qrels: Qrels) -> Run:
    """Returns the run without unjudged documents, in the same order.

    Measures count an unjudged document as not relevant, which penalises a system for documents that were not pooled.
    Condensed lists leave it out (Sakai 2007, "Alternatives to Bpref", section 3.1). They slightly favour a system that
    ranks many unjudged documents, so both are reported.
    """
    judged = {(judgment.query_id, judgment.doc_id) for judgment in as_qrels(qrels)}
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


def top_relevant(run: Run, qrels: Qrels) -> dict[str, bool]:
    """Returns judged query id → whether the first document of its ranking is relevant (grade 1 or more)."""
    qrels = as_qrels(qrels)
    relevant = {(j.query_id, j.doc_id) for j in qrels if j.relevance >= 1}
    first = {ranking.query_id: ranking.doc_ids[0] for ranking in ranked_lists(run, depth=1) if ranking.doc_ids}
    return {query_id: (query_id, first.get(query_id)) in relevant for query_id in sorted({j.query_id for j in qrels})}


def write_trec_run(path: Path, run: Run, tag: str, depth: int | None = None) -> None:
    """Writes ``query Q0 document rank score tag`` lines, gzipped; the same run gives the same bytes.

    Raises:
        InputError: an id or the tag is empty or contains white space, which the format does not allow.
    """
    with (
        finished_file(path, "wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as file,
    ):
        for query_id, doc_ids, scores in ranked_lists(run, depth):
            for word in (tag, query_id, *doc_ids):
                if word.split() != [word]:
                    raise InputError(
                        f"{path.name}: the id {word!r} is empty or contains white space; change it for TREC files"
                    )
            for rank, (doc_id, score) in enumerate(zip(doc_ids, scores, strict=True), start=1):
                file.write(f"{query_id} Q0 {doc_id} {rank} {score!s} {tag}\n")


def read_trec_run(path: Path) -> Run:
    """Reads a gzipped TREC run; queries are in the order of the file.

    Raises:
        InputError: the file is not a gzipped TREC run.
    """
    rows: dict[str, list[tuple[str, float]]] = {}
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    query_id, _, doc_id, _, score, _ = line.split()
                    rows.setdefault(query_id, []).append((doc_id, float(score)))
                except ValueError as error:
                    expected = "expected 'query Q0 document rank score tag'"
                    raise InputError(
                        f"{path}:{number}: {expected}, found {line.strip()!r}; correct the line"
                    ) from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a gzipped TREC run ({error}); run evaluate again") from error
    return run_of(rows)


def run_of(rows: Mapping[str, Sequence[tuple[str, float]]]) -> Run:
    """Returns the run of query id → (document id, score) pairs, padded to the longest ranking."""
    width = max((len(pairs) for pairs in rows.values()), default=0)
    doc_ids = [[doc_id for doc_id, _ in pairs] + [""] * (width - len(pairs)) for pairs in rows.values()]
    scores = [[score for _, score in pairs] + [0.0] * (width - len(pairs)) for pairs in rows.values()]
    shape = (len(rows), width)
    return Run(list(rows), np.array(doc_ids, dtype=str).reshape(shape), np.array(scores, dtype=float).reshape(shape))
