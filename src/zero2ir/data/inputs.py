"""The doorway for Python values: checks and converts what users pass to the library.

An iterable is read once. A pandas or polars data frame and a pyarrow table are read by column names, a row by key or by
field name. Messages name the place in what the user passed, e.g. "documents[3]".
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from zero2ir.data.checks import used_judgments
from zero2ir.data.judgments import normalised
from zero2ir.data.known_ids import KnownIds
from zero2ir.data.records import DataQuality, Document, JudgedDocument, Judgment, LocatedJudgment, Query
from zero2ir.errors import InputError
from zero2ir.io.values import grade_value, id_value, is_missing, shown, text_value

Documents = Any  # an iterable of texts, mappings or named tuples; a mapping from ids to them; or a data frame
Judgments = Any  # an iterable of (query, doc_id, grade) rows, mappings or named tuples; or a data frame
CandidatesByQuery = Mapping[str, Iterable[str]]
QuestionAnswerPairs = Any  # an iterable of (question, answer) rows; or a mapping from questions to answers
Qrels = Any  # an iterable of (query_id, doc_id, grade) rows, query_id → doc_id → grade, or a data frame

_TO_RECORDS = ("to_dicts", "to_pylist", "to_dict")  # methods of polars, pyarrow and pandas tables
_ONE_DOCUMENT = "pass a mapping with doc_id, text and optionally title"
_AS_ROWS = "[(queries[q], d, grade) for q, grades in judgments.items() for d, grade in grades.items()]"


def as_documents(documents: Documents, name: str = "documents", *, ids: bool = False) -> list[Document]:
    """Converts user-supplied documents to Document records; a missing title is "".

    Args:
        documents: texts (their ids are "0", "1", ...), mappings or named tuples with doc_id, text and optionally title;
            a mapping from ids to such documents; or a data frame with these columns.
        name: names the documents in messages.
        ids: whether every document must have an id.

    Raises:
        InputError: there are no documents, one is invalid, or an id occurs twice; names the place.
    """
    records: list[Document] = []
    place_of: dict[str, str] = {}
    for place, key, row in _documents(documents, name):
        if isinstance(row, str) and not key:
            if ids:
                raise InputError(f"{place}: a string has no id; {_ONE_DOCUMENT}")
            document = Document(str(len(records)), "", text_value(row, f"{place}: text"))
        else:
            document = _document(row, key, place)
        if first := place_of.get(document.doc_id):
            raise InputError(f"{place}: {first} has the same id {document.doc_id!r}; change one")
        place_of[document.doc_id] = place
        records.append(document)
    if not records:
        raise InputError(f"{name}: the list is empty; pass at least one document")
    return records


def _documents(documents: Documents, name: str) -> Iterator[tuple[str, tuple[Any, ...], Any]]:
    """Yields the place, the key in a tuple (empty for a list) and the document."""
    is_series = hasattr(documents, "index") and hasattr(documents, "items") and not hasattr(documents, "columns")
    if isinstance(documents, Mapping):
        if "text" in documents and documents.keys() <= {"doc_id", "title", "text"}:
            raise InputError(f"{name}: a single document, or a mapping of columns; pass a list of documents")
    elif not is_series:  # a pandas series is a mapping from its index to its values
        yield from ((place, (), row) for place, row in as_rows(documents, name, ("doc_id", "text")))
        return
    yield from ((f"{name}[{shown(key)}]", (key,), row) for key, row in documents.items())


def _document(row: Any, key: tuple[Any, ...], place: str) -> Document:
    fields = {"text": row} if isinstance(row, str) else _fields(row)
    if fields is None:
        kind = type(row).__name__
        raise InputError(f"{place}: {kind} instead of a string or a mapping ({shown(row)}); {_ONE_DOCUMENT}")
    for given in key:
        doc_id = id_value(given, f"{place}: the key")
        if id_value(fields.get("doc_id", doc_id), f"{place}: doc_id") != doc_id:
            raise InputError(
                f"{place}: doc_id is {shown(fields['doc_id'])}, but its key is {doc_id!r}; make them equal"
            )
        fields = {**fields, "doc_id": doc_id}
    for needed in ("doc_id", "text"):
        if needed not in fields:
            raise InputError(f"{place}: the key {needed!r} is missing; pass doc_id, text and optionally title")
    title = fields.get("title")
    return Document(
        id_value(fields["doc_id"], f"{place}: doc_id"),
        "" if is_missing(title) else text_value(title, f"{place}: title"),
        text_value(fields["text"], f"{place}: text"),
    )


def as_judgments(
    judgments: Judgments,
    doc_ids: Collection[str],
    translations: Mapping[str, str] | None = None,
    name: str = "judgments",
) -> tuple[list[JudgedDocument], DataQuality]:
    """Converts (query, doc_id, grade) rows to judgments; queries that differ only in case or punctuation are merged.

    Repeated rows and rows of unknown documents are left out and negative grades become 0; warns of them.

    Args:
        judgments: tuples, or mappings or named tuples with query, doc_id and grade (or relevance); or a data frame with
            these columns. A grade is a whole number of any numeric type, but not a boolean.
        doc_ids: the ids of the documents.
        translations: translations by judged query.
        name: names the judgments in messages.

    Returns:
        The judgments, and the counts and examples of what was left out or repaired.

    Raises:
        InputError: a row is invalid, a query and a document have two grades, a translated query has no judgment, or
            more than a fifth of the rows are of unknown documents; names the rows.
    """
    texts: dict[str, str] = {}  # normalised text -> first occurrence
    rows: list[tuple[Judgment, str]] = []
    for place, row in as_rows(judgments, name, ("query", "doc_id")):
        text, doc_id, grade = _graded(row, "query", place)
        query = text_value(text, f"{place}: query")
        if not query.strip():
            raise InputError(f"{place}: the query is empty; set it or remove the row")
        texts.setdefault(normalised(query), query)
        judgment = Judgment(
            normalised(query), id_value(doc_id, f"{place}: doc_id"), grade_value(grade, f"{place}: grade")
        )
        rows.append((judgment, row.place if isinstance(row, LocatedJudgment) else place))
    translated = _by_query(translations or {}, "translations")
    if unjudged := sorted(translated.keys() - texts.keys()):
        raise InputError(f"translations: no judgment has the query {unjudged[0]!r}; correct or remove it")
    kept, quality = used_judgments(rows, KnownIds("document", doc_ids))
    numbers = {key: f"q{number}" for number, key in enumerate(dict.fromkeys(row.query_id for row in kept))}
    return [
        JudgedDocument(numbers[key], texts[key], doc_id, grade, translated.get(key, "")) for key, doc_id, grade in kept
    ], quality


def as_candidates(
    candidates: CandidatesByQuery | None, judgments: Sequence[JudgedDocument], doc_ids: Collection[str]
) -> dict[str, list[str]] | None:
    """Converts candidates keyed by query text to candidates keyed by query id, without repetitions.

    Candidates of queries without judgments are left out.

    Raises:
        InputError: a judged query has no candidates, or a candidate is not in the collection.
    """
    if candidates is None:
        return None
    ids_by_text = _by_query(candidates, "candidates")
    known = KnownIds("document", doc_ids)
    ids_by_query: dict[str, list[str]] = {}
    for query_id, query in {row.query_id: row.query for row in judgments}.items():
        given = ids_by_text.get(normalised(query))
        ids = [] if given is None or isinstance(given, str) else as_ids(given, f"candidates[{query!r}]")
        if not ids:
            raise InputError(f"candidates: no list of document ids for the judged query {query!r}; add one")
        if unknown := next((one for one in ids if one not in doc_ids), None):
            raise InputError(f"candidates of {query!r}: {known.why_unknown(unknown)}; correct or remove it")
        ids_by_query[query_id] = list(dict.fromkeys(ids))
    return ids_by_query


def as_query_ids(query_ids: Mapping[str, Any] | None) -> dict[str, str]:
    """Returns the ids of queries by their normalised texts; raises ``InputError`` as ``as_candidates``."""
    by_query = _by_query(query_ids or {}, "query_ids")
    return {query: id_value(query_id, f"query_ids[{query!r}]") for query, query_id in by_query.items()}


def _by_query(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Returns a mapping's values by normalised query; the values of translations are texts."""
    if not isinstance(values, Mapping):
        raise InputError(f"{name}: {type(values).__name__} instead of a mapping; pass a mapping by query")
    by_query: dict[str, tuple[str, Any]] = {}
    for query, value in values.items():
        key = normalised(text_value(query, f"{name}: the query"))
        if name == "translations":
            value = text_value(value, f"{name}[{query!r}]")
        if key in by_query:
            raise InputError(f"{name}: {by_query[key][0]!r} and {query!r} are the same query; keep one")
        by_query[key] = query, value
    return {key: value for key, (_, value) in by_query.items()}


