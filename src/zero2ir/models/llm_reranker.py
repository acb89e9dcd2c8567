"""Rerankers that ask a language model: about each candidate alone, or for the order of several."""

import math
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example
from zero2ir.models.base import Reranker, read_state, split_scores, weighted_examples, write_state
from zero2ir.models.prompted import PartPrompt, Prompted

if TYPE_CHECKING:
    import dspy

    from zero2ir.lm.factory import LanguageModel, LMFailure

TOP_LOGPROBS = 20  # the most that OpenAI's protocol allows
MAX_GRADE = 3
LETTERS_PER_WORD = 10  # a text without spaces is cut, too


class LLMReranker(Reranker, Prompted):
    """What both have in common: a prompt, whose demonstrations come from the judgments, and how it is saved.

    Args:
        words: a text is cut after so many words in the prompt.
        demonstrations: how many are shown once something was learned; before, none is.
    """

    min_demonstrations: ClassVar[int]

    def __init__(self, words: int, demonstrations: int) -> None:
        if words < 1 or demonstrations < self.min_demonstrations:
            raise ValueError(
                f"words={words}, demonstrations={demonstrations}; "
                f"show at least 1 word and {self.min_demonstrations} demonstrations"
            )
        self.words = words
        self.demonstrations = demonstrations
        self.prompt = PartPrompt(self.instruction)

    def needs(self) -> set[str]:
        return {"lm"}

    def index(self, corpus: Corpus) -> Self:
        self.corpus = corpus
        return self

    @property
    def language_model(self) -> "LanguageModel":
        """The one that is asked."""
        return self.corpus.require_language_model()

    def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
        """Shows some of the examples as demonstrations, unless its prompt was chosen."""
        if self.prompt.optimized:
            return None
        drawn = self.draw_demonstrations(weighted_examples(examples), self.demonstrations, np.random.default_rng(seed))
        return self.with_prompt(self.prompt._replace(demos=tuple(drawn))) if drawn else None

    def with_prompt(self, prompt: PartPrompt) -> Self:
        changed = type(self)(**self._budget()).index(self.corpus)
        changed.prompt = prompt
        return changed

    @abstractmethod
    def _budget(self) -> dict[str, Any]:
        """The constructor's arguments."""

    def _text(self, number: int) -> str:
        return leading_words(self.corpus.contents[number], self.words)

    def _shown(self) -> list[dict[str, Any]]:
        """The demonstrations as they are shown: with their queries cut."""
        return [{**row, "query": leading_words(row["query"], self.words)} for row in self.prompt.demos]

    def save(self, folder: Path) -> None:
        write_state(folder, self, budget=self._budget(), prompt=self.prompt.as_dict())

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        state = read_state(folder)
        reranker = cls(**state["budget"]).index(corpus)
        reranker.prompt = PartPrompt.from_dict(state["prompt"])
        return reranker


