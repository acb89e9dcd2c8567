"""Dense retrieval across languages: the space of the queries is mapped into that of the documents."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field

from zero2ir.data.languages import identify_language
from zero2ir.encoders.examples import Example, weighted_examples
from zero2ir.encoders.sentences import split_query_sentences
from zero2ir.encoders.training import FitSettings
from zero2ir.io.settings import Settings
from zero2ir.models.base import copy_with
from zero2ir.models.dense import Dense
from zero2ir.models.dense_adapter import DenseAdapterSettings, apply_adapter
from zero2ir.models.initialization import Initialization
from zero2ir.models.translated import TranslationFields, parallel_demonstrations, require_translator, translator
from zero2ir.models.vector_index import Precision


class AlignmentSettings(Settings):
    """How two spaces are aligned.

    Attributes:
        method: "procrustes", an orthogonal map, or "ridge", any linear map.
        penalty: what holds the map near "change nothing": a handful of pairs says nothing of most directions.
        sentences: of the documents that a language model translates into the queries' language, as further pairs; 0
            asks none.
        rounds: how often the map is fitted anew with the pairs of translated and original sentences that are each
            other's nearest ones by it.
        demonstrations: parallel pairs that the language model is shown.
        max_tokens: a translated sentence's length.
    """

    method: Literal["procrustes", "ridge"] = "procrustes"
    penalty: Annotated[float, Field(gt=0)] = 1.0
    sentences: Annotated[int, Field(ge=0)] = 0
    rounds: Annotated[int, Field(ge=0)] = 0
    demonstrations: Annotated[int, Field(ge=0)] = 10
    max_tokens: Annotated[int, Field(ge=1)] = 96


class Aligned(Dense):
    """As ``Dense``, but what it learns from parallel pairs is a map from one language's vectors to the other's.

    The pairs are the judged queries with their translations and, where that is asked for, sentences of the documents
    that a language model translates. Without any translation it learns as ``Dense`` does.

    Args:
        encoder: as for ``Dense``.
        learning: as for ``Dense``, of what is learned without translations.
        adapter: as for ``Dense``.
        fit: as for ``Dense``.
        vectors: as for ``Dense``.
        exact_limit: as for ``Dense``.
        alignment: how the spaces are aligned.

    Source: Xing et al., NAACL 2015, and Artetxe et al., ACL 2018, arXiv 1805.06297, section 3.3, for words; mutual
    nearest neighbours as in the latter.
    """

    kind = "aligned"
    order = 34

    def __init__(
        self,
        encoder: str = "pretrained",
        learning: Literal["adapter", "encoder"] = "adapter",
        adapter: DenseAdapterSettings | Mapping[str, Any] | None = None,
        fit: FitSettings | Mapping[str, Any] | None = None,
        vectors: Precision = "float32",
        exact_limit: int = 200_000,
        alignment: AlignmentSettings | Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(encoder, learning, adapter, fit, vectors, exact_limit)
        self.alignment = AlignmentSettings.model_validate(alignment or {})

    def needs(self) -> set[str]:
        return super().needs() | ({"lm"} if self.alignment.sentences else set())

    def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
        pairs = {example.query: example.translation for example in weighted_examples(examples) if example.translation}
        if not pairs:
            return super().learn(examples, seed)
        given = self.network.encode_queries(list(pairs)), self.network.encode_queries(list(pairs.values()))
        learned = copy_with(self, initialization=Initialization())
        learned.map = align(*given, self.alignment)
        if self.alignment.sentences:
            originals, written = self._translated_sentences(examples, seed)
            near, far = self.network.encode(originals), self.network.encode_queries(written)
            both = np.concatenate([given[0], far]), np.concatenate([given[1], near])
            learned.map = align(*both, self.alignment)
            for _ in range(self.alignment.rounds):
                rows, columns = mutual_nearest(apply_adapter(far, learned.map), near)
                both = np.concatenate([given[0], far[rows]]), np.concatenate([given[1], near[columns]])
                learned.map = align(*both, self.alignment)
        return learned

    def _translated_sentences(self, examples: Sequence[Example], seed: int) -> tuple[list[str], list[str]]:
        """Sentences of the documents that the seed draws, and what a language model makes of them."""
        settings = self.alignment
        rng = np.random.default_rng(seed)
        known = sorted({sentence for text in self.corpus.contents for sentence in split_query_sentences(text)})
        drawn = [known[place] for place in rng.permutation(len(known))[: settings.sentences]]
        shown = parallel_demonstrations(examples, settings.demonstrations, rng)
        language = identify_language([example.query for example in examples])
        fields = TranslationFields.between(identify_language(self.corpus.contents), language)
        turned = [{"query": row["translation"], "translation": row["query"]} for row in shown]
        writer = translator(fields, turned, settings.max_tokens, logprobs=False)
        language_model = require_translator(self.corpus, language)
        answers = language_model.map(writer, [{fields.text: text} for text in drawn], "translating sentences")
        written = [str(getattr(answer, fields.translation, "")) for answer in answers]
        kept = [(text, new) for text, new in zip(drawn, written, strict=True) if new.strip()]
        return [text for text, _ in kept], [new for _, new in kept]


def align(queries: np.ndarray, documents: np.ndarray, settings: AlignmentSettings) -> np.ndarray:
    """The map W that takes q + qW near to its pair's vector, and leaves alone what no pair speaks of.

    Args:
        queries: (n_pairs, dimension) unit vectors in the queries' language.
        documents: (n_pairs, dimension) unit vectors of the same in the documents' language.
        settings: the method, and the penalty on being another map than the identity.

    Returns:
        (dimension, dimension) float32.
    """
    from scipy.linalg import orthogonal_procrustes, solve

    dimension = queries.shape[1]
    identity = np.eye(dimension)
    if settings.method == "procrustes":
        held = np.sqrt(settings.penalty) * identity  # further pairs, each direction with itself
        rotation, _ = orthogonal_procrustes(np.vstack([queries, held]), np.vstack([documents, held]))
        return (rotation - identity).astype(np.float32)
    gram = queries.T @ queries + settings.penalty * identity
    return solve(gram, queries.T @ (documents - queries), assume_a="pos").astype(np.float32)


def mutual_nearest(queries: np.ndarray, documents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of which each is the other's nearest.

    Args:
        queries: (n_queries, dimension) unit vectors.
        documents: (n_documents, dimension) unit vectors.

    Returns:
        Their row numbers, (n_pairs,) each.
    """
    cosines = queries @ documents.T
    there, back = cosines.argmax(axis=1), cosines.argmax(axis=0)
    rows = np.flatnonzero(back[there] == np.arange(len(queries)))
    return rows, there[rows]
