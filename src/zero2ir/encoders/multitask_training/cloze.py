"""Cloze questions: training data for answer extraction, made from texts alone."""

from typing import NamedTuple

import numpy as np

from zero2ir.data.answer_words import ANSWER_KINDS, parse_text

QUESTION_WORD = {"date": "when", "number": "how many", "name": "who", "": "what"}
KEPT_WORD_SHARE = 0.7  # share of the context that stays in the question
CONTEXT_WORDS = 8  # words of context before and after the answer


class Cloze(NamedTuple):
    """A question and the place of its answer.

    Attributes:
        question: a question word for the answer's kind, and some of the words around the answer.
        start: start of the answer in the text, in characters.
        end: its end, exclusive.
    """

    question: str
    start: int
    end: int


def cloze(text: str, rng: np.random.Generator) -> Cloze | None:
    """Makes a question that some words of a text answer; None if the text is too short.

    Prefers names, numbers and dates as answers. Drops some of the words around the answer, so that matching words are
    not sufficient to find it.

    Source: Lewis, Denoyer and Riedel, ACL 2019, arXiv 1906.04980, section 2: identity cloze with a question word and
    word dropping.
    """
    words = parse_text(text)
    if len(words.spans) == 0 or len(words.places) < 4:
        return None
    first, behind, kind = _answer(text, rng)
    after = range(behind, min(behind + CONTEXT_WORDS, len(words.places)))
    around = [*range(max(0, first - CONTEXT_WORDS), first), *after]
    kept = [number for number in around if rng.random() < KEPT_WORD_SHARE] or around
    if not kept:
        return None
    asked = " ".join(text[slice(*words.places[number])] for number in kept)
    return Cloze(f"{QUESTION_WORD[kind]} {asked}?", int(words.places[first, 0]), int(words.places[behind - 1, 1]))


def _answer(text: str, rng: np.random.Generator) -> tuple[int, int, str]:
    """Draws an answer: its first word, its last word + 1, and its kind or ""."""
    words = parse_text(text)
    sums = {kind: np.concatenate([[0], np.cumsum(words.kinds[kind])]) for kind in ANSWER_KINDS}
    first, behind = words.spans.T
    whole = {kind: np.flatnonzero(sums[kind][behind] - sums[kind][first] == behind - first) for kind in ANSWER_KINDS}
    known = [kind for kind in ANSWER_KINDS if len(whole[kind])]
    kind = known[rng.integers(len(known))] if known else ""
    among = whole[kind] if kind else np.arange(len(words.spans))
    chosen = words.spans[among[rng.integers(len(among))]]
    return int(chosen[0]), int(chosen[1]), kind