def as_pairs(pairs: QuestionAnswerPairs) -> list[Query]:
    """Converts (question, answer) rows to queries; questions that differ only in case or punctuation are merged.

    Raises:
        InputError: a row has another form, or its question or answer is empty; names the row.
    """
    texts: dict[str, str] = {}  # normalised text -> first occurrence
    answers: dict[str, tuple[str, ...]] = {}
    for place, row in as_rows(
        pairs.items() if isinstance(pairs, Mapping) else pairs, "judgments", ("question", "answer")
    ):
        fields = _fields(row) or {}
        if {"question", "answer"} <= fields.keys():
            row = fields["question"], fields["answer"]
        question, given = as_tuple(row, 2, place, "(question, answer) or (question, [answer, ...])")
        question = text_value(question, f"{place}: the question")
        if not isinstance(given, str | list | tuple):
            raise InputError(f"{place}: the answer {shown(given)} is invalid; pass a string or a list of strings")
        given = [text_value(one, f"{place}: the answer") for one in ([given] if isinstance(given, str) else given)]
        if not question.strip() or not any(map(str.strip, given)):
            raise InputError(f"{place}: the question or the answer is empty; set it or remove the row")
        question = texts.setdefault(normalised(question), question)
        answers[question] = (*answers.get(question, ()), *(one for one in given if one.strip()))
    return [Query(f"q{place}", text, answers=given) for place, (text, given) in enumerate(answers.items())]


