"""The few judgments that training may see, and the test queries that it may not."""

import json
import unicodedata
from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zero2ir.data.records import Collection, JudgedDocument, Judgment, Query
from zero2ir.errors import InputError
from zero2ir.io.files import finished_file, write_json
from zero2ir.io.lines import grade_of, read_json_lines, text_of, texts_of

if TYPE_CHECKING:
    import numpy as np

    from zero2ir.data.settings import JudgmentBudget

SPLITS = ("train", "test")  # queries are drawn from the first that has any


def draw_judgments(collection: Collection, budget: "JudgmentBudget", seed: int) -> list[JudgedDocument]:
    """Draws judged queries, and for each one a relevant document, then others that were judged for it.

    Queries come from the train split; from the test split where no train query has a relevant document. The draw
    depends on the seed and on no order in a file. With one seed, a smaller budget draws a part of what a larger one
    draws, so that budgets can be compared.

    Returns:
        Up to queries x documents_per_query judgments, those of one query together, its relevant one first.

    Raises:
        InputError: fewer queries with a relevant document than the budget asks for.
    """
    import numpy as np

    judged = _judged_documents(collection)
    rng = np.random.default_rng(seed)
    drawn: list[list[JudgedDocument]] = []
    for query in draw_queries(collection.queries, judged, budget, rng, "a relevant document"):
        rows = _shuffled(judged[query.query_id], rng)
        first = next(row for row in rows if row.relevance > 0)
        chosen = [first, *(row for row in rows if row is not first)][: budget.documents_per_query]
        drawn.append(
            [JudgedDocument(query.query_id, query.text, row.doc_id, row.relevance, query.translation) for row in chosen]
        )
    return judgments_within_budget(drawn, budget)


def draw_queries(
    queries: Sequence[Query], usable: Container[str], budget: "JudgmentBudget", rng: "np.random.Generator", having: str
) -> list[Query]:
    """Draws as many queries as the budget has from the train split, or from the test split where it has no usable one.

    Args:
        queries: of both splits.
        usable: the ids of those that may be drawn.
        budget: how many.
        rng: the source of chance.
        having: what the usable ones have, for the message.

    Raises:
        InputError: there are fewer.
    """
    pools = {split: [one for one in queries if one.split == split and one.query_id in usable] for split in SPLITS}
    split = next((split for split, pool in pools.items() if pool), SPLITS[-1])
    pool = sorted(pools[split])
    if len(pool) < budget.queries:
        raise InputError(
            f"budget.queries={budget.queries}, but the {split} split has {len(pool)} queries with {having}; "
            "lower budget.queries"
        )
    return [pool[i] for i in rng.permutation(len(pool))[: budget.queries]]


def judgments_within_budget(
    drawn: Sequence[Sequence[JudgedDocument]], budget: "JudgmentBudget"
) -> list[JudgedDocument]:
    """The rows of all queries, where the budget is a control each query with what was judged for the next one.

    Args:
        drawn: the rows of each query, in random order.
        budget: says whether it is a control.
    """
    if not budget.shuffled:
        return [row for rows in drawn for row in rows]
    nexts = [*drawn[1:], *drawn[:1]]
    return [
        own[0]._replace(doc_id=row.doc_id, relevance=row.relevance, weak=row.weak)
        for own, rows in zip(drawn, nexts, strict=True)
        for row in rows
    ]


def draw_unlabelled_queries(
    collection: Collection, judgments: Iterable[JudgedDocument], budget: "JudgmentBudget", seed: int
) -> list[str]:
    """Draws the texts of further train queries: none is judged, and none reads like a test query.

    Raises:
        InputError: fewer than the budget asks for.
    """
    import numpy as np

    taken = {normalised(row.query) for row in judgments}
    taken |= {normalised(query.text) for query in collection.queries if query.split != "train"}
    free = {normalised(query.text): query.text for query in sorted(collection.queries) if query.split == "train"}
    pool = [text for key, text in free.items() if key not in taken]
    if len(pool) < budget.unlabelled_queries:
        raise InputError(
            f"budget.unlabelled_queries={budget.unlabelled_queries}, but the train split has {len(pool)} "
            "further queries; lower it"
        )
    return [pool[i] for i in np.random.default_rng(seed).permutation(len(pool))[: budget.unlabelled_queries]]


def write_unlabelled_queries(texts: Sequence[str], path: Path) -> None:
    """Writes what ``draw_unlabelled_queries`` gave."""
    write_json(path, list(texts))


def read_unlabelled_queries(path: Path) -> list[str]:
    """Reads what ``write_unlabelled_queries`` wrote.

    Raises:
        InputError: the file is not there.
    """
    return _read_json(path)


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
        for query in collection.queries
        if query.split == "test"
        and query.query_id in judged
        and query.query_id not in seen_ids
        and normalised(query.text) not in seen_texts
    ]
    if not queries:
        raise InputError("no test query is left beside the judgments; lower budget.queries or add judged test queries")
    return queries, [judgment for query in queries for judgment in judged[query.query_id]]


test_queries.__test__ = False  # type: ignore[attr-defined]  # pytest must not collect it where it is imported


def normalised(text: str) -> str:
    """The text without case, compatibility forms, runs of white space and punctuation at its ends."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(" .?!。¿¡")


def write_judgments(judgments: Iterable[JudgedDocument], path: Path) -> None:
    """Writes one JSON object a line: query_id, query, doc_id, relevance; the other fields where they say anything."""
    defaults = JudgedDocument._field_defaults
    with finished_file(path) as file:
        for row in judgments:
            fields = {
                key: value for key, value in row._asdict().items() if key not in defaults or value != defaults[key]
            }
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
            texts_of(row, "answers", place),
            row.get("weak") is True,
        )
        for place, row in read_json_lines(path)
    ]


def write_candidates(
    collection: Collection, judgments: Iterable[JudgedDocument], path: Path, *, shuffled: bool = False
) -> None:
    """Writes what the judged queries rank, and nothing of other queries; null where that is the whole collection.

    Args:
        collection: that the judgments were drawn from.
        judgments: as ``draw_judgments`` gave them.
        path: of the file.
        shuffled: whether each query got another one's judged documents; it gets that one's candidates, too.
    """
    query_ids = list(dict.fromkeys(row.query_id for row in judgments))
    candidates = collection.candidates_of(query_ids)
    if candidates is not None and shuffled:
        nexts = [*query_ids[1:], *query_ids[:1]]
        candidates = {own: candidates[other] for own, other in zip(query_ids, nexts, strict=True)}
    write_json(path, candidates)


def read_candidates(path: Path) -> dict[str, list[str]] | None:
    """Reads what ``write_candidates`` wrote: document ids by query; None where each query ranks the whole collection.

    Raises:
        InputError: the file is not there.
    """
    return _read_json(path)


def _read_json(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"{path}: not there; run the ingest stage first")
    return json.loads(path.read_text(encoding="utf-8"))


def _judged_documents(collection: Collection) -> dict[str, list[Judgment]]:
    """Judgments by query, of the queries that have a relevant document."""
    judged = defaultdict(list)
    for judgment in collection.judgments:
        judged[judgment.query_id].append(judgment)
    return {query_id: rows for query_id, rows in judged.items() if any(row.relevance > 0 for row in rows)}


def _shuffled(rows: Sequence[Judgment], rng: "np.random.Generator") -> list[Judgment]:
    ordered = sorted(rows)
    return [ordered[i] for i in rng.permutation(len(ordered))]
