"""The base of retrievers that search encoded documents."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from zero2ir.encoders.base import TextEncoder
from zero2ir.encoders.dense import save_embeddings
from zero2ir.errors import InputError
from zero2ir.io.arrays import read_array
from zero2ir.models.base import Model, copy_with, nested_models, parts
from zero2ir.models.capabilities import FeedbackSearch, Updatable
from zero2ir.models.dense_adapter import apply_adapter
from zero2ir.models.initialization import Initializable, Initialization
from zero2ir.models.query_adaptation import AdaptationSettings, apply_adaptation, fit_adaptation
from zero2ir.models.vector_index import Moments

MAP_FILE, ADAPTATION_FILE, QUERY_MEAN_FILE = "adapter.npy", "adaptation.npy", "query_mean.npy"


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


def part_names(model: Model) -> list[str]:
    """Returns what a model is made of: encoder roles, kinds of models without an encoder, and "lm"; each once."""
    nested = nested_models(model)
    own = [] if nested else [model.encoder if isinstance(model, EncoderBased) else model.kind]
    asks = ["lm"] if "lm" in model.needs() else []
    return list(dict.fromkeys([*own, *(name for one in nested for name in part_names(one) if name != "lm"), *asks]))


class Adapted(EncoderBased):
    """A retriever whose query vectors are adapted to the collection without labels, and by an adapter to judgments.

    Attributes:
        adaptation: parameter, settings of the former; None for none.
        affine: (dimension + 1, dimension) float32, its result by ``fit_adaptation``; None without it.
        query_mean: (1, dimension + 1) float32, the mean vector of the unlabelled queries, and the number of vectors.
        map: (dimension, dimension) float32, the weights of ``apply_adapter``; None before training.
    """

    adaptation: AdaptationSettings | None
    affine: np.ndarray | None = None
    query_mean: np.ndarray
    map: np.ndarray | None = None

    @property
    @abstractmethod
    def dimension(self) -> int:
        """The dimension of the vectors."""

    @abstractmethod
    def moments(self) -> Moments:
        """Returns the moments of the documents' vectors."""

    @abstractmethod
    def query_vectors(self, queries: Sequence[str]) -> np.ndarray:
        """Returns the vectors of queries as the encoder gives them, (n_vectors, dimension)."""

    def _adapted_to(self, queries: Sequence[str]) -> Self:
        """Adapts query vectors to the documents and to unlabelled queries."""
        mean, number = np.zeros(self.dimension), 0
        if queries and self.adaptation is not None:
            vectors = self.query_vectors(queries)
            mean, number = vectors.sum(axis=0) / max(len(vectors), 1), len(vectors)
        self.query_mean = np.append(mean, number).astype(np.float32)[None]
        return self._adapted_again()

    def _adapted_again(self) -> Self:
        """Adapts query vectors to other documents and the same queries."""
        if self.adaptation is not None:
            mean, number = self.query_mean[0, :-1], int(self.query_mean[0, -1])
            self.affine = fit_adaptation(self.moments(), mean, number, self.adaptation)
        return self

    def checked(self, queries: np.ndarray) -> np.ndarray:
        """Returns vectors of the encoder; an InputError if they do not have the dimension of the documents'."""
        if queries.shape[1] != self.dimension:
            raise InputError(
                f"{self.kind}: the encoder {self.network.settings.name} gives vectors of {queries.shape[1]} "
                f"dimensions, but those of the documents have {self.dimension}; get the program again"
            )
        return queries

    def adapted(self, queries: np.ndarray) -> np.ndarray:
        """Returns vectors of the encoder, (n_queries, dimension), adapted without labels; to these the map applies."""
        return queries if self.affine is None else apply_adaptation(queries, self.affine)

    def mapped(self, queries: np.ndarray) -> np.ndarray:
        """Returns adapted vectors, (n_queries, dimension), moved by the map if one was learned."""
        return queries if self.map is None else apply_adapter(queries, self.map)

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
        adaptation = [(ADAPTATION_FILE, self.affine), (QUERY_MEAN_FILE, self.query_mean)] if self.adaptation else []
        for name, array in ((MAP_FILE, self.map), *adaptation):
            if array is not None:
                save_embeddings(folder / name, array)

    def _with_saved_maps(self, folder: Path) -> Self:
        if self.adaptation is not None:
            self.affine = read_array(folder / ADAPTATION_FILE, ("float32", (self.dimension + 1, self.dimension)))
            self.query_mean = read_array(folder / QUERY_MEAN_FILE, ("float32", (1, self.dimension + 1)))
        if (folder / MAP_FILE).is_file():
            self.map = read_array(folder / MAP_FILE, ("float32", (self.dimension, self.dimension)))
        return self


def encoders(model: Model) -> dict[str, TextEncoder]:
    """Returns the encoders of a model and its parts by role, without those that were fine-tuned."""
    own = {model.encoder: model.network} if isinstance(model, EncoderBased) and model.learning != "encoder" else {}
    return {role: encoder for part in parts(model) for role, encoder in encoders(part).items()} | own
