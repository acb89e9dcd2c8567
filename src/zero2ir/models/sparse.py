"""BM25 over an inverted index."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import NonNegativeFloat, field_validator
from safetensors.numpy import save_file

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
from zero2ir.models.capabilities import FeedbackSearch, Shardable, Tunable, Updatable
from zero2ir.models.postings import Postings, saved_parts
from zero2ir.models.ranking import NO_DOCUMENT, Candidates, Ranking, rank_in_blocks, row_blocks
from zero2ir.models.sharded_postings import ShardedPostings, write_postings

VOCABULARY_FILE = "vocabulary.json"
COUNTS_FILE = "counts.safetensors"
SHARDS_FOLDER = "shards"  # instead of the counts, if they are in shards
BLOCK = 1 << 14  # documents whose tokens are in memory at once
MIN_K1 = 0.1  # lower values rank nearly alike
MAX_TERMS_PER_LETTER = 10  # transliteration and n-grams give more than one
MOST_KNOWN = 1 << 24  # weights that are kept for later queries


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


class Sparse(Tunable, Updatable, Shardable, FeedbackSearch):
    """BM25 as Lucene computes it, on Snowball stems (Porter2 for English) without stop words.

    Scores are those of bm25s to the last bit. It computes all weights at once; but an added document changes them all,
    with the mean length and the frequencies. Here a term is weighed when a query first has it.

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
        self.known_language = self._language_of(corpus)
        self.postings = self._counted(corpus)
        return self._weighted()

    def _language_of(self, corpus: Corpus) -> str:
        return corpus.language if self.language == AUTO_LANGUAGE else self.language

    def _counted(self, corpus: Corpus) -> Postings:
        contents = corpus.contents
        return Postings.of_blocks(self.tokens(contents[block]) for block in row_blocks(len(contents), BLOCK))

    def write_shard(self, corpus: Corpus, folder: Path, n_documents: int) -> None:
        shard = copy_with(self, known_language=self._language_of(corpus))
        write_postings(folder, shard._counted(corpus))

    def of_shards(self, corpus: Corpus, shards: Sequence[Path], folder: Path) -> Self:
        """Joins the counts of all shards; document frequencies and lengths are those of all documents."""
        language, postings = self._language_of(corpus), ShardedPostings.joined(shards)
        return copy_with(self, corpus=corpus, known_language=language, postings=postings)._weighted()

    def with_corpus(self, corpus: Corpus, kept_numbers: np.ndarray) -> Self:
        """Counts the terms of the new documents only; document frequencies and lengths are those of all documents."""
        added = self.tokens(corpus.contents_from(len(kept_numbers)))
        return copy_with(self, corpus=corpus, postings=self.postings.changed(kept_numbers, added))._weighted()

    @property
    def n_documents(self) -> int:
        return self.postings.n_documents

    def _weighted(self) -> Self:
        self.weights = TermWeights(self.postings, self.k1, self.b)
        return self

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        return self._ranked(self._numbers_of(queries), self.weights, k, candidates)

    def sweep(
        self, queries: Sequence[str], k: int, candidates: Candidates | None = None
    ) -> Iterator[tuple[dict[str, Any], Ranking]]:
        """Yields each setting's ranking; the queries are split once."""
        terms = self._numbers_of(queries)
        for settings in [self.settings(), *self.alternative_settings()]:
            weights = TermWeights(self.postings, settings["k1"], settings["b"])
            yield settings, self._ranked(terms, weights, k, candidates)

    def _numbers_of(self, queries: Sequence[str]) -> list[list[int]]:
        return [self.postings.numbers_of(tokens) for tokens in self.tokens(queries)]

    def _ranked(
        self, queries: Sequence[Sequence[int]], weights: "TermWeights", k: int, candidates: Candidates | None
    ) -> Ranking:
        def score(block: slice) -> np.ndarray:
            scores = np.zeros((len(queries[block]), self.n_documents), dtype=np.float32)
            for row, terms in zip(scores, queries[block], strict=True):
                for term in terms:
                    numbers, values = weights.of(term)
                    row[numbers] += values
            return scores

        return rank_in_blocks(len(queries), self.n_documents, score, k, candidates, only_positive=True)

    def search_with_feedback(
        self, queries: Sequence[str], documents: np.ndarray, weight: float, k: int, candidates: Candidates | None = None
    ) -> Ranking:
        """RM3: interpolates the query's term distribution with that of the documents' most frequent terms.

        Source: Abdul-Jaleel et al., TREC 2004, "UMass at TREC 2004: Novelty and HARD", with equal document weights.
        """
        asked = self._numbers_of(queries)

        def score(block: slice) -> np.ndarray:
            scores = np.zeros((len(asked[block]), self.n_documents))
            for row, terms, near in zip(scores, asked[block], documents[block], strict=True):
                for term, share in self._moved(terms, near, weight):
                    numbers, values = self.weights.of(term)
                    row[numbers] += share * values
            return scores.astype(np.float32)

        return rank_in_blocks(len(asked), self.n_documents, score, k, candidates, only_positive=True)

    def _moved(self, own: Sequence[int], documents: np.ndarray, weight: float) -> list[tuple[int, float]]:
        """Returns the terms of a moved query, in alphabetical order; their weights sum to the number of its tokens."""
        near: Counter[int] = Counter()
        for number in documents[documents != NO_DOCUMENT]:
            terms, counts = self.postings.terms_of(number)
            near.update(dict(zip(terms.tolist(), (counts / max(1, counts.sum())).tolist(), strict=True)))
        names = self.postings.terms
        best = dict(sorted(near.items(), key=lambda pair: (-pair[1], names[pair[0]]))[: self.feedback_terms])
        total, asked = sum(best.values()), Counter(own)
        weight = weight if total else 0.0
        shares = {
            term: (1 - weight) * asked[term] / max(1, len(own)) + weight * best.get(term, 0.0) / max(total, 1e-12)
            for term in {*asked, *best}
        }
        return [(term, shares[term] * max(1, len(own))) for term in sorted(shares, key=names.__getitem__)]

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        return [
            np.array([self._score(query, text) for text in self.tokens(texts)], dtype=np.float32)
            for query, texts in zip(self.tokens(queries), candidates, strict=True)
        ]

    def _score(self, query: Sequence[str], text: Sequence[str]) -> float:
        """Returns BM25 of one text by the collection's document frequencies and mean length."""
        length = self.k1 * (1 - self.b + self.b * len(text) / max(self.postings.mean_length, 1e-9))
        names, total = self.postings.terms, 0.0
        for number in self.postings.numbers_of(query):
            if frequency := text.count(names[number]):
                total += self.postings.rarity(number) * frequency / (frequency + length)
        return total

    def coordinates(self, settings: Mapping[str, Any]) -> dict[str, float]:
        return {"ln k1": math.log(max(settings["k1"], MIN_K1)), "b": settings["b"]}

    def with_settings(self, settings: Mapping[str, Any]) -> Self:
        return super().with_settings(settings)._weighted()

    def save(self, folder: Path) -> None:
        super().save(folder)
        postings = self.postings.merged()
        words_by = segmentation(self.known_language)
        state = {"language": self.known_language, "words_by": words_by, "terms": postings.terms}
        write_json(folder / VOCABULARY_FILE, state)
        if isinstance(postings, ShardedPostings):
            postings.save(folder / SHARDS_FOLDER)
            return
        save_file(saved_parts(postings.first.by_row), folder / COUNTS_FILE)

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
        vocabulary = {token: number for number, token in enumerate(state.terms)}
        if (shards := folder / SHARDS_FOLDER).is_dir():
            retriever.postings = ShardedPostings.load(shards, vocabulary, len(corpus.documents))
            return retriever._weighted()
        shape = (len(corpus.documents), len(vocabulary))
        path = folder / COUNTS_FILE
        counts = csr_of(str(path), read_tensors(path, csr_layouts(INTEGERS, shape[0])), shape)
        check_range(f"{path}: data", counts.data, MAX_TERMS_PER_LETTER * max(map(len, corpus.contents)) + 1)
        retriever.postings = Postings.of_counts(vocabulary, counts)
        return retriever._weighted()


class TermWeights:
    """BM25 weights of terms in documents, computed when a term is first asked for, and kept up to a number of weights.

    Args:
        postings: of the documents.
        k1: as for ``Sparse``.
        b: likewise.
    """

    def __init__(self, postings: Postings, k1: float, b: float) -> None:
        self._postings = postings
        self._saturation = k1 * (1 - b + b * (postings.lengths / max(postings.mean_length, 1e-9)))
        self._known: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._n_known = 0

    def of(self, term: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the numbers of the documents that have a term, and its float32 weights there."""
        if (known := self._known.get(term)) is not None:
            return known
        numbers, counts = self._postings.documents_of(term)
        rarity = np.float32(self._postings.rarity(term))  # as bm25s does, so that equal scores stay equal
        weights = (rarity * (counts / (self._saturation[numbers] + counts))).astype(np.float32)
        if self._n_known + len(weights) > MOST_KNOWN:
            self._known, self._n_known = {}, 0
        self._known[term] = numbers, weights
        self._n_known += len(weights)
        return numbers, weights
