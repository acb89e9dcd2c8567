"""Pointwise reranking: a language model judges each candidate alone."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from zero2ir.encoders.examples import Example
from zero2ir.io.settings import PositiveInt
from zero2ir.lm.likelihood import log_probability
from zero2ir.models.llm_reranker import LLMReranker, leading_words, one_a_query
from zero2ir.models.ranking import split_scores

if TYPE_CHECKING:
    import dspy

    from zero2ir.lm.factory import LMFailure

TOP_LOGPROBS = 20  # the most that OpenAI's protocol allows
MAX_GRADE = 3


class Pointwise(LLMReranker):
    """Scores each candidate by the language model's probability that it is relevant, yes against no.

    An endpoint without log-probabilities gives a grade instead. A candidate without a usable answer gets no score, and
    counts as a failure in the language model's usage.

    Args:
        words: maximum words of a text in the prompt.
        demonstrations: number of demonstrations once trained, half of them relevant.

    Source: Nogueira et al. 2020, arXiv 2003.06713, for the probability of a token; Sachan et al. and Zhuang et al.
    2023, arXiv 2310.14122, for yes and no, and for grades.
    """

    kind = "pointwise"
    task = "judge"
    instruction = "Does this document answer the query?"
    demonstration: ClassVar = {"query": str, "document": str, "relevant": bool}

    def __init__(self, words: PositiveInt = 60, demonstrations: Annotated[int, Field(ge=2)] = 4) -> None:
        super().__init__(words, demonstrations)

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        inputs = [
            {"query": leading_words(query, self.words), "document": leading_words(text, self.words)}
            for query, texts in zip(queries, candidates, strict=True)
            for text in texts
        ]
        scores = np.zeros(0, dtype=np.float32)
        if inputs:
            logprobs = "logprobs" in self.language_model.lm.supported_params
            judge = relevance_judge(self._demos(), logprobs, self.prompt.instruction)
            answers = self.language_model.map(judge, inputs, "judging")
            scores = np.array([self._opinion(answer) for answer in answers], dtype=np.float32)
        return split_scores(scores, candidates)

    def _opinion(self, answer: "dspy.Prediction | LMFailure") -> float:
        value = parse_relevance(answer)
        if math.isnan(value) and hasattr(answer, "toDict"):  # an LMFailure is already counted
            self.language_model.usage.add(failures=1)
        return value

    def draw_demonstrations(
        self, examples: Sequence[Example], number: int, rng: np.random.Generator
    ) -> list[dict[str, Any]]:
        """Draws as many relevant as irrelevant documents, in random order, from different queries if possible."""
        contrasted = [example for example in examples if example.negatives]
        first = one_a_query(contrasted, rng)
        count = min(len(first), number // 2)
        rows = [(example.query, example.positive, True) for example in first[:count]]
        for example in (first[count:] + first)[:count]:
            rows.append((example.query, int(rng.choice(example.negatives)), False))
        return [
            {"query": query, "document": self._text(document), "relevant": relevant}
            for query, document, relevant in [rows[place] for place in rng.permutation(len(rows))]
        ]


def relevance_judge(
    demos: Sequence[Mapping[str, Any]], logprobs: bool, question: str = Pointwise.instruction
) -> "dspy.Predict":
    """Returns the DSPy program that judges one document: yes or no with log-probabilities, or a grade without.

    Demonstrations have query, document and relevant (bool); the question is a yes-no question.
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
        answers = [{"relevant": "yes" if row["relevant"] else "no"} for row in demos]
    else:
        signature = GradeRelevance.with_instructions(f"{question} 0: not at all, 1: hardly, 2: in part, 3: perfectly.")
        judge = dspy.Predict(signature)
        answers = [{"grade": MAX_GRADE if row["relevant"] else 0} for row in demos]
    judge.demos = [
        dspy.Example(query=row["query"], document=row["document"], **answer).with_inputs("query", "document")
        for row, answer in zip(demos, answers, strict=True)
    ]
    return judge


def parse_relevance(answer: "dspy.Prediction | LMFailure") -> float:
    """Reads the relevance of an answer, 0 to 1; NaN if it is neither yes nor no."""
    if (grade := getattr(answer, "grade", None)) is not None:
        return float(grade) / MAX_GRADE
    content = (getattr(answer, "logprobs", None) or {}).get("content")
    if not content:
        return {"yes": 1.0, "no": 0.0}.get(_word(getattr(answer, "relevant", "")), math.nan)
    share = {"yes": 0.0, "no": 0.0}
    for token in content[0]["top_logprobs"]:
        if (word := _word(token["token"])) in share:
            share[word] += math.exp(log_probability(token))
    total = sum(share.values())
    return share["yes"] / total if total > 0 else math.nan


def _word(text: str) -> str:
    return text.strip(" .,!:;\"'`*▁Ġ").lower()