class Pointwise(LLMReranker):
    """Asks whether each candidate is relevant: the score is the probability of yes against no.

    An endpoint that gives no log-probabilities is asked for a grade instead. A candidate without a usable answer is
    not scored, and counted in the language model's usage.

    Args:
        words: a text is cut after so many words in the prompt.
        demonstrations: how many are shown once something was learned, half of them relevant.

    Source: Nogueira et al. 2020, arXiv 2003.06713, for the probability of a token; Sachan et al. and Zhuang et al.
    2023, arXiv 2310.14122, for yes and no, and for grades.
    """

    kind = "pointwise"
    task = "judge"
    instruction = "Does this document answer the query?"
    min_demonstrations = 2

    def __init__(self, words: int = 60, demonstrations: int = 4) -> None:
        super().__init__(words, demonstrations)

    def _budget(self) -> dict[str, Any]:
        return {"words": self.words, "demonstrations": self.demonstrations}

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        inputs = [
            {"query": leading_words(query, self.words), "document": leading_words(text, self.words)}
            for query, texts in zip(queries, candidates, strict=True)
            for text in texts
        ]
        scores = np.zeros(0, dtype=np.float32)
        if inputs:
            logprobs = "logprobs" in self.language_model.lm.supported_params
            judge = relevance_judge(self._shown(), logprobs, self.prompt.instruction)
            answers = self.language_model.map(judge, inputs, "judging")
            scores = np.array([self._opinion(answer) for answer in answers], dtype=np.float32)
        return split_scores(scores, candidates)

    def _opinion(self, answer: "dspy.Prediction | LMFailure") -> float:
        value = parse_relevance(answer)
        if math.isnan(value) and hasattr(answer, "toDict"):  # a failure was counted when it came
            self.language_model.usage.add(failures=1)
        return value

    def draw_demonstrations(
        self, examples: Sequence[Example], number: int, rng: np.random.Generator
    ) -> list[dict[str, Any]]:
        """As many relevant as not relevant ones, in random order; of different queries where there are enough."""
        contrasted = [example for example in examples if example.negatives]
        first = _one_a_query(contrasted, rng)
        count = min(len(first), number // 2)
        rows = []
        for example in first[:count]:
            rows.append((example.query, example.positive, True))
        for example in (first[count:] + first)[:count]:
            rows.append((example.query, int(rng.choice(example.negatives)), False))
        return [
            {"query": query, "document": self._text(document), "relevant": relevant}
            for query, document, relevant in [rows[place] for place in rng.permutation(len(rows))]
        ]


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

    def _budget(self) -> dict[str, Any]:
        return {
            "words": self.words,
            "demonstrations": self.demonstrations,
            "window": self.window,
            "step": self.step,
        }

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
        for example in _one_a_query([one for one in examples if one.negatives], rng)[:number]:
            numbers = [example.positive, *example.negatives[: self.window - 1]]
            places = [int(place) for place in rng.permutation(len(numbers))]
            first = places.index(0)
            order = [first, *(place for place in range(len(numbers)) if place != first)]
            texts = [self._text(numbers[place]) for place in places]
            rows.append({"documents": texts, "query": example.query, "order": order_text(order)})
        return rows


def relevance_judge(
    shown: Sequence[Mapping[str, Any]], logprobs: bool, question: str = Pointwise.instruction
) -> "dspy.Predict":
    """The DSPy program that judges one document: yes or no with log-probabilities, or a grade.

    Args:
        demos: demonstrations with query, document and relevant (bool).
        logprobs: whether the endpoint can tell them.
        question: one about a document and a query that yes or no answers.
    """
    import dspy

    class JudgeRelevance(dspy.Signature):
        query: str = dspy.InputField()
        document: str = dspy.InputField()
        relevant: str = dspy.OutputField()

    class GradeRelevance(dspy.Signature):
        query: str = dspy.InputField()
        document: str = dspy.InputField()
        grade: Literal[0, 1, 2, 3] = dspy.OutputField()

    answers: list[dict[str, str | int]]
    if logprobs:
        signature = JudgeRelevance.with_instructions(f"{question} Answer yes or no.")
        judge = dspy.Predict(signature, logprobs=True, top_logprobs=TOP_LOGPROBS, max_tokens=1)
        answers = [{"relevant": "yes" if row["relevant"] else "no"} for row in shown]
    else:
        signature = GradeRelevance.with_instructions(f"{question} 0: not at all, 1: hardly, 2: in part, 3: perfectly.")
        judge = dspy.Predict(signature)
        answers = [{"grade": MAX_GRADE if row["relevant"] else 0} for row in shown]
    judge.demos = [
        dspy.Example(query=row["query"], document=row["document"], **answer).with_inputs("query", "document")
        for row, answer in zip(shown, answers, strict=True)
    ]
    return judge


def parse_relevance(answer: "dspy.Prediction | LMFailure") -> float:
    """What an answer says, 0 (not relevant) to 1; NaN where it says neither yes nor no."""
    if (grade := getattr(answer, "grade", None)) is not None:
        return float(grade) / MAX_GRADE
    content = (getattr(answer, "logprobs", None) or {}).get("content")
    if not content:
        return {"yes": 1.0, "no": 0.0}.get(_word(getattr(answer, "relevant", "")), math.nan)
    share = {"yes": 0.0, "no": 0.0}
    for token in content[0]["top_logprobs"]:
        if (word := _word(token["token"])) in share:
            share[word] += math.exp(token["logprob"])
    total = sum(share.values())
    return share["yes"] / total if total > 0 else math.nan


def _word(text: str) -> str:
    return text.strip(" .,!:;\"'`*▁Ġ").lower()


def order_writer(shown: Sequence[Mapping[str, Any]], window: int, instruction: str) -> "dspy.Predict":
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
    writer.demos = [dspy.Example(**row).with_inputs("documents", "query") for row in shown]
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


def leading_words(text: str, words: int) -> str:
    """A text's first words."""
    return " ".join(text[: 2 * LETTERS_PER_WORD * words].split()[:words])[: LETTERS_PER_WORD * words]


def _falling(order: np.ndarray) -> np.ndarray:
    """(n,) float32, the higher the earlier a number stands in the order."""
    scores = np.zeros(len(order), dtype=np.float32)
    scores[order] = np.arange(len(order), 0, -1)
    return scores


def _unknown(order: np.ndarray) -> np.ndarray:
    return np.full(len(order), np.nan, dtype=np.float32)


def _one_a_query(examples: Sequence[Example], rng: np.random.Generator) -> list[Example]:
    """The examples in random order, those of a query that came before at the end."""
    mixed = [examples[place] for place in rng.permutation(len(examples))]
    first: dict[str, Example] = {}
    for example in mixed:
        first.setdefault(example.query, example)
    return [*first.values(), *(example for example in mixed if first[example.query] is not example)]
