"""The base classes of retrievers, rerankers and readers, with their parameters, copies, saving and loading.

A model type is a class with a ``kind``. Its constructor stores its arguments under their own names; their annotations
are checked. Parameters, copies, nested models and saved files follow from that. Interfaces that only some models have
are in ``zero2ir.models.capabilities``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import cache, wraps
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from zero2ir.data.answers import Span
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError, one_line
from zero2ir.io.files import write_json
from zero2ir.io.registry import Registry
from zero2ir.io.settings import Settings, first_mistake, parameter_schema, read_state
from zero2ir.io.values import shown
from zero2ir.models.ranking import Candidates, Ranking

MODEL_STATE_FILE = "model.json"
MAX_NESTING = 10  # models in each other in a saved one
NESTED = {"model": "in the folder of this name"}  # stands for a nested model in the parameters

Value = TypeVar("Value")
ModelT = TypeVar("ModelT", bound="Model")
RetrieverT = TypeVar("RetrieverT", bound="Retriever")
MODELS = Registry["Model"]("zero2ir.models", "model")


class ModelState(Settings):
    """The schema of ``model.json``."""

    kind: str
    params: dict[str, Any]


class Model(ABC):
    """The common base of retrievers and rerankers.

    Attributes:
        kind: the model type in saved files; in this package the name of the class's module.
        order: the position in reports, lowest first.
        corpus: the indexed documents.
    """

    kind: ClassVar[str]
    order: ClassVar[int] = 100
    corpus: Corpus

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = _checked(cls.__init__)  # type: ignore[method-assign]
        MODELS.add(cls)

    def needs(self) -> set[str]:
        """Returns what it needs of the corpus: encoder roles ("pretrained", "static", ...) and "lm"."""
        return {need for model in nested_models(self) for need in model.needs()}

    @abstractmethod
    def index(self, corpus: Corpus) -> Self:
        """Indexes ``corpus`` and returns itself."""

    @abstractmethod
    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """Scores one list of texts per query: (n_candidates,) float32 each, higher is better."""

    def get_params(self) -> dict[str, Any]:
        """Returns the current values of the constructor's arguments by name."""
        return {name: getattr(self, name) for name in _parameter_names(type(self))}

    def clone(self) -> Self:
        """Returns an unindexed, untrained model with the same parameters."""
        return type(self)(**{name: _mapped(value, Model.clone) for name, value in self.get_params().items()})

    def with_params(self, **params: Any) -> Self:
        """Returns a copy with other parameters, checked by the constructor, and the same index and learned state."""
        checked = type(self)(**{**self.get_params(), **params})
        return copy_with(self, **{name: getattr(checked, name) for name in params})

    def save(self, folder: Path) -> None:
        """Writes its kind and parameters, without pickle; a model with further state extends this."""
        assert MODELS.find(self.kind) is type(self), f"{type(self).__name__} needs a kind of its own to be saved"
        folder.mkdir(parents=True, exist_ok=True)
        params = {name: _saved(value, folder / name) for name, value in self.get_params().items()}
        write_json(folder / MODEL_STATE_FILE, {"kind": self.kind, "params": params})

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        """Loads a saved model for the documents of ``corpus``, which needs no encoders.

        The files may come from somebody else: whatever does not fit the model or the documents is an InputError.
        """
        path, names = folder / MODEL_STATE_FILE, _parameter_names(cls)
        saved = read_state(path, ModelState).params
        if saved.keys() != set(names):
            raise InputError(
                f"{path}: params: {shown(sorted(saved))} instead of {', '.join(names)}; create or get it again"
            )
        params = {name: _loaded(value, folder / name, corpus) for name, value in saved.items()}
        try:
            model = cls(**params)
        except InputError as error:
            raise InputError(f"{path}: {one_line(error)}") from None
        model.corpus = corpus
        return model


class Retriever(Model):
    """Ranks a whole collection for a query."""

    @abstractmethod
    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        """Returns the best ``k`` documents of each query, fewer if fewer exist or match.

        Args:
            queries: n_queries texts.
            k: the length of the ranking, at least 1; that of a small collection is its number of documents.
            candidates: the documents to rank for each query; None for the whole collection. Candidates keep the scores
                that they have in the whole collection. Feedback, reranking, and fusion by reciprocal rank or min-max
                use ranks and ranges among the candidates only.
        """


class Reranker(Model):
    """Scores the candidates of a retriever from query and text together.

    ``score`` gets the candidates in the retriever's order and returns NaN for a candidate that it cannot score.
    """


