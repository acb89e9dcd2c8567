"""Answer strings: when two are the same, how much they share, and which texts hold one."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

_ARTICLES = re.compile(r"\b(a|an|the)\b")


class Span(NamedTuple):
    """A piece of a text that may answer a question.

    Attributes:
        text: empty where nothing answers.
        start: of its first character in the text.
        end: behind its last character.
        score: higher is better, comparable between the texts of one question; -inf where nothing answers.
    """

    text: str
    start: int
    end: int
    score: float


NO_SPAN = Span("", 0, 0, float("-inf"))


def normalised_answer(text: str) -> str:
    """The text in lower case, without punctuation, articles and needless white space.

    Source: the evaluation script of SQuAD, Rajpurkar et al. 2016, arXiv 1606.05250, section 6.1; signs beyond ASCII,
    which that script leaves in, part words here.
    """
    lower = "".join(_letter(letter) for letter in text.lower())
    return " ".join(_ARTICLES.sub(" ", lower).split())


@cache
def _letter(letter: str) -> str:
    if not unicodedata.category(letter).startswith("P") and letter not in "$+<=>^`|~":  # as string.punctuation has it
        return letter
    return "" if letter.isascii() else " "


def exact_match(predicted: str, answers: Sequence[str]) -> float:
    """1 where an answer is the one that was given, else 0."""
    return float(normalised_answer(predicted) in map(normalised_answer, answers))


def token_f1(predicted: str, answers: Sequence[str]) -> float:
    """The most that an answer shares with the one that was given: F1 of their words, 0 to 1.

    Source: Rajpurkar et al. 2016, arXiv 1606.05250, section 6.1.
    """
    return max(
        (_f1(normalised_answer(predicted).split(), normalised_answer(one).split()) for one in answers), default=0.0
    )


def _f1(predicted: Sequence[str], answer: Sequence[str]) -> float:
    if not predicted or not answer:
        return float(predicted == answer)
    shared = sum((Counter(predicted) & Counter(answer)).values())
    return 2 * shared / (len(predicted) + len(answer))


def contains_answer(normalised_text: str, answers: Sequence[str]) -> bool:
    """Whether an answer stands in a text, word by word.

    Args:
        normalised_text: by ``normalised_answer``.
        answers: as they were given; one without a word is nowhere.
    """
    return any(one and f" {one} " in f" {normalised_text} " for one in map(normalised_answer, answers))


def answer_spans(text: str, answers: Sequence[str]) -> list[tuple[int, int]]:
    """Where answers stand in a text as they were given, but for case: (start, end) of the characters, sorted."""
    found = set()
    for answer in filter(str.strip, answers):
        pattern = rf"(?<!\w){re.escape(answer.strip())}(?!\w)"
        found |= {match.span() for match in re.finditer(pattern, text, re.IGNORECASE)}
    return sorted(found)


class AnswerIndex:
    """Finds the texts that hold an answer, by an inverted index of their words.

    Args:
        texts: n texts.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = [normalised_answer(text) for text in texts]
        self._holding: dict[str, set[int]] = defaultdict(set)
        for number, text in enumerate(self._texts):
            for word in text.split():
                self._holding[word].add(number)

    def matching_texts(self, answers: Sequence[str]) -> set[int]:
        """The numbers of the texts that hold any of the answers."""
        found: set[int] = set()
        for answer in answers:
            words = normalised_answer(answer).split()
            likely = [self._holding.get(word, set()) for word in words]
            for number in set.intersection(*likely) if likely else ():
                if contains_answer(self._texts[number], [answer]):
                    found.add(number)
        return found


ANSWER_SCORES: dict[str, Callable[[str, Sequence[str]], float]] = {"EM": exact_match, "F1": token_f1}
