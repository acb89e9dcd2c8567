"""Late interaction: several vectors per text, scored by MaxSim."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any, Literal, Self

import numpy as np
from numkong import dots_pack, dots_packed

from zero2ir.encoders.base import save_encoded
from zero2ir.encoders.batching import MicroBatcher
from zero2ir.encoders.cached import append_documents
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.distillation import TaughtQuery, fit_listwise
from zero2ir.encoders.examples import Example, text_columns, weighted_examples
from zero2ir.encoders.loading import load_encoded
from zero2ir.encoders.tokens import INT8_STEPS, TokenEncoder, Tokens
from zero2ir.encoders.training import FitSettings, fit
from zero2ir.errors import InputError
from zero2ir.io.settings import NonNegativeInt, PositiveInt
from zero2ir.models.base import Retriever, parts, with_parts
from zero2ir.models.capabilities import Distillable, Exhaustive, distil, learn, search_with_feedback, with_corpus
from zero2ir.models.encoder_based import Adapted
from zero2ir.models.initialization import Initialization
from zero2ir.models.query_adaptation import AdaptationSettings
from zero2ir.models.ranking import (
    NO_DOCUMENT,
    Candidates,
    Ranking,
    concatenate_rankings,
    distinct_texts,
    rank_listed,
    reference_sample,
    row_blocks,
    top_k,
)
from zero2ir.models.token_adapter import TokenAdapterSettings, distil_token_adapter, fit_token_adapter
from zero2ir.models.token_graph import TokenGraph
from zero2ir.models.vector_index import Moments

IndexType = Literal["exact", "graph"]
MAX_BLOCK_PRODUCTS = 1 << 18  # inner products computed at once, 1 MB, which fits into the cache of a core
QUERIES_PER_PASS = 32  # queries that share a pass over the documents
MOMENT_ROWS = 1 << 13  # vectors whose moments are computed at once
FEEDBACK_CLUSTERS = 24  # clusters of the feedback documents' vectors ...
FEEDBACK_VECTORS = 10  # ... of which the rarest are used


class LateInteraction(Exhaustive, Distillable, Adapted):
    """Ranks documents by MaxSim: the mean, over the query's token vectors, of the best cosine with a document's.

    Exact search scores all documents. With a first stage its best documents are scored; with ``index_type="graph"``
    the documents of the token vectors nearest to the query's.

    Args:
        encoder: the role of the encoder, "late_interaction" for token vectors or "sentences" for one vector per
            sentence and one per query.
        learning: "adapter" learns a linear map of the query's token vectors, in seconds and without encoding documents
            again; "encoder" fine-tunes the network and encodes every document again.
        first_stage: a retriever whose best documents are scored; None for none.
        index_type: without a first stage, "exact" or "graph".
        depth: documents of the first stage, or with "graph" the nearest token vectors of each of the query's.
        exact_limit: maximum number of token vectors for exact search; 20 million of 192 dimensions take 4 GB and
            seconds per query.
        adapter: settings of the adapter's training.
        fit: settings of the encoder's training.
        adaptation: of the query's vectors to the collection without labels; None for none.

    Source: Khattab and Zaharia, SIGIR 2020, arXiv 2004.12832, section 3.
    """

    kind = "late_interaction"
    order = 40
    network: TokenEncoder

    def __init__(
        self,
        encoder: str = "late_interaction",
        learning: Literal["adapter", "encoder"] = "adapter",
        first_stage: Retriever | None = None,
        index_type: IndexType = "exact",
        depth: PositiveInt = 1000,
        exact_limit: NonNegativeInt = 20_000_000,
        adapter: TokenAdapterSettings | Mapping[str, Any] | None = None,
        fit: FitSettings | Mapping[str, Any] | None = None,
        adaptation: AdaptationSettings | Mapping[str, Any] | None = AdaptationSettings(),  # noqa: B008
    ) -> None:
        if first_stage is not None and index_type != "exact":
            raise InputError(f"index_type={index_type!r} and a first stage both select the candidates; leave one out")
        self.encoder = encoder
        self.learning = learning
        self.first_stage = first_stage
        self.index_type = index_type
        self.depth = depth
        self.exact_limit = exact_limit
        self.adapter = TokenAdapterSettings.model_validate(adapter or {})
        self.fit = FitSettings.model_validate(fit or {})
        self.adaptation = None if adaptation is None else AdaptationSettings.model_validate(adaptation)

    def index(self, corpus: Corpus) -> Self:
        for part in parts(self):
            part.index(corpus)
        self._over(corpus, corpus.encoder(self.encoder), corpus.encoded(self.encoder))
        return self._adapted_to(corpus.queries)

    @property
    def exhaustive(self) -> bool:
        return self.first_stage is None and self.index_type == "exact"

    def query_vectors(self, queries: Sequence[str]) -> np.ndarray:
        return self.network.encode_queries(queries).vectors

    def moments(self) -> Moments:
        blocks = row_blocks(len(self.documents.vectors), MOMENT_ROWS)
        return Moments.of(self.documents.floats(block.start, block.stop) for block in blocks)

    def with_corpus(self, corpus: Corpus, kept_numbers: np.ndarray) -> Self:
        documents = append_documents(
            self.documents, kept_numbers, self.network, corpus.contents_from(len(kept_numbers))
        )
        changed = with_parts(self, [with_corpus(part, corpus, kept_numbers) for part in parts(self)])
        graph = None if self.graph is None else self.graph.changed(self.documents.rows(kept_numbers), documents)
        return changed._over(corpus, self.network, documents, graph)._adapted_again()

    def _over(self, corpus: Corpus, network: TokenEncoder, documents: Tokens, graph: TokenGraph | None = None) -> Self:
        self.corpus, self.network, self.documents = corpus, network, documents
        vectors = len(documents.vectors)
        if self.exhaustive and vectors > self.exact_limit:
            raise InputError(
                f"late_interaction: {vectors} token vectors are more than exact_limit={self.exact_limit}; "
                "add a first stage, choose index_type=graph, or raise exact_limit"
            )
        self.graph = TokenGraph.from_documents(documents) if graph is None and self.index_type == "graph" else graph
        return self._sampled()

    def _sampled(self) -> Self:
        self.sample = self.documents.take(reference_sample(len(self.documents.lengths)))
        self._passes: dict[int, MicroBatcher[np.ndarray, Ranking]] = {}
        return self

    def encode_queries(self, queries: Sequence[str]) -> Tokens:
        """Returns token vectors, adapted and moved by the map; the norms of a query's add up to 1."""
        tokens = self.network.encode_queries(queries)
        vectors = self.mapped(self.adapted(self.checked(tokens.vectors)))
        return tokens._replace(vectors=vectors / np.repeat(tokens.lengths, tokens.lengths)[:, None])

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        if candidates is None and self.first_stage is not None:
            candidates = _found(self.first_stage.search(queries, self.depth))
        return self._nearest(self.encode_queries(queries), candidates, k)

    def search_with_feedback(
        self, queries: Sequence[str], documents: np.ndarray, weight: float, k: int, candidates: Candidates | None = None
    ) -> Ranking:
        """Adds the documents' cluster centroids that are rare in the collection to the query's vectors.

        Source: ColBERT-PRF, Wang et al., ICTIR 2021, arXiv 2106.11251, section 3; with Ward's deterministic clusters
        instead of k-means, and with 1 - mean MaxSim on a sample instead of a token's inverse document frequency.
        """
        if candidates is None and self.first_stage is not None:
            candidates = _found(search_with_feedback(self.first_stage, queries, documents, weight, self.depth))
        encoded = self.encode_queries(queries)
        moved = [self._moved(encoded.text(row), near, weight) for row, near in enumerate(documents)]
        return self._nearest(Tokens.concatenate(moved, encoded.vectors), candidates, k)

    def _moved(self, query: np.ndarray, documents: np.ndarray, weight: float) -> np.ndarray:
        """Returns (n_vectors, dimension), a query's vectors and those of documents, by weight."""
        kept = documents[documents != NO_DOCUMENT]
        if not len(kept):
            return query
        centres = ward_centroids(np.concatenate([self.documents.text(number) for number in kept]), FEEDBACK_CLUSTERS)
        rarity = 1 - maxsim(Tokens(centres, np.arange(len(centres) + 1)), self.sample).mean(axis=1)
        order = np.argsort(-rarity, kind="stable")[:FEEDBACK_VECTORS]
        share = rarity[order] / max(float(rarity[order].sum()), 1e-12)
        return np.concatenate([(1 - weight) * query, weight * share[:, None] * centres[order]]).astype(np.float32)

    def _nearest(self, encoded: Tokens, candidates: Candidates | None, k: int) -> Ranking:
        """Ranks all documents; or the candidates, with mean and deviation of the reference sample."""
        rows = range(len(encoded.lengths))
        if not rows:
            return top_k(np.zeros((0, len(self.documents.lengths)), dtype=np.float32), k)
        if self.graph is None and candidates is None:
            return self._pass(k)([encoded.text(row) for row in rows])
        ranked = [self._ranked(encoded.take([row]), self._candidates(encoded, candidates, row), k) for row in rows]
        sampled = maxsim(encoded, self.sample)
        return concatenate_rankings(ranked)._replace(mean=sampled.mean(axis=1), deviation=sampled.std(axis=1))

    def _pass(self, k: int) -> MicroBatcher[np.ndarray, Ranking]:
        """Returns what ranks all documents; queries of several threads share a pass over the documents."""
        if k not in self._passes:
            rank = partial(
                rank_by_maxsim, documents=self.documents, k=k
            )  # copies with these documents share the passes
            self._passes.setdefault(k, MicroBatcher(rank, Ranking.select_queries, RLock()))
        return self._passes[k]

    def _candidates(self, encoded: Tokens, candidates: Candidates | None, row: int) -> np.ndarray:
        if candidates is not None:
            return np.sort(candidates[row])
        assert self.graph is not None
        nearest = self.graph.nearest(encoded.text(row), self.depth)
        return np.unique(np.searchsorted(self.documents.starts, nearest, side="right") - 1)

    def _ranked(self, query: Tokens, candidates: np.ndarray, k: int) -> Ranking:
        scores = maxsim(query, self.documents.take(candidates))[0]
        return rank_listed(candidates, scores, k, len(self.documents.lengths))

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        encoded = self.encode_queries(queries)
        texts, places = distinct_texts(candidates)
        documents = self.network.encode(texts)
        return [maxsim(encoded.take([row]), documents.take(numbers))[0] for row, numbers in enumerate(places)]

    @property
    def dimension(self) -> int:
        return self.documents.vectors.shape[1]

    def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
        """Learns by a contrastive loss against the examples' positives and negatives; trains the first stage, too."""
        if not (useful := weighted_examples(examples)):
            return None
        learned = with_parts(self, [learn(part, useful, seed) or part for part in parts(self)])
        if self.learning == "encoder":
            return learned._learn_encoder(useful, seed)
        queries = self.network.encode_queries([example.query for example in useful])
        queries = queries._replace(vectors=self.adapted(queries.vectors))
        learned.map = fit_token_adapter(queries, self.documents, useful, self.adapter, seed, self.initialization)
        learned.initialization = Initialization()
        return learned

    def _learn_encoder(self, examples: Sequence[Example], seed: int) -> Self:
        rng = np.random.default_rng(seed)
        columns = text_columns(examples, self.corpus.contents, self.fit.epochs, rng, self.network.prompts)
        return self._with_network(fit(deepcopy(self.network.model), columns, self.fit, seed))

    def distil(self, taught: Sequence[TaughtQuery], contrast: float, seed: int) -> Self:
        """Learns the teacher's scores; the first stage learns them, too, if it can."""
        learned = with_parts(self, [distil(part, taught, contrast, seed) or part for part in parts(self)])
        if self.learning == "encoder":
            start, contents = deepcopy(self.network.model), self.corpus.contents
            network = fit_listwise(start, taught, contents, self.fit, contrast, seed, self.network.prompts)
            return learned._with_network(network)
        queries = self.network.encode_queries([one.query for one in taught])
        queries = queries._replace(vectors=self.adapted(queries.vectors))
        learned.map = distil_token_adapter(
            queries, self.documents, taught, contrast, self.adapter, seed, self.initialization
        )
        learned.initialization = Initialization()
        return learned

    def _with_network(self, network: Any) -> Self:
        """Encodes every document by a trained network, and returns itself."""
        trained = type(self.network)(self.network.settings, network)
        self._over(self.corpus, trained, trained.encode(self.corpus.contents))
        return self._adapted_to(self.corpus.queries)

    def save(self, folder: Path) -> None:
        super().save(folder)
        save_encoded(self.network, self.documents, folder / "encoder")
        if self.graph is not None:
            self.graph.save(folder)

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        retriever = super().load(folder, corpus)
        retriever.network, retriever.documents = load_encoded(folder / "encoder", len(corpus.documents), TokenEncoder)
        retriever.graph = TokenGraph.load(folder, retriever.documents) if retriever.index_type == "graph" else None
        return retriever._with_saved_maps(folder)._sampled()


