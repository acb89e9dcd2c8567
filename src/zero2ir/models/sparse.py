"""BM25 over an inverted index."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Self

import bm25s
import numpy as np

from zero2ir.corpus import Corpus
from zero2ir.models.base import Ranking, Retriever, best, read_state, write_state

STOP_WORDS = "en"
STEMMER = "english"  # Snowball's Porter2


class Sparse(Retriever):
    """BM25 as Lucene computes it, by bm25s, on Porter2 stems without English stop words.

    Args:
        k1: saturation of term frequency, at least 0.
        b: normalisation by document length, 0 to 1.
        alternatives: other (k1, b) worth trying when judgments are there.

    Source: Robertson and Zaragoza 2009, doi:10.1561/1500000019; Kamphuis et al., ECIR 2020, for the variants.
    """

    kind = "sparse"

    def __init__(self, k1: float = 0.9, b: float = 0.4, alternatives: Sequence[Sequence[float]] = ()) -> None:
        self.k1 = k1
        self.b = b
        self._alternatives = [tuple(pair) for pair in alternatives]

    def index(self, corpus: Corpus) -> Self:
        tokens = tokenize(corpus.contents)
        self.vocabulary = {token: number for number, token in enumerate(sorted({t for text in tokens for t in text}))}
        self.ids = [[self.vocabulary[token] for token in text] for text in tokens]
        self.n_documents = len(tokens)
        self.mean_length = sum(map(len, tokens)) / max(1, len(tokens))
        return self._weighted()

    def _weighted(self) -> Self:
        """Computes the weight of each term in each document; a collection without a single term stays empty."""
        self.weights: Any = None
        if not self.vocabulary:
            return self
        self.weights = bm25s.BM25(k1=self.k1, b=self.b, method="lucene")
        self.weights.index((self.ids, self.vocabulary), show_progress=False, create_empty_token=False)
        return self

    def search(self, queries: Sequence[str], k: int) -> Ranking:
        scores = np.zeros((len(queries), self.n_documents), dtype=np.float32)
        for row, tokens in enumerate(tokenize(queries)):
            known = [self.vocabulary[token] for token in tokens if token in self.vocabulary]
            if known and self.weights is not None:
                scores[row] = self.weights.get_scores_from_ids(known)
        return best(scores, k, found=scores > 0)

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        return [
            np.array([self._score(query, text) for text in tokenize(texts)], dtype=np.float32)
            for query, texts in zip(tokenize(queries), candidates, strict=True)
        ]

    def _score(self, query: Sequence[str], text: Sequence[str]) -> float:
        """BM25 of one text, with the collection's document frequencies and mean length."""
        length = self.k1 * (1 - self.b + self.b * len(text) / max(self.mean_length, 1e-9))
        total = 0.0
        for token in query:
            if token in self.vocabulary and (frequency := text.count(token)):
                total += self._inverse_document_frequency(token) * frequency / (frequency + length)
        return total

    def _inverse_document_frequency(self, token: str) -> float:
        pointers = self.weights.scores["indptr"]
        column = self.vocabulary[token]
        documents = int(pointers[column + 1] - pointers[column])
        return float(np.log(1 + (self.n_documents - documents + 0.5) / (documents + 0.5)))

    def settings(self) -> dict[str, Any]:
        return {"k1": self.k1, "b": self.b}

    def alternatives(self) -> list[dict[str, Any]]:
        return [{"k1": k1, "b": b} for k1, b in self._alternatives if (k1, b) != (self.k1, self.b)]

    def with_settings(self, settings: Mapping[str, Any]) -> Self:
        copy = type(self)(**settings, alternatives=self._alternatives)
        copy.vocabulary, copy.ids = self.vocabulary, self.ids
        copy.n_documents, copy.mean_length = self.n_documents, self.mean_length
        return copy._weighted()

    def save(self, folder: Path) -> None:
        write_state(
            folder,
            self,
            vocabulary=sorted(self.vocabulary),
            n_documents=self.n_documents,
            mean_length=self.mean_length,
        )
        if self.weights is not None:
            scores = {name: np.asarray(self.weights.scores[name]) for name in ("data", "indices", "indptr")}
            from safetensors.numpy import save_file

            save_file(scores, folder / "weights.safetensors")

    @classmethod
    def load(cls, folder: Path) -> Self:
        from safetensors.numpy import load_file

        state = read_state(folder)
        retriever = cls(**state["settings"])
        retriever.vocabulary = {token: number for number, token in enumerate(state["vocabulary"])}
        retriever.n_documents, retriever.mean_length = state["n_documents"], state["mean_length"]
        retriever.weights = None
        if retriever.vocabulary:
            retriever.weights = bm25s.BM25(k1=retriever.k1, b=retriever.b, method="lucene")
            scores = load_file(folder / "weights.safetensors")
            retriever.weights.scores = {**scores, "num_docs": retriever.n_documents}
            retriever.weights.vocab_dict = retriever.vocabulary
            retriever.weights.nonoccurrence_array = None  # Lucene's variant gives an absent term no score
        return retriever


def tokenize(texts: Sequence[str]) -> list[list[str]]:
    """Lower-cased words of two characters or more, stemmed, without stop words."""
    if not texts:
        return []
    return bm25s.tokenize(list(texts), stopwords=STOP_WORDS, stemmer=_stemmer(), return_ids=False, show_progress=False)


@cache
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer(STEMMER)
