"""Checks and repairs a raw collection, so that later stages can rely on its invariants, and says what was left out."""

import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from zero2ir.data.known_ids import KnownIds
from zero2ir.data.records import (
    CandidateDocument,
    Collection,
    DataIssue,
    DataQuality,
    Document,
    Judgment,
    Query,
    RawCollection,
    Record,
)
from zero2ir.errors import DataWarning, InputError

EXAMPLES = 5
EXAMPLES_IN_MESSAGES = 3
MAX_UNUSABLE_SHARE = 1 / 5  # of the judgments
_UNUSABLE = ("judgments of unknown queries", "judgments of unknown documents")
_LEFT_OUT = "left out"
FLAWS_OF_JUDGMENTS = {**dict.fromkeys((*_UNUSABLE, "repeated judgments"), _LEFT_OUT), "negative grades": "read as 0"}
_FLAWS = {  # what happens to such a row; "" if it is kept
    "repeated documents": _LEFT_OUT,
    "empty documents": _LEFT_OUT,
    "documents with duplicate text": "",
    "repeated queries": _LEFT_OUT,
    "queries in both splits": "",
    "empty queries": _LEFT_OUT,
    "queries without a relevant document": "",
    **FLAWS_OF_JUDGMENTS,
}
_FLAWS_OF_CANDIDATES = {
    "candidates of unknown queries": _LEFT_OUT,
    "candidates of unknown documents": _LEFT_OUT,
    "repeated candidates": _LEFT_OUT,
    "queries without a candidate": "",
    "relevant documents that are no candidates": "",
}


