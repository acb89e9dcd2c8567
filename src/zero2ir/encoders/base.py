"""What every encoder is: a network that turns texts into rows which can be searched."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self

from zero2ir.encoders.settings import EncoderSettings
from zero2ir.encoders.training import LossPoint
from zero2ir.errors import InputError
from zero2ir.io.files import write_json
from zero2ir.io.registry import Registry

ENCODER_FILE = "encoder.json"
WEIGHTS = "weights"
ENCODERS = Registry["TextEncoder"]("zero2ir.encoders", "encoder")


class TextEncoder(ABC):
    """A sentence-transformers network of any kind.

    Attributes:
        settings: where it comes from.
        trained: whether its weights are its own (trained here) rather than those that ``settings`` point to.
        losses: the loss curve of each part of its training; empty where it was not trained in this process.
        model: the network itself, for those who train it.
    """

    kind: ClassVar[str]  # the name of its module
    encoded: ClassVar[str]  # the file name of encoded texts
    settings: EncoderSettings
    trained: bool
    losses: Mapping[str, Sequence[LossPoint]] = MappingProxyType({})

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        ENCODERS.add(cls)

    @property
    @abstractmethod
    def model(self) -> Any:
        """The network itself, loaded at the first use."""

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> Any:
        """Encodes texts; what comes back has a row a text."""

    @abstractmethod
    def encode_queries(self, texts: Sequence[str]) -> Any:
        """As ``encode``, but as queries."""

    @abstractmethod
    def write(self, path: Path, rows: Any) -> None:
        """Writes encoded texts, without pickle."""

    @abstractmethod
    def read(self, path: Path, number: int) -> Any:
        """Reads encoded texts back.

        Raises:
            InputError: the file is damaged or does not hold so many rows.
        """

    @classmethod
    @abstractmethod
    def opened(cls, settings: EncoderSettings, weights: Path | None) -> Self:
        """The encoder with the weights in that folder; with those that the settings point to where it is None."""

    def save(self, folder: Path) -> None:
        """Writes ``encoder.json``, and the weights where they are its own."""
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
        """Identifies the weights: equal digests give equal rows. Hexadecimal, 16 characters."""
        parts = hashlib.sha256(self.settings.identity().encode())
        if self.trained:
            for name, tensor in sorted(self.model.state_dict().items()):
                parts.update(name.encode() + tensor.cpu().numpy().tobytes())
        return parts.hexdigest()[:16]


def readable(texts: Sequence[str]) -> list[str]:
    """The texts without lone surrogates, which tokenizers refuse."""
    return [text.encode("utf-8", "replace").decode("utf-8") for text in texts]


def device() -> str:
    """Where networks run."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def embed(encoder: TextEncoder, texts: Sequence[str], cache: Path | None) -> Any:
    """Encodes documents once: rows are kept in ``cache`` under a digest of the weights and the texts."""
    if cache is None:
        return encoder.encode(texts)
    key = hashlib.sha256(encoder.digest().encode())
    for text in texts:
        key.update(text.encode("utf-8", "surrogatepass") + b"\0")
    path = cache / f"{key.hexdigest()[:32]}{Path(encoder.encoded).suffix}"
    if path.is_file():
        return encoder.read(path, len(texts))
    rows = encoder.encode(texts)
    encoder.write(path, rows)
    return rows


def save_encoded(encoder: TextEncoder, rows: Any, folder: Path) -> None:
    """Writes an encoder with the documents that it encoded."""
    encoder.save(folder)
    encoder.write(folder / encoder.encoded, rows)


def read_encoder_state(folder: Path) -> dict[str, Any]:
    """What ``save`` wrote beside the weights.

    Raises:
        InputError: there is no encoder.
    """
    if not (folder / ENCODER_FILE).is_file():
        raise InputError(f"{folder}: no encoder there; run dvc repro -f -s pretrain-synthetic first")
    return json.loads((folder / ENCODER_FILE).read_text(encoding="utf-8"))
