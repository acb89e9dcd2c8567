"""The base class of encoders."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self

from zero2ir.encoders.precision import DocumentPrecision
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.encoders.training import LossPoint
from zero2ir.errors import InputError, one_line
from zero2ir.io.files import write_json
from zero2ir.io.paths import open_cache
from zero2ir.io.registry import Registry
from zero2ir.io.settings import Settings, read_state

ENCODER_FILE = "encoder.json"
WEIGHTS = "weights"
ENCODERS = Registry["TextEncoder"]("zero2ir.encoders", "encoder")


class TextEncoder(ABC):
    """A network that encodes texts to rows for search.

    Attributes:
        settings: the source of the network.
        trained: whether the weights were trained here, rather than loaded from the source.
        precision: in which documents are encoded: "float32", "bfloat16" or "int8".
        losses: loss curves by part of the training; empty if not trained in this process.
    """

    kind: ClassVar[str]  # the name of its module
    encoded: ClassVar[str]  # file name of encoded texts
    settings: EncoderSettings
    trained: bool
    losses: Mapping[str, Sequence[LossPoint]] = MappingProxyType({})

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        ENCODERS.add(cls)

    @property
    def precision(self) -> DocumentPrecision:
        return "float32"

    @property
    @abstractmethod
    def model(self) -> Any:
        """The sentence-transformers network, for training; loaded on first use."""

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> Any:
        """Encodes documents, one row per text."""

    @abstractmethod
    def encode_queries(self, texts: Sequence[str]) -> Any:
        """Encodes queries, one row per text."""

    @abstractmethod
    def write(self, path: Path, rows: Any) -> None:
        """Writes encoded texts, without pickle."""

    @abstractmethod
    def read(self, path: Path, number: int) -> Any:
        """Reads encoded texts; raises ``InputError`` if the file is damaged or does not have ``number`` rows."""

    @classmethod
    @abstractmethod
    def opened(cls, settings: EncoderSettings, weights: Path | None) -> Self:
        """Loads an encoder with the weights in a folder, or those of the settings' source if None."""

    def vocabulary(self) -> tuple[Mapping[str, int], int]:
        """Returns the numbers of the tokens, and the number of rows of the network's table."""
        network: Any = self.model
        return network.tokenizer.get_vocab(), network[0].auto_model.get_input_embeddings().num_embeddings

    def n_bytes(self) -> int:
        """Returns the bytes of the network's weights in memory."""
        return sum(tensor.nbytes for tensor in self.model.state_dict().values())

    def save(self, folder: Path) -> None:
        """Writes ``encoder.json``, and the weights if they were trained here."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(
            folder / ENCODER_FILE, {"kind": self.kind, "settings": self.settings.model_dump(), "trained": self.trained}
        )
        if self.trained:
            self.write_weights(folder / WEIGHTS)

    def write_weights(self, folder: Path) -> None:
        """Writes the network as a sentence-transformers model."""
        self.model.save(str(folder), create_model_card=False)

    def digest(self) -> str:
        """Returns a digest of the weights, 16 hexadecimal characters; equal digests mean equal rows."""
        parts = hashlib.sha256(self.settings.identity().encode())
        if self.trained:
            for name, tensor in sorted(self.model.state_dict().items()):
                parts.update(name.encode() + tensor.cpu().numpy().tobytes())
        return parts.hexdigest()[:16]


def readable(texts: Sequence[str]) -> list[str]:
    """Replaces lone surrogates, which tokenizers reject."""
    return [text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8") for text in texts]


@contextmanager
def network_errors(where: str) -> Iterator[None]:
    """Turns whatever a library raises while it loads a network into an InputError."""
    try:
        yield
    except (InputError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # transformers raises many types, and a panic of tokenizers is no Exception
        reason = f"{type(error).__name__}: {one_line(error)[:200]}"
        raise InputError(f"{where}: the network cannot be loaded ({reason}); create or get it again") from None


def embed(encoder: TextEncoder, texts: Sequence[str], cache: Path | None) -> Any:
    """Encodes documents; caches the rows by a digest of the weights and the texts."""
    if cache is None:
        return encoder.encode(texts)
    key = hashlib.sha256(encoder.digest().encode())
    for text in texts:
        key.update(text.encode("utf-8", "surrogatepass") + b"\0")
    path = cache / f"{key.hexdigest()[:32]}{Path(encoder.encoded).suffix}"
    if path.is_file():
        return encoder.read(path, len(texts))
    open_cache(cache)
    rows = encoder.encode(texts)
    encoder.write(path, rows)
    return rows


def save_encoded(encoder: TextEncoder, rows: Any, folder: Path) -> None:
    """Writes an encoder and its encoded documents."""
    encoder.save(folder)
    encoder.write(folder / encoder.encoded, rows)


class EncoderState(Settings):
    """The schema of ``encoder.json``."""

    kind: str
    settings: EncoderSettings
    trained: bool


def read_encoder_state(folder: Path) -> EncoderState:
    """Reads ``encoder.json``; raises an InputError if the folder has no encoder or another content."""
    if not (folder / ENCODER_FILE).is_file():
        raise InputError(f"{folder}: not an encoder folder; run dvc repro -f -s pretrain-synthetic first")
    return read_state(folder / ENCODER_FILE, EncoderState)
