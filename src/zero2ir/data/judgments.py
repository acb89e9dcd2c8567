"""Draws the few judgments that training may see, and selects the held-out test queries."""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from zero2ir.data.records import Collection, JudgedDocument, Judgment, Query
from zero2ir.errors import InputError
from zero2ir.io.files import finished_file, write_json
from zero2ir.io.lines import grade_of, json_line, read_json_lines, text_of, texts_of
from zero2ir.io.paths import ingested
from zero2ir.io.settings import read_state

if TYPE_CHECKING:
    import numpy as np

    from zero2ir.data.settings import JudgmentBudget

SPLITS = ("train", "test")  # queries are drawn from the first split that has usable ones
_HAVING = "a relevant document"  # what makes a query usable

Pool = Callable[[Query], Sequence[str]]  # the ids of the documents to judge, in their order


def draw_judgments(
    collection: Collection, budget: "JudgmentBudget", seed: int, pool: Pool | None = None
) -> list[JudgedDocument]:
    """Draws judged queries, and for each query some documents with their grades.

    Queries come from the train split, or from the test split if no train query has a relevant document in the qrels.
    The draw depends on the seed, not on the order of a file. For one seed, the draw of a smaller budget is a subset of
    the draw of a larger one, so that budgets can be compared.

    With ``judging="pooled"``, a query's documents are the first ones of its pool, relevant or not. A document that the
    qrels do not hold has grade 0 if the collection has deep judgments. Otherwise nobody knows its grade: it is passed
    over for the next one, and a query is passed over for the next one if the qrels hold no document of its pool.

    With ``judging="relevant"``, they are one relevant document and others of the qrels, all drawn.

    Args:
        collection: with the qrels, and ``deep_judgments`` in its metadata.
        budget: the number of judgments, and how they are drawn.
        seed: of the draw.
        pool: the pool of a query; only for ``judging="pooled"``, which requires it.

    Returns:
        Up to queries x documents_per_query judgments, grouped by query: in the order of the pool, or a relevant
        document first.

    Raises:
        InputError: there are fewer such queries than the budget requires.
    """
    import numpy as np

    judged = _judged_documents(collection)
    rng = np.random.default_rng(seed)
    if budget.judging == "relevant":
        drawn = [
            _with_relevant(query, judged[query.query_id], budget, rng)
            for query in draw_queries(collection.queries, judged, budget, rng, _HAVING)
        ]
        return judgments_within_budget(drawn, budget)
    assert pool is not None, "judging=pooled needs a pool"
    is_deep = bool(collection.metadata.get("deep_judgments", False))
    ordered = _in_random_order(collection.queries, judged, budget.queries, rng, _HAVING)
    pooled = (_pooled(query, pool, judged[query.query_id], budget, is_deep) for query in ordered)
    drawn = list(islice(filter(None, pooled), budget.queries))
    if len(drawn) < budget.queries:
        raise InputError(
            f"budget.queries={budget.queries}, but the qrels hold a document that the committee ranks for "
            f"{len(drawn)} of {len(ordered)} queries; lower budget.queries, or set budget.judging=relevant"
        )
    return judgments_within_budget(drawn, budget)


def _with_relevant(
    query: Query, judged: Sequence[Judgment], budget: "JudgmentBudget", rng: "np.random.Generator"
) -> list[JudgedDocument]:
    ordered = sorted(judged)
    rows = [ordered[i] for i in rng.permutation(len(ordered))]
    first = next(row for row in rows if row.relevance > 0)
    chosen = [first, *(row for row in rows if row is not first)][: budget.documents_per_query]
    return [JudgedDocument(*query[:2], row.doc_id, row.relevance, query.translation) for row in chosen]


def _pooled(
    query: Query, pool: Pool, judged: Sequence[Judgment], budget: "JudgmentBudget", is_deep: bool
) -> list[JudgedDocument]:
    grades = {row.doc_id: row.relevance for row in judged}
    known = (doc_id for doc_id in pool(query) if is_deep or doc_id in grades)
    return [
        JudgedDocument(*query[:2], doc_id, grades.get(doc_id, 0), query.translation)
        for doc_id in islice(known, budget.documents_per_query)
    ]


