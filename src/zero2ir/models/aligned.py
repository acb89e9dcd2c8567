"""Dense retrieval across languages: the space of the queries is mapped into that of the documents."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
from pydantic import PositiveFloat

from zero2ir.data.languages import identify_language
from zero2ir.encoders.examples import Example, weighted_examples
from zero2ir.encoders.sentences import split_document_sentences
from zero2ir.encoders.training import FitSettings
from zero2ir.io.settings import NonNegativeInt, PositiveInt, Settings
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
        penalty: of the distance from the identity, since a handful of pairs leaves most directions undetermined.
        sentences: number of document sentences that a language model translates as further pairs; 0 for none.
        rounds: number of refits on the mutual nearest neighbours among translated and original sentences.
        demonstrations: number of parallel pairs in the prompt.
        max_tokens: maximum length of a translated sentence.
    """

    method: Literal["procrustes", "ridge"] = "procrustes"
    penalty: PositiveFloat = 1.0
    sentences: NonNegativeInt = 0
    rounds: NonNegativeInt = 0
    demonstrations: NonNegativeInt = 10
    max_tokens: PositiveInt = 96


class Aligned(Dense):
    """A ``Dense`` retriever that learns a map between the embeddings of two languages from parallel pairs.

    The pairs are the judged queries with their translations and, if ``alignment.sentences`` is above 0, document
    sentences that a language model translates. Without translations it learns as ``Dense`` does.

    Args:
        encoder, learning, adapter, fit, vectors, exact_limit: as for ``Dense``.
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
        exact_limit: NonNegativeInt = 200_000,
        alignment: AlignmentSettings | Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(encoder, learning, adapter, fit, vectors, exact_limit, adaptation=None)
        self.alignment = AlignmentSettings.model_validate(alignment or {})

    def needs(self) -> set[str]:
        return super().needs() | ({"lm"} if self.alignment.sentences else set())

    def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
        pairs = {example.query: example.translation for example in weighted_examples(examples) if example.translation}
        if not pairs:
            return super().learn(examples, seed)
        queries, translations = map(self.network.encode_queries, (list(pairs), list(pairs.values())))
        learned = copy_with(self, initialization=Initialization())
        learned.map = align(queries, translations, self.alignment)
        if self.alignment.sentences:
            originals, written = self._translated_sentences(examples, seed)
            near, far = self.network.encode(originals), self.network.encode_queries(written)
            both = np.concatenate([queries, far]), np.concatenate([translations, near])
            learned.map = align(*both, self.alignment)
            for _ in range(self.alignment.rounds):
                rows, columns = mutual_nearest(apply_adapter(far, learned.map), near)
                both = np.concatenate([queries, far[rows]]), np.concatenate([translations, near[columns]])
                learned.map = align(*both, self.alignment)
        return learned

    def _translated_sentences(self, examples: Sequence[Example], seed: int) -> tuple[list[str], list[str]]:
        """Draws document sentences and returns them with their translations by a language model."""
        settings = self.alignment
        rng = np.random.default_rng(seed)
        sentences = sorted({sentence for text in self.corpus.contents for sentence in split_document_sentences(text)})
        drawn = [sentences[place] for place in rng.permutation(len(sentences))[: settings.sentences]]
        pairs = parallel_demonstrations(examples, settings.demonstrations, rng)
        language = identify_language([example.query for example in examples])
        fields = TranslationFields.between(self.corpus.language, language)
        demonstrations = [{"query": row["translation"], "translation": row["query"]} for row in pairs]
        writer = translator(fields, demonstrations, settings.max_tokens, logprobs=False)
        language_model = require_translator(self.corpus, language)
        answers = language_model.map(writer, [{fields.text: text} for text in drawn], "translating sentences")
        written = [str(getattr(answer, fields.translation, "")) for answer in answers]
        kept = [(text, new) for text, new in zip(drawn, written, strict=True) if new.strip()]
        return [text for text, _ in kept], [new for _, new in kept]


def align(queries: np.ndarray, documents: np.ndarray, settings: AlignmentSettings) -> np.ndarray:
    """Returns the map W, (dimension, dimension) float32, that moves q + qW toward its pair's vector.

    ``queries`` are (n_pairs, dimension) unit vectors in the queries' language, ``documents`` those of their
    translations.
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
    """Returns the row numbers, (n_pairs,) each, of the pairs of unit vectors that are mutual nearest neighbours."""
    cosines = queries @ documents.T
    there, back = cosines.argmax(axis=1), cosines.argmax(axis=0)
    rows = np.flatnonzero(back[there] == np.arange(len(queries)))
    return rows, there[rows]
