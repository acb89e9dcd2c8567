"""Learned sparse retrieval: weighted vocabulary terms, searched over an inverted index."""

from collections.abc import Mapping, Sequence
from copy import copy, deepcopy
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from safetensors.numpy import save_file
from scipy.sparse import csc_matrix, csr_matrix, vstack

from zero2ir.encoders.cached import append_documents
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example, text_columns, weighted_examples
from zero2ir.encoders.loading import load_encoder
from zero2ir.encoders.sparse import SparseEncoder
from zero2ir.encoders.sparse_training import SparseFitSettings, fit_sparse
from zero2ir.io.arrays import read_tensors
from zero2ir.io.settings import NonNegativeInt
from zero2ir.models.base import copy_with
from zero2ir.models.encoder_based import EncoderBased
from zero2ir.models.initialization import Initialization
from zero2ir.models.ranking import NO_DOCUMENT, Candidates, Ranking, distinct_texts, rank_in_blocks
from zero2ir.models.term_factors import TermFactorSettings, fit_factors

Queries = Literal["inference-free", "network"]
FACTORS_FILE = "factors.safetensors"


class LearnedSparse(EncoderBased):
    """Ranks documents by the inner product of their term weights and the query's.

    Args:
        encoder: the role of the encoder.
        queries: "inference-free" weights a query's terms by a table and runs no network; "network" encodes a query as
            a document, and multiplies the weights by the same table.
        learning: "terms" learns a factor for each query term, in seconds and without encoding documents again;
            "encoder" fine-tunes the network and encodes every document again.
        terms: settings of the factors' fit.
        fit: settings of the encoder's training.
        feedback_terms: number of document terms that feedback adds to a query.
    """

    kind = "learned_sparse"
    order = 20
    network: SparseEncoder
    factors: np.ndarray | None = None

    def __init__(
        self,
        encoder: str = "learned_sparse",
        queries: Queries = "inference-free",
        learning: Literal["terms", "encoder"] = "terms",
        terms: TermFactorSettings | Mapping[str, Any] | None = None,
        fit: SparseFitSettings | Mapping[str, Any] | None = None,
        feedback_terms: NonNegativeInt = 50,
    ) -> None:
        self.encoder = encoder
        self.queries = queries
        self.learning = learning
        self.terms = TermFactorSettings.model_validate(terms or {})
        self.fit = SparseFitSettings.model_validate(fit or {})
        self.feedback_terms = feedback_terms

    def index(self, corpus: Corpus) -> Self:
        rows = corpus.encoded(self.encoder)
        return self._over(corpus, corpus.encoder(self.encoder).with_documents(rows), rows)

    def with_corpus(self, corpus: Corpus, kept_numbers: np.ndarray) -> Self:
        """Encodes the new documents; known terms keep their importance, new terms get theirs from the new documents."""
        rows = append_documents(self.rows, kept_numbers, self.network, corpus.contents_from(len(kept_numbers)))
        return copy(self)._over(corpus, self.network.with_documents(rows), rows)

    def _over(self, corpus: Corpus, network: SparseEncoder, rows: csr_matrix) -> Self:
        self.corpus = corpus
        self.network = network
        self.rows = rows
        self.postings: csc_matrix = rows.tocsc()
        return self

    def encode_queries(self, queries: Sequence[str]) -> csr_matrix:
        """Returns (n_queries, n_terms) float32 weights, times the factors if they were learned."""
        if self.queries == "network":
            weighed = self._as_queries(self.network.encode(queries))
        else:
            weighed = self.network.encode_queries(queries)
        if self.factors is not None:
            weighed.data *= self.factors[weighed.indices]
        return weighed

    def _as_queries(self, rows: csr_matrix) -> csr_matrix:
        """Returns documents' rows with each weight times the term's importance."""
        weighed = rows.copy()
        weighed.data *= self.network.lexicon.importance[weighed.indices]
        return weighed

    def top_terms(self, text: str, n: int = 20) -> list[tuple[str, float]]:
        """Returns a text's ``n`` heaviest terms as (term, weight times importance); "##" marks continued words."""
        row = self._as_queries(self.network.encode([text]))
        order = np.lexsort((row.indices, -row.data))[:n]
        names = self.network.terms(row.indices[order])
        return [(name, float(row.data[place])) for name, place in zip(names, order, strict=True)]

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        return self._ranked(self.encode_queries(queries), k, candidates)

    def search_with_feedback(
        self, queries: Sequence[str], documents: np.ndarray, weight: float, k: int, candidates: Candidates | None = None
    ) -> Ranking:
        """Mixes the query's and the documents' mean weights on one scale (Rocchio 1971)."""
        moved = [self._moved(*pair, weight) for pair in zip(self.encode_queries(queries), documents, strict=True)]
        return self._ranked(csr_matrix(vstack(moved)), k, candidates) if moved else self.search(queries, k, candidates)

    def _moved(self, query: csr_matrix, documents: np.ndarray, weight: float) -> csr_matrix:
        """Returns (1, n_terms), a query's weights moved toward its documents' heaviest terms, of the query's norm."""
        kept = documents[documents != NO_DOCUMENT]
        if not len(kept):
            return query
        near = csr_matrix(self._as_queries(self.rows[kept]).mean(axis=0), dtype=np.float32)
        near.data[np.argsort(-near.data, kind="stable")[self.feedback_terms :]] = 0.0
        length = float(np.linalg.norm(query.data)) or 1.0
        return (1 - weight) * query + (weight * length / max(float(np.linalg.norm(near.data)), 1e-12)) * near

    def _ranked(self, queries: csr_matrix, k: int, candidates: Candidates | None) -> Ranking:
        sizes = queries.shape[0], self.postings.shape[0]
        return rank_in_blocks(*sizes, lambda block: self._scores(queries[block]), k, candidates, only_positive=True)

    def _scores(self, queries: csr_matrix) -> np.ndarray:
        """Returns (n_queries, n_documents) float32 from the postings of each query's terms."""
        scores = np.zeros((queries.shape[0], self.postings.shape[0]), dtype=np.float32)
        for row in range(queries.shape[0]):
            query = queries[[row]]
            scores[row] = self.postings[:, query.indices] @ query.data
        return scores

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        texts, places = distinct_texts(candidates)
        rows, weighed = self.network.encode(texts), self.encode_queries(queries)
        return [
            np.asarray((rows[numbers] @ weighed[[row]].T).todense(), np.float32).ravel()
            for row, numbers in enumerate(places)
        ]

    def parameters(self) -> dict[str, np.ndarray]:
        """Returns the factors; none for a network, whose new parameters require encoding all documents."""
        if self.learning == "encoder":
            return {}
        return {"factors": np.ones(self.rows.shape[1], np.float32) if self.factors is None else self.factors}

    def head_mask(self) -> dict[str, np.ndarray]:
        """Selects all factors: ten queries have few terms."""
        return {name: np.ones_like(value) for name, value in self.parameters().items()}

    def with_initialization(self, initialization: Initialization) -> Self:
        return copy_with(self, factors=initialization.parameters.get("factors"), initialization=initialization)

    def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
        """Learns by a contrastive loss against the other examples' positives and each example's negatives."""
        if not (useful := weighted_examples(examples)):
            return None
        return self._learn_factors(useful) if self.learning == "terms" else self._learn_encoder(useful, seed)

    def _learn_factors(self, examples: Sequence[Example]) -> Self:
        plain = copy_with(self, factors=None, initialization=Initialization())
        queries = plain.encode_queries([example.query for example in examples])
        plain.factors = fit_factors(queries, self.rows, examples, self.terms, self.initialization)
        return plain

    def _learn_encoder(self, examples: Sequence[Example], seed: int) -> Self:
        rows = text_columns(examples, self.corpus.contents, self.fit.epochs, np.random.default_rng(seed))
        network = deepcopy(self.network.model)
        trained = self.network.with_model(fit_sparse(network, self.network.lexicon.importance, rows, self.fit, seed))
        learned = copy_with(self, factors=None, initialization=Initialization())
        return learned._over(self.corpus, trained, trained.encode(self.corpus.contents))

    def save(self, folder: Path) -> None:
        super().save(folder)
        self.network.save(folder / "encoder")
        self.network.write(folder / self.network.encoded, self.rows)
        if self.factors is not None:
            save_file({"factors": self.factors}, folder / FACTORS_FILE)

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        network = load_encoder(folder / "encoder", SparseEncoder)
        retriever = super().load(folder, corpus)
        retriever._over(corpus, network, network.read(folder / network.encoded, len(corpus.documents)))
        if (folder / FACTORS_FILE).is_file():
            layouts = {"factors": ("float32", (retriever.rows.shape[1],))}
            retriever.factors = read_tensors(folder / FACTORS_FILE, layouts)["factors"]
        return retriever
