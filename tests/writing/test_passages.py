"""Which part of a long document a prompt shows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.records import Document
from zero2ir.encoders.sentences import split_document_sentences
from zero2ir.writing.passages import answering_passage, drawn_passages, passages, spread_passages

LONG = Document(
    "d",
    "The four seasons",
    "Spring comes with rain and flowers. Summer is hot, dry and long. Autumn paints all leaves red. "
    "Winter brings snow and dark nights.",
)
texts = st.lists(
    st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=9).map(lambda words: " ".join(words) + ". "), max_size=12
).map("".join)
documents = st.builds(Document, st.just("d"), st.sampled_from(["", "a title", "t " * 30]), texts)


def test_a_passage_is_the_title_and_whole_sentences_in_a_row() -> None:
    first, second, third, fourth = LONG.text.replace(". ", ".|").split("|")
    title = LONG.title
    pairs = [(first, second), (second, third), (third, fourth)]
    assert passages(LONG, 15) == [f"{title} {one} {other}" for one, other in pairs]
    assert passages(LONG, 200) == [f"{title} {LONG.text}"]


@given(documents, st.integers(8, 40))
def test_no_passage_is_too_long_and_together_they_show_everything(document: Document, words: int) -> None:
    found = passages(document, words)
    assert found
    assert all(len(one.split()) <= words for one in found)
    if len(document.content.split()) > words:
        shown = len(document.title.split()[: words // 2])
        parts = [sentence.split() for sentence in split_document_sentences(f"\n{document.text}") if sentence]
        for part in parts:
            text = f" {' '.join(part[: words - shown])} "
            assert any(text in f" {one} " for one in found)


@given(documents, st.integers(8, 40), st.integers(0, 9), st.integers(0, 99))
def test_passages_repeat_only_after_all_were_drawn(document: Document, words: int, number: int, seed: int) -> None:
    drawn = drawn_passages(document, words, number, np.random.default_rng(seed))
    assert len(drawn) == number
    there = passages(document, words)
    if number <= len(there) == len(set(there)):
        assert len(set(drawn)) == number
    assert drawn[: number // 2] == drawn_passages(document, words, number // 2, np.random.default_rng(seed))


def test_a_demonstration_shows_the_passage_that_answers() -> None:
    assert "Winter" in answering_passage(LONG, 12, "is there snow in a winter night")
    assert answering_passage(LONG, 12, "zydeco") == passages(LONG, 12)[0]


@given(documents, st.integers(8, 40), st.integers(0, 9))
def test_spread_passages_go_from_the_beginning_on(document: Document, words: int, number: int) -> None:
    spread, there = spread_passages(document, words, number), passages(document, words)
    assert len(spread) == number
    assert spread[:1] == there[:number][:1]
    assert set(spread) <= set(there)
    if number == len(there):
        assert spread == there


def test_passages_of_a_short_document_repeat_in_a_row() -> None:
    first, second, third = passages(LONG, 15)
    assert spread_passages(LONG, 15, 2) == [first, second]
    assert spread_passages(LONG, 15, 5) == [first, first, second, second, third]
    assert spread_passages(LONG, 200, 2) == [f"{LONG.title} {LONG.text}"] * 2
