"""A model type of your own: query likelihood, smoothed by a Dirichlet prior."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import PositiveFloat
from scipy.sparse import csr_matrix
from sklearn.feature_extraction import DictVectorizer

from zero2ir.data.words import tokenize
from zero2ir.encoders.corpus import Corpus
from zero2ir.models.capabilities import Tunable  # a Retriever with settings that judged queries can choose
from zero2ir.models.ranking import Candidates, Ranking, top_k


class QueryLikelihood(Tunable):
    """Ranks documents by the probability that their language models generate the query.

    Args:
        mu: weight of the collection's language model, in tokens (Zhai and Lafferty 2004, doi:10.1145/984321.984322).
        alternatives: other values of ``mu`` to try on judged queries.
    """

    kind = "query_likelihood"  # saved programs name it; a subclass with a kind needs no other registration
    tunable = ("mu",)

    def __init__(self, mu: PositiveFloat = 1000.0, alternatives: Sequence[PositiveFloat] = ()) -> None:
        self.mu, self.alternatives = mu, list(alternatives)

    def index(self, corpus: Corpus) -> Self:
        self.corpus, self.words = corpus, DictVectorizer()
        self.counts = self.words.fit_transform(self.tokens(corpus.contents))  # (n_documents, n_terms)
        self.background = self.counts.sum(axis=0).A1 / max(1, self.counts.sum())  # (n_terms,)
        return self

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        scores = np.zeros((len(queries), len(self.corpus.documents)), dtype=np.float32)
        matching = np.zeros_like(scores, dtype=bool)
        for row, query in enumerate(queries):
            scores[row], matching[row] = self.likelihood(query, self.counts)
        return top_k(scores, k, matching, candidates)

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        counts = [self.words.transform([*self.tokens(texts), {}])[:-1] for texts in candidates]  # it refuses []
        return [self.likelihood(query, own)[0] for query, own in zip(queries, counts, strict=True)]

    def likelihood(self, query: str, counts: csr_matrix) -> tuple[np.ndarray, np.ndarray]:
        """Returns (n,) scores of n texts by their (n, n_terms) counts, and which of them have a term of the query."""
        asked = self.words.transform(self.tokens([query]))
        ratios = counts[:, asked.indices].toarray() / (self.mu * self.background[asked.indices])
        prior = asked.data.sum() * np.log(self.mu / (self.mu + counts.sum(axis=1).A1))
        return (np.log1p(ratios) @ asked.data + prior).astype(np.float32), ratios.any(axis=1)

    def tokens(self, texts: Sequence[str]) -> list[Counter[str]]:
        return [Counter(words) for words in tokenize(texts, self.corpus.language)]

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        return super().load(folder, corpus).index(corpus)  # indexing is as fast as reading