def _found(ranking: Ranking) -> list[np.ndarray]:
    return [row[row != NO_DOCUMENT] for row in ranking.numbers]


def rank_by_maxsim(queries: Sequence[np.ndarray], documents: Tokens, k: int) -> Ranking:
    """Ranks all documents, of at least one vector each, for one or more queries of (n_vectors, dimension) float32."""
    parts = [queries[at : at + QUERIES_PER_PASS] for at in range(0, len(queries), QUERIES_PER_PASS)]
    return concatenate_rankings([top_k(maxsim(Tokens.concatenate(part, part[0]), documents), k) for part in parts])


def maxsim(queries: Tokens, documents: Tokens) -> np.ndarray:
    """Sums, over each query's vectors, the greatest inner product with a vector of the document.

    With int8 documents, each of the query's vectors is rounded to 127 steps of its largest component, so that the
    products are exact sums of integers.

    Returns (n_queries, n_documents) float32, 0 for a query without vectors; each document has at least one. Works
    block by block on the documents' ragged rows, without padding.
    """
    scores = np.zeros((len(queries.lengths), len(documents.lengths)), dtype=np.float32)
    if not len(queries.vectors):
        return scores
    products, scale = _inner_products(queries.vectors, documents.vectors)
    owner = np.repeat(np.arange(len(queries.lengths)), queries.lengths)
    members = (owner[:, None] == np.arange(len(queries.lengths))) * scale  # -> (n_vectors, n_queries)
    at, rows = 0, max(1, MAX_BLOCK_PRODUCTS // len(queries.vectors))
    while at < len(documents.lengths):
        end = int(np.searchsorted(documents.starts, documents.starts[at] + rows, side="right")) - 1
        end = max(end, at + 1)  # a document that exceeds a block is a block of its own
        start, stop = documents.starts[at], documents.starts[end]
        nearest = np.maximum.reduceat(products(start, stop), documents.starts[at:end] - start, axis=0)
        scores[:, at:end] = (nearest.astype(np.float32) @ members).T
        at = end
    return scores


def _inner_products(queries: np.ndarray, documents: np.ndarray) -> tuple[Callable[[int, int], np.ndarray], np.ndarray]:
    """Returns what multiplies vectors ``start`` to ``stop`` of the documents by all of the queries.

    The products, (stop - start, n_vectors), are in the unit of the second result, (n_vectors, 1) float32.
    """
    if documents.dtype != np.int8:
        return lambda start, stop: documents[start:stop] @ queries.T, np.ones((len(queries), 1), dtype=np.float32)
    step = np.maximum(np.abs(queries).max(axis=1, keepdims=True), 1e-12) / np.float32(INT8_STEPS)
    packed = dots_pack(np.rint(queries / step).astype(np.int8))
    return lambda start, stop: np.asarray(dots_packed(documents[start:stop], packed)), step / np.float32(INT8_STEPS)


def ward_centroids(vectors: np.ndarray, most: int) -> np.ndarray:
    """Returns the means of clusters by Ward's method on cosines, (at most ``most``, dimension) float32 unit vectors.

    ``vectors`` are (n, dimension) float32 unit vectors.
    """
    import torch
    from sentence_transformers.multi_vector_encoder.modules import HierarchicalTokenPooling

    factor = max(1.0, len(vectors) / (most + 0.5))  # it rounds the number of clusters down
    pooling = HierarchicalTokenPooling(factor, num_protected_tokens=0)
    return pooling.pool([torch.from_numpy(vectors)])[0].numpy()
