"""The base of retrievers that wrap another retriever."""

from collections.abc import Sequence
from typing import Self

import numpy as np

from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example
from zero2ir.models.base import Retriever, nested_models
from zero2ir.models.capabilities import FeedbackSearch, Updatable, learn, search_with_feedback
from zero2ir.models.initialization import Initializable
from zero2ir.models.ranking import Candidates, Ranking


class Wrapper(Initializable, Updatable, FeedbackSearch):
    """A retriever that delegates to its parameter ``retriever`` by default."""

    retriever: Retriever

    def index(self, corpus: Corpus) -> Self:
        self.corpus = corpus
        for nested in nested_models(self):
            nested.index(corpus)
        return self

    def search_with_feedback(
        self, queries: Sequence[str], documents: np.ndarray, weight: float, k: int, candidates: Candidates | None = None
    ) -> Ranking:
        return search_with_feedback(self.retriever, queries, documents, weight, k, candidates)

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        return self.retriever.score(queries, candidates)

    def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
        learned = learn(self.retriever, examples, seed)
        return None if learned is None else self.with_params(retriever=learned)