def draw_queries(
    queries: Sequence[Query], usable: Container[str], budget: "JudgmentBudget", rng: "np.random.Generator", having: str
) -> list[Query]:
    """Draws the budget's number of queries from the train split, or from the test split if that has no usable one.

    Args:
        queries: the queries of both splits.
        usable: the ids of the queries that may be drawn.
        budget: the number of queries.
        rng: advanced by one permutation of the usable queries; only the first one of each topic may be drawn.
        having: what makes a query usable, for the error message.

    Raises:
        InputError: there are too few usable queries.
    """
    return _in_random_order(queries, usable, budget.queries, rng, having)[: budget.queries]


def _in_random_order(
    queries: Sequence[Query], usable: Container[str], least: int, rng: "np.random.Generator", having: str
) -> list[Query]:
    """Returns all usable queries of the split, at least so many; see ``draw_queries``."""
    pools = {split: [one for one in queries if one.split == split and one.query_id in usable] for split in SPLITS}
    split = next((split for split, pool in pools.items() if pool), SPLITS[-1])
    pool = sorted(pools[split])
    one_a_topic: dict[str, Query] = {}
    for i in rng.permutation(len(pool)):
        one_a_topic.setdefault(pool[i].topic or pool[i].query_id, pool[i])
    if len(one_a_topic) < least:
        what = "queries" if len(one_a_topic) == len(pool) else "topics of queries"
        raise InputError(
            f"budget.queries={least}, but the {split} split has {len(one_a_topic)} {what} with {having}; "
            "lower budget.queries"
        )
    return list(one_a_topic.values())


def judgment_counts(judgments: Iterable[JudgedDocument]) -> dict[str, int]:
    """Returns the numbers of judged queries and documents, of relevant documents, and of queries without one."""
    rows = list(judgments)
    queries, answered = ({row.query_id for row in part} for part in (rows, [r for r in rows if r.relevance > 0]))
    return {
        "queries": len(queries),
        "documents": len(rows),
        "relevant": sum(row.relevance > 0 for row in rows),
        "queries_without_relevant": len(queries - answered),
    }


def queries_passed_over(collection: Collection, judgments: Iterable[JudgedDocument], seed: int) -> int:
    """Returns the number of queries that the draw of these judgments passed over; see ``draw_judgments``."""
    import numpy as np

    judged, rng = _judged_documents(collection), np.random.default_rng(seed)
    ordered = _in_random_order(collection.queries, judged, 0, rng, _HAVING)
    drawn = {row.query_id for row in judgments}
    place = {query.query_id: number for number, query in enumerate(ordered)}
    return max((place[query_id] + 1 for query_id in drawn), default=0) - len(drawn)


def judgments_within_budget(
    drawn: Sequence[Sequence[JudgedDocument]], budget: "JudgmentBudget"
) -> list[JudgedDocument]:
    """Returns the rows of all queries; if the budget is shuffled, each query gets the rows of the next one."""
    if not budget.shuffled:
        return [row for rows in drawn for row in rows]
    next_rows = [*drawn[1:], *drawn[:1]]
    return [
        own[0]._replace(doc_id=row.doc_id, relevance=row.relevance, weak=row.weak)
        for own, rows in zip(drawn, next_rows, strict=True)
        for row in rows
    ]


def draw_unlabelled_queries(
    collection: Collection, judgments: Iterable[JudgedDocument], budget: "JudgmentBudget", seed: int
) -> list[str]:
    """Draws the texts of further train queries, excluding judged queries, and texts and topics of test queries.

    Raises:
        InputError: there are fewer than the budget requires.
    """
    import numpy as np

    taken = {normalised(row.query) for row in judgments}
    tested = [query for query in collection.queries if query.split != "train"]
    taken |= {normalised(query.text) for query in tested}
    topics = {query.topic for query in tested} - {""}
    train = [query for query in sorted(collection.queries) if query.split == "train" and query.topic not in topics]
    free = {normalised(query.text): query.text for query in train}
    pool = [text for key, text in free.items() if key not in taken]
    if len(pool) < budget.unlabelled_queries:
        raise InputError(
            f"budget.unlabelled_queries={budget.unlabelled_queries}, but the train split has {len(pool)} "
            "further queries; lower budget.unlabelled_queries"
        )
    return [pool[i] for i in np.random.default_rng(seed).permutation(len(pool))[: budget.unlabelled_queries]]


