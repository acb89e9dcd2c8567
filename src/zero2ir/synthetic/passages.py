"""Which part of a long document a prompt shows."""

from collections.abc import Sequence

import numpy as np

from zero2ir.data.languages import tokenize
from zero2ir.data.records import Document
from zero2ir.encoders.base import readable
from zero2ir.encoders.sentences import split_query_sentences


def drawn_passages(document: Document, words: int, number: int, rng: np.random.Generator) -> list[str]:
    """Draws passages of a document; none comes twice as long as there are others.

    Args:
        document: one that fits is shown whole.
        words: the most that a passage has, title included.
        number: how many.
        rng: the source of chance.
    """
    found = passages(document, words)
    order = rng.permutation(len(found))
    return [found[order[turn % len(found)]] for turn in range(number)]


def answering_passage(document: Document, words: int, query: str) -> str:
    """The passage with the most of a query's terms, the first of equals."""
    wanted = set(tokenize([query])[0])
    found = passages(document, words)
    return max(found, key=lambda text: len(wanted & set(tokenize([text])[0])))


def passages(document: Document, words: int) -> list[str]:
    """All passages of a document: its title, and as many whole sentences in a row as fit, from each sentence on.

    Only a title of more than half of the words, and a sentence that is longer than what is left, are cut.

    Returns:
        At least one text of at most ``words`` words; the document itself where it fits.
    """
    whole, heading, text = readable([document.content, document.title, document.text])
    if len(whole.split()) <= words:
        return [" ".join(whole.split())]
    title = heading.split()[: words // 2]
    room = words - len(title)
    after_a_line = split_query_sentences(f"\n{text}")  # which takes the first line for a title
    parts = [sentence.split()[:room] for sentence in after_a_line if sentence]
    return [" ".join(title + run) for run in _runs(parts, room) or [[]]]


def _runs(parts: Sequence[Sequence[str]], room: int) -> list[list[str]]:
    """The longest run of parts from each part on, up to the first that reaches the end."""
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
