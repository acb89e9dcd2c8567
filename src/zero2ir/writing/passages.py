"""Selects the passage of a long document that a prompt shows."""

from collections.abc import Sequence

import numpy as np

from zero2ir.data.languages import ENGLISH
from zero2ir.data.records import Document
from zero2ir.data.words import join_words, split_words, tokenize
from zero2ir.encoders.base import readable
from zero2ir.encoders.sentences import split_document_sentences


def drawn_passages(document: Document, words: int, number: int, rng: np.random.Generator) -> list[str]:
    """Draws ``number`` passages of at most ``words`` words; repeats a passage only after all others were drawn."""
    texts = passages(document, words)
    order = rng.permutation(len(texts))
    return [texts[order[turn % len(texts)]] for turn in range(number)]


def spread_passages(document: Document, words: int, number: int) -> list[str]:
    """Returns ``number`` passages of at most ``words`` words at equal distances, the first at the document's beginning.

    A document with fewer passages repeats them, equal ones in a row.
    """
    texts = passages(document, words)
    return [texts[turn * len(texts) // number] for turn in range(number)]


def answering_passage(document: Document, words: int, query: str, language: str = ENGLISH) -> str:
    """Returns the passage with the most of a query's terms, the first of equal ones."""
    terms = set(tokenize([query], language)[0])
    return max(passages(document, words), key=lambda text: len(terms & set(tokenize([text], language)[0])))


def passages(document: Document, words: int) -> list[str]:
    """Returns all passages of a document: its title and, from each sentence on, as many whole sentences as fit.

    Each has at most ``words`` words; a document that fits is one passage. Only a title of more than half of the words,
    and a sentence longer than the remaining space, are cut.
    """
    whole, heading, text = readable([document.content, document.title, document.text])
    if len(pieces := split_words(whole)) <= words:
        return [join_words(pieces)]
    title = split_words(heading)[: words // 2]
    room = words - len(title)
    after_a_line = split_document_sentences(f"\n{text}")  # the function treats the first line as a title
    parts = [split_words(sentence)[:room] for sentence in after_a_line if sentence]
    return [join_words(title + run) for run in _runs(parts, room) or [[]]]


def _runs(parts: Sequence[Sequence[str]], room: int) -> list[list[str]]:
    """Returns the longest run of parts from each part on, up to the first run that reaches the end."""
    runs = []
    for start in range(len(parts)):
        end = start
        run: list[str] = []
        while end < len(parts) and len(run) + len(parts[end]) <= room:
            run += parts[end]
            end += 1
        runs.append(run)
        if end == len(parts):
            break
    return runs
