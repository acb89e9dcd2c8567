"""Long documents in passages: nothing is lost, and judgments follow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from zero2ir.data.passages import cut_document, split_into_passages
from zero2ir.data.records import CandidateDocument, Collection, Document, Judgment, Query
from zero2ir.data.settings import PassageSettings
from zero2ir.errors import InputError

LONG = Document("d", "Title", "one two three four five six seven")


def test_windows_overlap_and_the_document_is_known() -> None:
    found = cut_document(LONG, PassageSettings(words=4, overlap=1))
    assert found == [Document("d#0", "Title", "one two three four"), Document("d#1", "Title", "four five six seven")]
    assert cut_document(LONG, PassageSettings(words=7)) == [LONG]
    with pytest.raises(ValidationError, match="overlap"):
        PassageSettings(words=4, overlap=4)


@given(st.integers(0, 40), st.integers(1, 12), st.data())
def test_no_word_is_lost_and_no_passage_is_too_long(n: int, words: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, words - 1))
    text = [str(number) for number in range(n)]
    pieces = [
        one.text.split()
        for one in cut_document(Document("d", "", " ".join(text)), PassageSettings(words=words, overlap=overlap))
    ]
    assert all(len(piece) <= words for piece in pieces)
    joined = pieces[0] + [word for piece in pieces[1:] for word in piece[overlap:]]
    assert joined == text
    assert all(len(piece) > overlap for piece in pieces[1:])


def test_a_judgment_follows_its_answer_or_goes_to_every_passage() -> None:
    queries = [Query("a", "with", answers=("six",)), Query("b", "without"), Query("c", "elsewhere", answers=("x",))]
    collection = Collection([LONG], queries, [Judgment("a", "d", 2), Judgment("b", "d", 0), Judgment("c", "d", 1)])
    passages = split_into_passages(collection, PassageSettings(words=4, overlap=1))
    assert [document.doc_id for document in passages.documents] == ["d#0", "d#1"]
    assert passages.judgments == [
        Judgment("a", "d#1", 2),
        *(Judgment(query, f"d#{n}", grade) for query, grade in (("b", 0), ("c", 1)) for n in (0, 1)),
    ]


def test_a_candidate_is_ranked_as_all_its_passages() -> None:
    queries, short = [Query("a", "one"), Query("b", "two")], Document("e", "", "short")
    candidates = [CandidateDocument("a", "e"), CandidateDocument("b", "d"), CandidateDocument("b", "e")]
    collection = Collection([LONG, short], queries, [Judgment("a", "e", 1)], candidates=candidates)
    passages = split_into_passages(collection, PassageSettings(words=4, overlap=1))
    assert passages.candidates_of(["a", "b"]) == {"a": ["e"], "b": ["d#0", "d#1", "e"]}


def test_a_document_that_is_called_like_a_passage_is_refused() -> None:
    settings = PassageSettings(words=4, overlap=1)
    with pytest.raises(
        InputError, match=r"'d#1' belongs to a document and to a passage of 'd'; .* dataset\.passages=null"
    ):
        split_into_passages(Collection([LONG, Document("d#1", "", "short")], [], []), settings)
    numbered = [LONG, LONG._replace(doc_id="d#1"), Document("d#2", "", "short")]
    ids = [document.doc_id for document in split_into_passages(Collection(numbered, [], []), settings).documents]
    assert ids == ["d#0", "d#1", "d#1#0", "d#1#1", "d#2"]  # no two alike
