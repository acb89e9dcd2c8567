"""Dense retrieval: one vector per text, search by inner product."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np

from zero2ir.encoders.cached import encode_in_turns
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.distillation import TaughtQuery, fit_listwise
from zero2ir.encoders.examples import Example, text_columns, weighted_examples
from zero2ir.encoders.loading import load_encoder
from zero2ir.encoders.training import FitSettings, fit
from zero2ir.io.settings import NonNegativeInt
from zero2ir.models.base import copy_with
from zero2ir.models.capabilities import Distillable, Shardable
from zero2ir.models.dense_adapter import DenseAdapterSettings, adapter_gradient_cosines, distil_adapter, fit_adapter
from zero2ir.models.encoder_based import Adapted
from zero2ir.models.initialization import Initialization
from zero2ir.models.query_adaptation import AdaptationSettings
from zero2ir.models.ranking import NO_DOCUMENT, Candidates, Ranking, distinct_texts, row_blocks
from zero2ir.models.vector_index import (
    Moments,
    Precision,
    build_vector_index,
    join_vector_shards,
    load_vector_index,
    write_vector_shard,
)

ENCODED_AT_ONCE = 1 << 13  # documents of a shard


class Dense(Distillable, Shardable, Adapted):
    """Ranks documents by the cosine of their embedding and the query's.

    Args:
        encoder: the role of the encoder, "pretrained", "static", "scratch" or "adapted".
        learning: "adapter" learns a linear map of query embeddings, in seconds and without encoding documents again;
            "encoder" fine-tunes the network and encodes every document again.
        adapter: settings of the adapter's training.
        fit: settings of the encoder's training.
        vectors: precision of the documents' embeddings, "float32", or "int8" in a quarter of the bytes.
        exact_limit: number of documents above which a graph is searched instead of all documents.
        adaptation: of query vectors to the collection without labels; None for none.
    """

    kind = "dense"
    order = 30
    network: DenseEncoder
    encoder_type: ClassVar[type[DenseEncoder]] = DenseEncoder

    def __init__(
        self,
        encoder: str = "pretrained",
        learning: Literal["adapter", "encoder"] = "adapter",
        adapter: DenseAdapterSettings | Mapping[str, Any] | None = None,
        fit: FitSettings | Mapping[str, Any] | None = None,
        vectors: Precision = "float32",
        exact_limit: NonNegativeInt = 200_000,
        adaptation: AdaptationSettings | Mapping[str, Any] | None = AdaptationSettings(),  # noqa: B008
    ) -> None:
        self.encoder = encoder
        self.learning = learning
        self.adapter = DenseAdapterSettings.model_validate(adapter or {})
        self.fit: Any = FitSettings.model_validate(fit or {})
        self.adaptation = None if adaptation is None else AdaptationSettings.model_validate(adaptation)
        self.vectors: Precision = vectors
        self.exact_limit = exact_limit

    def index(self, corpus: Corpus) -> Self:
        self.network = corpus.encoder(self.encoder)
        self.nearest = build_vector_index(corpus.encoded(self.encoder), self.vectors, self.exact_limit)
        self.corpus = corpus
        return self._adapted_to(corpus.queries)

    def write_shard(self, corpus: Corpus, folder: Path, n_documents: int) -> None:
        network, contents = corpus.encoder(self.encoder), corpus.contents
        blocks = (network.encode(contents[block]) for block in row_blocks(len(contents), ENCODED_AT_ONCE))
        shape = len(contents), network.dimension
        write_vector_shard(folder, blocks, shape, n_documents, self.exact_limit)

    def of_shards(self, corpus: Corpus, shards: Sequence[Path], folder: Path) -> Self:
        nearest = join_vector_shards(shards, folder, self.vectors, self.exact_limit)
        joined = copy_with(self, corpus=corpus, network=corpus.encoder(self.encoder), nearest=nearest)
        return joined._adapted_to(corpus.queries)

    def query_vectors(self, queries: Sequence[str]) -> np.ndarray:
        return self.checked(self.network.encode_queries(queries))

    def moments(self) -> Moments:
        return self.nearest.moments()

    def with_corpus(self, corpus: Corpus, kept_numbers: np.ndarray) -> Self:
        added = encode_in_turns(self.network, corpus.contents_from(len(kept_numbers)))
        vectors = np.concatenate([np.zeros((0, self.dimension), dtype=np.float32), *added])
        nearest = self.nearest.changed(kept_numbers, vectors, self.exact_limit)
        return copy_with(self, corpus=corpus, nearest=nearest)._adapted_again()

    def encode_queries(self, queries: Sequence[str]) -> np.ndarray:
        """Returns (n_queries, dimension) float32 unit vectors, adapted and moved by the map."""
        return self.mapped(self.adapted(self.query_vectors(queries)))

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        return self.nearest.search(self.encode_queries(queries), k, candidates)

    def search_with_feedback(
        self, queries: Sequence[str], documents: np.ndarray, weight: float, k: int, candidates: Candidates | None = None
    ) -> Ranking:
        """Mixes the query's and the documents' mean vector (Rocchio).

        Source: Rocchio 1971; for dense retrieval Li et al., ACM TOIS 2023, doi:10.1145/3570724, section 3.3.
        """
        encoded = self.query_vectors(queries)
        for row, numbers in enumerate(documents):
            if len(kept := numbers[numbers != NO_DOCUMENT]):
                moved = (1 - weight) * encoded[row] + weight * self.nearest.vectors[kept].mean(axis=0)
                encoded[row] = moved / max(float(np.linalg.norm(moved)), 1e-12)
        return self.nearest.search(self.mapped(self.adapted(encoded)), k, candidates)

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        encoded = self.encode_queries(queries)
        texts, places = distinct_texts(candidates)
        vectors = self.network.encode(texts)
        return [
            vectors[numbers] @ query if numbers else np.zeros(0, dtype=np.float32)
            for query, numbers in zip(encoded, places, strict=True)
        ]

    @property
    def dimension(self) -> int:
        return self.nearest.vectors.dimension

    def gradient_cosines(self, examples: Sequence[Example], judged: Sequence[Example]) -> np.ndarray:
        # Also for fine-tuning, which moves the same vectors.
        queries = self.adapted(self.query_vectors([example.query for example in (*examples, *judged)]))
        return adapter_gradient_cosines(queries, self.nearest.vectors, examples, judged, self.adapter.scale)

    def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
        """Learns by a contrastive loss against the other examples' positives and each example's negatives."""
        if not (useful := weighted_examples(examples)):
            return None
        return self._learn_adapter(useful) if self.learning == "adapter" else self._learn_encoder(useful, seed)

    def _learn_adapter(self, examples: Sequence[Example]) -> Self:
        queries = self.adapted(self.query_vectors([example.query for example in examples]))
        learned = fit_adapter(queries, self.nearest.vectors, examples, self.adapter, self.initialization)
        return copy_with(self, map=learned, initialization=Initialization())

    def _learn_encoder(self, examples: Sequence[Example], seed: int) -> Self:
        rng = np.random.default_rng(seed)
        columns = text_columns(examples, self.corpus.contents, self.fit.epochs, rng, self.network.prompts)
        network = fit(deepcopy(self.network.model), columns, self.fit, seed)
        return self._with_network(DenseEncoder(self.network.settings, network))

    def distil(self, taught: Sequence[TaughtQuery], contrast: float, seed: int) -> Self:
        if self.learning == "adapter":
            return self._distil_adapter(taught, contrast)
        start, contents = deepcopy(self.network.model), self.corpus.contents
        network = fit_listwise(start, taught, contents, self.fit, contrast, seed, self.network.prompts)
        return self._with_network(DenseEncoder(self.network.settings, network))

    def _distil_adapter(self, taught: Sequence[TaughtQuery], contrast: float) -> Self:
        queries = self.adapted(self.query_vectors([one.query for one in taught]))
        learned = distil_adapter(queries, self.nearest.vectors, taught, contrast, self.adapter, self.initialization)
        return copy_with(self, map=learned, initialization=Initialization())

    def _with_network(self, network: DenseEncoder) -> Self:
        """Returns a copy without a map, with every document encoded again."""
        vectors = build_vector_index(network.encode(self.corpus.contents), self.vectors, self.exact_limit)
        changed = copy_with(self, network=network, nearest=vectors, map=None, initialization=Initialization())
        return changed._adapted_to(self.corpus.queries)

    def save(self, folder: Path) -> None:
        super().save(folder)
        self.network.save(folder / "encoder")
        self.nearest.save(folder)

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        retriever = super().load(folder, corpus)
        retriever.network = load_encoder(folder / "encoder", cls.encoder_type)
        retriever.nearest = load_vector_index(
            folder, len(corpus.documents), retriever.vectors, retriever.exact_limit, corpus.is_stored
        )
        return retriever._with_saved_maps(folder)
