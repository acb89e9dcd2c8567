"""Dense encoders: one unit vector a text, with numpy at the border and torch inside."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zero2ir.encoders.base import TextEncoder, device, readable
from zero2ir.encoders.batching import BATCH_LOCK, MicroBatcher
from zero2ir.encoders.openvino import quantize_int8
from zero2ir.encoders.settings import EncoderSettings, check_backend, checked_weights
from zero2ir.encoders.training import LossPoint
from zero2ir.errors import InputError
from zero2ir.io.files import finished_file
from zero2ir.io.terminal import is_interactive

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class DenseEncoder(TextEncoder):
    """A sentence-transformers model that maps texts to unit vectors.

    Attributes:
        settings: where it comes from, and how it encodes.
        model: the sentence-transformers model, loaded at the first use.
        trained: whether its weights are its own (trained here) rather than those that ``settings`` point to.
    """

    kind = "dense"
    encoded = "embeddings.npy"

    def __init__(
        self,
        settings: EncoderSettings,
        model: "SentenceTransformer | None" = None,
        losses: Mapping[str, Sequence[LossPoint]] | None = None,
    ) -> None:
        """Takes a network that was trained here, and its loss curves; without one, the settings tell where it is."""
        self.settings = settings
        self.losses = losses or {}
        self.trained = model is not None
        self._model = model

    @property
    def model(self) -> "SentenceTransformer":
        """The network itself, for those who train it."""
        if self._model is None:
            self._model = _open(self.settings)
        return self._model

    @cached_property
    def _backend(self) -> "SentenceTransformer":
        """What encodes documents."""
        if self.settings.backend == "torch":
            return self.model
        check_backend(self.settings)
        return quantize_int8(self.model)

    @property
    def prompts(self) -> tuple[str, str]:
        """What stands in front of each query, and of each document."""
        return self.model.prompts.get("query") or "", self.model.prompts.get("document") or ""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Encodes documents, longest first so that batches hold little padding.

        Returns:
            (n_texts, dimension) float32 unit vectors; a zero vector for a text without a single token.
        """
        return self._encode(self._backend.encode_document, texts)

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """As ``encode``, but as queries; those of several threads at once."""
        return self._queries(texts)

    @cached_property
    def _queries(self) -> MicroBatcher[str, np.ndarray]:
        return MicroBatcher(
            lambda texts: self._encode(self.model.encode_query, texts), lambda rows, places: rows[places]
        )

    def _encode(self, encode: Any, texts: Sequence[str]) -> np.ndarray:
        if not texts:
            dimension = self.settings.dimensions or self.model.get_embedding_dimension() or 0
            return np.zeros((0, dimension), dtype=np.float32)
        with BATCH_LOCK:
            vectors = encode(
                readable(texts),
                batch_size=self.settings.batch_size,
                show_progress_bar=is_interactive() and len(texts) > 2 * self.settings.batch_size,
                convert_to_numpy=True,
                normalize_embeddings=True,
                truncate_dim=self.settings.dimensions,
            )
        return np.nan_to_num(np.asarray(vectors, dtype=np.float32))  # -> (n_texts, dimension)

    @classmethod
    def opened(cls, settings: EncoderSettings, weights: Path | None) -> "DenseEncoder":
        return cls(settings, None if weights is None else _network(weights, local=True))

    def write(self, path: Path, rows: np.ndarray) -> None:
        save_embeddings(path, rows)

    def read(self, path: Path, number: int) -> np.ndarray:
        return load_embeddings(path, number)


def bert_body(encoder: DenseEncoder, needed_by: str) -> Any:
    """The BERT inside an encoder.

    Raises:
        InputError: there is none.
    """
    body = getattr(encoder.model[0], "auto_model", None)
    if body is None or body.config.model_type != "bert":
        raise InputError(
            f"{needed_by} needs an encoder with a BERT inside, and {encoder.settings.name} has none; "
            "choose encoder=minilm"
        )
    return body


def _open(settings: EncoderSettings) -> "SentenceTransformer":
    if settings.source == "static":
        raise InputError(f"encoder={settings.name} is trained on a collection and has no weights of its own")
    place = checked_weights(settings) if settings.source == "package" else settings.model
    try:
        model = _network(place, local=settings.source == "package" or Path(place).is_dir())
    except Exception as error:  # the hub raises many types; each means that this encoder cannot be had
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"encoder={settings.name}: cannot load {settings.model!r} ({reason}); "
            "check the name and the network, or choose encoder=minilm"
        ) from error
    if np.isfinite(model.max_seq_length or np.inf):
        model.max_seq_length = settings.max_tokens
    given = {"query": settings.query_prompt, "document": settings.document_prompt}
    model.prompts.update({name: prompt for name, prompt in given.items() if prompt is not None})
    _check_dimensions(settings, model.get_embedding_dimension() or 0)
    return model


def _check_dimensions(settings: EncoderSettings, dimension: int) -> None:
    if (settings.dimensions or 0) > dimension:
        raise InputError(
            f"encoder={settings.name}: dimensions={settings.dimensions}, but its vectors have {dimension}; take fewer"
        )


def _network(place: str | Path, local: bool) -> "SentenceTransformer":
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # of reading the weights: a blink
    return SentenceTransformer(str(place), local_files_only=local, device=device())


def save_embeddings(path: Path, vectors: np.ndarray) -> None:
    """Writes vectors as plain ``.npy``."""
    with finished_file(path, "wb") as file:
        np.save(file, vectors, allow_pickle=False)


def load_embeddings(path: Path, rows: int) -> np.ndarray:
    """Reads vectors back.

    Raises:
        InputError: the file is damaged or does not hold ``rows`` vectors.
    """
    try:
        vectors: Any = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{path}: not a whole embeddings file ({error}); run the stage pretrain-synthetic again"
        ) from None
    if vectors.ndim != 2 or len(vectors) != rows:
        raise InputError(f"{path}: {len(vectors)} vectors for {rows} documents; write it again")
    return vectors
