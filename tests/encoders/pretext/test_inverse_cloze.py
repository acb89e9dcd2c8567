"""Inverse cloze: properties of its pairs, and which sentences it draws."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.records import Document
from zero2ir.encoders.pretext.base import split_sentences
from zero2ir.encoders.pretext.inverse_cloze import InverseCloze

# Sentences of numbered words, so that each place in a document is known.
lengths = st.lists(st.integers(1, 9), max_size=6)
seeds = st.integers(0, 2**32 - 1)


def numbered(lengths: list[int], title: str = "") -> Document:
    words = iter(range(sum(lengths)))
    return Document("d", title, " ".join(" ".join(f"w{next(words)}" for _ in range(n)) + "." for n in lengths))


def pair(document: Document, rng: np.random.Generator, keep: float = 0.1) -> tuple[str, str] | None:
    return InverseCloze(keep=keep).pair(document, rng)


def test_sentences_end_at_marks_and_blank_lines() -> None:
    text = "Open a file. Is it there?  Yes!\n\nNo stop\nin this line\n \nThe version 3.11 is new. a b"
    assert split_sentences(text) == [
        "Open a file.",
        "Is it there?",
        "No stop\nin this line",
        "The version 3.11 is new.",
    ]
    assert split_sentences("") == []


@given(lengths, seeds)
def test_the_query_is_a_span_that_is_removed_from_the_document(lengths: list[int], seed: int) -> None:
    document = numbered(lengths, title="Title")
    drawn = pair(document, np.random.default_rng(seed), keep=0)
    pieces = split_sentences(document.text)
    if len(pieces) < 2 and len(document.text.split()) < 6:
        assert drawn is None
        return
    assert drawn is not None
    query, rest = drawn
    assert f" {query} " in f" {document.text} "
    assert rest.startswith("Title\n")
    assert not set(query.split()) & set(rest.split())  # the words are numbered: none comes twice
    assert len(query.split()) >= 3
    assert len(rest.split()) >= 4  # the title and three words
    if len(pieces) >= 2:
        assert query in pieces


@given(lengths, seeds)
def test_with_keep_the_document_contains_the_query(lengths: list[int], seed: int) -> None:
    document = numbered(lengths)
    drawn = pair(document, np.random.default_rng(seed), keep=1)
    if drawn is not None:
        assert drawn[1] == document.text
        assert drawn[0] in drawn[1]


@given(st.text(), st.text(), seeds)
def test_any_text_yields_a_pair_of_its_own_words_or_none(title: str, text: str, seed: int) -> None:
    drawn = pair(Document("d", title, text), np.random.default_rng(seed))
    if drawn is not None:
        assert set(drawn[0].split()) <= set(text.split())
        assert drawn[0].strip()
        assert drawn[1].strip()


def test_the_sentence_stays_in_a_share_of_the_documents() -> None:
    document, rng = numbered([5, 5, 5]), np.random.default_rng(0)
    kept = sum(query in rest for query, rest in (pair(document, rng) or ("", "") for _ in range(1000)))
    assert 60 < kept < 140  # a tenth


def test_every_sentence_may_be_the_query() -> None:
    document, rng = numbered([5, 5, 5, 5]), np.random.default_rng(0)
    drawn = Counter((pair(document, rng) or ("", ""))[0] for _ in range(400))
    assert set(drawn) == set(split_sentences(document.text))
    assert min(drawn.values()) > 60