def as_qrels(qrels: Qrels) -> list[Judgment]:
    """Converts judgments for evaluation.

    Negative grades stay: trec_eval reads them as not relevant, and in infAP -1 as pooled, but not judged.

    Args:
        qrels: (query_id, doc_id, grade) rows, mappings or named tuples with these names (or relevance); a mapping
            query_id → doc_id → grade; or a data frame with these columns.

    Raises:
        InputError: a row is invalid, or a query and a document have two grades; names the row.
    """
    rows = qrels if isinstance(qrels, list | tuple) else list(_qrels(qrels))
    known: dict[tuple[str, str], int] = {}
    for number, row in enumerate(rows):
        if not (type(row) is Judgment and type(row.relevance) is int and type(row[0]) is type(row[1]) is str):
            row = _checked_qrel(row, f"qrels[{number}]")
        if known.setdefault((row.query_id, row.doc_id), row.relevance) != row.relevance:
            raise InputError(
                f"qrels[{number}]: an earlier row has another grade for {row.query_id!r} and {row.doc_id!r}"
            )
    return [Judgment(*pair, grade) for pair, grade in known.items()]


def _qrels(qrels: Qrels) -> Iterator[Any]:
    if isinstance(qrels, Mapping):
        for query_id, grades in qrels.items():
            if not isinstance(grades, Mapping):
                raise InputError(f"qrels[{shown(query_id)}]: {shown(grades)} is invalid; pass a mapping doc_id → grade")
            yield from ((query_id, doc_id, grade) for doc_id, grade in grades.items())
    else:
        yield from (row for _, row in as_rows(qrels, "qrels", ("query_id", "doc_id")))


def _checked_qrel(row: Any, place: str) -> Judgment:
    query_id, doc_id, grade = _graded(row, "query_id", place)
    ids = id_value(query_id, f"{place}: query_id"), id_value(doc_id, f"{place}: doc_id")
    return Judgment(*ids, grade_value(grade, f"{place}: grade"))


def _graded(row: Any, query: str, place: str) -> Sequence[Any]:
    """Returns query (or query_id, as ``query`` names it), doc_id and grade as given."""
    fields = _fields(row) or {}
    if {query, "doc_id"} <= fields.keys() and (grades := fields.keys() & {"grade", "relevance"}):
        return fields[query], fields["doc_id"], fields[min(grades)]
    if "query_id" in fields and query == "query":
        raise InputError(f"{place}: the id of a query instead of its text; pass (query, doc_id, grade)")
    return as_tuple(row, 3, place, f"({query}, doc_id, grade)")


