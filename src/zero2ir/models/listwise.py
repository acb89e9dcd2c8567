"""A reranker that asks a language model for the order of several candidates at once."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zero2ir.encoders.examples import Example
from zero2ir.models.llm_reranker import LLMReranker, leading_words, one_a_query

if TYPE_CHECKING:
    import dspy


class Listwise(LLMReranker):
    """Asks for the order of some candidates at once, in a window that slides from the last to the first.

    An incomplete order is completed by the order that came in; an unusable one leaves that as it was. Both are counted
    in the language model's usage. The score is the place in the order at the end.

    Args:
        words: a text is cut after so many words in the prompt.
        demonstrations: how many are shown once something was learned.
        window: candidates in one prompt, at least 2.
        step: by how many candidates the window moves, at most ``window``.

    Source: Sun et al. 2023 (RankGPT), arXiv 2304.09542, sections 3.2 and 3.3.
    """

    kind = "listwise"
    task = "order"
    instruction = "Order the documents by how well they answer the query, best first, in the form [2] > [3] > [1]."
    min_demonstrations = 1

    def __init__(self, words: int = 40, demonstrations: int = 2, window: int = 6, step: int = 3) -> None:
        super().__init__(words, demonstrations)
        if window < 2 or not 1 <= step <= window:
            raise ValueError(f"window={window}, step={step}; order at least 2 candidates, and step over at most all")
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
            found = self._permutations([queries[row] for row in rows], texts)
            for row, part, permutation in zip(rows, parts, found, strict=True):
                if permutation is not None:
                    orders[row][part] = orders[row][part][permutation]
                    answered[row] = True
        return [_falling(order) if known else _unknown(order) for order, known in zip(orders, answered, strict=True)]

    def _permutations(self, queries: Sequence[str], texts: Sequence[Sequence[str]]) -> list[list[int] | None]:
        """The order of each window's texts as places in it; None where the answer is of no use."""
        inputs = [
            {"documents": list(window), "query": leading_words(query, self.words)}
            for query, window in zip(queries, texts, strict=True)
        ]
        writer = order_writer(self._shown(), self.window, self.prompt.instruction)
        answers = self.language_model.map(writer, inputs, "ordering")
        found = []
        for answer, window in zip(answers, texts, strict=True):
            order, whole = parse_permutation(str(getattr(answer, "order", "")), len(window))
            if order is None and hasattr(answer, "toDict"):  # a failure was counted when it came
                self.language_model.usage.add(failures=1)
            elif order is not None and not whole:
                self.language_model.usage.add(repaired=1)
            found.append(order)
        return found

    def draw_demonstrations(
        self, examples: Sequence[Example], number: int, rng: np.random.Generator
    ) -> list[dict[str, Any]]:
        """A relevant document among its negatives, which keep the order that they are shown in."""
        rows = []
        for example in one_a_query([one for one in examples if one.negatives], rng)[:number]:
            numbers = [example.positive, *example.negatives[: self.window - 1]]
            places = [int(place) for place in rng.permutation(len(numbers))]
            first = places.index(0)
            order = [first, *(place for place in range(len(numbers)) if place != first)]
            texts = [self._text(numbers[place]) for place in places]
            rows.append({"documents": texts, "query": example.query, "order": order_text(order)})
        return rows


def order_writer(demos: Sequence[Mapping[str, Any]], window: int, instruction: str) -> "dspy.Predict":
    """The DSPy program that orders some documents.

    Args:
        demos: demonstrations with documents, query and order.
        window: the most documents that it is asked about.
        instruction: what is asked for, and in which form.
    """
    import dspy

    class OrderDocuments(dspy.Signature):
        documents: list[str] = dspy.InputField()
        query: str = dspy.InputField()
        order: str = dspy.OutputField()

    writer = dspy.Predict(OrderDocuments.with_instructions(instruction), max_tokens=8 * window)
    writer.demos = [dspy.Example(**row).with_inputs("documents", "query") for row in demos]
    return writer


def order_text(order: Sequence[int]) -> str:
    """Places from 0 as an order in words: [1, 0] is "[2] > [1]"."""
    return " > ".join(f"[{place + 1}]" for place in order)


def parse_permutation(answer: str, n: int) -> tuple[list[int] | None, bool]:
    """Reads an order of ``n`` texts, and whether it was whole.

    A place that comes twice counts once, one that does not exist not at all, and those left out follow as they stood.

    Returns:
        The places from 0, best first, and True where nothing had to be put right; (None, False) where no place exists.
    """
    named = [int(digits) - 1 for digits in re.findall(r"\d{1,9}", answer)]
    known = list(dict.fromkeys(place for place in named if 0 <= place < n))
    if not known:
        return None, False
    return known + [place for place in range(n) if place not in known], sorted(named) == list(range(n))


def windows(n: int, window: int, step: int) -> list[slice]:
    """The windows over ``n`` candidates, from the last to the first; none where there is nothing to order."""
    found: list[slice] = []
    end = n
    while n > 1 and (not found or found[-1].start > 0):
        found.append(slice(max(0, end - window), end))
        end -= step
    return found


def _falling(order: np.ndarray) -> np.ndarray:
    """(n,) float32, the higher the earlier a number stands in the order."""
    scores = np.zeros(len(order), dtype=np.float32)
    scores[order] = np.arange(len(order), 0, -1)
    return scores


def _unknown(order: np.ndarray) -> np.ndarray:
    return np.full(len(order), np.nan, dtype=np.float32)
