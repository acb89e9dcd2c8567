"""Encoders: from text to unit vectors, with numpy at the border and torch inside."""

import hashlib
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from zero2ir.errors import InputError
from zero2ir.files import finished_file, sha256, write_json
from zero2ir.progress import watched

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

FILE = "encoder.json"
EMBEDDINGS = "embeddings.npy"


class EncoderSettings(BaseModel):
    """The schema of ``conf/encoder/*.yaml``: where a general-purpose encoder comes from.

    Attributes:
        name: what logs and reports call it.
        source: "package" (weights inside an installed Python package), "hub" (a sentence-transformers name or a
            folder) or "static" (none is given: the one trained from scratch on the collection stands in).
        model: for "package" ``package:folder``, for "hub" the model's name or path.
        sha256: what ``model.safetensors`` must hash to, for "package".
        max_tokens: texts are cut after so many tokens.
        batch_size: texts per forward pass.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    source: Literal["package", "hub", "static"]
    model: str = ""
    sha256: str = ""
    max_tokens: Annotated[int, Field(ge=8)] = 256
    batch_size: Annotated[int, Field(ge=1)] = 32


class Encoder:
    """A sentence-transformers model that maps texts to unit vectors.

    Attributes:
        settings: where it comes from.
        model: the sentence-transformers model, loaded at the first use.
        trained: whether its weights are its own (trained here) rather than those that ``settings`` point to.
    """

    def __init__(self, settings: EncoderSettings, model: "SentenceTransformer | None" = None) -> None:
        """Takes a network that was trained here; without one, the settings tell where it is."""
        self.settings = settings
        self.trained = model is not None
        self._model = model

    @property
    def model(self) -> "SentenceTransformer":
        """The network itself, for those who train it."""
        if self._model is None:
            self._model = _open(self.settings)
        return self._model

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Encodes texts, longest first so that batches hold little padding.

        Returns:
            (n_texts, dimension) float32 unit vectors; a zero vector for a text without a single token.
        """
        if not texts:
            return np.zeros((0, self.model.get_embedding_dimension() or 0), dtype=np.float32)
        vectors = self.model.encode(
            [text.encode("utf-8", "replace").decode("utf-8") for text in texts],  # tokenizers refuse lone surrogates
            batch_size=self.settings.batch_size,
            show_progress_bar=watched() and len(texts) > 2 * self.settings.batch_size,
            convert_to_numpy=True,
            normalize_embeddings=True,
        )
        return np.nan_to_num(np.asarray(vectors, dtype=np.float32))  # -> (n_texts, dimension)

    def save(self, folder: Path) -> None:
        """Writes ``encoder.json``, and the weights where they are its own."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / FILE, {"settings": self.settings.model_dump(), "trained": self.trained})
        if self.trained:
            self.model.save(str(folder / "weights"), create_model_card=False)

    @classmethod
    def load(cls, folder: Path) -> "Encoder":
        """Opens what ``save`` wrote.

        Raises:
            InputError: the package or the weights that it points to are missing or altered.
        """
        state = json.loads((folder / FILE).read_text(encoding="utf-8"))
        settings = EncoderSettings(**state["settings"])
        return cls(settings, _network(folder / "weights", local=True) if state["trained"] else None)

    def digest(self) -> str:
        """Identifies the weights: equal digests give equal vectors. Hexadecimal, 16 characters."""
        parts = hashlib.sha256(self.settings.model_dump_json().encode())
        if self.trained:
            for name, tensor in sorted(self.model.state_dict().items()):
                parts.update(name.encode() + tensor.cpu().numpy().tobytes())
        return parts.hexdigest()[:16]


def check_available(settings: EncoderSettings) -> None:
    """Fails at once where the encoder cannot be had.

    Raises:
        InputError: the package is not installed or its weights differ from ``sha256``.
    """
    if settings.source == "package":
        _checked_weights(settings)


def package_folder(place: str) -> Path:
    """Finds ``package:folder`` without importing the package.

    Raises:
        InputError: the package is not installed, or has no such folder.
    """
    package, _, inside = place.partition(":")
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise InputError(f"the package {package} is not installed; pip install {package.replace('_', '-')}")
    folder = Path(found.submodule_search_locations[0]) / inside
    if not folder.is_dir():
        raise InputError(f"the package {package} has no folder {inside!r}; reinstall it")
    return folder


def _checked_weights(settings: EncoderSettings) -> Path:
    folder = package_folder(settings.model)
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise InputError(f"encoder={settings.name}: {settings.model} has no model.safetensors; reinstall the package")
    if settings.sha256 and sha256(weights) != settings.sha256:
        raise InputError(
            f"encoder={settings.name}: the model.safetensors of {settings.model} is not the publisher's "
            f"(its sha256 differs from {settings.sha256[:12]}…); reinstall the package"
        )
    return folder


def _open(settings: EncoderSettings) -> "SentenceTransformer":
    if settings.source == "static":
        raise InputError(f"encoder={settings.name} is trained on a collection and has no weights of its own")
    place = _checked_weights(settings) if settings.source == "package" else settings.model
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
    return model


def _network(place: str | Path, local: bool) -> "SentenceTransformer":
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # of reading the weights: a blink
    return SentenceTransformer(str(place), local_files_only=local, device=_device())


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def embed(encoder: Encoder, texts: Sequence[str], cache: Path | None) -> np.ndarray:
    """Encodes documents once: vectors are kept in ``cache`` under a digest of the weights and the texts.

    Returns:
        (n_texts, dimension) float32 unit vectors.
    """
    if cache is None:
        return encoder.encode(texts)
    key = hashlib.sha256(encoder.digest().encode())
    for text in texts:
        key.update(text.encode("utf-8", "surrogatepass") + b"\0")
    path = cache / f"{key.hexdigest()[:32]}.npy"
    if path.is_file():
        return np.load(path, allow_pickle=False)
    vectors = encoder.encode(texts)
    save_embeddings(path, vectors)
    return vectors


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


def save_encoded(encoder: Encoder, vectors: np.ndarray, folder: Path) -> None:
    """Writes an encoder with the documents' embeddings by it."""
    encoder.save(folder)
    save_embeddings(folder / EMBEDDINGS, vectors)


def load_encoded(folder: Path, documents: int) -> tuple[Encoder, np.ndarray]:
    """Reads an encoder with the embeddings of so many documents.

    Raises:
        InputError: they are not there, damaged, or of other documents.
    """
    if not (folder / FILE).is_file():
        raise InputError(f"{folder}: no encoder there; run the stage pretrain-synthetic first")
    return Encoder.load(folder), load_embeddings(folder / EMBEDDINGS, documents)