def write_unlabelled_queries(texts: Sequence[str], path: Path) -> None:
    """Writes query texts as JSON."""
    write_json(path, list(texts))


def read_unlabelled_queries(path: Path) -> list[str]:
    """Reads the file that ``write_unlabelled_queries`` wrote.

    Raises:
        InputError: the file does not exist or is damaged.
    """
    return read_state(ingested(path), list[str])


def test_queries(collection: Collection, judgments: Iterable[JudgedDocument]) -> tuple[list[Query], list[Judgment]]:
    """Returns the held-out queries of the test split and their judgments.

    A query is left out if its id, its normalised text or its topic is that of a query in ``judgments``.

    Raises:
        InputError: no query is left.
    """
    train = list(judgments)
    train_ids, train_texts = {row.query_id for row in train}, {normalised(row.query) for row in train}
    train_topics = {query.topic for query in collection.queries if query.query_id in train_ids} - {""}
    judged = _judged_documents(collection)
    queries = [
        query
        for query in collection.queries
        if query.split == "test"
        and query.query_id in judged
        and query.query_id not in train_ids
        and query.topic not in train_topics
        and normalised(query.text) not in train_texts
    ]
    if not queries:
        raise InputError(
            "all judged test queries are used for training; lower budget.queries or add judged test queries"
        )
    return queries, [judgment for query in queries for judgment in judged[query.query_id]]


test_queries.__test__ = False  # type: ignore[attr-defined]  # keeps pytest from collecting it in test modules


def normalised(text: str) -> str:
    """Returns the text casefolded and NFKC-normalised, without repeated white space and punctuation at its ends."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(" .?!。¿¡")


def write_judgments(judgments: Iterable[JudgedDocument], path: Path) -> None:
    """Writes one JSON object per line: query_id, query, doc_id, relevance, and fields that are not the default."""
    defaults = JudgedDocument._field_defaults
    with finished_file(path) as file:
        for row in judgments:
            fields = {
                key: value for key, value in row._asdict().items() if key not in defaults or value != defaults[key]
            }
            file.write(json_line(fields) + "\n")


def read_judgments(path: Path) -> list[JudgedDocument]:
    """Reads judgments in the format of ``write_judgments``.

    Raises:
        InputError: a line is invalid; names file and line.
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
    """Writes the candidates of the judged queries; null if queries rank the whole collection.

    Args:
        collection: the collection of the judgments.
        judgments: the result of ``draw_judgments``.
        path: the JSON file.
        shuffled: whether each query has the judged documents of the next query; then also its candidates.
    """
    query_ids = list(dict.fromkeys(row.query_id for row in judgments))
    candidates = collection.candidates_of(query_ids)
    if candidates is not None and shuffled:
        next_ids = [*query_ids[1:], *query_ids[:1]]
        candidates = {own: candidates[other] for own, other in zip(query_ids, next_ids, strict=True)}
    write_json(path, candidates)


def read_candidates(path: Path) -> dict[str, list[str]] | None:
    """Reads document ids by query id, as ``write_candidates`` wrote; None if queries rank the whole collection.

    Raises:
        InputError: the file does not exist or is damaged.
    """
    return read_state(ingested(path), dict[str, list[str]] | None)  # type: ignore[arg-type]


def _judged_documents(collection: Collection) -> dict[str, list[Judgment]]:
    """Returns judgments by query id, of queries that have a relevant document."""
    judged = defaultdict(list)
    for judgment in collection.judgments:
        judged[judgment.query_id].append(judgment)
    return {query_id: rows for query_id, rows in judged.items() if any(row.relevance > 0 for row in rows)}
