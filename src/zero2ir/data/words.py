"""Splits texts into words as their language writes them.

A word is a run of two or more letters with their marks, digits and underscores. Scripts without spaces between words,
and Korean, are split into pairs of characters and single characters; Chinese into words if rjieba is installed. The
tokens of English texts without combining marks are those of bm25s.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import regex

from zero2ir.data.languages import ENGLISH, language_of, normalise_nfc

Place = tuple[int, int]  # offsets of a word's first character and of the one after its last

PLAIN_WORD = re.compile(r"\w\w+")
_UNSPACED = r"[[\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]&&[\p{L}\p{M}\p{N}]]"
_LETTER = rf"[[\p{{L}}\p{{N}}_]--{_UNSPACED}--\p{{Hangul}}]"
_MARK = rf"[\p{{M}}--{_UNSPACED}]"
_JOINERS = re.compile("[\u200c\u200d]")
_JOINER = r"(?<!\p{Arabic}\p{M}*)[\u200c\u200d]"  # between Arabic letters it separates words
# Texts without these characters have plain words only.
_SPECIAL = regex.compile(rf"[\p{{M}}\u200c\u200d\p{{Hangul}}{_UNSPACED}]", regex.V1)
_WORD = regex.compile(
    rf"(?P<run>{_UNSPACED}[{_UNSPACED}\p{{M}}]*|\p{{Hangul}}+)|{_LETTER}(?:{_LETTER}|{_MARK}|{_JOINER})*",
    regex.V1,
)
WORD_WITH_MARKS = regex.compile(r"[\p{L}\p{N}_][\p{L}\p{N}_\p{M}]*")
_CLUSTER = regex.compile(r"\X")
_UNSPACED_LETTER = regex.compile(rf"{_UNSPACED}\p{{M}}*", regex.V1)
_PIECE = regex.compile(rf"{_UNSPACED}\p{{M}}*|(?:(?!{_UNSPACED})\S)+", regex.V1)
_NEEDLESS_SPACE = regex.compile(rf"(?<={_UNSPACED}\p{{M}}*) | (?={_UNSPACED})", regex.V1)
# Arabic vowel signs and tatweel, and Hebrew points and accents; texts may omit them.
_OPTIONAL_MARKS = regex.compile(
    "[\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed]"
    "|[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7]"
)
CHINESE = "zh"
WIDE = ("ja", "ko", "zh")  # languages whose texts mix full-width and half-width characters
DOTTED_I = ("az", "tr")  # languages whose I and i are different letters
UNINFLECTED = ("vi",)  # languages with spaces that need no stemmer


def tokenize(texts: Sequence[str], language: str = ENGLISH, grams: Sequence[int] = (2, 1)) -> list[list[str]]:
    """Splits texts into lower-cased words without stop words, stemmed if Snowball supports the language.

    Args:
        texts: n texts.
        language: an ISO 639-1 code.
        grams: numbers of characters per token, for scripts without spaces and Korean.

    Returns:
        n lists of words.
    """
    terms = _Terms(language)
    split = (_words(normalised(text, language), language, grams) for text in texts)
    return [[term for word in words if (term := terms[word]) is not None] for words in split]


def word_places(text: str, language: str = ENGLISH, grams: Sequence[int] = (2,)) -> list[Place]:
    """Returns the places of the words of a text in order; bigrams overlap. See ``tokenize`` for the arguments."""
    if has_plain_words(text, language):
        return [match.span() for match in PLAIN_WORD.finditer(text)]
    return list(_places(text, language, grams))


def has_plain_words(text: str, language: str) -> bool:
    """Returns whether spaces and punctuation separate the words, and no letter has a combining mark."""
    return language != CHINESE and (text.isascii() or _SPECIAL.search(text) is None)


def split_words(text: str) -> list[str]:
    """Splits a text at white space, and after each character if most of it is in a script without spaces."""
    words = text.split()
    return _PIECE.findall(text) if _unspaced_letters(text) > len(words) else words


def join_words(words: Sequence[str]) -> str:
    """Joins the words of ``split_words`` by spaces, or characters of a script without spaces by nothing."""
    text = " ".join(words)
    return _NEEDLESS_SPACE.sub("", text) if 2 * _unspaced_letters(text) > len(words) else text


def separate_characters(text: str) -> str:
    """Puts spaces around each character of a script without spaces."""
    return text if text.isascii() else _UNSPACED_LETTER.sub(r" \g<0> ", text)


def _unspaced_letters(text: str) -> int:
    return 0 if text.isascii() else len(_UNSPACED_LETTER.findall(text))


def without_optional_marks(text: str) -> str:
    """Returns the text in Unicode's form NFC, without Arabic vowel signs and Hebrew points."""
    return text if text.isascii() else _OPTIONAL_MARKS.sub("", normalise_nfc(text))


