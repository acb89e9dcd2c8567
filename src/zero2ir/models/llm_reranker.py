"""What rerankers that ask a language model have in common."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example, weighted_examples
from zero2ir.models.base import Reranker
from zero2ir.models.capabilities import Learnable, Updatable
from zero2ir.models.prompted import Prompted

if TYPE_CHECKING:
    from zero2ir.lm.factory import LanguageModel

LETTERS_PER_WORD = 10  # a text without spaces is cut, too


class LLMReranker(Learnable, Updatable, Prompted, Reranker):
    """What both have in common: a prompt, whose demonstrations come from the judgments, and how it is saved.

    Args:
        words: a text is cut after so many words in the prompt.
        demonstrations: how many are shown once something was learned; before, none is.
    """

    role = "reranker"
    min_demonstrations: ClassVar[int]

    def __init__(self, words: int, demonstrations: int) -> None:
        if words < 1 or demonstrations < self.min_demonstrations:
            raise ValueError(
                f"words={words}, demonstrations={demonstrations}; "
                f"show at least 1 word and {self.min_demonstrations} demonstrations"
            )
        self.words = words
        self.demonstrations = demonstrations

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

    def _text(self, number: int) -> str:
        return leading_words(self.corpus.contents[number], self.words)

    def _shown(self) -> list[dict[str, Any]]:
        """The demonstrations as they are shown: with their queries cut."""
        return [{**row, "query": leading_words(row["query"], self.words)} for row in self.prompt.demos]


def leading_words(text: str, words: int) -> str:
    """A text's first words."""
    return " ".join(text[: 2 * LETTERS_PER_WORD * words].split()[:words])[: LETTERS_PER_WORD * words]


def one_a_query(examples: Sequence[Example], rng: np.random.Generator) -> list[Example]:
    """The examples in random order, those of a query that came before at the end."""
    mixed = [examples[place] for place in rng.permutation(len(examples))]
    first: dict[str, Example] = {}
    for example in mixed:
        first.setdefault(example.query, example)
    return [*first.values(), *(example for example in mixed if first[example.query] is not example)]
