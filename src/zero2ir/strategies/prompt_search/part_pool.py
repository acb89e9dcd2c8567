"""Hand-written prompts for the parts of a model that use a language model."""

from collections.abc import Mapping
from typing import NamedTuple

from zero2ir.models.listwise import Listwise
from zero2ir.models.pointwise import Pointwise
from zero2ir.models.prompted import PromptTask
from zero2ir.models.rewritten import Rewritten
from zero2ir.models.translated import Translated
from zero2ir.writing.styles import STYLES


class InstructionPool(NamedTuple):
    """A style of prompts.

    Attributes:
        instructions: alternatives.
        demo_queries: demonstrations, JSON; empty if they are drawn from the judgments.
    """

    instructions: tuple[str, ...]
    demo_queries: tuple[Mapping[str, str], ...] = ()


def _answered(*styles: str) -> tuple[Mapping[str, str], ...]:
    """Returns the questions of the excerpts with their queries in other styles as answers."""
    answers = zip(*(STYLES[style].queries for style in styles), strict=True)
    return tuple(
        {"query": question, "passage": "; ".join(answer)}
        for question, answer in zip(STYLES["question"].queries, answers, strict=True)
    )


PART_POOLS: Mapping[PromptTask, Mapping[str, InstructionPool]] = {
    "judge": {
        "question": InstructionPool(
            (
                Pointwise.instruction,
                "Is this document relevant to the query?",
                "Does this document hold what the query asks for?",
                "Would someone who searched with this query want to read this document?",
                "Are the query and this document about the same thing?",
            )
        )
    },
    "order": {
        "order": InstructionPool(
            (
                Listwise.instruction,
                "Rank the documents by their relevance to the query. Write their numbers, the most relevant first, in "
                "the form [2] > [3] > [1].",
                "Someone searched with the query. Put the most useful document first and the least useful last, in the "
                "form [2] > [3] > [1].",
            )
        )
    },
    "rewrite": {
        "passage": InstructionPool(
            (
                Rewritten.instruction,
                "Write a short passage of a document in which the answer to the query stands.",
                "Answer the query in one or two sentences, in the words of an expert.",
            )
        ),
        "keywords": InstructionPool(
            (
                "Write the terms that a document would use which answers the query.",
                "Write further search terms for the query: synonyms, names and technical words.",
            ),
            _answered("keywords"),
        ),
        "several": InstructionPool(
            (
                "Write the query in several other ways, with semicolons between them.",
                "What else could someone type who looks for the same? Write several, with semicolons between them.",
            ),
            _answered("title", "keywords"),
        ),
    },
    "translate": {
        "translation": InstructionPool(
            (
                Translated.instruction,
                "Write in {target} what is asked in {source}.",
                "Write {source} in {target}, in the words that a document in {target} would use.",
                "Translate {source} into {target} word by word. Keep names and numbers as they are.",
            )
        )
    },
}


def style_of(task: PromptTask, instruction: str) -> str:
    """Returns the style of an instruction; the first style for unknown instructions."""
    pool = PART_POOLS[task]
    return next((style for style, wording in pool.items() if instruction in wording.instructions), next(iter(pool)))
