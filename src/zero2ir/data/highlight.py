"""Texts of documents as they are shown: which of their words are the query's, and nothing that a terminal obeys."""

import re
import unicodedata
from collections.abc import Container, Iterator

from zero2ir.data.languages import ENGLISH, tokenize

HIGHLIGHT_WORD = re.compile(r"\w\w+")

Segment = tuple[str, bool]  # a piece of a text, and whether it is marked


def highlight(text: str, query: str, language: str = ENGLISH) -> list[Segment]:
    """Cuts a text into pieces, and marks the words that have the stem of a query word; stop words are never marked.

    Args:
        text: any.
        query: any.
        language: of both, an ISO 639-1 code.

    Returns:
        Pieces that make up the whole text, marked ones and others.
    """
    (wanted,) = tokenize([query], language)
    words = list({word.group() for word in HIGHLIGHT_WORD.finditer(text)})
    hits = {
        word for word, stems in zip(words, tokenize(words, language), strict=True) if not set(wanted).isdisjoint(stems)
    }
    return list(segments(text, hits))


def segments(text: str, hits: Container[str]) -> Iterator[Segment]:
    """The pieces that make up a text; those of its words that are among ``hits`` are marked."""
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
    """The text with a sign in place of each control character but line ends and tabs: a terminal would obey it."""
    text = text.replace("\r\n", "\n")
    return "".join("�" if unicodedata.category(one) == "Cc" and one not in "\n\t" else one for one in text)
