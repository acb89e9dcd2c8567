"""Splits long documents into passages."""

from collections.abc import Sequence
from dataclasses import replace

from zero2ir.data.answers import contains_answer, normalised_answer
from zero2ir.data.records import CandidateDocument, Collection, Document, Judgment
from zero2ir.data.settings import PassageSettings
from zero2ir.data.words import join_words, split_words
from zero2ir.errors import InputError


def split_into_passages(collection: Collection, settings: PassageSettings) -> Collection:
    """Splits documents into passages with the same title: "d" becomes "d#0", "d#1", ...; a short "d" stays whole.

    The judgment of a document applies to each of its passages. Exception: if the document is relevant and passages of
    it contain an answer of the query, it applies to these passages only. All passages of a candidate are candidates.

    Raises:
        InputError: the id of a document equals that of another document's passage.
    """
    passages = {document.doc_id: cut_document(document, settings) for document in collection.documents}
    documents = [passage for parts in passages.values() for passage in parts]
    _require_own_ids(documents)
    answers = {query.query_id: query.answers for query in collection.queries}
    rows = collection.candidates
    return replace(
        collection,
        documents=documents,
        judgments=[
            Judgment(row.query_id, passage.doc_id, row.relevance)
            for row in collection.judgments
            for passage in _judged(passages[row.doc_id], answers[row.query_id] if row.relevance > 0 else ())
        ],
        candidates=None
        if rows is None
        else [CandidateDocument(row.query_id, passage.doc_id) for row in rows for passage in passages[row.doc_id]],
    )


def cut_document(document: Document, settings: PassageSettings) -> list[Document]:
    """Returns the passages of a document: windows over its words, the last one up to the end of the text."""
    words = split_words(document.text)
    if len(words) <= settings.words:
        return [document]
    starts = range(0, len(words) - settings.overlap, settings.words - settings.overlap)
    return [
        document._replace(doc_id=f"{document.doc_id}#{number}", text=join_words(words[start : start + settings.words]))
        for number, start in enumerate(starts)
    ]


def _require_own_ids(documents: Sequence[Document]) -> None:
    ids: set[str] = set()
    for document in documents:
        if document.doc_id in ids:
            whole = document.doc_id.rpartition("#")[0]
            raise InputError(
                f"the id {document.doc_id!r} belongs to a document and to a passage of {whole!r}; "
                "rename the document, or set dataset.passages=null"
            )
        ids.add(document.doc_id)


def _judged(passages: Sequence[Document], answers: Sequence[str]) -> Sequence[Document]:
    with_answer = [passage for passage in passages if contains_answer(normalised_answer(passage.text), answers)]
    return with_answer or passages
