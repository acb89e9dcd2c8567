"""Interfaces that only some models have, and functions that apply them to any model.

Each interface is a base class of model types. The function of the same name calls a model's method and, where useful,
that of its parts; its docstring states the result for a model without the interface.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.distillation import TaughtQuery
from zero2ir.encoders.examples import Example
from zero2ir.errors import InputError
from zero2ir.models.base import (
    Model,
    ModelT,
    Reader,
    Retriever,
    RetrieverT,
    nested_models,
    parts,
    with_nested,
    with_parts,
)
from zero2ir.models.ranking import Candidates, Ranking, scope_without

# Maps a query, texts in place of documents or None, and k to the fields of a prediction.
TaskFunction = Callable[[str, Sequence[str] | None, int], dict[str, Any]]


class Learnable(Model):
    """A model that can be trained."""

    @abstractmethod
    def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
        """Returns an indexed copy trained on examples; None if there is nothing to learn."""

    def requires_learning(self) -> bool:
        """Whether it is useless untrained, such as a translator without demonstrations."""
        return False


def learn(model: ModelT, examples: Sequence[Example], seed: int) -> ModelT | None:
    """See ``Learnable.learn``; None for a model that cannot be trained."""
    return model.learn(examples, seed) if isinstance(model, Learnable) else None


def requires_learning(model: Model) -> bool:
    """Whether a model or a part of it is useless untrained."""
    own = isinstance(model, Learnable) and model.requires_learning()
    return own or any(requires_learning(part) for part in parts(model))


class Distillable(Model):
    """A model that can learn a teacher's scores."""

    @abstractmethod
    def distil(self, taught: Sequence[TaughtQuery], contrast: float, seed: int) -> Self:
        """Returns an indexed copy that learned to score each query's documents as a teacher does.

        Args:
            taught: one or more queries with equally many documents.
            contrast: weight of a contrastive loss beside the listwise one.
            seed: of the training.
        """


def distil(model: ModelT, taught: Sequence[TaughtQuery], contrast: float, seed: int) -> ModelT | None:
    """See ``Distillable.distil``; another model's nested models learn, and None is returned if none of them can."""
    if isinstance(model, Distillable):
        return model.distil(taught, contrast, seed)
    learned = [distil(one, taught, contrast, seed) for one in nested_models(model)]
    rest = iter(learned)
    return with_nested(model, lambda one: next(rest) or one) if any(learned) else None


class Tunable(Retriever):
    """A retriever with settings that can be tuned on judged queries.

    Attributes:
        tunable: the parameters that are settings.
        alternatives: parameter, other values to try; tuples if there are several settings.
    """

    tunable: ClassVar[tuple[str, ...]]
    alternatives: Sequence[Any]

    def settings(self) -> dict[str, Any]:
        """Returns the current settings; JSON."""
        return {name: getattr(self, name) for name in self.tunable}

    def coordinates(self, settings: Mapping[str, Any]) -> dict[str, float]:
        """Returns coordinates of settings by name, in which quality is smooth; by default the settings themselves."""
        return {name: float(value) for name, value in settings.items() if isinstance(value, (int, float))}

    def with_settings(self, settings: Mapping[str, Any]) -> Self:
        """Returns an indexed copy with other settings that shares everything independent of them."""
        return self.with_params(**settings)

    def alternative_settings(self) -> list[dict[str, Any]]:
        """Returns the settings to try beside the current ones."""
        rows = [row if isinstance(row, tuple) else (row,) for row in self.alternatives]
        settings = [dict(zip(self.tunable, row, strict=True)) for row in rows]
        return [one for one in settings if one != self.settings()]

    def sweep(
        self, queries: Sequence[str], k: int, candidates: Candidates | None = None
    ) -> Iterator[tuple[dict[str, Any], Ranking]]:
        """Yields each setting with its ranking: the current settings first, then the alternatives.

        The first setting is the fallback of tuning, so a costly part that can be switched off is off in it.
        """
        yield self.settings(), self.search(queries, k, candidates)
        for settings in self.alternative_settings():
            yield settings, self.with_settings(settings).search(queries, k, candidates)


