"""Synthetic queries: an LM writes, for a document, a query that it answers."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zero2ir.collections import Document, JudgedDocument
from zero2ir.corpus import Corpus
from zero2ir.models import Sparse
from zero2ir.synthetic.filters import rejections
from zero2ir.synthetic.negatives import hard_negatives
from zero2ir.synthetic.settings import LEAST_WORDS, SyntheticSettings

if TYPE_CHECKING:
    import dspy

    from zero2ir.lm.factory import LanguageModel


class SyntheticQuery(NamedTuple):
    """A query that an LM wrote for a document, with where it comes from.

    Attributes:
        query_id: unique in its file.
        query: the text; empty where the LM gave no usable answer.
        doc_id: the document it was written for.
        negatives: ids of BM25's high-ranked other documents.
        round_trip_rank: the document's BM25 rank for the query, 0 where it is not among the looked-at ones.
        rejected: why a filter dropped it; empty where it may be used.
        lm: the LM's name.
        prompt: digest of the instruction and the demonstrations.
        seed: of the draws.
    """

    query_id: str
    query: str
    doc_id: str
    negatives: list[str]
    round_trip_rank: int
    rejected: str
    lm: str
    prompt: str
    seed: int


def query_writer(demonstrations: Sequence[tuple[str, str]]) -> "dspy.Predict":
    """The DSPy program that writes a query for a document, with its few-shot demonstrations."""
    import dspy

    class WriteQuery(dspy.Signature):
        """Write the search query that this document answers."""

        document: str = dspy.InputField()
        query: str = dspy.OutputField()

    # A query is one short sentence; without the penalty a small model likes to go on and on in the same words.
    writer = dspy.Predict(WriteQuery, stop=["\n", ". "], frequency_penalty=0.5, max_tokens=32)
    writer.demos = [
        dspy.Example(document=document, query=query).with_inputs("document") for document, query in demonstrations
    ]
    return writer


def write_queries(
    corpus: Corpus,
    judgments: Sequence[JudgedDocument],
    language_model: "LanguageModel",
    settings: SyntheticSettings,
    seed: int,
) -> tuple[list[SyntheticQuery], dict[str, Any]]:
    """Writes queries for a sample of the documents, few-shot, and filters them.

    The demonstrations are the judgments' own (document, query) pairs, so that the queries sound like the collection's.

    Args:
        corpus: the documents.
        judgments: the few that training may see.
        language_model: who writes.
        settings: how many, how long, how filtered.
        seed: of the sample, of the demonstrations' choice and order, and of the negatives.

    Returns:
        Every query, the rejected ones, too; and the prompt and the counts, for whoever wants to check them.

    Raises:
        InputError: there is no language model.

    Source: few-shot generation with a round-trip filter as in Promptagator, arXiv 2209.11755, sections 3.1 and 3.3.
    """
    rng = np.random.default_rng(seed)
    demonstrations = draw_demonstrations(corpus, judgments, settings, rng)
    sample = draw_documents(corpus, {row.doc_id for row in judgments}, settings, rng)
    writer = query_writer(demonstrations)
    inputs = [{"document": excerpt(document, settings.document_words)} for document in sample]
    answers = language_model.map(writer, inputs, "writing queries")
    queries = [" ".join(str(getattr(answer, "query", "")).split()) for answer in answers]

    sparse = Sparse().index(corpus)
    ranks = round_trip_ranks(sparse, corpus, queries, sample, settings.round_trip)
    reasons = rejections(queries, ranks, known=[row.query for row in judgments])
    negatives = hard_negatives(
        sparse,
        queries,
        [{corpus.number_of[document.doc_id]} for document in sample],
        number=settings.negatives,
        ranks=settings.negatives_from,
        rng=rng,
    )
    prompt = {
        "instruction": writer.signature.instructions,
        "demonstrations": [{"document": document, "query": query} for document, query in demonstrations],
    }
    digest = hashlib.sha256(repr(prompt).encode()).hexdigest()[:12]
    rows = [
        SyntheticQuery(
            query_id=f"synthetic-{seed}-{number}",
            query=query,
            doc_id=document.doc_id,
            negatives=[corpus.documents[n].doc_id for n in found],
            round_trip_rank=rank,
            rejected=reason,
            lm=language_model.settings.name,
            prompt=digest,
            seed=seed,
        )
        for number, (query, document, found, rank, reason) in enumerate(
            zip(queries, sample, negatives, ranks, reasons, strict=True)
        )
    ]
    return rows, {"prompt": prompt, "digest": digest, "lm": language_model.settings.name, "counts": counts(rows)}


def draw_demonstrations(
    corpus: Corpus, judgments: Sequence[JudgedDocument], settings: SyntheticSettings, rng: np.random.Generator
) -> list[tuple[str, str]]:
    """One pair for each of the drawn queries: its most relevant judged document's excerpt, and the query."""
    best: dict[str, JudgedDocument] = {}
    for row in judgments:
        if row.relevance > 0 and (row.query_id not in best or row.relevance > best[row.query_id].relevance):
            best[row.query_id] = row
    rows = [best[query_id] for query_id in sorted(best)]
    chosen = rng.permutation(len(rows))[: settings.demonstrations]
    documents = [corpus.documents[corpus.number_of[rows[number].doc_id]] for number in chosen]
    return [
        (excerpt(document, settings.document_words), rows[number].query)
        for number, document in zip(chosen, documents, strict=True)
    ]


def draw_documents(
    corpus: Corpus, judged: set[str], settings: SyntheticSettings, rng: np.random.Generator
) -> list[Document]:
    """A random sample of documents that say something and are not judged already."""
    worth = [
        document
        for document in corpus.documents
        if document.doc_id not in judged and len(document.content.split()) >= LEAST_WORDS
    ]
    return [worth[number] for number in sorted(rng.permutation(len(worth))[: settings.documents])]


def excerpt(document: Document, words: int) -> str:
    """The document's first words, title included."""
    return " ".join(document.content.split()[:words])


def round_trip_ranks(
    sparse: Sparse, corpus: Corpus, queries: Sequence[str], documents: Sequence[Document], depth: int
) -> list[int]:
    """The rank at which each query finds its own document, counted from 1; 0 beyond ``depth``."""
    numbers = sparse.search(queries, depth).numbers
    own = np.array([corpus.number_of[document.doc_id] for document in documents], dtype=np.int64)
    found = numbers == own[:, None] if len(own) else np.zeros((0, depth), dtype=bool)
    return [int(row.argmax()) + 1 if row.any() else 0 for row in found]


def counts(rows: Sequence[SyntheticQuery]) -> Mapping[str, int]:
    """How many queries were written, accepted, and rejected by each filter."""
    result = {"written": len(rows), "accepted": sum(not row.rejected for row in rows)}
    for row in rows:
        if row.rejected:
            result[f"rejected: {row.rejected}"] = result.get(f"rejected: {row.rejected}", 0) + 1
    return result
