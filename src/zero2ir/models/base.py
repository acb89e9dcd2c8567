"""What every model type is: a retriever or a reranker, its parameters and parts, and how it is saved and opened.

A model type is a class with a ``kind``. Its constructor stores its arguments under their own names; a wrong value is a
ValueError. All else follows from that: parameters, copies, the models that a model is made of, and what is saved of
them. What only some models can do stands in ``zero2ir.models.capabilities`` and the modules beside it.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from pydantic import BaseModel

from zero2ir.data.answers import Span
from zero2ir.encoders.corpus import Corpus
from zero2ir.io.files import write_json
from zero2ir.io.registry import Registry
from zero2ir.models.ranking import Candidates, Ranking

MODEL_STATE_FILE = "model.json"
NESTED = {"model": "in the folder of this name"}  # stands for a nested model in the parameters

Value = TypeVar("Value")
ModelT = TypeVar("ModelT", bound="Model")
RetrieverT = TypeVar("RetrieverT", bound="Retriever")
MODELS = Registry["Model"]("zero2ir.models", "model")


class Model(ABC):
    """What retrievers and rerankers have in common: they are indexed, score texts, and are saved.

    Attributes:
        kind: by which saved models are opened again; in this package the name of the class's module.
        order: reports list model types by it, the lowest first.
        corpus: the documents that it is indexed on.
    """

    kind: ClassVar[str]
    order: ClassVar[int] = 100
    corpus: Corpus

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        MODELS.add(cls)

    def needs(self) -> set[str]:
        """What it asks the corpus for: encoders by their roles ("pretrained", "static", ...), and "lm"."""
        return {need for model in nested_models(self) for need in model.needs()}

    @abstractmethod
    def index(self, corpus: Corpus) -> Self:
        """Takes what it needs from ``corpus``, prepares its work on it and returns itself."""

    @abstractmethod
    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """Scores given texts, one list of candidates a query: (n_candidates,) float32 each, higher is better."""

    def get_params(self) -> dict[str, Any]:
        """The constructor's arguments by name, as they are now."""
        return {name: getattr(self, name) for name in _parameter_names(type(self))}

    def clone(self) -> Self:
        """A new model with the same parameters, which is not indexed and has learned nothing."""
        return type(self)(**{name: _mapped(value, Model.clone) for name, value in self.get_params().items()})

    def with_params(self, **params: Any) -> Self:
        """A copy with other parameters, checked by the constructor; it shares what was indexed and learned."""
        checked = type(self)(**{**self.get_params(), **params})
        return copy_with(self, **{name: getattr(checked, name) for name in params})

    def save(self, folder: Path) -> None:
        """Writes its kind and its parameters, without pickle; a model that keeps more than these writes that, too."""
        assert MODELS.find(self.kind) is type(self), f"{type(self).__name__} needs a kind of its own to be saved"
        folder.mkdir(parents=True, exist_ok=True)
        params = {name: _saved(value, folder / name) for name, value in self.get_params().items()}
        write_json(folder / MODEL_STATE_FILE, {"kind": self.kind, "params": params})

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        """Opens what ``save`` wrote, ready to work on the documents of ``corpus``; it needs no encoders of it."""
        params = {name: _loaded(value, folder / name, corpus) for name, value in _state(folder)["params"].items()}
        model = cls(**params)
        model.corpus = corpus
        return model


class Retriever(Model):
    """Ranks a whole collection for a query."""

    @abstractmethod
    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        """The best ``k`` documents of each query; fewer where fewer exist or match.

        Args:
            queries: n_queries texts.
            k: the length of the ranking, at least 1.
            candidates: what each query ranks: all of these, and nothing else; the whole collection where None. The
                score of a candidate is the one that it has in the whole collection. Only what goes by rank or range is
                of the candidates: the best, for feedback and a reranker, and fusion by reciprocal ranks or min-max.
        """


class Reranker(Model):
    """Scores the candidates that a retriever found, seeing query and text together.

    Candidates come to ``score`` in the order of the retriever. A candidate that could not be scored is NaN; the caller
    leaves it where it stood.
    """


