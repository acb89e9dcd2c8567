"""Documents, judgments and candidates as people give them to the library."""

from collections.abc import Container, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from zero2ir.data.judgments import normalised
from zero2ir.data.records import Document, JudgedDocument, Query
from zero2ir.errors import InputError

Documents = Sequence[str | Mapping[str, Any]]
Judgments = Sequence[tuple[str, str, int]]
Candidates = Mapping[str, Sequence[str]]
Pairs = Sequence[tuple[str, str | Sequence[str]]]


def as_documents(documents: Documents) -> list[Document]:
    """Turns what people have into documents.

    Raises:
        InputError: none at all, a missing key, or an id that comes twice; names the place in the sequence.
    """
    if isinstance(documents, str):
        raise InputError("documents: one string is no sequence of documents; give a list")
    made: list[Document] = []
    seen: dict[str, int] = {}
    for number, given in enumerate(documents):
        document = _document(given, number)
        if document.doc_id in seen:
            first = seen[document.doc_id]
            raise InputError(
                f"documents[{number}]: the id {document.doc_id!r} is that of documents[{first}]; change one"
            )
        seen[document.doc_id] = number
        made.append(document)
    if not made:
        raise InputError("documents: none given; give at least one")
    return made


def _document(given: str | Mapping[str, Any], number: int) -> Document:
    if isinstance(given, str):
        return Document(str(number), "", given)
    if not isinstance(given, Mapping):
        raise InputError(f"documents[{number}]: neither a string nor a mapping with doc_id, text, maybe title")
    for key in ("doc_id", "text"):
        if key not in given:
            raise InputError(f"documents[{number}]: no key {key!r}; a document has doc_id, text, maybe title")
        if given[key] is None:
            raise InputError(f"documents[{number}]: {key} is None; give one, or leave the document out")
    return Document(str(given["doc_id"]), str(given.get("title") or ""), str(given["text"]))


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
    made: dict[tuple[str, str], JudgedDocument] = {}
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
        if made.setdefault((query_id, doc_id), judged) != judged:
            raise InputError(
                f"judgments[{number}]: document {doc_id!r} has another grade for this query above; keep one"
            )
    return list(made.values())


def as_candidates(
    candidates: Candidates | None, judgments: Sequence[JudgedDocument], known: Container[str]
) -> dict[str, list[str]] | None:
    """Turns candidates by a query's text into candidates by its id, each once; those of other queries are left out.

    Raises:
        InputError: a judged query has none, or one of its candidates is no document of the collection.
    """
    if candidates is None:
        return None
    given = {normalised(query): doc_ids for query, doc_ids in candidates.items()}
    made: dict[str, list[str]] = {}
    for query_id, query in {row.query_id: row.query for row in judgments}.items():
        if not (doc_ids := given.get(normalised(query))) or isinstance(doc_ids, str):
            raise InputError(f"candidates: no list of document ids for the judged query {query!r}; add it")
        for doc_id in doc_ids:
            if doc_id not in known:
                raise InputError(f"candidates of {query!r}: no document has the id {doc_id!r}; leave it out")
        made[query_id] = list(dict.fromkeys(doc_ids))
    return made


def as_pairs(pairs: Pairs) -> list[Query]:
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
        question, given = str(row[0]), ([row[1]] if isinstance(row[1], str) else row[1])
        if not isinstance(given, Sequence) or not all(isinstance(one, str) for one in given):
            raise InputError(f"judgments[{number}]: the answer {row[1]!r} is neither a string nor a list of strings")
        if not question.strip() or not any(map(str.strip, given)):
            raise InputError(f"judgments[{number}]: question or answer is empty; write one or leave the row out")
        question = texts.setdefault(normalised(question), question)
        answers[question] = (*answers.get(question, ()), *(one for one in given if one.strip()))
    return [Query(f"q{place}", text, answers=found) for place, (text, found) in enumerate(answers.items())]
