"""Runs and answers of a program, and the run of BM25 with translated queries."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from zero2ir.data.languages import AUTO_LANGUAGE
from zero2ir.data.records import Document, Query
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.evaluation.measures import Run, ranked_lists
from zero2ir.models.capabilities import search_without
from zero2ir.models.ranking import NO_DOCUMENT, Ranking
from zero2ir.models.sparse import Sparse

if TYPE_CHECKING:
    from zero2ir.program.program import Program


def rank_queries(
    program: "Program",
    queries: Sequence[Query],
    depth: int,
    candidates: Mapping[str, Sequence[str]] | None = None,
    own_documents: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Run, dict[str, float]]:
    """Returns the run of a program, ``depth`` documents deep, and the confidence by query id, if the program has one.

    ``candidates`` are the document ids to rank, by query id; None for the whole collection. ``own_documents`` are left
    out of the rankings of their queries, by query id.
    """
    ids = [query.query_id for query in queries]
    ranked = None if candidates is None else [program.numbers_of(candidates[query_id]) for query_id in ids]
    ranking, probabilities = program.search(
        [query.text for query in queries], depth, ranked, [own_documents.get(query_id) for query_id in ids]
    )
    confidence = {} if probabilities is None else dict(zip(ids, map(float, probabilities[:, 0]), strict=True))
    return as_run(ranking, ids, program.documents), confidence


def answer_queries(program: "Program", queries: Sequence[Query], run: Run) -> dict[str, str]:
    """Returns the answer in the first document of the run by query id; "" if there is none."""
    first = {ranking.query_id: ranking.doc_ids[0] for ranking in ranked_lists(run, depth=1) if ranking.doc_ids}
    content = {document.doc_id: document.content for document in program.documents}
    passages = [content.get(first.get(query.query_id, ""), "") for query in queries]
    answers = program.answers([query.text for query in queries], passages)
    return dict(zip((query.query_id for query in queries), answers, strict=True))


def translated_query_run(
    documents: Sequence[Document],
    queries: Sequence[Query],
    depth: int,
    candidates: Mapping[str, Sequence[str]] | None = None,
    own_documents: Mapping[str, str] = MappingProxyType({}),
    language: str = AUTO_LANGUAGE,
) -> Run:
    """Returns the run of BM25 with the queries' human translations into the documents' language; as ``rank_queries``.

    Raises:
        InputError: a query has no translation.
    """
    if missing := [query.query_id for query in queries if not query.translation]:
        raise InputError(
            f"task.ceiling: {len(missing)} queries have no translation, e.g. {missing[0]}; "
            "set dataset.parallel=true if the dataset has translations, or task=ranking"
        )
    corpus, ids = Corpus(documents, language=language), [query.query_id for query in queries]
    ranked = None if candidates is None else [corpus.numbers_of(candidates[query_id]) for query_id in ids]
    bm25, translations = Sparse().index(corpus), [one.translation for one in queries]
    own = np.array([corpus.number_of.get(own_documents.get(query_id, ""), NO_DOCUMENT) for query_id in ids], np.int64)
    ranking = search_without(bm25, translations, depth, ranked, own)
    return as_run(ranking, ids, documents)


def as_run(ranking: Ranking, query_ids: Sequence[str], documents: Sequence[Document]) -> Run:
    """Converts a ranking to a run, with document ids instead of numbers."""
    ids = np.array([document.doc_id for document in documents] + [""], dtype=object)  # NO_DOCUMENT is -1
    scores = np.where(ranking.numbers == NO_DOCUMENT, 0.0, ranking.scores)
    return Run(query_ids, ids[ranking.numbers], scores)
