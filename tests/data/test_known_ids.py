"""What is said about an id that is not there: the id that was probably meant."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.known_ids import KnownIds


@pytest.mark.parametrize(
    ("known", "unknown", "difference"),
    [
        ("0995", "995", "leading zeros"),
        ("doc-7", "doc-007", "leading zeros"),
        ("Doc7", "doc7", "letter case"),
        (unicodedata.normalize("NFD", "vélo"), unicodedata.normalize("NFC", "vélo"), "Unicode form (NFC or NFD)"),
        ("doc1.txt", "doc1", "file extension"),
        ("doc1", "doc1.TXT", "file extension"),
        ("995", "995.0", "file extension"),
        ("str.strip", "str.strip.txt", "file extension"),
        ("a%20b", "a b", "percent-encoding"),
        ("a", "a ", "white space"),
        ("Doc-7.md", "doc-07", "letter case and file extension and leading zeros"),
    ],
)
def test_the_near_miss_is_named_with_its_difference(known: str, unknown: str, difference: str) -> None:
    expected = f"no document has the id {unknown!r} (the document {known!r} differs only in {difference})"
    assert KnownIds("document", {"other", known}).why_unknown(unknown) == expected


def test_the_closest_of_several_is_named() -> None:
    ids = KnownIds("query", ["Q7.txt", "q7.md", "q8"])
    assert "(the query 'q7.md' differs only in file extension)" in ids.why_unknown("q7")
    assert ids.why_unknown("q9") == "no query has the id 'q9'"
    assert KnownIds("document", ["str.strip"]).why_unknown("str.split") == "no document has the id 'str.split'"


def test_an_empty_document_is_called_empty() -> None:
    assert KnownIds("document", ["a"], ["b"]).why_unknown("b") == "the document 'b' is empty"


@given(st.lists(st.text(max_size=8), max_size=5), st.text(max_size=8))
def test_every_id_is_spoken_of(known: list[str], unknown: str) -> None:
    assert KnownIds("document", known).why_unknown(unknown).startswith("no document has the id ")
