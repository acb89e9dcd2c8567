"""Runs: what a program ranks for many queries, what it answers, and what BM25 reaches with their translations."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from zero2ir.data.languages import AUTO_LANGUAGE
from zero2ir.data.records import Document, Query
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.evaluation.measures import Run, ranked_lists
from zero2ir.models.ranking import NO_DOCUMENT, Ranking
from zero2ir.models.sparse import Sparse

if TYPE_CHECKING:
    from zero2ir.program.program import Program


def rank_queries(
    program: "Program",
    queries: Sequence[Query],
    depth: int,
    candidates: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Run, dict[str, float]]:
    """Ranks many queries: the run, and each query's confidence (empty where the program states none).

    Args:
        program: who ranks.
        queries: any number.
        depth: of the ranked_lists.
        candidates: the ids of the documents that each query ranks, by query id; the whole collection where None.
    """
    ids = [query.query_id for query in queries]
    ranked = None if candidates is None else [program.numbers_of(candidates[query_id]) for query_id in ids]
    ranking, probabilities = program.search([query.text for query in queries], depth, ranked)
    stated = {} if probabilities is None else dict(zip(ids, map(float, probabilities[:, 0]), strict=True))
    return as_run(ranking, ids, program.documents), stated


def answer_queries(program: "Program", queries: Sequence[Query], run: Run) -> dict[str, str]:
    """Query id → the answer that the program reads in its first document; "" where it found none."""
    first = {ranking.query_id: ranking.doc_ids[0] for ranking in ranked_lists(run, depth=1) if ranking.doc_ids}
    content = {document.doc_id: document.content for document in program.documents}
    passages = [content.get(first.get(query.query_id, ""), "") for query in queries]
    given = program.answers([query.text for query in queries], passages)
    return dict(zip((query.query_id for query in queries), given, strict=True))


def translated_query_run(
    documents: Sequence[Document],
    queries: Sequence[Query],
    depth: int,
    candidates: Mapping[str, Sequence[str]] | None = None,
) -> Run:
    """What BM25 finds with the queries' translations, which is as if they had been asked in the documents' language.

    Args:
        documents: the collection.
        queries: with translations.
        depth: of the ranked_lists.
        candidates: the ids of the documents that each query ranks, by query id; the whole collection where None.

    Raises:
        InputError: a query has no translation.
    """
    if missing := [query.query_id for query in queries if not query.translation]:
        raise InputError(
            f"the task states shares of what is found with translated queries, and {len(missing)} have no translation, "
            f"e.g. {missing[0]}; set dataset.parallel=true where there are some, or task=ranking"
        )
    corpus, ids = Corpus(documents), [query.query_id for query in queries]
    ranked = None if candidates is None else [corpus.numbers_of(candidates[query_id]) for query_id in ids]
    found = Sparse(language=AUTO_LANGUAGE).index(corpus).search([query.translation for query in queries], depth, ranked)
    return as_run(found, ids, documents)


def as_run(ranking: Ranking, query_ids: Sequence[str], documents: Sequence[Document]) -> Run:
    """A ranking with document ids in place of numbers."""
    ids = np.array([document.doc_id for document in documents] + [""], dtype=object)  # -1 takes the last one
    scores = np.where(ranking.numbers == NO_DOCUMENT, 0.0, ranking.scores)
    return Run(query_ids, ids[ranking.numbers], scores)