def normalised(text: str, language: str = ENGLISH) -> str:
    """Returns the text in lower case and in Unicode's form NFC, without optional marks.

    Chinese, Japanese and Korean texts are in the form NFKC, which has one width per character.
    """
    text = unicodedata.normalize("NFKC" if language in WIDE else "NFC", text)
    if language in DOTTED_I:
        text = text.replace("I", "ı").replace("İ", "i")
    text = text.lower()
    if text.isascii():
        return text
    if language != ENGLISH:
        text = text.replace("\u00ad", "")  # soft hyphens
    text = text.replace("i\u0307", "i")  # the lower case of İ
    return _OPTIONAL_MARKS.sub("", text)


def segmentation(language: str) -> str:
    """Returns what splits texts of a language here: "rjieba", or "characters" and spaces."""
    return "rjieba" if language == CHINESE and _jieba() else "characters"


def has_stemmer(language: str) -> bool:
    """Returns whether different forms of a word match, or a language needs no stemmer for that."""
    return language in UNINFLECTED or not language_of(language).spaced or _stemmer(language) is not None


def describe_analysis(language: str) -> dict[str, str]:
    """Returns what turns texts of a language into index terms: "tokenizer", and "stemmer" and "stopwords" if any."""
    name, known = language_of(language).name, {"tokenizer": f"zero2ir, by {segmentation(language)}"}
    if language_of(language).spaced:
        known["tokenizer"] = "zero2ir, words of two or more letters"
    known |= {"stemmer": f"Snowball, {name}"} if _stemmer(language) is not None else {}
    return known | ({"stopwords": f"bm25s, {name}"} if _stop_words(language) else {})


def _words(text: str, language: str, grams: Sequence[int]) -> list[str]:
    if has_plain_words(text, language):
        return PLAIN_WORD.findall(text)
    return [_JOINERS.sub("", text[start:end]) for start, end in _places(text, language, grams)]


def _places(text: str, language: str, grams: Sequence[int]) -> Iterator[Place]:
    """Yields the places of the words of a text in any script."""
    if language == CHINESE and (cut := _jieba()):
        end = 0
        for piece in cut(text.encode("utf-8", "replace").decode()):
            start, end = end, end + len(piece)
            if any(map(str.isalnum, piece)):
                yield start, end
        return
    for match in _WORD.finditer(text):
        start, end = match.span()
        if match["run"]:
            yield from _grams(match["run"], start, grams)
        elif end - start > 1:
            yield start, end


def _grams(run: str, start: int, sizes: Sequence[int]) -> Iterator[Place]:
    """Yields n-grams of characters with their marks; a shorter run is one.

    On JaQuAD, BM25 has nDCG@10 0.917 with bigrams and unigrams, 0.908 with bigrams, and 0.908 with the words of ICU 78;
    on the Chinese XQuAD 0.967, 0.967 and 0.963.
    """
    clusters = [(start + match.start(), start + match.end()) for match in _CLUSTER.finditer(run)]
    for size in sorted({min(size, len(clusters)) for size in sizes}, reverse=True):
        for first, last in zip(clusters, clusters[size - 1 :], strict=False):
            yield first[0], last[1]


class _Terms(dict[str, str | None]):
    """The stem of each word, None for a stop word; a repeated word costs a reference, not a string of its own."""

    def __init__(self, language: str) -> None:
        self._stop_words, self._stemmer = _stop_words(language), _stemmer(language)

    def __missing__(self, word: str) -> str | None:
        term = None if word in self._stop_words else self._stemmer.stemWord(word) if self._stemmer else word
        self[word] = term
        return term


@cache
def _jieba() -> Callable[[str], list[str]] | None:
    """Returns the function that splits a Chinese text into words; None if rjieba is not installed."""
    try:
        import rjieba
    except ImportError:
        return None
    return rjieba.cut


@cache
def _stop_words(language: str) -> frozenset[str]:
    from bm25s.tokenization import _infer_stopwords

    return frozenset(_infer_stopwords(language)) if language_of(language).stop_words else frozenset()


@cache
def _stemmer(language: str) -> Any:
    """Returns Snowball's stemmer of a language; None if there is none."""
    import Stemmer

    name = language_of(language).name.lower()
    return Stemmer.Stemmer(name) if name in Stemmer.algorithms() else None
