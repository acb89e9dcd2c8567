"""The base of rerankers that use a language model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from zero2ir.data.words import join_words, split_words
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example, weighted_examples
from zero2ir.io.settings import PositiveInt
from zero2ir.models.base import Reranker
from zero2ir.models.capabilities import Learnable, Updatable
from zero2ir.models.prompted import Prompted

if TYPE_CHECKING:
    from zero2ir.lm.factory import LanguageModel

LETTERS_PER_WORD = 10  # limits texts without spaces


class LLMReranker(Learnable, Updatable, Prompted, Reranker):
    """A reranker that prompts a language model, with demonstrations from the judgments once trained.

    Args:
        words: maximum words of a text in the prompt.
        demonstrations: number of demonstrations once trained; untrained it has none.
    """

    role = "reranker"

    def __init__(self, words: PositiveInt, demonstrations: PositiveInt) -> None:
        self.words = words
        self.demonstrations = demonstrations

    def needs(self) -> set[str]:
        return {"lm"}

    def index(self, corpus: Corpus) -> Self:
        self.corpus = corpus
        return self

    @property
    def language_model(self) -> "LanguageModel":
        return self.corpus.require_language_model()

    def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
        """Draws demonstrations from the examples, unless the prompt was optimized."""
        if self.prompt.optimized:
            return None
        drawn = self.draw_demonstrations(weighted_examples(examples), self.demonstrations, np.random.default_rng(seed))
        return self.with_prompt(self.prompt._replace(demos=tuple(drawn))) if drawn else None

    def _text(self, number: int) -> str:
        return leading_words(self.corpus.contents[number], self.words)

    def _demos(self) -> list[dict[str, Any]]:
        """Returns the demonstrations for the prompt, with their queries cut."""
        return [{**row, "query": leading_words(row["query"], self.words)} for row in self.prompt.demos]


def leading_words(text: str, words: int) -> str:
    """Returns a text's first words, and of a text without spaces the first letters."""
    return join_words(split_words(text[: 2 * LETTERS_PER_WORD * words])[:words])[: LETTERS_PER_WORD * words]


def one_a_query(examples: Sequence[Example], rng: np.random.Generator) -> list[Example]:
    """Returns the examples in random order, one per query first and the rest behind them."""
    mixed = [examples[place] for place in rng.permutation(len(examples))]
    first: dict[str, Example] = {}
    for example in mixed:
        first.setdefault(example.query, example)
    return [*first.values(), *(example for example in mixed if first[example.query] is not example)]