def settings(retriever: Retriever) -> dict[str, Any]:
    """See ``Tunable.settings``; empty for a retriever that cannot be tuned."""
    return retriever.settings() if isinstance(retriever, Tunable) else {}


def with_settings(retriever: RetrieverT, settings: Mapping[str, Any]) -> RetrieverT:
    """See ``Tunable.with_settings``; the retriever itself if it cannot be tuned."""
    return retriever.with_settings(settings) if isinstance(retriever, Tunable) else retriever


def sweep(
    retriever: Retriever, queries: Sequence[str], k: int, candidates: Candidates | None = None
) -> Iterator[tuple[dict[str, Any], Ranking]]:
    """See ``Tunable.sweep``; one search for a retriever that cannot be tuned."""
    if isinstance(retriever, Tunable):
        yield from retriever.sweep(queries, k, candidates)
    else:
        yield {}, retriever.search(queries, k, candidates)


def search_without(
    retriever: Retriever, queries: Sequence[str], k: int, candidates: Candidates | None, own: np.ndarray
) -> Ranking:
    """Searches as ``Retriever.search`` does, but without each query's own document, (n_queries,), -1 for none."""
    return retriever.search(queries, *scope_without(own, k, candidates)).without(own, k)


class Updatable(Model):
    """A model that keeps what it has learned when documents are added and removed."""

    def with_corpus(self, corpus: Corpus, kept_numbers: np.ndarray) -> Self:
        """Returns a copy, with copies of its parts, on other documents.

        Args:
            corpus: the documents, kept ones first, in their order; it needs no encoders.
            kept_numbers: (n,) the current numbers of the kept documents, whose encodings are reused; the documents
                after them are new and are encoded.
        """
        if not (retrievers := parts(self)):
            return copy(self).index(corpus)
        changed = with_parts(self, [with_corpus(part, corpus, kept_numbers) for part in retrievers])
        changed.corpus = corpus
        return changed


def with_corpus(model: ModelT, corpus: Corpus, kept_numbers: np.ndarray) -> ModelT:
    """See ``Updatable.with_corpus``; a model that cannot be trained is indexed again.

    Raises:
        InputError: the model would lose what it has learned.
    """
    if isinstance(model, Updatable):
        return model.with_corpus(corpus, kept_numbers)
    if isinstance(model, Learnable):
        raise InputError(
            f"{model.kind}: a trained model of this type cannot change its documents; train it again with all documents"
        )
    return model.clone().index(corpus)


class Shardable(Retriever):
    """A retriever that can be indexed in shards, ranges of the documents, one by one and in several processes.

    A composite writes and joins its parts; whoever has an index of its own extends this.
    """

    def write_shard(self, corpus: Corpus, folder: Path, n_documents: int) -> None:
        """Writes the index of one shard.

        Args:
            corpus: the documents of the shard, with encoders.
            folder: an empty folder.
            n_documents: of all shards, which decides on precision and on graphs.
        """
        for place, part in enumerate(parts(self)):
            write_shard(part, corpus, folder / str(place), n_documents)

    def of_shards(self, corpus: Corpus, shards: Sequence[Path], folder: Path) -> Self:
        """Returns a copy that is indexed as ``index`` would have done, with arrays that are mapped into memory.

        Args:
            corpus: the documents of all shards, with encoders.
            shards: the folders that ``write_shard`` wrote, in the order of the documents.
            folder: for files that join those of the shards; they are in use as long as the copy is.
        """
        joined = [
            of_shards(part, corpus, [shard / str(place) for shard in shards], folder / str(place))
            for place, part in enumerate(parts(self))
        ]
        copied = with_parts(self, joined)
        copied.corpus = corpus
        return copied


def require_shardable(model: Model) -> None:
    """Raises an InputError if a model, or one nested in it, cannot be indexed in shards."""
    if not isinstance(model, Shardable):
        raise InputError(
            f"{model.kind}: a model of this type cannot be indexed in shards; choose one of BM25 and vectors, such as "
            "sparse, static, dense, static_hybrid or hybrid"
        )
    for nested in nested_models(model):
        require_shardable(nested)


