"""Dense encoders: one unit vector per text; numpy interface, torch inside."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from zero2ir.encoders.base import TextEncoder, network_errors, readable
from zero2ir.encoders.batching import BATCH_LOCK, MicroBatcher
from zero2ir.encoders.devices import device
from zero2ir.encoders.inference import InferenceNetwork, TokenTable, open_network
from zero2ir.encoders.openvino import quantize_int8
from zero2ir.encoders.precision import DocumentPrecision, TorchPrecision, chosen_precision, in_precision
from zero2ir.encoders.settings import EncoderSettings, checked_weights, model_folder
from zero2ir.encoders.training import LossPoint
from zero2ir.errors import InputError, one_line
from zero2ir.io.arrays import read_array
from zero2ir.io.files import finished_file
from zero2ir.io.terminal import is_interactive

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_NetworkT = TypeVar("_NetworkT")

MOST_AT_ONCE = 200_000  # vectors in float32; more are kept in half of the memory


class DenseEncoder(TextEncoder):
    """A sentence-transformers model that maps texts to unit vectors.

    Known architectures run without sentence-transformers, with identical vectors; see ``inference``.
    """

    kind = "dense"
    encoded = "embeddings.npy"
    _offline = False

    def __init__(
        self,
        settings: EncoderSettings,
        model: "SentenceTransformer | InferenceNetwork | None" = None,
        losses: Mapping[str, Sequence[LossPoint]] | None = None,
    ) -> None:
        """Initialises the encoder from a trained network and its loss curves, or else from the settings' source."""
        self.settings = settings
        self.losses = losses or {}
        self.trained = model is not None
        self._network = model

    @cached_property
    def _inference(self) -> InferenceNetwork | None:
        """The inference network; None if its architecture is unknown."""
        if self._network is None:
            return _open_inference(self.settings)
        return self._network if isinstance(self._network, InferenceNetwork) else _inference_of(self._network)

    @cached_property
    def model(self) -> "SentenceTransformer":  # type: ignore[override]  # mypy: a cached property is a property
        if isinstance(self._network, InferenceNetwork):
            with network_errors(f"encoder {self.settings.name}"), TemporaryDirectory() as folder:
                self._network.write(Path(folder))
                return _network(folder, local=True)
        return self._network or _open(self.settings, self._offline)

    @cached_property
    def _in_int8(self) -> "SentenceTransformer":
        return quantize_int8(self.model)

    @cached_property
    def precision(self) -> DocumentPrecision:  # type: ignore[override]  # as ``model``
        """That of static token embeddings is always float32."""
        chosen = chosen_precision(self.settings.precision)
        return "float32" if chosen == "bfloat16" and isinstance(self._inference, TokenTable) else chosen

    @property
    def prompts(self) -> tuple[str, str]:
        """The prefixes of queries and of documents."""
        prompts = (self._inference or self.model).prompts
        return prompts.get("query") or "", prompts.get("document") or ""

    @property
    def dimension(self) -> int:
        """Dimension of the vectors."""
        whole = self._inference.dimension if self._inference else self.model.get_embedding_dimension() or 0
        return self.settings.dimensions or whole

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Encodes documents, longest first to reduce padding.

        Returns:
            (n_texts, dimension) float32 unit vectors, float16 of more than ``MOST_AT_ONCE`` texts; a zero vector for a
            text without a single token.
        """
        if len(texts) <= MOST_AT_ONCE:
            return self._documents(texts)
        rows = np.empty((len(texts), self.dimension), dtype=np.float16)
        for start in range(0, len(texts), MOST_AT_ONCE):
            rows[start : start + MOST_AT_ONCE] = self._documents(texts[start : start + MOST_AT_ONCE])
        return rows

    def _documents(self, texts: Sequence[str]) -> np.ndarray:
        if self.precision == "int8":
            return self._encode(self._in_int8, texts, "document", "float32")
        return self._encode(self._inference or self.model, texts, "document", self.precision)

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Encodes queries, batched over threads."""
        return self._queries(texts)

    @cached_property
    def _queries(self) -> MicroBatcher[str, np.ndarray]:
        return MicroBatcher(
            lambda texts: self._encode(self._inference or self.model, texts, "query", "float32"),
            lambda rows, places: rows[places],
        )

    def digest(self) -> str:
        """As of any encoder; vectors in another precision than float32 have their own."""
        exact = super().digest()
        same = self.precision == "float32"
        return exact if same else hashlib.sha256(f"{exact} {self.precision}".encode()).hexdigest()[:16]

    def _encode(
        self,
        network: "InferenceNetwork | SentenceTransformer",
        texts: Sequence[str],
        kind: Literal["query", "document"],
        precision: TorchPrecision,
    ) -> np.ndarray:
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        with BATCH_LOCK:
            if isinstance(network, InferenceNetwork):
                prompt, size = network.prompts[kind], self.settings.batch_size
                vectors: Any = network.encode(readable(texts), prompt, size, self.settings.dimensions, precision)
            else:
                encode = network.encode_query if kind == "query" else network.encode_document
                with in_precision(network, precision):
                    vectors = encode(
                        readable(texts),
                        batch_size=self.settings.batch_size,
                        show_progress_bar=is_interactive() and len(texts) > 2 * self.settings.batch_size,
                        convert_to_numpy=True,
                        normalize_embeddings=True,
                        truncate_dim=self.settings.dimensions,
                    )
        return np.nan_to_num(np.asarray(vectors, dtype=np.float32), copy=False)  # -> (n_texts, dimension)

    def write_weights(self, folder: Path) -> None:
        if isinstance(self._network, InferenceNetwork):
            self._network.write(folder)
        else:
            super().write_weights(folder)

    def n_bytes(self) -> int:
        return self._inference.n_bytes() if self._inference else super().n_bytes()

    def vocabulary(self) -> tuple[Mapping[str, int], int]:
        if isinstance(self._network, InferenceNetwork):
            return self._network.vocabulary()
        module: Any = self.model[0]
        table = module.embedding if hasattr(module, "embedding") else module.auto_model.get_input_embeddings()
        return dict(module.tokenizer.get_vocab()), table.num_embeddings

    @classmethod
    def opened(cls, settings: EncoderSettings, weights: Path | None) -> "DenseEncoder":
        encoder = cls(settings, None if weights is None else read_network(weights))
        encoder._offline = True  # a saved file does not decide what is downloaded
        return encoder

    def write(self, path: Path, rows: np.ndarray) -> None:
        save_embeddings(path, rows)

    def read(self, path: Path, number: int) -> np.ndarray:
        return load_embeddings(path, number)