class Reader(Reranker):
    """Proposes an answer from each candidate; how good that is, is the candidate's score."""

    @abstractmethod
    def read(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[list[Span]]:
        """The best span of each candidate, one list of candidates a query; ``NO_SPAN`` where there is none."""

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        scores = [np.array([span.score for span in row], dtype=np.float32) for row in self.read(queries, candidates)]
        return [np.where(np.isfinite(row), row, np.float32(np.nan)) for row in scores]


def load_model(folder: Path, corpus: Corpus) -> Model:
    """Opens any saved model, ready to work on the documents of ``corpus``.

    Raises:
        InputError: its kind is neither of this package nor of a module that was imported before.
    """
    return MODELS.find(_state(folder)["kind"]).load(folder, corpus)


def load_retriever(folder: Path, corpus: Corpus) -> Retriever:
    """As ``load_model``, of a retriever."""
    model = load_model(folder, corpus)
    assert isinstance(model, Retriever)
    return model


def encoder_roles(model: Model) -> list[str]:
    """The encoders among what a model needs, sorted."""
    return sorted(model.needs() - {"lm"})


def nested_models(model: Model) -> list[Model]:
    """The models among a model's parameters: the retrievers that it is made of, and rerankers."""
    return [one for value in model.get_params().values() for one in _models_in(value)]


def parts(model: Model) -> list[Retriever]:
    """The retrievers that a model is made of, in the order of its parameters; none for one that stands alone."""
    return [one for one in nested_models(model) if isinstance(one, Retriever)]


def reindexed(model: ModelT, corpus: Corpus) -> ModelT:
    """A copy on other documents, with what it has learned."""

    def copied(nested: Model) -> Model:
        return with_nested(nested, copied)

    return with_nested(model, copied).index(corpus)


def with_parts(model: ModelT, retrievers: Sequence[Retriever]) -> ModelT:
    """A copy of a model made of other parts, in the order of ``parts``."""
    rest = iter(retrievers)
    return with_nested(model, lambda one: next(rest) if isinstance(one, Retriever) else one)


def with_nested(model: ModelT, change: Callable[[Model], Model]) -> ModelT:
    """A copy of a model with each of its nested models changed, in their order."""
    nested = {name: value for name, value in model.get_params().items() if _models_in(value)}
    return copy_with(model, **{name: _mapped(value, change) for name, value in nested.items()})


def by_part(rows: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
    """What each part names, by these names with the part's number in front: "0.map"."""
    return {f"{number}.{name}": value for number, row in enumerate(rows) for name, value in row.items()}


def of_part(named: Mapping[str, Value], part: int) -> dict[str, Value]:
    """What ``by_part`` named after one part."""
    prefix = f"{part}."
    return {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}


def copy_with(model: ModelT, **attributes: Any) -> ModelT:
    """A shallow copy with other attributes."""
    other = copy(model)
    vars(other).update(attributes)
    return other


@cache
def _parameter_names(cls: type[Model]) -> tuple[str, ...]:
    return tuple(signature(cls).parameters)


def _models_in(value: Any) -> list[Model]:
    return [one for one in (value if isinstance(value, (list, tuple)) else [value]) if isinstance(one, Model)]


def _mapped(value: Any, change: Callable[[Model], Model]) -> Any:
    """A parameter with each model in it changed."""
    if isinstance(value, Model):
        return change(value)
    return [change(one) for one in value] if _models_in(value) else value


def _saved(value: Any, folder: Path) -> Any:
    """A parameter as JSON; models go to the folder, and their places are marked."""
    if isinstance(value, Model):
        value.save(folder)
        return NESTED
    if _models_in(value):
        return [_saved(one, folder / str(number)) for number, one in enumerate(value)]
    return value.model_dump() if isinstance(value, BaseModel) else value


def _loaded(value: Any, folder: Path, corpus: Corpus) -> Any:
    """The parameter that ``_saved`` wrote."""
    if value == NESTED:
        return load_model(folder, corpus)
    if isinstance(value, list):
        return [_loaded(one, folder / str(number), corpus) for number, one in enumerate(value)]
    return value


def _state(folder: Path) -> dict[str, Any]:
    return json.loads((folder / MODEL_STATE_FILE).read_text(encoding="utf-8"))
