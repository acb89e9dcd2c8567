"""Listwise reranking: a language model orders several candidates at once."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from zero2ir.encoders.examples import Example
from zero2ir.errors import InputError
from zero2ir.io.settings import PositiveInt
from zero2ir.models.llm_reranker import LLMReranker, leading_words, one_a_query

if TYPE_CHECKING:
    import dspy


class Listwise(LLMReranker):
    """Orders the candidates of a window that slides from the last to the first.

    Candidates missing from an answer keep their order behind the others; an unusable answer changes nothing. The
    language model's usage counts both. The score is the final position.

    Args:
        words: maximum words of a text in the prompt.
        demonstrations: number of demonstrations once trained.
        window: candidates per prompt, at least 2.
        step: number of candidates that the window moves, at most ``window``.

    Source: Sun et al. 2023 (RankGPT), arXiv 2304.09542, sections 3.2 and 3.3.
    """

    kind = "listwise"
    task = "order"
    instruction = "Order the documents by how well they answer the query, best first, in the form [2] > [3] > [1]."
    demonstration: ClassVar = {"documents": list[str], "query": str, "order": str}

    def __init__(
        self,
        words: PositiveInt = 40,
        demonstrations: PositiveInt = 2,
        window: Annotated[int, Field(ge=2)] = 6,
        step: PositiveInt = 3,
    ) -> None:
        super().__init__(words, demonstrations)
        if step > window:
            raise InputError(f"window={window}, step={step}: a step leaves candidates out; lower it")
        self.window = window
        self.step = step

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        orders = [np.arange(len(texts)) for texts in candidates]
        answered = np.zeros(len(orders), dtype=bool)
        slides = [windows(len(texts), self.window, self.step) for texts in candidates]
        for turn in range(max(map(len, slides), default=0)):
            rows = [row for row, places in enumerate(slides) if turn < len(places)]
            parts = [slides[row][turn] for row in rows]
            texts = [
                [leading_words(candidates[row][number], self.words) for number in orders[row][part]]
                for row, part in zip(rows, parts, strict=True)
            ]
            permutations = self._permutations([queries[row] for row in rows], texts)
            for row, part, permutation in zip(rows, parts, permutations, strict=True):
                if permutation is not None:
                    orders[row][part] = orders[row][part][permutation]
                    answered[row] = True
        return [
            _falling(order) if usable else np.full(len(order), np.nan, dtype=np.float32)
            for order, usable in zip(orders, answered, strict=True)
        ]

    def _permutations(self, queries: Sequence[str], texts: Sequence[Sequence[str]]) -> list[list[int] | None]:
        """Returns the order of each window's texts as positions in it; None for an unusable answer."""
        inputs = [
            {"documents": list(window), "query": leading_words(query, self.words)}
            for query, window in zip(queries, texts, strict=True)
        ]
        writer = order_writer(self._demos(), self.window, self.prompt.instruction)
        answers = self.language_model.map(writer, inputs, "ordering")
        orders = []
        for answer, window in zip(answers, texts, strict=True):
            order, whole = parse_permutation(str(getattr(answer, "order", "")), len(window))
            if order is None and hasattr(answer, "toDict"):  # an LMFailure is already counted
                self.language_model.usage.add(failures=1)
            elif order is not None and not whole:
                self.language_model.usage.add(repaired=1)
            orders.append(order)
        return orders

    def draw_demonstrations(
        self, examples: Sequence[Example], number: int, rng: np.random.Generator
    ) -> list[dict[str, Any]]:
        """Draws orders with the relevant document first and its negatives in the order of the prompt."""
        rows = []
        for example in one_a_query([one for one in examples if one.negatives], rng)[:number]:
            numbers = [example.positive, *example.negatives[: self.window - 1]]
            places = [int(place) for place in rng.permutation(len(numbers))]
            first = places.index(0)
            order = [first, *(place for place in range(len(numbers)) if place != first)]
            texts = [self._text(numbers[place]) for place in places]
            answer = " > ".join(f"[{place + 1}]" for place in order)
            rows.append({"documents": texts, "query": example.query, "order": answer})
        return rows


def order_writer(demos: Sequence[Mapping[str, Any]], window: int, instruction: str) -> "dspy.Predict":
    """Returns the DSPy program that orders at most ``window`` documents, with demonstrations of its fields."""
    import dspy

    class OrderDocuments(dspy.Signature):
        documents: list[str] = dspy.InputField()
        query: str = dspy.InputField()
        order: str = dspy.OutputField()

    writer = dspy.Predict(OrderDocuments.with_instructions(instruction), max_tokens=8 * window)
    writer.demos = [dspy.Example(**row).with_inputs("documents", "query") for row in demos]
    return writer


def parse_permutation(answer: str, n: int) -> tuple[list[int] | None, bool]:
    """Reads an order of ``n`` texts as positions from 0, best first, and whether the answer was complete.

    Repeated and invalid positions are dropped; missing ones follow in their previous order. Without a valid position
    the result is (None, False).
    """
    named = [int(digits) - 1 for digits in re.findall(r"\d{1,9}", answer)]
    valid = list(dict.fromkeys(place for place in named if 0 <= place < n))
    if not valid:
        return None, False
    return valid + [place for place in range(n) if place not in valid], sorted(named) == list(range(n))


def windows(n: int, window: int, step: int) -> list[slice]:
    """Returns the windows over ``n`` candidates, from the last to the first; none for fewer than 2 candidates."""
    slices: list[slice] = []
    end = n
    while n > 1 and (not slices or slices[-1].start > 0):
        slices.append(slice(max(0, end - window), end))
        end -= step
    return slices


def _falling(order: np.ndarray) -> np.ndarray:
    scores = np.zeros(len(order), dtype=np.float32)
    scores[order] = np.arange(len(order), 0, -1)
    return scores