class Reader(Reranker):
    """Extracts an answer from each candidate; the answer's score is the candidate's score."""

    @abstractmethod
    def read(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[list[Span]]:
        """Returns the best span of each candidate, one list per query; ``NO_SPAN`` if there is none."""

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        scores = [np.array([span.score for span in row], dtype=np.float32) for row in self.read(queries, candidates)]
        return [np.where(np.isfinite(row), row, np.float32(np.nan)) for row in scores]


def load_model(folder: Path, corpus: Corpus) -> Model:
    """Loads any saved model for the documents of ``corpus``.

    Raises:
        InputError: its kind is neither in this package nor in an imported module.
    """
    return MODELS.find(read_state(folder / MODEL_STATE_FILE, ModelState).kind).load(folder, corpus)


def load_retriever(folder: Path, corpus: Corpus) -> Retriever:
    """Loads a saved retriever as ``load_model`` does; another model is an InputError."""
    try:
        model = load_model(folder, corpus)
        nesting = _nesting(model)
    except RecursionError:
        nesting = MAX_NESTING + 1
    if nesting > MAX_NESTING:
        raise InputError(f"{folder}: more than {MAX_NESTING} models in each other; create or get it again")
    if not isinstance(model, Retriever):
        raise InputError(f"{folder / MODEL_STATE_FILE}: kind: {model.kind} is no retriever; create or get it again")
    return model


def _nesting(model: Model) -> int:
    return 1 + max(map(_nesting, nested_models(model)), default=0)


def encoder_roles(model: Model) -> list[str]:
    """Returns the roles of the encoders that a model needs, sorted."""
    return sorted(model.needs() - {"lm"})


def nested_models(model: Model) -> list[Model]:
    """Returns the retrievers and rerankers among a model's parameters."""
    return [one for value in model.get_params().values() for one in _models_in(value)]


def parts(model: Model) -> list[Retriever]:
    """Returns the retrievers among a model's parameters, in their order."""
    return [one for one in nested_models(model) if isinstance(one, Retriever)]


def reindexed(model: ModelT, corpus: Corpus) -> ModelT:
    """Returns a copy on other documents that keeps what was learned."""

    def copied(nested: Model) -> Model:
        return with_nested(nested, copied)

    return with_nested(model, copied).index(corpus)


def with_parts(model: ModelT, retrievers: Sequence[Retriever]) -> ModelT:
    """Returns a copy of a model with other parts, in the order of ``parts``."""
    rest = iter(retrievers)
    return with_nested(model, lambda one: next(rest) if isinstance(one, Retriever) else one)


def with_nested(model: ModelT, change: Callable[[Model], Model]) -> ModelT:
    """Returns a copy of a model with ``change`` applied to each nested model, in order."""
    nested = {name: value for name, value in model.get_params().items() if _models_in(value)}
    return copy_with(model, **{name: _mapped(value, change) for name, value in nested.items()})


def by_part(rows: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
    """Merges one mapping per part into one, with the part's number before each name: "0.map"."""
    return {f"{number}.{name}": value for number, row in enumerate(rows) for name, value in row.items()}


def of_part(named: Mapping[str, Value], part: int) -> dict[str, Value]:
    """Returns one part's mapping from the result of ``by_part``."""
    prefix = f"{part}."
    return {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}


def copy_with(model: ModelT, **attributes: Any) -> ModelT:
    """Returns a shallow copy with other attributes."""
    other = copy(model)
    vars(other).update(attributes)
    return other


def _checked(constructor: Callable[..., None]) -> Callable[..., None]:
    """Returns a constructor that raises an InputError for arguments that do not fit their annotations."""

    @wraps(constructor)
    def construct(self: Model, *values: Any, **named: Any) -> None:
        given = signature(constructor).bind(self, *values, **named).arguments
        own = next(iter(given))
        schema = parameter_schema(constructor)
        try:
            checked = schema.model_validate({name: value for name, value in given.items() if name != own})
        except ValidationError as error:
            raise InputError(f"{type(self).__name__}.{first_mistake(error, schema)}") from None
        constructor(self, **{name: getattr(checked, name) for name in given if name != own})

    return construct


@cache
def _parameter_names(cls: type[Model]) -> tuple[str, ...]:
    return tuple(signature(cls).parameters)


def _models_in(value: Any) -> list[Model]:
    return [one for one in (value if isinstance(value, (list, tuple)) else [value]) if isinstance(one, Model)]


def _mapped(value: Any, change: Callable[[Model], Model]) -> Any:
    if isinstance(value, Model):
        return change(value)
    return [change(one) for one in value] if _models_in(value) else value


def _saved(value: Any, folder: Path) -> Any:
    """Returns a parameter as JSON; models are saved in the folder and replaced by ``NESTED``."""
    if isinstance(value, Model):
        value.save(folder)
        return NESTED
    if _models_in(value):
        return [_saved(one, folder / str(number)) for number, one in enumerate(value)]
    return value.model_dump() if isinstance(value, BaseModel) else value


def _loaded(value: Any, folder: Path, corpus: Corpus) -> Any:
    if value == NESTED:
        return load_model(folder, corpus)
    if isinstance(value, list):
        return [_loaded(one, folder / str(number), corpus) for number, one in enumerate(value)]
    return value
