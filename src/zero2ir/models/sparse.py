"""BM25 over an inverted index."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import bm25s
import numpy as np
from pydantic import NonNegativeFloat, field_validator
from safetensors.numpy import save_file
from scipy.sparse import csc_matrix, csr_matrix, vstack

from zero2ir.data.languages import AUTO_LANGUAGE, language_of
from zero2ir.data.settings import LanguageCode
from zero2ir.data.words import segmentation, tokenize
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.io.arrays import INTEGERS, check_range, csr_layouts, csr_of, read_tensors
from zero2ir.io.files import write_json
from zero2ir.io.settings import Fraction, NonNegativeInt, Settings, read_state
from zero2ir.io.values import shown
from zero2ir.models.base import copy_with
from zero2ir.models.capabilities import FeedbackSearch, Tunable, Updatable
from zero2ir.models.ranking import NO_DOCUMENT, Candidates, Ranking, top_k

VOCABULARY_FILE = "vocabulary.json"
WEIGHTS_FILE = "weights.safetensors"
PARTS = ("data", "indices", "indptr")  # of sparse matrices
MIN_K1 = 0.1  # lower values rank nearly alike
MAX_TERMS_PER_LETTER = 10  # transliteration and n-grams give more than one


class VocabularyState(Settings):
    """The schema of ``vocabulary.json``; the terms are sorted, each one once."""

    language: str
    words_by: str | None = None
    terms: list[str]

    @field_validator("terms")
    @classmethod
    def _rising(cls, terms: list[str]) -> list[str]:
        if any(one >= other for one, other in pairwise(terms)):
            raise ValueError("the terms are not sorted, or one occurs twice")
        return terms


class Sparse(Tunable, Updatable, FeedbackSearch):
    """BM25 as Lucene computes it, by bm25s, on Snowball stems (Porter2 for English) without stop words.

    Args:
        k1: saturation of term frequency, at least 0.
        b: normalisation by document length, 0 to 1.
        alternatives: other (k1, b) to try on judgments.
        feedback_terms: number of document terms that feedback adds to a query.
        language: of the documents, an ISO 639-1 code; "auto" for the language of the collection.

    Source: Robertson and Zaragoza 2009, doi:10.1561/1500000019; Kamphuis et al., ECIR 2020, for the variants.
    """

    kind = "sparse"
    order = 10
    tunable = ("k1", "b")

    def __init__(
        self,
        k1: NonNegativeFloat = 0.9,
        b: Fraction = 0.4,
        alternatives: Sequence[tuple[NonNegativeFloat, Fraction]] = (),
        feedback_terms: NonNegativeInt = 20,
        language: LanguageCode = AUTO_LANGUAGE,
    ) -> None:
        self.k1 = k1
        self.b = b
        self.alternatives = list(alternatives)
        self.feedback_terms = feedback_terms
        self.language = language

    def tokens(self, texts: Sequence[str]) -> list[list[str]]:
        """Returns the terms of each text."""
        return tokenize(texts, self.known_language)

    def index(self, corpus: Corpus) -> Self:
        self.corpus = corpus
        self.known_language = corpus.language if self.language == AUTO_LANGUAGE else self.language
        tokens = self.tokens(corpus.contents)
        self.vocabulary = {token: number for number, token in enumerate(sorted({t for text in tokens for t in text}))}
        ids = [[self.vocabulary[token] for token in text] for text in tokens]
        self.counts = _counts(ids, len(self.vocabulary))
        return self._weighted()

    def with_corpus(self, corpus: Corpus, kept_numbers: np.ndarray) -> Self:
        """Counts the terms of the new documents only; document frequencies and lengths are those of all documents."""
        added = self.tokens(corpus.contents[len(kept_numbers) :])
        kept = self.counts[kept_numbers]
        left = np.flatnonzero(np.bincount(kept.indices, minlength=len(self.vocabulary)))
        names = list(self.vocabulary)  # in the order of their numbers
        vocabulary = sorted({names[number] for number in left.tolist()} | {token for text in added for token in text})
        place = {token: number for number, token in enumerate(vocabulary)}
        moved = np.zeros(len(names), dtype=np.int32)
        moved[left] = [place[names[number]] for number in left.tolist()]
        shape = (len(kept_numbers), len(vocabulary))
        old = csr_matrix((kept.data, moved[kept.indices], kept.indptr), shape=shape)
        new = _counts([[place[token] for token in text] for text in added], len(vocabulary))
        updated = copy_with(self, corpus=corpus, vocabulary=place)
        updated.counts = vstack([old, new], format="csr", dtype=np.int32)
        return updated._weighted()

    @property
    def n_documents(self) -> int:
        return self.counts.shape[0]

    @property
    def mean_length(self) -> float:
        """In tokens."""
        return float(self.counts.sum()) / max(1, self.n_documents)

    def _weighted(self) -> Self:
        """Computes the weight of each term in each document; without any term there are no weights."""
        self.weights: Any = None
        if not self.vocabulary:
            return self
        self.weights = bm25s.BM25(k1=self.k1, b=self.b, method="lucene")
        pointers, tokens = self.counts.indptr, np.repeat(self.counts.indices, self.counts.data)
        ends = np.concatenate([[0], np.cumsum(self.counts.data)])[pointers]
        ids = [tokens[start:end] for start, end in pairwise(ends)]
        self.weights.index((ids, self.vocabulary), show_progress=False, create_empty_token=False)
        return self

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        scores = np.zeros((len(queries), self.n_documents), dtype=np.float32)
        for row, tokens in enumerate(self.tokens(queries)):
            ids = [self.vocabulary[token] for token in tokens if token in self.vocabulary]
            if ids and self.weights is not None:
                scores[row] = self.weights.get_scores_from_ids(ids)
        return top_k(scores, k, matching=scores > 0, candidates=candidates)

    def sweep(
        self, queries: Sequence[str], k: int, candidates: Candidates | None = None
    ) -> Iterator[tuple[dict[str, Any], Ranking]]:
        """Yields each setting's ranking; only the weights of the queries' terms are computed again."""
        tokens = [[self.vocabulary[one] for one in row if one in self.vocabulary] for row in self.tokens(queries)]
        used = np.unique([number for row in tokens for number in row]).astype(np.int64)
        place = {number: column for column, number in enumerate(used.tolist())}
        counts = csc_matrix(self.counts[:, used], dtype=np.float64)
        frequencies = np.diff(counts.indptr)
        rarity = np.log(1 + (self.n_documents - frequencies + 0.5) / (frequencies + 0.5)).astype(np.float32)
        rarity = np.repeat(rarity, frequencies)  # in the precision of bm25s, so that equal scores stay equal
        lengths = np.asarray(self.counts.sum(axis=1)).ravel()[counts.indices] / max(self.mean_length, 1e-9)
        for settings in [self.settings(), *self.alternative_settings()]:
            k1, b = settings["k1"], settings["b"]
            saturation = k1 * (1 - b + b * lengths)
            weights = (rarity * (counts.data / (saturation + counts.data))).astype(np.float32)
            scores = np.zeros((len(queries), self.n_documents), dtype=np.float32)
            for row, numbers in zip(scores, tokens, strict=True):
                for column in map(place.__getitem__, numbers):
                    entries = slice(*counts.indptr[column : column + 2])
                    row[counts.indices[entries]] += weights[entries]
            yield settings, top_k(scores, k, matching=scores > 0, candidates=candidates)

    def search_with_feedback(
        self, queries: Sequence[str], documents: np.ndarray, weight: float, k: int, candidates: Candidates | None = None
    ) -> Ranking:
        """RM3: interpolates the query's term distribution with that of the documents' most frequent terms.

        Source: Abdul-Jaleel et al., TREC 2004, "UMass at TREC 2004: Novelty and HARD", with equal document weights.
        """
        if self.weights is None or not queries:
            return self.search(queries, k, candidates)
        terms = vstack([self._model(*pair, weight) for pair in zip(self.tokens(queries), documents, strict=True)])
        index = self.weights.scores
        matrix = csc_matrix(
            (index["data"], index["indices"], index["indptr"]), shape=(self.n_documents, len(self.vocabulary))
        )
        scores = np.asarray((terms @ matrix.T).todense(), dtype=np.float32)  # -> (n_queries, n_documents)
        return top_k(scores, k, matching=scores > 0, candidates=candidates)

    def _model(self, tokens: Sequence[str], documents: np.ndarray, weight: float) -> csr_matrix:
        """Returns (1, n_terms), the term weights of a moved query, which sum to the number of its tokens."""
        ids = [self.vocabulary[token] for token in tokens if token in self.vocabulary]
        own = np.bincount(ids, minlength=len(self.vocabulary)) / max(1, len(ids))
        near = np.zeros(len(self.vocabulary))
        for number in documents[documents != NO_DOCUMENT]:
            row = self.counts[[number]]
            near[row.indices] += row.data / max(1, row.data.sum())
        if len(self.vocabulary) > self.feedback_terms:
            near[np.argsort(-near, kind="stable")[self.feedback_terms :]] = 0.0
        near /= max(near.sum(), 1e-12)
        moved = (1 - weight) * own + weight * near if near.any() else own
        return csr_matrix((moved * max(1, len(ids)))[None])

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        return [
            np.array([self._score(query, text) for text in self.tokens(texts)], dtype=np.float32)
            for query, texts in zip(self.tokens(queries), candidates, strict=True)
        ]

    def _score(self, query: Sequence[str], text: Sequence[str]) -> float:
        """Returns BM25 of one text by the collection's document frequencies and mean length."""
        length = self.k1 * (1 - self.b + self.b * len(text) / max(self.mean_length, 1e-9))
        total = 0.0
        for token in query:
            if token in self.vocabulary and (frequency := text.count(token)):
                total += self._inverse_document_frequency(token) * frequency / (frequency + length)
        return total

    def _inverse_document_frequency(self, token: str) -> float:
        start, end = self.weights.scores["indptr"][self.vocabulary[token] :][:2]
        documents = int(end - start)
        return float(np.log(1 + (self.n_documents - documents + 0.5) / (documents + 0.5)))

    def coordinates(self, settings: Mapping[str, Any]) -> dict[str, float]:
        return {"ln k1": math.log(max(settings["k1"], MIN_K1)), "b": settings["b"]}

    def with_settings(self, settings: Mapping[str, Any]) -> Self:
        return super().with_settings(settings)._weighted()

    def save(self, folder: Path) -> None:
        super().save(folder)
        terms = sorted(self.vocabulary)
        state = {"language": self.known_language, "words_by": segmentation(self.known_language), "terms": terms}
        write_json(folder / VOCABULARY_FILE, state)
        if self.weights is not None:
            scores = {name: np.asarray(self.weights.scores[name]) for name in PARTS}
            counts = {f"counts.{name}": np.asarray(getattr(self.counts, name)) for name in PARTS}
            save_file(scores | counts, folder / WEIGHTS_FILE)

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        retriever = super().load(folder, corpus)
        state = read_state(folder / VOCABULARY_FILE, VocabularyState)
        language, words_by = state.language, segmentation(state.language)
        if words_by != (words_by if state.words_by is None else state.words_by):
            raise InputError(
                f"{folder}: its {language_of(language).name} words were split by {shown(state.words_by)}, here by "
                f"{words_by}; install the same packages, pip install 'zero2ir[languages]', or train again"
            )
        retriever.known_language = language
        retriever.vocabulary = {token: number for number, token in enumerate(state.terms)}
        n_documents, n_terms = len(corpus.documents), len(retriever.vocabulary)
        retriever.counts = csr_matrix((n_documents, n_terms), dtype=np.int32)
        retriever.weights = None
        if retriever.vocabulary:
            path = folder / WEIGHTS_FILE
            layouts = csr_layouts("float32", n_terms) | csr_layouts(INTEGERS, n_documents, "counts.")
            tensors = read_tensors(path, layouts)
            retriever.counts = csr_of(str(path), tensors, (n_documents, n_terms), "counts.")
            most = MAX_TERMS_PER_LETTER * max(map(len, corpus.contents))
            check_range(f"{path}: counts.data", retriever.counts.data, most + 1)
            csr_of(str(path), tensors, (n_terms, n_documents))  # the documents of each term
            retriever.weights = bm25s.BM25(k1=retriever.k1, b=retriever.b, method="lucene")
            retriever.weights.scores = {name: tensors[name] for name in PARTS} | {"num_docs": n_documents}
            retriever.weights.vocab_dict = retriever.vocabulary
            retriever.weights.nonoccurrence_array = None  # Lucene's variant scores absent terms 0
        return retriever


def _counts(ids: Sequence[Sequence[int]], n_terms: int) -> csr_matrix:
    """Returns (n_documents, n_terms) int32 term frequencies."""
    pointers = np.concatenate([[0], np.cumsum([len(one) for one in ids])]).astype(np.int64)
    flat = np.fromiter((number for one in ids for number in one), dtype=np.int32, count=int(pointers[-1]))
    counts = csr_matrix((np.ones(len(flat), dtype=np.int32), flat, pointers), shape=(len(ids), n_terms))
    counts.sum_duplicates()
    return counts
