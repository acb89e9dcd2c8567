"""Questions made of a text alone: a sentence that lacks some words is asked for them."""

from typing import NamedTuple

import numpy as np

from zero2ir.data.answer_words import ANSWER_KINDS, parse_text

QUESTION_WORD = {"date": "when", "number": "how many", "name": "who", "": "what"}
KEPT_WORD_SHARE = 0.7  # share of the words around the answer that stay in the question
CONTEXT_WORDS = 8  # words before and behind the answer that the question is made of


class Cloze(NamedTuple):
    """A question and where its answer stands.

    Attributes:
        question: a question word that suits the answer, and some of the words around it.
        start: of the answer's first character in the text.
        end: behind its last one.
    """

    question: str
    start: int
    end: int


def cloze(text: str, rng: np.random.Generator) -> Cloze | None:
    """Asks for some words of a text; None where it has too few.

    Names, numbers and dates are asked for before other words. Some of the words around are left out of the question, so
    that it takes more than equal words to find the place again.

    Args:
        text: a sentence or some.
        rng: draws the answer and what is left out.

    Source: Lewis, Denoyer and Riedel, ACL 2019, arXiv 1906.04980, section 2: identity cloze with a question word and
    word dropping.
    """
    words = parse_text(text)
    if len(words.spans) == 0 or len(words.places) < 4:
        return None
    first, behind, kind = _answer(text, rng)
    around = [
        *range(max(0, first - CONTEXT_WORDS), first),
        *range(behind, min(behind + CONTEXT_WORDS, len(words.places))),
    ]
    kept = [number for number in around if rng.random() < KEPT_WORD_SHARE] or around
    if not kept:
        return None
    asked = " ".join(text[slice(*words.places[number])] for number in kept)
    return Cloze(f"{QUESTION_WORD[kind]} {asked}?", int(words.places[first, 0]), int(words.places[behind - 1, 1]))


def _answer(text: str, rng: np.random.Generator) -> tuple[int, int, str]:
    """A span of a text, as word numbers from first to behind the last, and its kind; "" for none."""
    words = parse_text(text)
    sums = {kind: np.concatenate([[0], np.cumsum(words.kinds[kind])]) for kind in ANSWER_KINDS}
    first, behind = words.spans.T
    whole = {kind: np.flatnonzero(sums[kind][behind] - sums[kind][first] == behind - first) for kind in ANSWER_KINDS}
    known = [kind for kind in ANSWER_KINDS if len(whole[kind])]
    kind = known[rng.integers(len(known))] if known else ""
    among = whole[kind] if kind else np.arange(len(words.spans))
    chosen = words.spans[among[rng.integers(len(among))]]
    return int(chosen[0]), int(chosen[1]), kind
