"""Prepares document texts for display: marks the query's words."""

from collections.abc import Iterable, Iterator

from zero2ir.data.languages import ENGLISH
from zero2ir.data.words import Place, tokenize, word_places

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
    (query_stems,) = tokenize([query], language, grams=(2,))
    places = word_places(text, language)
    words = list({text[start:end] for start, end in places})
    hits = {
        word
        for word, stems in zip(words, tokenize(words, language, grams=(2,)), strict=True)
        if not set(query_stems).isdisjoint(stems)
    }
    return list(segments(text, [(start, end) for start, end in places if text[start:end] in hits]))


def segments(text: str, hits: Iterable[Place]) -> Iterator[Segment]:
    """Yields the segments of a text; the places ``hits``, in order, are marked."""
    end = 0
    for start, stop in hits:
        if start > end:
            yield text[end:start], False
        if stop > end:
            yield text[max(start, end) : stop], True
            end = stop
    if end < len(text):
        yield text[end:], False
