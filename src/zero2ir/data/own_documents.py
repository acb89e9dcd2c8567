"""Queries that are documents of the collection themselves, as in ArguAna, Quora and archives of questions.

Such a document is left out of the ranking of its own query, as BEIR does (``ignore_identical_ids``,
https://github.com/beir-cellar/beir/pull/91): it answers nothing, is unjudged, and would take the first rank.
"""

import warnings
from collections.abc import Iterable, Mapping

from zero2ir.data.judgments import normalised
from zero2ir.data.records import Document, JudgedDocument, Judgment
from zero2ir.errors import DataWarning

MIN_SHARE = 0.75  # of a document's characters, if the query is a part of it, e.g. of title and text in one field


def is_own_document(query: str, document: Document) -> bool:
    """Whether a document has a query's text, up to case, white space and punctuation at the ends.

    The query is the document's title, its text, both together, or whole words that make up at least three quarters of
    both. Ids are not compared.
    """
    wanted, content = normalised(query), normalised(document.content)
    if not wanted:
        return False
    if wanted in (content, normalised(document.title), normalised(document.text)):
        return True
    return f" {wanted} " in f" {content} " and len(wanted) >= MIN_SHARE * len(content)


def own_documents(
    queries: Mapping[str, str],
    documents: Iterable[Document],
    judgments: Iterable[Judgment | JudgedDocument] = (),
    ids: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Returns the own document of each query that has one: its id is the query's id, and the texts agree.

    A document that a judgment calls relevant to the query is an answer and no own document.

    Args:
        queries: texts by key.
        documents: the collection.
        judgments: of the queries, with their keys as ids.
        ids: the queries' ids by key; None if the keys are the ids.

    Returns:
        Document ids by the queries' keys.
    """
    by_id = {document.doc_id: document for document in documents}
    relevant = {(row.query_id, row.doc_id) for row in judgments if row.relevance > 0}
    own = {}
    for key, text in queries.items():
        document = by_id.get(key if ids is None else ids.get(key, ""))
        if document and (key, document.doc_id) not in relevant and is_own_document(text, document):
            own[key] = document.doc_id
    return own


def warn_of_own_documents(number: int) -> None:
    """Warns of queries that are documents, if there are any, and says how to keep these."""
    if number:
        message = (
            f"queries that are documents (same id and text): {number} left out of their own rankings; "
            "task.leave_out_own_documents=false keeps them"
        )
        warnings.warn(message, DataWarning, stacklevel=2)