def as_texts(texts: Iterable[str], name: str) -> list[str]:
    """Returns the strings of an iterable.

    Raises:
        InputError: it is a single string or a mapping, or one of its values is not a text; names the place.
    """
    if isinstance(texts, Mapping):
        raise InputError(f"{name}: a mapping instead of a list of strings; pass list({name}.values())")
    return [text_value(text, place) for place, text in as_rows(texts, name)]


def as_queries(queries: Iterable[Any] | Mapping[Any, str], name: str = "queries") -> list[tuple[str, str]]:
    """Returns the ids ("" for none) and texts of queries.

    Args:
        queries: texts or (id, text) pairs; or a mapping from ids to texts.
        name: names the queries in messages.

    Raises:
        InputError: a query is invalid, or an id occurs twice; names the place.
    """
    pairs: list[tuple[str, str]] = []
    for place, row in as_rows(queries.items() if isinstance(queries, Mapping) else queries, name):
        if isinstance(row, str) or is_missing(row):
            pairs.append(("", text_value(row, f"{place}: text")))
        else:
            given, text = as_tuple(row, 2, place, "(id, text)")
            pairs.append((id_value(given, f"{place}: the id"), text_value(text, f"{place}: text")))
        if not pairs[-1][1].strip():
            raise InputError(f"{place}: the query is empty; set it or remove the row")
    ids = Counter(given for given, _ in pairs if given)
    if repeated := next((given for given, n in ids.items() if n > 1), None):
        raise InputError(f"{name}: the id {repeated!r} occurs twice; change one")
    return pairs


def as_ids(ids: Iterable[Any], name: str) -> list[str]:
    """Returns the ids of an iterable; whole numbers become strings.

    Raises:
        InputError: it is a single string, or one of its values is not an id; names the place.
    """
    return [id_value(one, place) for place, one in as_rows(ids, name)]


def as_rows(values: Any, name: str, columns: tuple[str, ...] | None = None) -> Iterator[tuple[str, Any]]:
    """Yields the place and the row of each row of an iterable, or of a data frame that has these columns."""
    if isinstance(values, str | bytes):
        kind = "a single string" if isinstance(values, str) else "bytes"
        raise InputError(f"{name}: {kind} instead of a list; pass a list")
    if isinstance(values, Mapping):
        hint = f", e.g. {_AS_ROWS}" if name.endswith("judgments") else ""
        raise InputError(f"{name}: a mapping instead of a list; pass a list of rows{hint}")
    if isinstance(values, set | frozenset):
        raise InputError(f"{name}: a set has no order, so results could not be repeated; pass a list")
    records = next((getattr(values, to) for to in _TO_RECORDS if hasattr(values, to)), None)
    if hasattr(values, "columns") and records:
        _check_columns([str(column) for column in getattr(values, "column_names", values.columns)], name, columns)
        values = records("records") if records.__name__ == "to_dict" else records()
    try:
        rows = iter(values)
    except TypeError:
        raise InputError(f"{name}: {type(values).__name__} instead of a list ({shown(values)}); pass a list") from None
    for number, row in enumerate(rows):
        yield f"{name}[{number}]", row


def _check_columns(names: Sequence[str], name: str, needed: tuple[str, ...] | None) -> None:
    if needed is None:
        raise InputError(f"{name}: a data frame instead of a list; pass one of its columns as a list")
    if absent := [column for column in needed if column not in names]:
        raise InputError(f"{name}: the data frame has no column {absent[0]!r} (only {', '.join(names)}); rename one")
    if len(set(names)) < len(names):
        raise InputError(f"{name}: the data frame has two columns of the same name; rename one")


def _fields(row: Any) -> Mapping[str, Any] | None:
    """Returns the fields of a mapping or a named tuple by name; None for other values."""
    if isinstance(row, Mapping):
        return row
    return row._asdict() if isinstance(row, tuple) and hasattr(row, "_asdict") else None


def as_tuple(row: Any, length: int, place: str, form: str) -> Sequence[Any]:
    """Returns a row of this length, a list, a tuple or a row of an array."""
    is_row = isinstance(row, list | tuple) or (hasattr(row, "tolist") and getattr(row, "ndim", 0) == 1)
    if not is_row or len(row) != length:
        raise InputError(f"{place}: {shown(row)} is invalid; pass {form}")
    return row
