"""Splits a text into words and marks those that can answer a question: names, numbers, dates."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from zero2ir.data.languages import ENGLISH
from zero2ir.data.words import has_plain_words, tokenize, word_places

MAX_ANSWER_WORDS = 8  # words of an answer
PARSED_TEXTS_CACHED = 10_000  # parsed texts kept in memory

_WORD = re.compile(r"\w+(?:['’.,-]\w+)*")
_MONTH = re.compile("january|february|march|april|may|june|july|august|september|october|november|december", re.I)
_YEAR = re.compile(r"(1\d|20)\d\d(s|[-–]\d+)?")
_NUMBER = re.compile(
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(thir|four|fif|six|seven|eigh|nine)teen|"
    "(twen|thir|for|fif|six|seven|eigh|nine)ty|hundred|thousand|million|billion|half",
    re.IGNORECASE,
)
# The expected kind of answer by the wording of the question; the first match wins. No match: any words may answer.
_ASKED = (
    ("date", re.compile(r"\b(when|(what|which|in) (year|date|century|decade|month|day))\b")),
    ("number", re.compile(r"\b(how (many|much|old|long|far|tall|large|big|often|high|deep)|what percent\w*)\b")),
    ("name", re.compile(r"\b(who|whom|whose|where|(what|which) (city|country|state|person|place|company|name))\b")),
)
ANSWER_KINDS = tuple(kind for kind, _ in _ASKED)


class ParsedText(NamedTuple):
    """A text split into words.

    Attributes:
        places: (n_words, 2) int64, start and end offset of each word in characters; the end is exclusive.
        stems: the stem of each word; "" for a stop word.
        kinds: {kind: (n_words,) bool}, which words are of the kind.
        spans: (n_spans, 2) int64, first word and last word + 1 of each run without stop words and punctuation.
    """

    places: np.ndarray
    stems: tuple[str, ...]
    kinds: Mapping[str, np.ndarray]
    spans: np.ndarray


def answer_kind(query: str) -> str:
    """Returns the kind of answer that a question asks for; "" if its wording does not tell."""
    return next((kind for kind, pattern in _ASKED if pattern.search(query.lower())), "")


@lru_cache(PARSED_TEXTS_CACHED)
def parse_text(text: str, language: str = ENGLISH) -> ParsedText:
    """Splits a text into words and candidate answer spans."""
    if has_plain_words(text, language):
        spans = [match.span() for match in _WORD.finditer(text)]
    else:
        spans = word_places(text, language, grams=(1,))
    words = [text[start:end] for start, end in spans]
    stems = tuple(tokens[0] if tokens else "" for tokens in tokenize(words, language, grams=(1,)))
    places = np.array(spans, dtype=np.int64).reshape(-1, 2)
    numbers = np.array([any(map(str.isdigit, word)) or bool(_NUMBER.fullmatch(word)) for word in words], dtype=bool)
    dates = np.array([bool(_MONTH.fullmatch(word) or _YEAR.fullmatch(word)) for word in words], dtype=bool)
    names = np.array([word[:1].isupper() for word in words], dtype=bool)
    kinds = {"date": dates, "number": numbers, "name": names & ~dates}
    return ParsedText(places, stems, kinds, _spans(text, places, stems))


def _spans(text: str, places: np.ndarray, stems: Sequence[str]) -> np.ndarray:
    """Returns every run of up to ``MAX_ANSWER_WORDS`` words without stop words and punctuation."""
    separated = [bool(text[end:start].strip()) for (_, end), (start, _) in pairwise(places)]
    spans = []
    for first in range(len(stems)):
        end_word = first
        while end_word < len(stems) and end_word - first < MAX_ANSWER_WORDS and stems[end_word]:
            end_word += 1
            spans.append((first, end_word))
            if end_word < len(stems) and separated[end_word - 1]:
                break
    return np.array(spans, dtype=np.int64).reshape(-1, 2)