def write_shard(retriever: Retriever, corpus: Corpus, folder: Path, n_documents: int) -> None:
    """See ``Shardable.write_shard``; raises an InputError for another retriever."""
    require_shardable(retriever)
    assert isinstance(retriever, Shardable)
    folder.mkdir(parents=True, exist_ok=True)
    retriever.write_shard(corpus, folder, n_documents)


def of_shards(retriever: RetrieverT, corpus: Corpus, shards: Sequence[Path], folder: Path) -> RetrieverT:
    """See ``Shardable.of_shards``; raises an InputError for another retriever."""
    require_shardable(retriever)
    assert isinstance(retriever, Shardable)
    folder.mkdir(parents=True, exist_ok=True)
    return retriever.of_shards(corpus, shards, folder)


class FeedbackSearch(Retriever):
    """A retriever that can move a query toward documents."""

    @abstractmethod
    def search_with_feedback(
        self, queries: Sequence[str], documents: np.ndarray, weight: float, k: int, candidates: Candidates | None = None
    ) -> Ranking:
        """Searches with each query moved toward some documents: pseudo-relevance feedback.

        Args:
            queries: n_queries texts.
            documents: (n_queries, m) document numbers, padded with -1.
            weight: of the documents, 0 (the query alone) to 1 (the documents alone).
            k: the length of the ranking.
            candidates: as for ``search``.
        """


def search_with_feedback(
    retriever: Retriever,
    queries: Sequence[str],
    documents: np.ndarray,
    weight: float,
    k: int,
    candidates: Candidates | None = None,
) -> Ranking:
    """See ``FeedbackSearch.search_with_feedback``.

    Raises:
        InputError: the retriever does not support feedback.
    """
    if not isinstance(retriever, FeedbackSearch):
        raise InputError(f"{retriever.kind}: cannot search with feedback; choose another retriever for model=feedback")
    return retriever.search_with_feedback(queries, documents, weight, k, candidates)


class Exhaustive(Retriever):
    """A retriever that may take long to score all documents, and little for a few candidates."""

    @property
    @abstractmethod
    def exhaustive(self) -> bool:
        """Whether it scores all documents."""


def is_exhaustive(retriever: Retriever) -> bool:
    """See ``Exhaustive.exhaustive``; False for a retriever that is fast on all documents."""
    return isinstance(retriever, Exhaustive) and retriever.exhaustive


class Noted(Model):
    """A model with remarks for the report."""

    @abstractmethod
    def notes(self) -> dict[str, str]:
        """Returns remarks by topic."""


def notes(model: Model) -> dict[str, str]:
    """Returns remarks on a model and its parts by topic."""
    nested = {topic: note for part in parts(model) for topic, note in notes(part).items()}
    return nested | model.notes() if isinstance(model, Noted) else nested


class MultitaskRetriever(Noted, Retriever):
    """A retriever that also solves other tasks."""

    @abstractmethod
    def task_functions(self) -> dict[str, TaskFunction]:
        """Returns a function for each task other than ranking, by name."""

    @abstractmethod
    def reader(self) -> Reader | None:
        """Returns the reader of the documents that it ranks; None if it has not learned to answer."""


def _multitask(model: Model) -> Iterator[MultitaskRetriever]:
    for part in parts(model):
        yield from _multitask(part)
    if isinstance(model, MultitaskRetriever):
        yield model


def task_functions(model: Model) -> dict[str, TaskFunction]:
    """Returns a function for each task other than ranking of a model and its parts, by name."""
    return {name: ask for one in _multitask(model) for name, ask in one.task_functions().items()}


def find_reader(model: Model) -> Reader | None:
    """Returns a model's reader, or else that of a nested model; None if there is none."""
    if isinstance(model, Reader):
        return model
    if isinstance(model, MultitaskRetriever):
        return model.reader()
    nested = sorted(nested_models(model), key=lambda one: isinstance(one, Retriever))  # rerankers first
    return next((reader for one in nested if (reader := find_reader(one)) is not None), None)
