"""Which words are marked, and what a terminal never gets."""

from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.highlight import highlight, printable


def test_words_with_a_query_words_stem_are_marked() -> None:
    pieces = highlight("Removing the Spaces, at both ends: remove(space).", "remove the space")
    assert [piece for piece, mark in pieces if mark] == ["Removing", "Spaces", "remove", "space"]


@given(st.text(), st.text())
def test_the_pieces_are_the_text(text: str, query: str) -> None:
    pieces = highlight(text, query)
    assert "".join(piece for piece, _ in pieces) == text
    assert all(piece for piece, _ in pieces)


@given(st.text())
def test_a_terminal_gets_no_command(text: str) -> None:
    shown = printable(text)
    assert not {chr(code) for code in (*range(9), *range(11, 32), *range(127, 160))}.intersection(shown)
    assert printable("a\r\nb\tc\x1b[31m") == "a\nb\tc�[31m"
