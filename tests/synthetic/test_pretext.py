"""Pretext tasks: what a pair may hold, and how often a document comes."""

import re
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.collections.records import Document
from zero2ir.synthetic.pretext import inverse_cloze, pretext_pairs, sentences, title_pair

# Sentences of numbered words, so that each place in a document is known.
lengths = st.lists(st.integers(1, 9), max_size=6)
seeds = st.integers(0, 2**32 - 1)


def numbered(lengths: list[int], title: str = "") -> Document:
    words = iter(range(sum(lengths)))
    return Document("d", title, " ".join(" ".join(f"w{next(words)}" for _ in range(n)) + "." for n in lengths))


def test_sentences_end_at_marks_and_blank_lines() -> None:
    text = "Open a file. Is it there?  Yes!\n\nNo stop\nin this line\n \nThe version 3.11 is new. a b"
    assert sentences(text) == ["Open a file.", "Is it there?", "No stop\nin this line", "The version 3.11 is new."]
    assert sentences("") == []


@given(lengths, seeds)
def test_the_query_is_a_stretch_of_the_document_and_leaves_it(lengths: list[int], seed: int) -> None:
    document = numbered(lengths, title="Title")
    pair = inverse_cloze(document, np.random.default_rng(seed), keep=0)
    pieces = sentences(document.text)
    if len(pieces) < 2 and len(document.text.split()) < 6:
        assert pair is None
        return
    assert pair is not None
    query, rest = pair
    assert f" {query} " in f" {document.text} "
    assert rest.startswith("Title\n")
    assert not set(query.split()) & set(rest.split())  # the words are numbered: none comes twice
    assert len(query.split()) >= 3
    assert len(rest.split()) >= 4  # the title and three words
    if len(pieces) >= 2:
        assert query in pieces


@given(lengths, seeds)
def test_kept_whole_the_document_holds_the_query(lengths: list[int], seed: int) -> None:
    document = numbered(lengths)
    pair = inverse_cloze(document, np.random.default_rng(seed), keep=1)
    if pair is not None:
        assert pair[1] == document.text
        assert pair[0] in pair[1]


@given(st.text(), st.text(), seeds)
def test_any_text_gives_words_of_its_own_or_nothing(title: str, text: str, seed: int) -> None:
    pair = inverse_cloze(Document("d", title, text), np.random.default_rng(seed))
    if pair is not None:
        assert set(pair[0].split()) <= set(text.split())
        assert pair[0].strip()
        assert pair[1].strip()


def test_the_sentence_stays_in_the_document_now_and_then() -> None:
    document, rng = numbered([5, 5, 5]), np.random.default_rng(0)
    kept = sum(query in rest for query, rest in (inverse_cloze(document, rng) or ("", "") for _ in range(1000)))
    assert 60 < kept < 140  # a tenth


def test_every_sentence_may_be_the_query() -> None:
    document, rng = numbered([5, 5, 5, 5]), np.random.default_rng(0)
    drawn = Counter((inverse_cloze(document, rng) or ("", ""))[0] for _ in range(400))
    assert set(drawn) == set(sentences(document.text))
    assert min(drawn.values()) > 60


def test_a_title_pair_needs_both() -> None:
    assert title_pair(Document("d", "Title", "text")) == ("Title", "text")
    assert title_pair(Document("d", "", "text")) is None
    assert title_pair(Document("d", "Title", "")) is None


@given(st.lists(st.tuples(lengths, st.booleans()), max_size=8), seeds)
def test_each_document_comes_once_a_task_and_in_two_passes(parts: list[tuple[list[int], bool]], seed: int) -> None:
    documents = []
    for number, (lengths, titled) in enumerate(parts):
        text = re.sub(r"w(\d+)", rf"d{number}w\1", numbered(lengths).text)
        documents.append(Document(str(number), f"title{number}" if titled else "", text))
    pairs = list(pretext_pairs(documents, np.random.default_rng(seed)))
    is_title = [query.startswith("title") for query, _ in pairs]
    assert is_title == sorted(is_title)  # cloze first
    for wanted in (False, True):
        of = [
            re.findall(r"\d+", query)[0] for (query, _), title in zip(pairs, is_title, strict=True) if title is wanted
        ]
        assert len(of) == len(set(of))
    titled_documents = {document.title for document in documents if document.title and document.text}
    assert {query for (query, _), title in zip(pairs, is_title, strict=True) if title} == titled_documents
    assert pairs == list(pretext_pairs(documents, np.random.default_rng(seed)))


def test_another_seed_draws_another_order(docstrings: list[Document]) -> None:
    one, other = (list(pretext_pairs(docstrings, np.random.default_rng(seed))) for seed in (0, 1))
    assert one != other
    assert len(one) == len(other)
