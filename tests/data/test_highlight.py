"""Which words are marked, and what a terminal never gets."""

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.highlight import highlight
from zero2ir.io.terminal import printable


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
    assert printable("\u202egpj.exe\u202c \u2066a\u2069\u2028b\u200d") == "�gpj.exe� �a��b\u200d"


@pytest.mark.parametrize(
    ("language", "text", "query", "marked"),
    [
        ("zh", "刹车发出尖叫时,把刹车皮前端向内调。", "刹车尖叫", ["刹车", "尖叫", "刹车"]),
        ("ja", "ブレーキが鳴るときはパッドを調整する。", "ブレーキ調整", ["ブレーキ", "調整"]),
        ("th", "หยดน้ำมันลงบนโซ่", "น้ำมัน", ["น้ำมัน"]),
        ("ko", "자전거 체인에 기름을 친다.", "체인", ["체인"]),
        ("hi", "साइकिल की चेन में तेल डालिए।", "चेन तेल", ["चेन", "तेल"]),
        ("ar", "ضَعْ قَطْرَةَ زَيْتٍ عَلَى السِّلْسِلَةِ", "زيت السلسلة", ["زَيْتٍ", "السِّلْسِلَةِ"]),
        ("tr", "IŞIK yanıyor", "ışık", ["IŞIK"]),
        ("de", "Die STRASSE ist groß", "Straße", ["STRASSE"]),
        ("en", "The word हिन्दी is Hindi", "हिन्दी", ["हिन्दी"]),
    ],
)
def test_words_of_other_languages_are_marked(language: str, text: str, query: str, marked: list[str]) -> None:
    pieces = highlight(text, query, language)
    assert "".join(piece for piece, _ in pieces) == text
    runs = [(mark, "".join(piece for piece, _ in run)) for mark, run in groupby(pieces, key=lambda piece: piece[1])]
    assert [run for mark, run in runs if mark] == marked
