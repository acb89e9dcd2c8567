"""Pretext tasks: (query, document) training pairs made from documents alone."""

from collections.abc import Iterator, Sequence

import numpy as np

from zero2ir.collections.records import Document
from zero2ir.encoders.sentences import SENTENCE_END

LEAST_WORDS = 3


def sentences(text: str) -> list[str]:
    """Splits a text after full stops, question and exclamation marks and at blank lines; drops very short pieces."""
    return [piece for piece in SENTENCE_END.split(text) if len(piece.split()) >= LEAST_WORDS]


def inverse_cloze(document: Document, rng: np.random.Generator, keep: float = 0.1) -> tuple[str, str] | None:
    """A random sentence and the rest of its document, which it should find.

    A text of one sentence gives a random third of its words and the others instead.

    Args:
        document: any document.
        rng: the source of chance.
        keep: how often the sentence stays in the document, so that exact matches are learned, too.

    Returns:
        (query, document text), or None where the text is too short to be parted.

    Source: Lee, Chang and Toutanova, ACL 2019, arXiv 1906.00300, section 4.
    """
    pieces = sentences(document.text)
    if len(pieces) < 2:
        words = document.text.split()
        if len(words) < 2 * LEAST_WORDS:
            return None
        length = max(LEAST_WORDS, len(words) // 3)
        start = int(rng.integers(len(words) - length + 1))
        query = " ".join(words[start : start + length])
        rest = " ".join(words[:start] + words[start + length :])
    else:
        chosen = int(rng.integers(len(pieces)))
        query = pieces[chosen]
        rest = " ".join(pieces[:chosen] + pieces[chosen + 1 :])
    body = document.text if rng.random() < keep else rest
    return query, f"{document.title}\n{body}".strip()


def title_pair(document: Document) -> tuple[str, str] | None:
    """A document's title and its text; None where it has no title or no text."""
    return (document.title, document.text) if document.title and document.text else None


def pretext_pairs(documents: Sequence[Document], rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """One epoch of pretext pairs in random order: an inverse cloze pair of every document, and its title pair.

    The title pairs come as a second pass, so that a batch rarely holds one document twice.
    """
    for task in (lambda document: inverse_cloze(document, rng), title_pair):
        for number in rng.permutation(len(documents)):
            pair = task(documents[number])
            if pair is not None:
                yield pair
