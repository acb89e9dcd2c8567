"""What only some models can do, and functions that ask any model for it.

Each ability is a base class that a model type derives from. A function of the same name asks a model and, where that
makes sense, what it is made of; a model without the ability has the plain answer that the function states.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, ClassVar, Self

import numpy as np

from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example
from zero2ir.errors import InputError
from zero2ir.models.base import Model, ModelT, Reader, Retriever, RetrieverT, nested_models, parts, with_parts
from zero2ir.models.ranking import Candidates, Ranking

# From a query, texts in place of documents or None, and k, to the fields of a prediction.
TaskFunction = Callable[[str, Sequence[str] | None, int], dict[str, Any]]


class Learnable(Model):
    """Learns from examples."""

    @abstractmethod
    def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
        """An indexed copy that has learned from examples; None where they teach nothing."""

    def requires_learning(self) -> bool:
        """Whether it is no sane default before it has learned, such as a translator that was shown no example."""
        return False


def learn(model: ModelT, examples: Sequence[Example], seed: int) -> ModelT | None:
    """See ``Learnable.learn``; None for a model that learns nothing."""
    return model.learn(examples, seed) if isinstance(model, Learnable) else None


def requires_learning(model: Model) -> bool:
    """Whether a model or a part of it is no sane default before it has learned."""
    own = isinstance(model, Learnable) and model.requires_learning()
    return own or any(requires_learning(part) for part in parts(model))


class Tunable(Retriever):
    """Has settings that can be chosen on judged queries.

    Attributes:
        tunable: the parameters that are settings.
        alternatives: a parameter: other values worth trying; tuples where there is more than one setting.
    """

    tunable: ClassVar[tuple[str, ...]]
    alternatives: Sequence[Any]

    def settings(self) -> dict[str, Any]:
        """The present settings; JSON."""
        return {name: getattr(self, name) for name in self.tunable}

    def with_settings(self, settings: Mapping[str, Any]) -> Self:
        """An indexed copy with other settings; what does not depend on them is shared."""
        return self.with_params(**settings)

    def alternative_settings(self) -> list[dict[str, Any]]:
        """Settings worth trying beside the present ones."""
        rows = [row if isinstance(row, tuple) else (row,) for row in self.alternatives]
        settings = [dict(zip(self.tunable, row, strict=True)) for row in rows]
        return [one for one in settings if one != self.settings()]

    def sweep(
        self, queries: Sequence[str], k: int, candidates: Candidates | None = None
    ) -> Iterator[tuple[dict[str, Any], Ranking]]:
        """Searches with the present settings first, then with each of the alternatives.

        The first are what a choice falls back to, so a costly part that can be switched off comes first switched off.
        """
        yield self.settings(), self.search(queries, k, candidates)
        for settings in self.alternative_settings():
            yield settings, self.with_settings(settings).search(queries, k, candidates)


def settings(retriever: Retriever) -> dict[str, Any]:
    """See ``Tunable.settings``; nothing for a retriever that cannot be tuned."""
    return retriever.settings() if isinstance(retriever, Tunable) else {}


def with_settings(retriever: RetrieverT, settings: Mapping[str, Any]) -> RetrieverT:
    """See ``Tunable.with_settings``; itself where there are none."""
    return retriever.with_settings(settings) if isinstance(retriever, Tunable) else retriever


def sweep(
    retriever: Retriever, queries: Sequence[str], k: int, candidates: Candidates | None = None
) -> Iterator[tuple[dict[str, Any], Ranking]]:
    """See ``Tunable.sweep``; one search for a retriever that cannot be tuned."""
    if isinstance(retriever, Tunable):
        yield from retriever.sweep(queries, k, candidates)
    else:
        yield {}, retriever.search(queries, k, candidates)


class Updatable(Model):
    """Keeps what it has learned when documents come and go."""

    def with_corpus(self, corpus: Corpus, kept_numbers: np.ndarray) -> Self:
        """A copy that works on other documents; one that is made of parts, on copies of these.

        Args:
            corpus: the documents; the first ones are some of the present ones, in their order. It needs no encoders.
            kept_numbers: (n,) the present numbers of these first ones. What was computed of them is taken over; the
                documents after them are new, and encoded.
        """
        if not (retrievers := parts(self)):
            return copy(self).index(corpus)
        changed = with_parts(self, [with_corpus(part, corpus, kept_numbers) for part in retrievers])
        changed.corpus = corpus
        return changed


def with_corpus(model: ModelT, corpus: Corpus, kept_numbers: np.ndarray) -> ModelT:
    """See ``Updatable.with_corpus``; a model that learns nothing is indexed anew.

    Raises:
        InputError: it would lose what it has learned.
    """
    if isinstance(model, Updatable):
        return model.with_corpus(corpus, kept_numbers)
    if isinstance(model, Learnable):
        raise InputError(
            f"{model.kind}: takes no other documents once it is trained; train it again with all documents"
        )
    return model.clone().index(corpus)


class FeedbackSearch(Retriever):
    """Can move a query toward documents."""

    @abstractmethod
    def search_with_feedback(
        self,
        queries: Sequence[str],
        documents: np.ndarray,
        weight: float,
        k: int,
        candidates: Candidates | None = None,
    ) -> Ranking:
        """Searches with each query moved toward some documents: pseudo-relevance feedback.

        Args:
            queries: n_queries texts.
            documents: (n_queries, m) document numbers, -1 where there are fewer.
            weight: of the documents, 0 (the query as it is) to 1 (the documents alone).
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
        InputError: the retriever cannot do that.
    """
    if not isinstance(retriever, FeedbackSearch):
        raise InputError(f"{retriever.kind}: cannot search with feedback; take another model below model=prf")
    return retriever.search_with_feedback(queries, documents, weight, k, candidates)


class MultitaskRetriever(Retriever):
    """Does more than rank."""

    @abstractmethod
    def task_functions(self) -> dict[str, TaskFunction]:
        """What it can be asked beside ranking, by name."""

    @abstractmethod
    def reader(self) -> Reader | None:
        """What points to answers in the documents that it ranks; None where it has not learned that."""

    @abstractmethod
    def notes(self) -> dict[str, str]:
        """What a report should say of it, by what it is about."""


def task_functions(model: Model) -> dict[str, TaskFunction]:
    """What a model or its parts can be asked beside ranking, by name."""
    own = model.task_functions() if isinstance(model, MultitaskRetriever) else {}
    return {name: ask for part in parts(model) for name, ask in task_functions(part).items()} | own


def notes(model: Model) -> dict[str, str]:
    """What a report should say of a model and its parts, by what it is about."""
    own = model.notes() if isinstance(model, MultitaskRetriever) else {}
    return {name: note for part in parts(model) for name, note in notes(part).items()} | own


def find_reader(model: Model) -> Reader | None:
    """What points to answers in the documents that a model ranks, its own before a part's; None where nothing does."""
    if isinstance(model, Reader):
        return model
    if isinstance(model, MultitaskRetriever):
        return model.reader()
    nested = sorted(nested_models(model), key=lambda one: isinstance(one, Retriever))  # rerankers first
    return next((reader for one in nested if (reader := find_reader(one)) is not None), None)
