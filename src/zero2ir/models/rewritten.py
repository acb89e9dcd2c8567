"""Query rewriting around any retriever: search with a passage that a language model writes as an answer."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from zero2ir.encoders.examples import Example, weighted_examples
from zero2ir.io.settings import NonNegativeInt, PositiveInt
from zero2ir.models.base import Retriever
from zero2ir.models.capabilities import Tunable, learn, search_with_feedback
from zero2ir.models.llm_reranker import leading_words
from zero2ir.models.prompted import Prompted
from zero2ir.models.ranking import Candidates, Ranking
from zero2ir.models.wrapper import Wrapper

if TYPE_CHECKING:
    import dspy

RewriteMethod = Literal["off", "query2doc", "hyde"]


class Rewritten(Tunable, Wrapper, Prompted):
    """Searches with a passage that a language model writes as an answer to the query.

    "query2doc" searches with the query, repeated so that its terms keep their weight, and the passage; "hyde" with the
    passage alone; "off" with the query alone, without the language model. A query without a usable answer stays.

    Args:
        retriever: any.
        method: "off", "query2doc" or "hyde".
        repeat: number of repetitions of the query by "query2doc".
        max_tokens: maximum length of the passage.
        words: maximum words of a demonstrated passage.
        demonstrations: number of (query, relevant document) pairs in the prompt once trained.
        alternatives: other methods to try on judgments; "off" is always the default of tuning.

    Source: Wang, Yang and Wei 2023 (Query2doc), arXiv 2303.07678, section 2; Gao et al. 2022 (HyDE), arXiv 2212.10496,
    section 3, with one passage.
    """

    kind = "rewritten"
    order = 74
    tunable = ("method",)
    task = "rewrite"
    role = "rewriter"
    instruction = "Write a passage that answers the query."
    demonstration: ClassVar = {"query": str, "passage": str}

    def __init__(
        self,
        retriever: Retriever,
        method: RewriteMethod = "query2doc",
        repeat: Annotated[int, Field(ge=1, le=100)] = 5,
        max_tokens: PositiveInt = 64,
        words: PositiveInt = 50,
        demonstrations: NonNegativeInt = 4,
        alternatives: Sequence[RewriteMethod] = ("query2doc", "hyde"),
    ) -> None:
        self.retriever = retriever
        self.method: RewriteMethod = method
        self.repeat = repeat
        self.max_tokens = max_tokens
        self.words = words
        self.demonstrations = demonstrations
        self.alternatives = list(alternatives)

    def needs(self) -> set[str]:
        return super().needs() | {"lm"}

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        return self.retriever.search(self.rewrite(queries), k, candidates)

    def search_with_feedback(
        self, queries: Sequence[str], documents: np.ndarray, weight: float, k: int, candidates: Candidates | None = None
    ) -> Ranking:
        return search_with_feedback(self.retriever, self.rewrite(queries), documents, weight, k, candidates)

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        return self.retriever.score(self.rewrite(queries), candidates)

    def rewrite(self, queries: Sequence[str]) -> list[str]:
        """Returns the text to search with for each query."""
        if self.method == "off":
            return list(queries)
        return self._combined(queries, self._passages(queries))

    def _passages(self, queries: Sequence[str]) -> list[str]:
        """Returns a passage for each query, empty for an unusable answer; equal queries share one answer."""
        distinct = sorted({query for query in queries if query.strip()})
        inputs = [{"query": leading_words(query, self.words)} for query in distinct]
        demos = [{**row, "query": leading_words(row["query"], self.words)} for row in self.prompt.demos]
        writer = passage_writer(demos, self.max_tokens, self.prompt.instruction)
        answers = self.corpus.require_language_model().map(writer, inputs, "rewriting")
        passage = {query: str(getattr(answer, "passage", "")) for query, answer in zip(distinct, answers, strict=True)}
        return [passage.get(query, "") for query in queries]

    def _combined(self, queries: Sequence[str], passages: Sequence[str]) -> list[str]:
        times = self.repeat if self.method == "query2doc" else 0
        return [
            " ".join([*[query] * times, passage]) if passage and self.method != "off" else query
            for query, passage in zip(queries, passages, strict=True)
        ]

    def sweep(
        self, queries: Sequence[str], k: int, candidates: Candidates | None = None
    ) -> Iterator[tuple[dict[str, Any], Ranking]]:
        """Yields "off" first, then each method; the language model runs once for all of them."""
        yield {"method": "off"}, self.retriever.search(queries, k, candidates)
        passages = self._passages(queries)
        for settings in [self.settings(), *self.alternative_settings()]:
            if settings["method"] != "off":
                changed = self.with_settings(settings)
                yield settings, self.retriever.search(changed._combined(queries, passages), k, candidates)

    def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
        """Trains the retriever, and draws demonstrations unless the prompt was optimized."""
        retriever = learn(self.retriever, examples, seed)
        number = 0 if self.prompt.optimized else self.demonstrations
        demos = self.draw_demonstrations(weighted_examples(examples), number, np.random.default_rng(seed))
        if retriever is None and not demos:
            return None
        prompt = self.prompt if self.prompt.optimized else self.prompt._replace(demos=tuple(demos))
        return self.with_params(retriever=retriever or self.retriever).with_prompt(prompt)

    def draw_demonstrations(
        self, examples: Sequence[Example], number: int, rng: np.random.Generator
    ) -> list[dict[str, Any]]:
        """Draws queries with one relevant document each."""
        of_query: dict[str, int] = {}
        for place in rng.permutation(len(examples)):
            of_query.setdefault(examples[place].query, examples[place].positive)
        return [
            {"query": query, "passage": leading_words(self.corpus.contents[document], self.words)}
            for query, document in list(of_query.items())[:number]
        ]


def passage_writer(demos: Sequence[Mapping[str, str]], max_tokens: int, instruction: str) -> "dspy.Predict":
    """Returns the DSPy program that writes a passage for a query, with demonstrations of both."""
    import dspy

    signature = dspy.Signature("query -> passage", instruction)
    # Without the penalty a small model tends to repeat itself.
    writer = dspy.Predict(signature, frequency_penalty=0.5, max_tokens=max_tokens)
    writer.demos = [dspy.Example(**row).with_inputs("query") for row in demos]
    return writer
