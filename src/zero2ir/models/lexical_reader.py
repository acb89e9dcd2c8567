"""A reader that learns nothing: question terms, and what the question asks for."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from zero2ir.data.answers import NO_SPAN, Span
from zero2ir.encoders.corpus import Corpus
from zero2ir.models.base import Reader, read_state, write_state
from zero2ir.models.sparse import tokenize

REACH = 12.0  # words: so far from a question's term its pull falls to 1/e
LONGEST = 8  # words of an answer
LENGTH = 0.8  # 1 takes the mean of a span's words, 0 their sum; on xquad F1 0.28, 0.22 with 1, 0.22 with 0.4
PARSED = 10_000  # texts that are kept in pieces

_WORD = re.compile(r"\w+(?:['’.,-]\w+)*")
_MONTH = re.compile(
    "january|february|march|april|may|june|july|august|september|october|november|december", re.IGNORECASE
)
_NUMBER = re.compile(
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(thir|four|fif|six|seven|eigh|nine)teen|"
    "(twen|thir|for|fif|six|seven|eigh|nine)ty|hundred|thousand|million|billion|half",
    re.IGNORECASE,
)
# What a question's first words ask for, the first that fits; of a question of another form anything may be the answer.
_ASKED = (
    ("date", re.compile(r"\b(when|(what|which|in) (year|date|century|decade|month|day))\b")),
    ("number", re.compile(r"\b(how (many|much|old|long|far|tall|large|big|often|high|deep)|what percent\w*)\b")),
    ("name", re.compile(r"\b(who|whom|whose|where|(what|which) (city|country|state|person|place|company|name))\b")),
)
KINDS = tuple(kind for kind, _ in _ASKED)


class Parsed(NamedTuple):
    """A text as words.

    Attributes:
        places: (n_words, 2) int64, where each starts and ends in the text.
        stems: one a word; "" for a stop word.
        kinds: {kind: (n_words,) bool}, which words are of the kind.
        spans: (n_spans, 2) int64, word numbers from first to behind the last: runs without stop word and punctuation.
    """

    places: np.ndarray
    stems: tuple[str, ...]
    kinds: Mapping[str, np.ndarray]
    spans: np.ndarray


class LexicalReader(Reader):
    """Proposes the run of words that stands nearest to the question's rare terms and is of the kind that is asked for.

    It learns nothing. Kinds (a name, a number, a date) are told by English question words; in other languages the
    nearness alone decides.

    Source: the sliding window with distances of Richardson et al., EMNLP 2013, "MCTest", section 4.1; answer types as
    in Hirschman et al., ACL 1999, doi:10.3115/1034678.1034731, section 3.
    """

    kind = "lexical_reader"

    def index(self, corpus: Corpus) -> Self:
        self.corpus = corpus
        vars(self).pop("_rarity", None)  # of the documents that were indexed before
        return self

    @cached_property
    def _rarity(self) -> dict[str, float]:
        """The logarithm of how rare a stem is in the collection."""
        counts = Counter(stem for stems in tokenize(self.corpus.contents) for stem in set(stems))
        return {stem: math.log(1 + len(self.corpus.contents) / count) for stem, count in counts.items()}

    def read(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[list[Span]]:
        return [
            [best_span(text, self.values(query, text)) for text in texts]
            for query, texts in zip(queries, candidates, strict=True)
        ]

    def values(self, query: str, text: str) -> np.ndarray:
        """(n_spans,) how much evidence the words of each span have for their number."""
        near, fits, own = self.evidence(query, text).T
        worth = np.concatenate([[0.0], np.cumsum(near * (1 + fits) * (1 - own))])
        first, behind = parsed(text).spans.T
        return (worth[behind] - worth[first]) / (behind - first) ** LENGTH

    def evidence(self, query: str, text: str) -> np.ndarray:
        """(n_words, 3): how near each word is to the question's terms, whether it is of the kind, whether it is one.

        Nearness is the share of the question's rarity that is near.
        """
        words = parsed(text)
        n = len(words.stems)
        terms = {stem: self._rarity.get(stem, math.log(1 + len(self.corpus.contents))) for stem in stems_of(query)}
        places: dict[str, list[int]] = {}
        for number, stem in enumerate(words.stems):
            if stem in terms:
                places.setdefault(stem, []).append(number)
        near, own = np.zeros(n), np.zeros(n)
        for stem, numbers in places.items():
            near += terms[stem] * np.exp(-_distances(np.array(numbers), n) / REACH)
            own[numbers] = 1.0
        kind = asked_for(query)
        fits = words.kinds[kind] if kind else np.zeros(n, dtype=bool)
        return np.stack([near / max(sum(terms.values()), 1e-9), fits.astype(float), own], axis=1)

    def save(self, folder: Path) -> None:
        write_state(folder, self)

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        read_state(folder)
        return cls().index(corpus)


def _distances(places: np.ndarray, n: int) -> np.ndarray:
    """(n,) how far each of 0, 1, ... is from the nearest of some places, which are sorted."""
    here = np.arange(n)
    behind = np.searchsorted(places, here).clip(max=len(places) - 1)
    return np.minimum(np.abs(here - places[behind]), np.abs(here - places[np.maximum(behind - 1, 0)]))


def best_span(text: str, values: np.ndarray) -> Span:
    """The span of a text with the highest of its (n_spans,) values; the first of equals."""
    if not len(values):
        return NO_SPAN
    words = parsed(text)
    first, behind = words.spans[values.argmax()]
    start, end = int(words.places[first, 0]), int(words.places[behind - 1, 1])
    return Span(text[start:end], start, end, float(values.max()))


def asked_for(query: str) -> str:
    """Which kind of answer a question asks for; "" where it does not say."""
    return next((kind for kind, pattern in _ASKED if pattern.search(query.lower())), "")


def stems_of(text: str) -> set[str]:
    """The stems of a text without stop words."""
    return set(tokenize([text])[0])


@lru_cache(PARSED)
def parsed(text: str) -> Parsed:
    """A text in pieces."""
    matches = list(_WORD.finditer(text))
    words = [match.group() for match in matches]
    stems = tuple(found[0] if found else "" for found in tokenize(words))
    places = np.array([match.span() for match in matches], dtype=np.int64).reshape(-1, 2)
    numbers = np.array([_is_number(word) for word in words], dtype=bool)
    dates = np.array([_is_date(word) for word in words], dtype=bool)
    names = np.array([word[:1].isupper() for word in words], dtype=bool)
    kinds = {"date": dates, "number": numbers, "name": names & ~dates}
    return Parsed(places, stems, kinds, _spans(text, places, stems))


def _is_number(word: str) -> bool:
    return any(map(str.isdigit, word)) or _NUMBER.fullmatch(word) is not None


def _is_date(word: str) -> bool:
    return _MONTH.fullmatch(word) is not None or re.fullmatch(r"(1\d|20)\d\d(s|[-–]\d+)?", word) is not None


def _spans(text: str, places: np.ndarray, stems: Sequence[str]) -> np.ndarray:
    """Every run of up to ``LONGEST`` words between stop words and punctuation."""
    parted = [not text[end:start].isspace() for (_, end), (start, _) in pairwise(places)]
    found = []
    for first in range(len(stems)):
        behind = first
        while behind < len(stems) and behind - first < LONGEST and stems[behind]:
            behind += 1
            found.append((first, behind))
            if behind < len(stems) and parted[behind - 1]:
                break
    return np.array(found, dtype=np.int64).reshape(-1, 2)