def bert_body(encoder: DenseEncoder, needed_by: str) -> Any:
    """Returns the BERT inside an encoder; raises ``InputError`` if there is none."""
    body = getattr(encoder.model[0], "auto_model", None)
    if body is None or body.config.model_type != "bert":
        raise InputError(
            f"{needed_by} needs an encoder based on BERT, which {encoder.settings.name} is not; choose encoder=minilm"
        )
    return body


def read_network(weights: Path) -> "InferenceNetwork | SentenceTransformer":
    """Loads the weights of an encoder trained here."""
    return open_network(weights, device()) or _network(weights, local=True)


def _open(settings: EncoderSettings, offline: bool) -> "SentenceTransformer":
    local = offline or settings.source == "package"
    model = _load(settings, lambda place: _network(place, local or Path(place).is_dir()))
    if np.isfinite(model.max_seq_length or np.inf):
        model.max_seq_length = settings.max_tokens
    model.prompts.update(_prompts(settings))
    _check_dimensions(settings, model.get_embedding_dimension() or 0)
    return model


def _open_inference(settings: EncoderSettings) -> InferenceNetwork | None:
    """Loads the inference network; None if its architecture is unknown."""
    network = _load(settings, lambda place: open_network(Path(place), device()))
    if network is not None:
        if network.max_tokens is not None:
            network.max_tokens = settings.max_tokens
        network.prompts.update(_prompts(settings))
        _check_dimensions(settings, network.dimension)
    return network


def _inference_of(model: "SentenceTransformer") -> InferenceNetwork | None:
    """Copies a trained network to an inference network; None if its architecture is unknown."""
    with TemporaryDirectory() as folder:
        model.save(folder, create_model_card=False)
        return open_network(Path(folder), device())


def _load(settings: EncoderSettings, read: Callable[[str], _NetworkT]) -> _NetworkT:
    """Calls ``read`` with the folder or name of the model."""
    if settings.source == "static":
        raise InputError(f"encoder={settings.name} is trained on a collection and has no weights of its own")
    if settings.source == "package":
        place = str(checked_weights(settings))
    else:
        place = str(model_folder(settings.model, "encoder.model") or settings.model)
    try:
        return read(place)
    except Exception as error:  # the hub raises many types
        raise InputError(
            f"encoder={settings.name}: cannot load {settings.model!r} ({one_line(error)[:200]}); "
            "check the name and the network, or choose encoder=minilm"
        ) from error


def _prompts(settings: EncoderSettings) -> dict[str, str]:
    prompts = {"query": settings.query_prompt, "document": settings.document_prompt}
    return {kind: prompt for kind, prompt in prompts.items() if prompt is not None}


def _check_dimensions(settings: EncoderSettings, dimension: int) -> None:
    if (settings.dimensions or 0) > dimension:
        raise InputError(
            f"encoder={settings.name}: dimensions={settings.dimensions}, but its vectors have {dimension}; use fewer"
        )


def _network(place: str | Path, local: bool) -> "SentenceTransformer":
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    return SentenceTransformer(str(place), local_files_only=local, device=device())


def save_embeddings(path: Path, vectors: np.ndarray) -> None:
    """Writes vectors as plain ``.npy``."""
    with finished_file(path, "wb") as file:
        np.save(file, vectors, allow_pickle=False)


def load_embeddings(path: Path, rows: int) -> np.ndarray:
    """Reads vectors; raises ``InputError`` if the file is damaged or does not have ``rows`` vectors."""
    return read_array(path, ("float16|float32", (rows, None)))
