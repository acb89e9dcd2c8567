"""Prepares document texts for display: marks the query's words and replaces control characters."""

import re
import unicodedata
from collections.abc import Container, Iterator

from zero2ir.data.languages import ENGLISH, tokenize

HIGHLIGHT_WORD = re.compile(r"\w\w+")

Segment = tuple[str, bool]  # a part of a text, and whether it is marked


def highlight(text: str, query: str, language: str = ENGLISH) -> list[Segment]:
    """Splits a text into segments and marks the words that share a stem with the query; stop words are never marked.

    Args:
        text: the document's text.
        query: the query's text.
        language: the language of both, an ISO 639-1 code.

    Returns:
        The segments, marked or not; joined, they are the whole text.
    """
    (query_stems,) = tokenize([query], language)
    words = list({word.group() for word in HIGHLIGHT_WORD.finditer(text)})
    hits = {
        word
        for word, stems in zip(words, tokenize(words, language), strict=True)
        if not set(query_stems).isdisjoint(stems)
    }
    return list(segments(text, hits))


def segments(text: str, hits: Container[str]) -> Iterator[Segment]:
    """Yields the segments of a text; words in ``hits`` are marked."""
    end = 0
    for word in HIGHLIGHT_WORD.finditer(text):
        if word.group() in hits:
            if word.start() > end:
                yield text[end : word.start()], False
            yield word.group(), True
            end = word.end()
    if end < len(text):
        yield text[end:], False


def printable(text: str) -> str:
    """Returns the text with "�" instead of control characters, which a terminal would interpret; keeps \\n and \\t."""
    text = text.replace("\r\n", "\n")
    return "".join("�" if unicodedata.category(one) == "Cc" and one not in "\n\t" else one for one in text)
