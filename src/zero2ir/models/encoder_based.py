"""The base of retrievers that search encoded documents."""

from abc import abstractmethod
from pathlib import Path
from typing import Self

import numpy as np

from zero2ir.encoders.base import TextEncoder
from zero2ir.encoders.dense import save_embeddings
from zero2ir.errors import InputError
from zero2ir.io.arrays import read_array
from zero2ir.models.base import Model, copy_with, parts
from zero2ir.models.capabilities import FeedbackSearch, Updatable
from zero2ir.models.initialization import Initializable, Initialization

MAP_FILE = "adapter.npy"


class EncoderBased(Initializable, Updatable, FeedbackSearch):
    """A retriever with an encoder.

    Attributes:
        encoder: parameter, the role of the encoder.
        learning: parameter, what is trained; "encoder" for the whole network.
        network: the encoder itself.
        initialization: where learning begins.
    """

    encoder: str
    learning: str
    network: TextEncoder
    initialization: Initialization = Initialization()

    def needs(self) -> set[str]:
        return super().needs() | {self.encoder}


class Adapted(EncoderBased):
    """A retriever with an adapter of the queries' vectors.

    Attributes:
        map: (dimension, dimension) float32, the weights of ``apply_adapter``; None before training.
    """

    map: np.ndarray | None = None

    @property
    @abstractmethod
    def dimension(self) -> int:
        """The dimension of the vectors."""

    def parameters(self) -> dict[str, np.ndarray]:
        """Adds the map to those of the parts, unless the network is trained, which encodes all documents again."""
        if self.learning == "encoder":
            return super().parameters()
        own = np.zeros((self.dimension, self.dimension), np.float32) if self.map is None else self.map
        return super().parameters() | {"map": own}

    def head_mask(self) -> dict[str, np.ndarray]:
        """Selects the map's diagonal, the weight of each dimension."""
        own = {} if self.learning == "encoder" else {"map": np.eye(self.dimension, dtype=np.float32)}
        return super().head_mask() | own

    def with_initialization(self, initialization: Initialization) -> Self:
        changed = super().with_initialization(initialization)
        return copy_with(changed, map=initialization.parameters.get("map"), initialization=initialization)

    def save(self, folder: Path) -> None:
        super().save(folder)
        if self.map is not None:
            save_embeddings(folder / MAP_FILE, self.map)

    def _with_saved_map(self, folder: Path) -> Self:
        if (folder / MAP_FILE).is_file():
            self.map = read_array(folder / MAP_FILE, ("float32", (self.dimension, self.dimension)))
        return self


def check_dimension(retriever: Adapted, vectors: np.ndarray) -> None:
    """Raises an InputError if the queries' vectors do not have the dimension of the documents'."""
    if vectors.shape[1] != retriever.dimension:
        raise InputError(
            f"{retriever.kind}: the encoder {retriever.network.settings.name} gives vectors of {vectors.shape[1]} "
            f"dimensions, but those of the documents have {retriever.dimension}; get the program again"
        )


def encoders(model: Model) -> dict[str, TextEncoder]:
    """Returns the encoders of a model and its parts by role, without those that were fine-tuned."""
    own = {model.encoder: model.network} if isinstance(model, EncoderBased) and model.learning != "encoder" else {}
    return {role: encoder for part in parts(model) for role, encoder in encoders(part).items()} | own
