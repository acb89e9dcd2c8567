"""Validates the documents, judgments and candidates that users pass to the library."""

from collections.abc import Container, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from zero2ir.data.judgments import normalised
from zero2ir.data.records import Document, JudgedDocument, Query
from zero2ir.errors import InputError

Documents = Sequence[str | Mapping[str, Any]]
Judgments = Sequence[tuple[str, str, int]]
CandidatesByQuery = Mapping[str, Sequence[str]]
QuestionAnswerPairs = Sequence[tuple[str, str | Sequence[str]]]


def as_documents(documents: Documents) -> list[Document]:
    """Converts user-supplied documents to Document records.

    Raises:
        InputError: the sequence is empty, a key is missing, or an id occurs twice; names the index.
    """
    if isinstance(documents, str):
        raise InputError("documents: a single string instead of a sequence of documents; pass a list")
    records: list[Document] = []
    place_of: dict[str, int] = {}
    for number, row in enumerate(documents):
        document = _document(row, number)
        if document.doc_id in place_of:
            first = place_of[document.doc_id]
            raise InputError(f"documents[{number}]: documents[{first}] has the same id {document.doc_id!r}; change one")
        place_of[document.doc_id] = number
        records.append(document)
    if not records:
        raise InputError("documents: the list is empty; pass at least one document")
    return records


def _document(row: str | Mapping[str, Any], number: int) -> Document:
    if isinstance(row, str):
        return Document(str(number), "", row)
    if not isinstance(row, Mapping):
        raise InputError(
            f"documents[{number}]: {type(row).__name__} instead of a string or a mapping; "
            "pass a mapping with doc_id, text and optionally title"
        )
    for key in ("doc_id", "text"):
        if key not in row:
            raise InputError(f"documents[{number}]: the key {key!r} is missing; pass doc_id, text and optionally title")
        if row[key] is None:
            raise InputError(f"documents[{number}]: {key} is None; set it or remove the document")
    return Document(str(row["doc_id"]), str(row.get("title") or ""), str(row["text"]))


def as_judgments(
    judgments: Judgments, doc_ids: Container[str], translations: Mapping[str, str] = MappingProxyType({})
) -> list[JudgedDocument]:
    """Converts (query, doc_id, grade) rows to judgments; queries that differ only in case or punctuation are merged.

    Raises:
        InputError: a query is empty, a document is unknown, a grade is not an integer, a query and a document have two
            grades, or a translated query has no judgment; names the row.
    """
    texts: dict[str, str] = {}  # normalised text -> first occurrence
    query_ids: dict[str, str] = {}
    rows: dict[tuple[str, str], JudgedDocument] = {}
    translated = {normalised(query): translation for query, translation in translations.items()}
    if unjudged := sorted(translated.keys() - {normalised(str(row[0])) for row in judgments}):
        raise InputError(f"translations: no judgment has the query {unjudged[0]!r}; correct or remove it")
    for number, row in enumerate(judgments):
        if isinstance(row, str) or len(row) != 3:
            raise InputError(f"judgments[{number}]: {row!r} is invalid; pass (query, doc_id, grade)")
        query, doc_id, grade = str(row[0]), str(row[1]), row[2]
        if not query.strip():
            raise InputError(f"judgments[{number}]: the query is empty; set it or remove the row")
        if doc_id not in doc_ids:
            raise InputError(f"judgments[{number}]: no document has the id {doc_id!r}; correct it or remove the row")
        if isinstance(grade, bool) or not isinstance(grade, int):
            raise InputError(
                f"judgments[{number}]: grade {grade!r} is not an integer; write 0 (not relevant), 1, 2, ..."
            )
        query = texts.setdefault(normalised(query), query)
        query_id = query_ids.setdefault(query, f"q{len(query_ids)}")
        judged = JudgedDocument(query_id, query, doc_id, max(grade, 0), translated.get(normalised(query), ""))
        if rows.setdefault((query_id, doc_id), judged) != judged:
            raise InputError(
                f"judgments[{number}]: an earlier row grades document {doc_id!r} differently for this query; keep one"
            )
    return list(rows.values())


def as_candidates(
    candidates: CandidatesByQuery | None, judgments: Sequence[JudgedDocument], doc_ids: Container[str]
) -> dict[str, list[str]] | None:
    """Converts candidates keyed by query text to candidates keyed by query id, without repetitions.

    Candidates of queries without judgments are left out.

    Raises:
        InputError: a judged query has no candidates, or a candidate is not in the collection.
    """
    if candidates is None:
        return None
    ids_by_text = {normalised(query): ids for query, ids in candidates.items()}
    ids_by_query: dict[str, list[str]] = {}
    for query_id, query in {row.query_id: row.query for row in judgments}.items():
        if not (ids := ids_by_text.get(normalised(query))) or isinstance(ids, str):
            raise InputError(f"candidates: no list of document ids for the judged query {query!r}; add one")
        for doc_id in ids:
            if doc_id not in doc_ids:
                raise InputError(f"candidates of {query!r}: no document has the id {doc_id!r}; correct or remove it")
        ids_by_query[query_id] = list(dict.fromkeys(ids))
    return ids_by_query


def as_pairs(pairs: QuestionAnswerPairs) -> list[Query]:
    """Converts (question, answer) rows to queries; questions that differ only in case or punctuation are merged.

    Raises:
        InputError: a row has another form, or its question or answer is empty; names the row.
    """
    texts: dict[str, str] = {}  # normalised text -> first occurrence
    answers: dict[str, tuple[str, ...]] = {}
    for number, row in enumerate(pairs):
        if isinstance(row, str) or len(row) != 2:
            raise InputError(
                f"judgments[{number}]: {row!r} is invalid; pass (question, answer) or (question, [answer, ...])"
            )
        question, answer_texts = str(row[0]), ([row[1]] if isinstance(row[1], str) else row[1])
        if not isinstance(answer_texts, Sequence) or not all(isinstance(one, str) for one in answer_texts):
            raise InputError(
                f"judgments[{number}]: the answer {row[1]!r} is invalid; pass a string or a list of strings"
            )
        if not question.strip() or not any(map(str.strip, answer_texts)):
            raise InputError(f"judgments[{number}]: the question or the answer is empty; set it or remove the row")
        question = texts.setdefault(normalised(question), question)
        answers[question] = (*answers.get(question, ()), *(one for one in answer_texts if one.strip()))
    return [Query(f"q{place}", text, answers=found) for place, (text, found) in enumerate(answers.items())]
