"""Candidate prompts from hand-written instructions, random demonstrations and temperatures."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from zero2ir.encoders.examples import weighted_examples
from zero2ir.models.prompted import PartPrompt
from zero2ir.strategies.prompt_search.candidates import (
    Demonstration,
    Origin,
    PartCandidate,
    PromptCandidate,
    judged_demonstrations,
)
from zero2ir.strategies.prompt_search.part_pool import PART_POOLS
from zero2ir.strategies.prompt_search.proposals import NothingProposed, PartTask, Proposer, WritingTask, without_fixed
from zero2ir.writing.settings import MIN_DOCUMENT_WORDS, StyleName
from zero2ir.writing.styles import EXCERPTS, STYLES

INSTRUCTIONS: Mapping[StyleName, tuple[str, ...]] = {
    "judgments": (
        "Write a query that someone would search with to find this document.",
        "Someone needs what this document says. Write what they would type into a search engine.",
        "Read the document and write a search query in other words than its own.",
    ),
    "question": (
        "Write a question that someone asks who does not know this document yet.",
        "What would someone ask to get this document as an answer? Write the question in other words than its own.",
        "Write a specific question about the main point of this document.",
    ),
    "keywords": (
        "Write three to six words that someone would search with to find this document.",
        "Write the most specific terms of this document as a search query.",
    ),
    "claim": (
        "Write a short statement of fact that can be checked with this document.",
        "State the main finding of this document in one sentence of your own.",
    ),
    "title": (
        "Write a title that says what this document is about.",
        "Name the topic of this document in a few words.",
    ),
    "description": (
        "Say in one sentence what need for information this document meets.",
        "Describe the problem of someone whom this document would help.",
    ),
}
TEMPERATURES = (None, 0.3, 0.7)
DEMONSTRATION_COUNTS = (1, 2, 3, 5, 8)  # a small model needs at least one
MIN_HELD_OUT_PAIRS = 2  # judged queries that stay out of a prompt for its measurement
MAX_DRAWS = 20  # per candidate


class PromptPool(Proposer):
    """Draws prompts: style, instruction, demonstrations; for writing queries also document length and temperature.

    Args:
        styles: of queries, to draw from beside the fixed prompt's; None for all.
        own_style: probability of the fixed prompt's style, 0 to 1.
    """

    origin: ClassVar[Origin] = "pool"

    def __init__(self, styles: Sequence[StyleName] | None = None, own_style: float = 0.5) -> None:
        unknown = sorted(set(styles or ()) - set(STYLES))
        if unknown or not 0 <= own_style <= 1:
            raise ValueError(
                f"styles={list(styles or ())}, own_style={own_style}; choose styles of {', '.join(STYLES)}, "
                "and a share from 0 to 1"
            )
        self.styles = styles
        self.own_style = own_style

    def propose(self, task: WritingTask) -> list[PromptCandidate]:
        rng = np.random.default_rng(task.seed)
        drawn = [self._drawn(task, rng) for _ in range(MAX_DRAWS * task.number)]
        return without_fixed(task.fixed, drawn, task.number)

    def propose_for_part(self, task: PartTask) -> list[PartCandidate]:
        rng = np.random.default_rng([task.seed, 1])
        drawn = [self._drawn_for_part(task, rng) for _ in range(MAX_DRAWS * task.number)]
        candidates = without_fixed(task.fixed, drawn, task.number)
        if not candidates:
            raise NothingProposed(f"{self.origin} has no other prompt for a {task.part.kind}")
        return candidates

    def _drawn_for_part(self, task: PartTask, rng: np.random.Generator) -> PartCandidate:
        pool = PART_POOLS[task.part.task]
        others = [style for style in pool if style != task.fixed.style]
        own = not others or rng.random() < self.own_style
        style = task.fixed.style if own else others[rng.integers(len(others))]
        instructions, written = pool[style]
        number = int(rng.integers(task.part.demonstrations + 1))
        if written:
            demos = [written[place] for place in rng.permutation(len(written))[:number]]
        else:
            demos = task.part.draw_demonstrations(weighted_examples(task.examples), number, rng)
        prompt = PartPrompt(instructions[rng.integers(len(instructions))], tuple(demos), optimized=True)
        return PartCandidate(task.fixed.part, style, prompt, self.origin)

    def _drawn(self, task: WritingTask, rng: np.random.Generator) -> PromptCandidate:
        others = [style for style in (self.styles or INSTRUCTIONS) if style != task.fixed.style]
        own = not others or rng.random() < self.own_style
        style: StyleName = task.fixed.style if own else others[rng.integers(len(others))]
        instructions = (STYLES[style].instruction, *INSTRUCTIONS[style])
        words = task.fixed.document_words
        words = (words, max(MIN_DOCUMENT_WORDS, words // 2))[rng.integers(2)]
        return PromptCandidate(
            style,
            instructions[rng.integers(len(instructions))],
            _drawn_demonstrations(_demonstrations(task, style, words), style, rng),
            words,
            TEMPERATURES[rng.integers(len(TEMPERATURES))],
            self.origin,
        )


def _demonstrations(task: WritingTask, style: StyleName, words: int) -> Sequence[Demonstration]:
    """Returns a style's possible demonstrations: the judged queries, or the excerpts with their queries."""
    if style != "judgments":
        return [Demonstration(*pair) for pair in zip(EXCERPTS, STYLES[style].queries, strict=True)]
    if words == task.fixed.document_words:
        return task.pairs
    return judged_demonstrations(task.writer.corpus, task.writer.judgments, words)


def _drawn_demonstrations(
    pool: Sequence[Demonstration], style: StyleName, rng: np.random.Generator
) -> tuple[Demonstration, ...]:
    """Draws demonstrations in random order."""
    most = len(pool) - MIN_HELD_OUT_PAIRS if style == "judgments" else len(pool)
    numbers = [number for number in DEMONSTRATION_COUNTS if number <= most] or [min(1, len(pool))]
    order = rng.permutation(len(pool))[: numbers[rng.integers(len(numbers))]]
    return tuple(pool[number] for number in order)