class IssueCounter:
    """Counts each kind of flaw and keeps its first examples."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.examples: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, flaw: str, example: str) -> None:
        self.count[flaw] += 1
        if len(self.examples[flaw]) < EXAMPLES:
            self.examples[flaw].append(example)

    def quality(self, flaws: Iterable[str]) -> DataQuality:
        return {flaw: DataIssue(self.count[flaw], tuple(self.examples[flaw])) for flaw in flaws}


def check_collection(raw: RawCollection) -> tuple[Collection, DataQuality]:
    """Drops or repairs minor flaws and counts them; raises an error for flaws that cannot be repaired.

    Dropped: repeated rows, documents with neither title nor text, queries without text, judgments and candidates of
    unknown or dropped queries and documents. Repaired: negative grades become 0; a query in both splits stays in "test"
    only, so that training never draws it. Kept, but counted: documents with the same text, queries without a relevant
    document (they are neither drawn nor evaluated), queries without a candidate, relevant documents that are not
    candidates.

    Returns:
        The collection, and the data quality: count and examples of each kind of flaw, and the reader's notes.

    Raises:
        InputError: there are no documents, an id has two contents or is not valid in TREC files (empty, or with white
            space), or a query and a document have two grades.
    """
    issues = IssueCounter()
    documents = _documents(raw, issues)
    queries = _queries(raw, issues)
    rows = ((judgment, _pair_place(raw, "judgment", index, judgment)) for index, judgment in enumerate(raw.judgments))
    doc_ids, query_ids = {document.doc_id for document in documents}, {query.query_id for query in queries}
    known_documents = KnownIds("document", doc_ids, {document.doc_id for document in raw.documents} - doc_ids)
    known_queries = KnownIds("query", query_ids, {query.query_id for query in raw.queries} - query_ids)
    judgments = usable_judgments(rows, known_documents, known_queries, issues)
    relevant = {judgment.query_id for judgment in judgments if judgment.relevance > 0}
    for query in queries:
        if query.query_id not in relevant:
            issues.add("queries without a relevant document", _place(raw, "query", query.query_id))
    known = {"description": raw.description, "url": raw.url, "citation": raw.citation}
    facts = {"source": raw.source, "licence": raw.licence} | {key: text for key, text in known.items() if text}
    notes = {note: DataIssue(count) for note, count in raw.notes.items()}
    if raw.candidates is None:
        return Collection(documents, queries, judgments, facts), {**issues.quality(_FLAWS), **notes}
    given = [(row, _pair_place(raw, "candidate", index, row)) for index, row in enumerate(raw.candidates)]
    candidates = _candidates(given, known_documents, known_queries, judgments, issues)
    quality = issues.quality((*_FLAWS, *_FLAWS_OF_CANDIDATES))
    return Collection(documents, queries, judgments, facts, candidates), {**quality, **notes}


def require_judged_queries(collection: Collection) -> None:
    """Raises an error if a collection has no judgments to train on or to evaluate with.

    Raises:
        InputError: no query has a relevant document.
    """
    if not any(judgment.relevance > 0 for judgment in collection.judgments):
        raise InputError(
            f"{collection.metadata.get('source', 'the collection')}: no query has a relevant document; "
            "add queries and qrels with grades of 1 or more"
        )


def _documents(raw: RawCollection, issues: IssueCounter) -> list[Document]:
    documents = []
    texts: set[str] = set()
    for document in _unique(raw, "document", raw.documents, issues):
        if not document.content:
            issues.add("empty documents", _place(raw, "document", document.doc_id))
            continue
        if document.content in texts:
            issues.add("documents with duplicate text", _place(raw, "document", document.doc_id))
        texts.add(document.content)
        documents.append(document)
    if not documents:
        raise InputError(f"{raw.source}: no document has any text; add documents")
    return documents


def _queries(raw: RawCollection, issues: IssueCounter) -> list[Query]:
    tested = {query.query_id for query in raw.queries if query.split == "test"}
    both = {query.query_id: query for query in raw.queries if query.split == "train" and query.query_id in tested}
    for query_id in both:
        issues.add("queries in both splits", _place(raw, "query", query_id))
    one_split = [query._replace(split="test") if query.query_id in both else query for query in raw.queries]
    queries = []
    for query in _unique(raw, "query", one_split, issues):
        if query.text.strip():
            queries.append(query)
        else:
            issues.add("empty queries", _place(raw, "query", query.query_id))
    return queries


def usable_judgments(
    rows: Iterable[tuple[Judgment, str]], documents: KnownIds, queries: KnownIds | None, issues: IssueCounter
) -> list[Judgment]:
    """Returns the judgments of known documents and queries, each once, with grades of at least 0; counts the others.

    Args:
        rows: the judgments with their places.
        documents: the documents.
        queries: the queries; None if every query is known.
        issues: counts what is left out or repaired.

    Raises:
        InputError: a query and a document have two grades.
    """
    first: dict[tuple[str, str], tuple[Judgment, str]] = {}
    for judgment, place in rows:
        query_id, doc_id, grade = judgment
        if grade < 0:
            issues.add("negative grades", place)
        judgment = judgment._replace(relevance=max(grade, 0))
        if queries is not None and query_id not in queries.ids:
            issues.add("judgments of unknown queries", f"{place}: {queries.why_unknown(query_id)}")
        elif doc_id not in documents.ids:
            issues.add("judgments of unknown documents", f"{place}: {documents.why_unknown(doc_id)}")
        elif (query_id, doc_id) in first:
            before, place_before = first[query_id, doc_id]
            if before != judgment:
                raise InputError(
                    f"{place_before} and {place}: query {query_id!r} and document {doc_id!r} have two grades, "
                    f"{before.relevance} and {judgment.relevance}; keep one"
                )
            issues.add("repeated judgments", place)
        else:
            first[query_id, doc_id] = judgment, place
    return [judgment for judgment, _ in first.values()]


def used_judgments(
    rows: Sequence[tuple[Judgment, str]], documents: KnownIds, queries: KnownIds | None = None
) -> tuple[list[Judgment], DataQuality]:
    """Returns ``usable_judgments``, and the counts and examples of the others; warns of these.

    Raises:
        InputError: as ``usable_judgments`` and ``require_usable``.
    """
    issues = IssueCounter()
    kept = usable_judgments(rows, documents, queries, issues)
    quality = issues.quality(FLAWS_OF_JUDGMENTS)
    require_usable(quality, len(rows))
    warn_of(quality)
    return kept, quality


def require_usable(quality: DataQuality, judgments: int) -> None:
    """Stops if too many of the given judgments are of unknown queries or documents; ``judgments`` is their number.

    Raises:
        InputError: more than a fifth are; names the first ones.
    """
    issues = [quality[flaw] for flaw in _UNUSABLE if flaw in quality]
    unusable = sum(issue.count for issue in issues)
    if unusable > MAX_UNUSABLE_SHARE * judgments:
        examples = "; ".join([example for issue in issues for example in issue.examples][:EXAMPLES_IN_MESSAGES])
        raise InputError(
            f"{examples}; {unusable} of {judgments} judgments cannot be used, more than a fifth; "
            "correct their ids or remove them"
        )


def _unused(quality: DataQuality) -> Iterator[tuple[str, str, DataIssue]]:
    """Yields each flaw that occurs and whose rows are not used, or not as they stand, with what happened to them."""
    for flaw, issue in quality.items():
        happened = {**_FLAWS, **_FLAWS_OF_CANDIDATES}.get(flaw, "in all")  # in all: a note of the reader
        if issue.count and happened:
            yield flaw, happened, issue


def warn_of(quality: DataQuality) -> None:
    """Warns of everything that was given and is not used, or not as it stands: one line for each kind of flaw."""
    for flaw, happened, issue in _unused(quality):
        parts = [f"{flaw}: {issue.count} {happened}", *issue.examples[:EXAMPLES_IN_MESSAGES]]
        warnings.warn("; ".join(parts), DataWarning, stacklevel=2)


def about_quality(quality: DataQuality) -> dict[str, Any]:
    """Returns what ``warn_of`` warns of, as ``about`` of a program states it: count and examples by kind."""
    flaws = {flaw: asdict(issue) for flaw, _, issue in _unused(quality)}
    return {"quality": flaws} if flaws else {}


def _candidates(
    rows: Iterable[tuple[CandidateDocument, str]],
    documents: KnownIds,
    queries: KnownIds,
    judgments: Sequence[Judgment],
    issues: IssueCounter,
) -> list[CandidateDocument]:
    """Returns the candidates with a known query and a known document, without repetitions, in the order of ``rows``."""
    kept: dict[CandidateDocument, None] = {}
    for row, place in rows:
        if row.query_id not in queries.ids:
            issues.add("candidates of unknown queries", f"{place}: {queries.why_unknown(row.query_id)}")
        elif row.doc_id not in documents.ids:
            issues.add("candidates of unknown documents", f"{place}: {documents.why_unknown(row.doc_id)}")
        elif row in kept:
            issues.add("repeated candidates", place)
        else:
            kept[row] = None
    for query_id in sorted({*queries.ids} - {row.query_id for row in kept}):
        issues.add("queries without a candidate", query_id)
    for judgment in judgments:
        if judgment.relevance > 0 and CandidateDocument(*judgment[:2]) not in kept:
            issues.add("relevant documents that are no candidates", f"{judgment.query_id} {judgment.doc_id}")
    return list(kept)


def _unique(raw: RawCollection, kind: str, records: Sequence[Record], issues: IssueCounter) -> Iterable[Record]:
    """Returns the first record of each id."""
    plural = {"document": "repeated documents", "query": "repeated queries"}[kind]
    first: dict[str, Record] = {}
    for record in records:
        key = record[0]
        check_id(_place(raw, kind, key), key)
        if key not in first:
            first[key] = record
        elif first[key] == record:
            issues.add(plural, _place(raw, kind, key))
        else:
            raise InputError(f"{_place(raw, kind, key)}: two texts have the {kind} id {key!r}; remove or rename one")
    return first.values()


def check_id(place: str, key: str) -> None:
    """Raises an InputError for an id that is not valid in TREC files."""
    if not key or key.split() != [key]:
        raise InputError(f"{place}: the id {key!r} is empty or contains white space; change it")


def _place(raw: RawCollection, kind: str, key: str) -> str:
    return raw.places.get((kind, key), f"{raw.source}, {kind} {key!r}")


def _pair_place(raw: RawCollection, kind: str, index: int, row: Judgment | CandidateDocument) -> str:
    return raw.places.get((kind, index)) or f"{raw.source}, {kind} of {row.query_id!r} and {row.doc_id!r}"
