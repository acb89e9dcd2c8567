"""Documents, judgments and candidates as people give them to the library."""

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
    """Turns what people have into documents.

    Raises:
        InputError: none at all, a missing key, or an id that comes twice; names the place in the sequence.
    """
    if isinstance(documents, str):
        raise InputError("documents: one string is no sequence of documents; give a list")
    records: list[Document] = []
    place_of: dict[str, int] = {}
    for number, row in enumerate(documents):
        document = _document(row, number)
        if document.doc_id in place_of:
            first = place_of[document.doc_id]
            raise InputError(
                f"documents[{number}]: the id {document.doc_id!r} is that of documents[{first}]; change one"
            )
        place_of[document.doc_id] = number
        records.append(document)
    if not records:
        raise InputError("documents: none given; give at least one")
    return records


def _document(row: str | Mapping[str, Any], number: int) -> Document:
    if isinstance(row, str):
        return Document(str(number), "", row)
    if not isinstance(row, Mapping):
        raise InputError(f"documents[{number}]: neither a string nor a mapping with doc_id, text, maybe title")
    for key in ("doc_id", "text"):
        if key not in row:
            raise InputError(f"documents[{number}]: no key {key!r}; a document has doc_id, text, maybe title")
        if row[key] is None:
            raise InputError(f"documents[{number}]: {key} is None; give one, or leave the document out")
    return Document(str(row["doc_id"]), str(row.get("title") or ""), str(row["text"]))


def as_judgments(
    judgments: Judgments, known: Container[str], translations: Mapping[str, str] = MappingProxyType({})
) -> list[JudgedDocument]:
    """Turns (query, doc_id, grade) rows into judgments; queries that differ in case or punctuation only are one.

    Raises:
        InputError: an empty query, an unknown document, a grade that is no whole number, two grades for one pair, or a
            translation of a query that is not judged; names the row.
    """
    texts: dict[str, str] = {}  # normalised to as it was first given
    query_ids: dict[str, str] = {}
    rows: dict[tuple[str, str], JudgedDocument] = {}
    translated = {normalised(query): translation for query, translation in translations.items()}
    if unjudged := sorted(translated.keys() - {normalised(str(row[0])) for row in judgments}):
        raise InputError(f"translations: no judgment has the query {unjudged[0]!r}; correct it or leave it out")
    for number, row in enumerate(judgments):
        if isinstance(row, str) or len(row) != 3:
            raise InputError(f"judgments[{number}]: {row!r} is not (query, doc_id, grade)")
        query, doc_id, grade = str(row[0]), str(row[1]), row[2]
        if not query.strip():
            raise InputError(f"judgments[{number}]: the query is empty; write one or leave the row out")
        if doc_id not in known:
            raise InputError(f"judgments[{number}]: no document has the id {doc_id!r}; correct it or leave the row out")
        if isinstance(grade, bool) or not isinstance(grade, int):
            raise InputError(
                f"judgments[{number}]: grade {grade!r} is not a whole number; use 0 for not relevant, 1, 2, ..."
            )
        query = texts.setdefault(normalised(query), query)
        query_id = query_ids.setdefault(query, f"q{len(query_ids)}")
        judged = JudgedDocument(query_id, query, doc_id, max(grade, 0), translated.get(normalised(query), ""))
        if rows.setdefault((query_id, doc_id), judged) != judged:
            raise InputError(
                f"judgments[{number}]: document {doc_id!r} has another grade for this query above; keep one"
            )
    return list(rows.values())


def as_candidates(
    candidates: CandidatesByQuery | None, judgments: Sequence[JudgedDocument], known: Container[str]
) -> dict[str, list[str]] | None:
    """Turns candidates by a query's text into candidates by its id, each once; those of other queries are left out.

    Raises:
        InputError: a judged query has none, or one of its candidates is no document of the collection.
    """
    if candidates is None:
        return None
    ids_by_text = {normalised(query): doc_ids for query, doc_ids in candidates.items()}
    ids_by_query: dict[str, list[str]] = {}
    for query_id, query in {row.query_id: row.query for row in judgments}.items():
        if not (doc_ids := ids_by_text.get(normalised(query))) or isinstance(doc_ids, str):
            raise InputError(f"candidates: no list of document ids for the judged query {query!r}; add it")
        for doc_id in doc_ids:
            if doc_id not in known:
                raise InputError(f"candidates of {query!r}: no document has the id {doc_id!r}; leave it out")
        ids_by_query[query_id] = list(dict.fromkeys(doc_ids))
    return ids_by_query


def as_pairs(pairs: QuestionAnswerPairs) -> list[Query]:
    """Turns (question, answer) rows into queries; questions that differ in case or punctuation only are one.

    Raises:
        InputError: a row of another form, an empty question, or one without an answer; names the row.
    """
    from zero2ir.data.judgments import normalised

    texts: dict[str, str] = {}  # normalised to as it was first given
    answers: dict[str, tuple[str, ...]] = {}
    for number, row in enumerate(pairs):
        if isinstance(row, str) or len(row) != 2:
            raise InputError(f"judgments[{number}]: {row!r} is not (question, answer) or (question, [answer, ...])")
        question, answer_texts = str(row[0]), ([row[1]] if isinstance(row[1], str) else row[1])
        if not isinstance(answer_texts, Sequence) or not all(isinstance(one, str) for one in answer_texts):
            raise InputError(f"judgments[{number}]: the answer {row[1]!r} is neither a string nor a list of strings")
        if not question.strip() or not any(map(str.strip, answer_texts)):
            raise InputError(f"judgments[{number}]: question or answer is empty; write one or leave the row out")
        question = texts.setdefault(normalised(question), question)
        answers[question] = (*answers.get(question, ()), *(one for one in answer_texts if one.strip()))
    return [
        Query(f"q{place}", text, answers=answer_texts) for place, (text, answer_texts) in enumerate(answers.items())
    ]
