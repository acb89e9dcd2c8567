"""Query rewriting around any retriever: a language model writes a passage that would answer, and that is searched."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np

from zero2ir.encoders.examples import Example, weighted_examples
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
    """Searches with what a language model would expect to find.

    "query2doc" searches with the query, repeated so that its terms keep their weight, and the passage; "hyde" with the
    passage alone; "off" with the query alone, and asks nothing. A query without a usable answer stays as it is.

    Args:
        retriever: any.
        method: "off", "query2doc" or "hyde".
        repeat: how often "query2doc" repeats the query.
        max_tokens: the passage's length.
        words: a demonstrated passage is cut after so many words.
        demonstrations: (query, relevant document) pairs that are shown once something was learned; before, none is.
        alternatives: other styles worth trying when judgments are there. Whether it pays at all is always tried: every
            choice starts from "off".

    Source: Wang, Yang and Wei 2023 (Query2doc), arXiv 2303.07678, section 2; Gao et al. 2022 (HyDE), arXiv 2212.10496,
    section 3, with one passage.
    """

    kind = "rewritten"
    order = 74
    tunable = ("method",)
    task = "rewrite"
    role = "rewriter"
    instruction = "Write a passage that answers the query."

    def __init__(
        self,
        retriever: Retriever,
        method: RewriteMethod = "query2doc",
        repeat: int = 5,
        max_tokens: int = 64,
        words: int = 50,
        demonstrations: int = 4,
        alternatives: Sequence[RewriteMethod] = ("query2doc", "hyde"),
    ) -> None:
        for one in (method, *alternatives):
            if one not in get_args(RewriteMethod):
                raise ValueError(f"method={one!r}; choose one of {', '.join(get_args(RewriteMethod))}")
        if min(repeat, max_tokens, words) < 1 or demonstrations < 0:
            raise ValueError(
                f"repeat={repeat}, max_tokens={max_tokens}, words={words}, demonstrations={demonstrations}; "
                "give at least 1, and no fewer than 0 demonstrations"
            )
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
        self,
        queries: Sequence[str],
        documents: np.ndarray,
        weight: float,
        k: int,
        candidates: Candidates | None = None,
    ) -> Ranking:
        """Moves the rewritten query."""
        return search_with_feedback(self.retriever, self.rewrite(queries), documents, weight, k, candidates)

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        return self.retriever.score(self.rewrite(queries), candidates)

    def rewrite(self, queries: Sequence[str]) -> list[str]:
        """What is searched with instead of each query."""
        if self.method == "off":
            return list(queries)
        return self._combined(queries, self._passages(queries))

    def _passages(self, queries: Sequence[str]) -> list[str]:
        """A passage for each query, asked for once where queries are equal; empty where there is no usable answer."""
        distinct = sorted({query for query in queries if query.strip()})
        inputs = [{"query": leading_words(query, self.words)} for query in distinct]
        shown = [{**row, "query": leading_words(row["query"], self.words)} for row in self.prompt.demos]
        writer = passage_writer(shown, self.max_tokens, self.prompt.instruction)
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
        """The plain query first, then each style; the language model is asked once for all of them."""
        yield {"method": "off"}, self.retriever.search(queries, k, candidates)
        passages = self._passages(queries)
        for settings in [self.settings(), *self.alternative_settings()]:
            if settings["method"] != "off":
                changed = self.with_settings(settings)
                yield settings, self.retriever.search(changed._combined(queries, passages), k, candidates)

    def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
        """Lets the retriever learn, and shows queries with their relevant documents, unless its prompt was chosen."""
        retriever = learn(self.retriever, examples, seed)
        number = 0 if self.prompt.optimized else self.demonstrations
        shown = self.draw_demonstrations(weighted_examples(examples), number, np.random.default_rng(seed))
        if retriever is None and not shown:
            return None
        prompt = self.prompt if self.prompt.optimized else self.prompt._replace(demos=tuple(shown))
        return self.with_params(retriever=retriever or self.retriever).with_prompt(prompt)

    def draw_demonstrations(
        self, examples: Sequence[Example], number: int, rng: np.random.Generator
    ) -> list[dict[str, Any]]:
        """One relevant document of each of some queries."""
        of_query: dict[str, int] = {}
        for place in rng.permutation(len(examples)):
            of_query.setdefault(examples[place].query, examples[place].positive)
        return [
            {"query": query, "passage": leading_words(self.corpus.contents[document], self.words)}
            for query, document in list(of_query.items())[:number]
        ]


def passage_writer(shown: Sequence[Mapping[str, str]], max_tokens: int, instruction: str) -> "dspy.Predict":
    """The DSPy program that writes what a query shall be searched with.

    Args:
        demos: demonstrations with query and passage.
        max_tokens: the passage's length.
        instruction: what is asked for.
    """
    import dspy

    # Without the penalty a small model likes to go on and on in the same words.
    signature = dspy.Signature("query -> passage", instruction)
    writer = dspy.Predict(signature, frequency_penalty=0.5, max_tokens=max_tokens)
    writer.demos = [dspy.Example(**row).with_inputs("query") for row in shown]
    return writer
