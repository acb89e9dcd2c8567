"""Dense retrieval by a multitask encoder, whose heads also answer questions and classify."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Literal, Self

import numpy as np

from zero2ir.data.answers import NO_SPAN
from zero2ir.encoders.distillation import TaughtQuery
from zero2ir.encoders.examples import Example
from zero2ir.encoders.multitask import MultitaskEncoder, TaskName, pieces
from zero2ir.encoders.multitask_training.settings import MultitaskSettings
from zero2ir.io.settings import NonNegativeInt
from zero2ir.models.base import Reader
from zero2ir.models.capabilities import MultitaskRetriever, TaskFunction
from zero2ir.models.dense import Dense
from zero2ir.models.dense_adapter import DenseAdapterSettings
from zero2ir.models.head_reader import HeadReader
from zero2ir.models.query_adaptation import AdaptationSettings
from zero2ir.models.ranking import NO_DOCUMENT
from zero2ir.models.vector_index import Precision


class Multitask(Dense, MultitaskRetriever):
    """Ranks as ``Dense`` does, and finds passages and answers, and classifies queries and documents.

    Args:
        encoder: the role of the multitask encoder.
        learning: "adapter" as for ``Dense``; "encoder" fine-tunes the network on all tasks, with the judged queries
            among the rows of each, and encodes every document again.
        fit: settings of the encoder's training.
        adapter, vectors, exact_limit, adaptation: as for ``Dense``.
    """

    kind = "multitask"
    order = 32
    network: MultitaskEncoder
    encoder_type = MultitaskEncoder

    def __init__(
        self,
        encoder: str = "multitask",
        learning: Literal["adapter", "encoder"] = "adapter",
        adapter: DenseAdapterSettings | Mapping[str, Any] | None = None,
        fit: MultitaskSettings | Mapping[str, Any] | None = None,
        vectors: Precision = "float32",
        exact_limit: NonNegativeInt = 200_000,
        adaptation: AdaptationSettings | Mapping[str, Any] | None = AdaptationSettings(),  # noqa: B008
    ) -> None:
        super().__init__(encoder, learning, adapter, None, vectors, exact_limit, adaptation)
        self.fit = MultitaskSettings.model_validate(fit or {})

    def _learn_encoder(self, examples: Sequence[Example], seed: int) -> Self:
        from zero2ir.encoders.multitask_training.training import train_multitask

        start = MultitaskEncoder(self.network.settings, deepcopy(self.network.model), self.network.heads)
        return self._with_network(train_multitask(self.corpus.documents, start, self.fit, seed, judged=examples))

    def distil(self, taught: Sequence[TaughtQuery], contrast: float, seed: int) -> Self:
        """Learns the adapter alone, since the heads need the network as it is."""
        return self._distil_adapter(taught, contrast)

    def reader(self) -> Reader | None:
        """Returns the reader of the answer head; None if that is untrained."""
        if "answer" not in self.network.heads.trained_tasks:
            return None
        return HeadReader(self.encoder).with_network(self.network)

    def notes(self) -> dict[str, str]:
        heads = self.network.heads
        figures = ", ".join(f"{name} {value:.3f}" for name, value in heads.figures.items())
        return {
            "classes": f"{len(heads.labels)}, from {heads.source}",
            "heads": f"on documents that were held out, by questions made of them: {figures or 'not measured'}",
        }

    def task_functions(self) -> dict[str, TaskFunction]:
        """Returns the functions of the trained heads."""
        functions: dict[TaskName, TaskFunction] = {
            "passages": self._passages,
            "answer": self._answer,
            "classify_query": lambda query, documents, k: self._class_of("classify_query", query, k),
            "classify_document": lambda query, documents, k: self._class_of("classify_document", query, k),
        }
        return {task: ask for task, ask in functions.items() if task in self.network.heads.trained_tasks}

    def _texts(self, query: str, documents: Sequence[str] | None, k: int) -> tuple[list[str], list[str]]:
        """Returns the ids and texts of ``documents``, whose ids are their positions; if None, of the best ``k``."""
        if documents is not None:
            return [str(number) for number in range(len(documents))], list(documents)
        numbers = [number for number in self.search([query], k).numbers[0] if number != NO_DOCUMENT]
        retrieved = [self.corpus.documents[number] for number in numbers]
        return [document.doc_id for document in retrieved], [document.content for document in retrieved]

    def _passages(self, query: str, documents: Sequence[str] | None, k: int) -> dict[str, Any]:
        ids, texts = self._texts(query, documents, k)
        words = self.network.heads.passage_words
        places = [(number, *place) for number, text in enumerate(texts) for place in pieces(text, words)]
        passages = [texts[number][start:end] for number, start, end in places]
        (scores,) = self.score([query], [passages])
        order = np.argsort(-scores, kind="stable")[:k]
        return {
            "docids": [ids[places[place][0]] for place in order],
            "passages": [passages[place] for place in order],
            "spans": [places[place][1:] for place in order],
            "scores": [float(scores[place]) for place in order],
        }

    def _answer(self, query: str, documents: Sequence[str] | None, k: int) -> dict[str, Any]:
        ids, texts = self._texts(query, documents, k)
        (spans,) = self.network.find_answers([query], [texts])
        first = spans[0] if spans else NO_SPAN
        return {
            "answer": first.text,
            "span": (first.start, first.end),
            "docids": ids,
            "answers": [span.text for span in spans],
            "spans": [(span.start, span.end) for span in spans],
            "scores": [float(span.score) for span in spans],
            "passages": texts,
        }

    def _class_of(self, task: TaskName, text: str, k: int) -> dict[str, Any]:
        (likely,) = self.network.classify(task, [text])
        order = np.argsort(-likely, kind="stable")[:k]
        classes, probabilities = [self.network.heads.labels[place] for place in order], likely[order].tolist()
        return {
            "label": classes[0],
            "probability": probabilities[0],
            "classes": classes,
            "probabilities": probabilities,
        }
