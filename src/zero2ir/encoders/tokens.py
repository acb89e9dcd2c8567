"""Late-interaction encoders: several vectors per text; numpy interface, torch inside."""

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from safetensors.numpy import save

from zero2ir.encoders.base import TextEncoder, readable
from zero2ir.encoders.batching import BATCH_LOCK, MicroBatcher
from zero2ir.encoders.devices import device
from zero2ir.encoders.precision import DocumentPrecision, chosen_precision, in_precision, torch_precision
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.errors import InputError
from zero2ir.io.arrays import Layout, read_tensors
from zero2ir.io.files import finished_file
from zero2ir.io.terminal import is_interactive

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder

INT8_STEPS = 127  # of int8 between 0 and 1


class Tokens(NamedTuple):
    """The concatenated token vectors of several texts.

    Attributes:
        vectors: (n_tokens, dimension) float32; or int8, unit vectors in steps of 1/127.
        starts: (n_texts + 1,) int64 offsets of each text's vectors.
    """

    vectors: np.ndarray
    starts: np.ndarray

    @classmethod
    def concatenate(cls, texts: Sequence[np.ndarray], like: np.ndarray) -> "Tokens":
        """Concatenates the vectors of texts, (n_tokens, dimension) each; ``like`` has their dimension and type."""
        starts = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        return cls(np.concatenate([like[:0], *texts]), starts)

    @classmethod
    def joined(cls, parts: "Sequence[Tokens]") -> "Tokens":
        """Joins several sets of texts, at least one."""
        starts = np.concatenate([[0], *(part.lengths for part in parts)]).cumsum(dtype=np.int64)
        return cls(np.concatenate([part.vectors for part in parts]), starts)

    @property
    def lengths(self) -> np.ndarray:
        """The number of vectors of each text, (n_texts,)."""
        return np.diff(self.starts)

    def floats(self, start: int, stop: int) -> np.ndarray:
        """Returns vectors ``start`` to ``stop``, (stop - start, dimension) float32."""
        return self.float_rows(slice(start, stop))

    def float_rows(self, rows: np.ndarray | slice) -> np.ndarray:
        """Returns the vectors of some rows, (n_rows, dimension) float32."""
        vectors = self.vectors[rows].astype(np.float32)
        return vectors / INT8_STEPS if self.vectors.dtype == np.int8 else vectors

    def text(self, number: int) -> np.ndarray:
        """Returns the vectors of one text, (n_tokens, dimension) float32."""
        return self.floats(self.starts[number], self.starts[number + 1])

    def take(self, numbers: Sequence[int] | np.ndarray) -> "Tokens":
        """Selects texts by number, in order."""
        starts = np.concatenate([[0], np.cumsum(self.lengths[np.asarray(numbers, dtype=np.int64)])]).astype(np.int64)
        return Tokens(self.vectors[self.rows(numbers)], starts)

    def rows(self, numbers: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns the rows of the vectors of some texts, in order."""
        chosen = np.asarray(numbers, dtype=np.int64)
        lengths = self.lengths[chosen]
        own_starts = np.cumsum(lengths) - lengths
        return np.arange(lengths.sum()) + np.repeat(self.starts[chosen] - own_starts, lengths)


class TokenEncoder(TextEncoder):
    """A sentence-transformers ``MultiVectorEncoder``: one unit vector per token or cluster of similar tokens.

    Source: Khattab and Zaharia, SIGIR 2020, arXiv 2004.12832, section 3.
    """

    kind = "tokens"
    encoded = "tokens.safetensors"
    trained = True

    def __init__(self, settings: EncoderSettings, model: "MultiVectorEncoder") -> None:
        self.settings = settings
        self._model = model

    @property
    def model(self) -> "MultiVectorEncoder":
        return self._model

    @property
    def prompts(self) -> tuple[str, str]:
        """The prefixes of queries and of documents."""
        return self.model.prompts.get("query") or "", self.model.prompts.get("document") or ""

    @property
    def precision(self) -> DocumentPrecision:
        return torch_precision(chosen_precision(self.settings.precision))

    def encode(self, texts: Sequence[str]) -> Tokens:
        """Encodes documents to int8 vectors, at least one per text; equal texts only once."""
        place = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        tokens = self._encode(list(place), "document")
        steps = np.rint(tokens.vectors * INT8_STEPS).astype(np.int8)
        return tokens._replace(vectors=steps).take([place[text] for text in texts])

    def encode_queries(self, texts: Sequence[str]) -> Tokens:
        """Encodes queries to float32 vectors, batched over threads; possibly none for a text without words."""
        return self._queries(texts)

    @cached_property
    def _queries(self) -> MicroBatcher[str, Tokens]:
        return MicroBatcher(lambda texts: self._encode(texts, "query"), Tokens.take)

    def _encode(self, texts: Sequence[str], task: str) -> Tokens:
        with BATCH_LOCK, in_precision(self.model, self.precision if task == "document" else "float32"):
            rows = self.model.encode(
                readable(texts),
                batch_size=self.settings.batch_size,
                show_progress_bar=is_interactive() and len(texts) > 2 * self.settings.batch_size,
                convert_to_numpy=True,
                prompt_name=task,
                task=task,
            )
        nothing = np.zeros((1, self.model.get_embedding_dimension() or 0), dtype=np.float32)
        if task == "document":  # no token may be left where a saved encoder skips some
            rows = [row if len(row) else nothing for row in rows]
        return Tokens.concatenate(list(rows), nothing)

    def digest(self) -> str:
        pooling: Any = self.model[-1]
        pooling_config = json.dumps(pooling.get_config_dict(), sort_keys=True)
        precision = "" if self.precision == "float32" else f" {self.precision}"
        return hashlib.sha256(f"{super().digest()} {pooling_config}{precision}".encode()).hexdigest()[:16]

    @classmethod
    def opened(cls, settings: EncoderSettings, weights: Path | None) -> "TokenEncoder":
        from sentence_transformers import MultiVectorEncoder
        from transformers.utils.logging import disable_progress_bar

        assert weights is not None  # always saved
        disable_progress_bar()
        return cls(settings, MultiVectorEncoder(str(weights), local_files_only=True, device=device()))

    def write(self, path: Path, rows: Tokens) -> None:
        with finished_file(path, "wb") as file:
            file.write(save(rows._asdict()))

    def read(self, path: Path, number: int) -> Tokens:
        layouts: dict[str, Layout] = {
            "vectors": ("int8|float32", (None, None)),
            "starts": ("int64", (number + 1,)),
        }
        tokens = Tokens(**read_tensors(path, layouts))
        rises = tokens.starts[0] == 0 and tokens.starts[-1] == len(tokens.vectors) and (tokens.lengths > 0).all()
        if not rises:
            raise InputError(f"{path}: starts: does not divide the vectors into {number} texts; create or get it again")
        return tokens
