"""Lines of JSON for readers that end lines anywhere."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.io.lines import json_line


@given(st.dictionaries(st.text(), st.text()))
def test_a_line_is_printable_and_says_the_same(value: dict[str, str]) -> None:
    line = json_line(value)
    assert line.isprintable()
    assert json.loads(line) == value


@pytest.mark.parametrize("letter", ["\u2028", "\x85", "\x9b", "\u202e", "\x00", "\ud800", "\U000e0001"])
def test_what_cannot_be_printed_is_escaped(letter: str) -> None:
    assert len(json_line(f"ä {letter} ü").splitlines()) == 1
    assert json.loads(json_line(letter)) == letter


def test_letters_stay_as_they_are() -> None:
    assert json_line({"text": "Ärger über 日本語"}) == '{"text": "Ärger über 日本語"}'
