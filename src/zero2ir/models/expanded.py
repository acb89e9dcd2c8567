"""Document expansion around any retriever: documents are indexed with queries that a language model wrote for them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.io.files import finished_file
from zero2ir.io.lines import json_line, read_json_lines, text_of, texts_of
from zero2ir.io.settings import PositiveInt
from zero2ir.models.base import Retriever, with_parts
from zero2ir.models.capabilities import Noted, with_corpus
from zero2ir.models.ranking import Candidates, Ranking
from zero2ir.models.wrapper import Wrapper
from zero2ir.writing.drafts import QueryDraft, drafts_of, write_drafts
from zero2ir.writing.filters import FilterInputs, objections
from zero2ir.writing.passages import spread_passages
from zero2ir.writing.settings import MIN_DOCUMENT_WORDS, FilterSettings
from zero2ir.writing.styles import Prompt, style_prompt

EXPANSIONS_FILE = "expansions.jsonl"
FILTERS = FilterSettings(filters=("empty", "copied", "language"))  # each query stands alone, whatever other ones say

Expansion = tuple[str, ...]  # the queries of a document


class Expanded(Noted, Wrapper):
    """Indexes each document with a few queries that a language model wrote for it (doc2query).

    The queries add words that people may search with, and repeat words that matter: it is made for retrievers by words,
    such as BM25. Only the retriever inside sees them; a search needs no language model. Documents without a usable
    query stay as they are. ``score`` scores texts as they are, without queries, also those of the collection.

    Args:
        retriever: any.
        queries: number of queries per document. The language model is asked once for each.
        style: of the queries.
        document_words: maximum number of words shown of a document: the title and consecutive sentences. The queries
            of a longer document are written for passages at equal distances; those of a shorter one after the first are
            sampled.

    Source: Nogueira et al. 2019 (doc2query), arXiv 1904.08375; Nogueira and Lin 2019 (docTTTTTquery), with a prompted
    language model in place of a trained one.
    """

    kind = "expanded"
    order = 72

    def __init__(
        self,
        retriever: Retriever,
        queries: PositiveInt = 3,
        style: Literal["question", "keywords", "claim", "title", "description"] = "question",
        document_words: Annotated[int, Field(ge=MIN_DOCUMENT_WORDS)] = 80,
    ) -> None:
        self.retriever = retriever
        self.queries = queries
        self.style = style
        self.document_words = document_words

    def needs(self) -> set[str]:
        return super().needs() | {"lm"}

    def index(self, corpus: Corpus) -> Self:
        """Writes the queries and indexes the documents with them.

        Raises:
            InputError: there is no language model, or most of its answers are unusable.
        """
        self.corpus = corpus
        self.expansions = self._written(corpus.documents, corpus)
        self.retriever.index(expanded_corpus(corpus, self.expansions))
        return self

    def with_corpus(self, corpus: Corpus, kept_numbers: np.ndarray) -> Self:
        """Writes queries for new documents only; raises an InputError if there are any, but no language model."""
        kept = [self.expansions[number] for number in kept_numbers]
        expansions = kept + self._written(corpus.documents[len(kept) :], corpus)
        changed = with_parts(self, [with_corpus(self.retriever, expanded_corpus(corpus, expansions), kept_numbers)])
        changed.corpus, changed.expansions = corpus, expansions
        return changed

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        return self.retriever.search(queries, k, candidates)

    def notes(self) -> dict[str, str]:
        number = sum(map(bool, self.expansions))
        mean = sum(map(len, self.expansions)) / max(1, number)
        return {"expanded": f"{number:,} of {len(self.expansions):,} documents, by {mean:.1f} queries on average"}

    def _written(self, documents: Sequence[Document], corpus: Corpus) -> list[Expansion]:
        """Returns the queries of each document."""
        if not documents:
            return []
        language_model = corpus.require_language_model("expanding documents")
        prompt = style_prompt(self.style, corpus.language)
        # The drafts of a document follow each other, so that the server's prompt cache holds their common passage.
        empty = [
            draft
            for document in documents
            if document.content
            for draft in drafts_of(document, spread_passages(document, self.document_words, self.queries), self.style)
        ]
        drafts = write_drafts(empty, prompt, language_model)
        language_model.require_usable_answers()
        usable: dict[str, list[str]] = {document.doc_id: [] for document in documents}
        for draft, is_usable in zip(drafts, usable_queries(drafts, prompt), strict=True):
            if is_usable:
                usable[draft.document.doc_id].append(draft.query)
        return [tuple(usable[document.doc_id]) for document in documents]

    def save(self, folder: Path) -> None:
        super().save(folder)
        with finished_file(folder / EXPANSIONS_FILE) as file:
            for document, queries in zip(self.corpus.documents, self.expansions, strict=True):
                file.write(json_line({"doc_id": document.doc_id, "queries": queries}) + "\n")

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        expansions = read_expansions(folder / EXPANSIONS_FILE, corpus.documents)
        expanded = super().load(folder, expanded_corpus(corpus, expansions))
        expanded.corpus, expanded.expansions = corpus, expansions
        return expanded


def usable_queries(drafts: Sequence[QueryDraft], prompt: Prompt) -> list[bool]:
    """Returns for each draft whether it has a query, in the passage's script, that is not copied from the prompt."""
    unknown = np.full(len(drafts), np.nan)
    written = FilterInputs(
        queries=[draft.query for draft in drafts],
        passages=[draft.passage for draft in drafts],
        contents=[draft.document.content for draft in drafts],
        styles=[draft.style for draft in drafts],
        round_trip_ranks=unknown,
        log_likelihoods=unknown,
        grades=unknown,
        known_queries=[query for _, query in prompt.demonstrations],
        prompt_texts=[document for document, _ in prompt.demonstrations],
    )
    return [not reasons for reasons in objections(written, FILTERS)]


def expanded_corpus(corpus: Corpus, expansions: Sequence[Expansion]) -> Corpus:
    """Returns a corpus whose documents' texts end with their queries."""
    return corpus.with_documents(
        [
            document._replace(text="\n".join([document.text, *queries])) if queries else document
            for document, queries in zip(corpus.documents, expansions, strict=True)
        ]
    )


def read_expansions(path: Path, documents: Sequence[Document]) -> list[Expansion]:
    """Reads the queries of each document, one document on each line.

    Raises:
        InputError: a line is invalid, or the lines are not those of the documents.
    """
    rows = [(text_of(row, "doc_id", place), texts_of(row, "queries", place)) for place, row in read_json_lines(path)]
    if [doc_id for doc_id, _ in rows] != [document.doc_id for document in documents]:
        raise InputError(f"{path}: not the queries of the program's documents; create or get it again")
    return [queries for _, queries in rows]
