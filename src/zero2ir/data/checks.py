"""Checks and repairs a raw collection, so that later stages can rely on its invariants."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

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
from zero2ir.errors import InputError

EXAMPLES = 5
_FLAWS = (
    "repeated documents",
    "empty documents",
    "documents with duplicate text",
    "repeated queries",
    "queries in both splits",
    "empty queries",
    "queries without a relevant document",
    "judgments of unknown queries",
    "judgments of unknown documents",
    "repeated judgments",
    "negative grades",
)
_FLAWS_OF_CANDIDATES = (
    "candidates of unknown queries",
    "candidates of unknown documents",
    "repeated candidates",
    "queries without a candidate",
    "relevant documents that are no candidates",
)


class _IssueCounter:
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
    issues = _IssueCounter()
    documents = _documents(raw, issues)
    queries = _queries(raw, issues)
    judgments = _judgments(raw, {d.doc_id for d in documents}, {q.query_id for q in queries}, issues)
    relevant = {judgment.query_id for judgment in judgments if judgment.relevance > 0}
    for query in queries:
        if query.query_id not in relevant:
            issues.add("queries without a relevant document", _place(raw, "query", query.query_id))
    facts = {"source": raw.source, "licence": raw.licence}
    notes = {note: DataIssue(count) for note, count in raw.notes.items()}
    if raw.candidates is None:
        return Collection(documents, queries, judgments, facts), {**issues.quality(_FLAWS), **notes}
    candidates = _candidates(raw.candidates, documents, queries, judgments, issues)
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


def _documents(raw: RawCollection, issues: _IssueCounter) -> list[Document]:
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


def _queries(raw: RawCollection, issues: _IssueCounter) -> list[Query]:
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


def _judgments(raw: RawCollection, documents: set[str], queries: set[str], issues: _IssueCounter) -> list[Judgment]:
    first: dict[tuple[str, str], int] = {}  # (query_id, doc_id) -> index in raw.judgments
    judgments = []
    for index, judgment in enumerate(raw.judgments):
        place = _judgment_place(raw, index)
        if judgment.relevance < 0:
            issues.add("negative grades", place)
        if judgment.query_id not in queries:
            issues.add("judgments of unknown queries", place)
        elif judgment.doc_id not in documents:
            issues.add("judgments of unknown documents", place)
        elif (before := first.setdefault(judgment[:2], index)) != index:
            if _grade(raw.judgments[before]) != _grade(judgment):
                raise InputError(
                    f"{_judgment_place(raw, before)} and {place}: query {judgment.query_id!r} and document "
                    f"{judgment.doc_id!r} have two grades, {_grade(raw.judgments[before])} and {_grade(judgment)}; "
                    "keep one"
                )
            issues.add("repeated judgments", place)
        else:
            judgments.append(judgment._replace(relevance=_grade(judgment)))
    return judgments


def _candidates(
    rows: Sequence[CandidateDocument],
    documents: Sequence[Document],
    queries: Sequence[Query],
    judgments: Sequence[Judgment],
    issues: _IssueCounter,
) -> list[CandidateDocument]:
    """Returns the candidates with a known query and a known document, without repetitions, in the order of ``rows``."""
    query_ids, doc_ids = {query.query_id for query in queries}, {document.doc_id for document in documents}
    kept: dict[CandidateDocument, None] = {}
    for row in rows:
        if row.query_id not in query_ids:
            issues.add("candidates of unknown queries", str(row.query_id))
        elif row.doc_id not in doc_ids:
            issues.add("candidates of unknown documents", f"{row.query_id} {row.doc_id}")
        elif row in kept:
            issues.add("repeated candidates", f"{row.query_id} {row.doc_id}")
        else:
            kept[row] = None
    for query_id in sorted(query_ids - {row.query_id for row in kept}):
        issues.add("queries without a candidate", query_id)
    for judgment in judgments:
        if judgment.relevance > 0 and CandidateDocument(*judgment[:2]) not in kept:
            issues.add("relevant documents that are no candidates", f"{judgment.query_id} {judgment.doc_id}")
    return list(kept)


def _grade(judgment: Judgment) -> int:
    return max(judgment.relevance, 0)


def _unique(raw: RawCollection, kind: str, records: Sequence[Record], issues: _IssueCounter) -> Iterable[Record]:
    """Returns the first record of each id."""
    plural = {"document": "repeated documents", "query": "repeated queries"}[kind]
    first: dict[str, Record] = {}
    for record in records:
        key = record[0]
        if not key or key.split() != [key]:
            raise InputError(f"{_place(raw, kind, key)}: the id {key!r} is empty or contains white space; change it")
        if key not in first:
            first[key] = record
        elif first[key] == record:
            issues.add(plural, _place(raw, kind, key))
        else:
            raise InputError(f"{_place(raw, kind, key)}: two texts have the {kind} id {key!r}; remove or rename one")
    return first.values()


def _place(raw: RawCollection, kind: str, key: str) -> str:
    return raw.places.get((kind, key), f"{raw.source}, {kind} {key!r}")


def _judgment_place(raw: RawCollection, index: int) -> str:
    query_id, doc_id, _ = raw.judgments[index]
    return raw.places.get(("judgment", index), f"{raw.source}, judgment of {query_id!r} and {doc_id!r}")
