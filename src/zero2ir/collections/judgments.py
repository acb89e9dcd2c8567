"""The few judgments that training may see, and the test queries that it may not."""

import json
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from zero2ir.collections.lines import grade_of, read_json_lines, text_of
from zero2ir.collections.records import Collection, JudgedDocument, Judgment, Query
from zero2ir.collections.settings import JudgmentBudget
from zero2ir.errors import InputError
from zero2ir.files import finished_file


def draw(collection: Collection, budget: JudgmentBudget, seed: int) -> list[JudgedDocument]:
    """Draws judged queries, and for each one a relevant document, then others that were judged for it.

    Queries come from the train split; from the test split where no train query has a relevant document. The draw
    depends on the seed and on no order in a file. With one seed, a smaller budget draws a part of what a larger one
    draws, so that budgets can be compared.

    Returns:
        Up to queries x documents_per_query judgments, those of one query together, its relevant one first.

    Raises:
        InputError: fewer queries with a relevant document than the budget asks for.
    """
    judged = _judged_documents(collection)
    pool, split = _pool(collection, judged)
    if len(pool) < budget.queries:
        raise InputError(
            f"budget.queries={budget.queries}, but the {split} split has {len(pool)} queries with a relevant document; "
            "lower budget.queries"
        )
    rng = np.random.default_rng(seed)
    drawn: list[list[JudgedDocument]] = []
    for i in rng.permutation(len(pool))[: budget.queries]:
        rows = _shuffled(judged[pool[i].query_id], rng)
        first = next(row for row in rows if row.relevance > 0)
        chosen = [first, *(row for row in rows if row is not first)][: budget.documents_per_query]
        query_id, text, _, translation = pool[i]
        drawn.append([JudgedDocument(query_id, text, row.doc_id, row.relevance, translation) for row in chosen])
    return [row for rows in (_of_the_next(drawn) if budget.shuffled else drawn) for row in rows]


def _of_the_next(drawn: Sequence[Sequence[JudgedDocument]]) -> list[list[JudgedDocument]]:
    """Each query with what was judged for the next one; they stand in random order."""
    nexts = [*drawn[1:], *drawn[:1]]
    return [
        [own[0]._replace(doc_id=row.doc_id, relevance=row.relevance) for row in rows]
        for own, rows in zip(drawn, nexts, strict=True)
    ]


def test_queries(collection: Collection, judgments: Iterable[JudgedDocument]) -> tuple[list[Query], list[Judgment]]:
    """The test split's queries that training did not see, and their judgments.

    A query leaves the test where it, or one with the same normalised text, is among ``judgments``.

    Raises:
        InputError: no query is left.
    """
    seen_ids, seen_texts = set(), set()
    for row in judgments:
        seen_ids.add(row.query_id)
        seen_texts.add(normalised(row.query))
    judged = _judged_documents(collection)
    queries = [
        query
        for query in _queries(collection, "test", judged)
        if query.query_id not in seen_ids and normalised(query.text) not in seen_texts
    ]
    if not queries:
        raise InputError("no test query is left beside the judgments; lower budget.queries or add judged test queries")
    return queries, [judgment for query in queries for judgment in judged[query.query_id]]


test_queries.__test__ = False  # type: ignore[attr-defined]  # pytest must not collect it where it is imported


def normalised(text: str) -> str:
    """The text without case, compatibility forms, runs of white space and punctuation at its ends."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(" .?!。¿¡")


def write_judgments(judgments: Iterable[JudgedDocument], path: Path) -> None:
    """Writes one JSON object a line: query_id, query, doc_id, relevance, and translation where there is one."""
    with finished_file(path) as file:
        for row in judgments:
            fields = {key: value for key, value in row._asdict().items() if key != "translation" or value}
            file.write(json.dumps(fields, ensure_ascii=False) + "\n")


def read_judgments(path: Path) -> list[JudgedDocument]:
    """Reads what ``write_judgments`` wrote, or what a person wrote in its form.

    Raises:
        InputError: a line cannot be read; names file and line.
    """
    return [
        JudgedDocument(
            text_of(row, "query_id", place),
            text_of(row, "query", place),
            text_of(row, "doc_id", place),
            grade_of(row.get("relevance"), place),
            text_of(row, "translation", place) if "translation" in row else "",
        )
        for place, row in read_json_lines(path)
    ]


def _judged_documents(collection: Collection) -> dict[str, list[Judgment]]:
    """Judgments by query, of the queries that have a relevant document."""
    judged = defaultdict(list)
    for judgment in collection.judgments:
        judged[judgment.query_id].append(judgment)
    return {query_id: rows for query_id, rows in judged.items() if any(row.relevance > 0 for row in rows)}


def _queries(collection: Collection, split: str, judged: dict[str, list[Judgment]]) -> list[Query]:
    return [query for query in collection.queries if query.split == split and query.query_id in judged]


def _pool(collection: Collection, judged: dict[str, list[Judgment]]) -> tuple[list[Query], str]:
    """The queries to draw from, in an order of their own, and their split."""
    split = "train" if _queries(collection, "train", judged) else "test"
    return sorted(_queries(collection, split, judged)), split


def _shuffled(rows: Sequence[Judgment], rng: np.random.Generator) -> list[Judgment]:
    ordered = sorted(rows)
    return [ordered[i] for i in rng.permutation(len(ordered))]
