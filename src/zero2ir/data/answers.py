"""Compares answer strings (exact match, token F1) and finds the texts that contain an answer."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

from zero2ir.data.words import separate_characters, without_optional_marks

_ARTICLES = re.compile(r"\b(a|an|the)\b")


class Span(NamedTuple):
    """A part of a text that may answer a question.

    Attributes:
        text: the answer; empty if there is none.
        start: offset of its first character in the text.
        end: offset of its last character + 1.
        score: higher is better; comparable between the texts of one question; -inf if there is no answer.
    """

    text: str
    start: int
    end: int
    score: float


NO_SPAN = Span("", 0, 0, float("-inf"))


def normalised_answer(text: str) -> str:
    """Returns the text in lower case, without punctuation, articles and repeated white space.

    Source: the evaluation script of SQuAD, Rajpurkar et al. 2016, arXiv 1606.05250, section 6.1. Difference: the script
    keeps punctuation beyond ASCII; here it becomes a space. Characters of scripts without spaces count as words, as in
    the script of MLQA, Lewis et al. 2020, arXiv 1910.07475.
    """
    lower = "".join(_letter(letter) for letter in separate_characters(without_optional_marks(text.lower())))
    return " ".join(_ARTICLES.sub(" ", lower).split())


@cache
def _letter(letter: str) -> str:
    if not unicodedata.category(letter).startswith("P") and letter not in "$+<=>^`|~":  # as in string.punctuation
        return letter
    return "" if letter.isascii() else " "


def exact_match(predicted: str, answers: Sequence[str]) -> float:
    """Returns 1 if the predicted answer equals a reference answer after normalisation, else 0."""
    return float(normalised_answer(predicted) in map(normalised_answer, answers))


def token_f1(predicted: str, answers: Sequence[str]) -> float:
    """Returns the highest F1, 0 to 1, between the words of the predicted answer and those of a reference answer.

    Source: Rajpurkar et al. 2016, arXiv 1606.05250, section 6.1.
    """
    words = normalised_answer(predicted).split()
    return max((_f1(words, normalised_answer(one).split()) for one in answers), default=0.0)


def _f1(predicted: Sequence[str], answer: Sequence[str]) -> float:
    if not predicted or not answer:
        return float(predicted == answer)
    shared = sum((Counter(predicted) & Counter(answer)).values())
    return 2 * shared / (len(predicted) + len(answer))


def contains_answer(normalised_text: str, answers: Sequence[str]) -> bool:
    """Returns whether a text contains one of the answers as a sequence of whole words.

    Args:
        normalised_text: the result of ``normalised_answer``.
        answers: not normalised; an answer without any word never matches.
    """
    return any(one and f" {one} " in f" {normalised_text} " for one in map(normalised_answer, answers))


def answer_spans(text: str, answers: Sequence[str]) -> list[tuple[int, int]]:
    """Returns the sorted (start, end) character offsets of the answers in a text; case is ignored."""
    matches = set()
    for answer in filter(str.strip, answers):
        matches |= {match.span() for match in re.finditer(_whole_words(answer.strip()), text, re.IGNORECASE)}
    return sorted(matches)


def _whole_words(answer: str) -> str:
    """Returns the pattern of an answer as whole words; characters of scripts without spaces need no boundary."""
    before, after = (
        "" if separate_characters(end) != end else boundary
        for end, boundary in ((answer[0], r"(?<!\w)"), (answer[-1], r"(?!\w)"))
    )
    return f"{before}{re.escape(answer)}{after}"


class AnswerIndex:
    """Finds the texts that contain an answer with an inverted index of their words."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = [normalised_answer(text) for text in texts]
        self._postings: dict[str, set[int]] = defaultdict(set)
        for number, text in enumerate(self._texts):
            for word in text.split():
                self._postings[word].add(number)

    def matching_texts(self, answers: Sequence[str]) -> set[int]:
        """Returns the positions of the texts that contain at least one of the answers."""
        matches: set[int] = set()
        for answer in answers:
            likely = [self._postings.get(word, set()) for word in normalised_answer(answer).split()]
            numbers = set.intersection(*likely) if likely else set()
            matches |= {number for number in numbers if contains_answer(self._texts[number], [answer])}
        return matches


ANSWER_SCORES: dict[str, Callable[[str, Sequence[str]], float]] = {"EM": exact_match, "F1": token_f1}
