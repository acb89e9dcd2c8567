"""Long documents as passages."""

from collections.abc import Sequence
from dataclasses import replace

from zero2ir.answers import holds_an_answer, normalised_answer
from zero2ir.collections.records import Collection, Document, Judgment
from zero2ir.collections.settings import PassageSettings


def in_passages(collection: Collection, settings: PassageSettings) -> Collection:
    """Cuts documents into passages, each with the title; "d" becomes "d#0", "d#1", ..., or stays "d" where it fits.

    A judgment of a document becomes one of each of its passages. Where it is relevant, its query has answers and one of
    the passages holds one, only those that do are.
    """
    passages = {document.doc_id: cut(document, settings) for document in collection.documents}
    answers = {query.query_id: query.answers for query in collection.queries}
    return replace(
        collection,
        documents=[passage for found in passages.values() for passage in found],
        judgments=[
            Judgment(row.query_id, passage.doc_id, row.relevance)
            for row in collection.judgments
            for passage in _judged(passages[row.doc_id], answers[row.query_id] if row.relevance > 0 else ())
        ],
    )


def cut(document: Document, settings: PassageSettings) -> list[Document]:
    """The passages of a document: windows over its words, the last one ending with the text."""
    words = document.text.split()
    if len(words) <= settings.words:
        return [document]
    step = settings.words - settings.overlap
    starts = range(0, len(words) - settings.overlap, step)
    return [
        document._replace(doc_id=f"{document.doc_id}#{number}", text=" ".join(words[start : start + settings.words]))
        for number, start in enumerate(starts)
    ]


def _judged(passages: Sequence[Document], answers: Sequence[str]) -> Sequence[Document]:
    holding = [passage for passage in passages if holds_an_answer(normalised_answer(passage.text), answers)]
    return holding or passages
