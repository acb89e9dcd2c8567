"""Languages: found out, and their words told apart."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.languages import (
    AUTO_LANGUAGE,
    IDENTIFICATION_CHARACTERS,
    LANGUAGES,
    _identifier,
    identify_language,
    language_of,
    tokenize,
)
from zero2ir.errors import InputError

SENTENCES = {
    "en": "How many points did the defence of the Panthers give up?",
    "es": "¿Cuántos puntos dejaron escapar en defensa los Panthers?",
    "de": "Wie viele Punkte gab die Verteidigung der Panthers ab?",
    "zh": "黑豹队的防守丢了多少分？",
    "ru": "Сколько очков пропустила защита команды?",
}


@pytest.mark.parametrize("code", SENTENCES)
def test_the_language_of_a_sentence_is_found_out(code: str) -> None:
    assert identify_language([SENTENCES[code]]) == code
    assert identify_language([SENTENCES[code]], among=(code, "fr")) == code


def test_only_the_languages_in_question_come_out() -> None:
    assert identify_language([SENTENCES["de"]], among=("en", "es")) in ("en", "es")
    assert (
        identify_language([SENTENCES["de"]], among=("xx",)) == "de"
    )  # a code that the model does not know is no restriction


def test_a_large_collection_is_sampled_from_its_beginning_to_its_end() -> None:
    texts = [SENTENCES["en"]] * 2 + [SENTENCES["es"]] * (IDENTIFICATION_CHARACTERS // 20)
    assert identify_language(texts) == "es"
    assert identify_language([]) == identify_language(["42 – 7!"]) == ""


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("en", ["mani", "point", "did", "defenc", "panther", "give", "up"]),
        ("es", ["cuant", "punt", "dej", "escap", "defens", "panthers"]),
        ("zh", ["黑豹", "队", "防守", "丢", "分"]),
    ],
)
def test_words_are_stemmed_and_parted_as_the_language_asks(code: str, words: list[str]) -> None:
    found = tokenize([SENTENCES[code]], code)[0]
    assert set(words) <= set(found)
    assert not {"of", "the", "los", "的", "了"} & set(found)


@given(st.text(alphabet="áéíóúñüàç aeiou", max_size=30))
def test_however_an_accent_was_typed_the_words_are_the_same(text: str) -> None:
    apart = unicodedata.normalize("NFD", text)
    assert tokenize([apart], "es") == tokenize([text], "es")


def test_a_language_without_spaces_that_nothing_parts_says_what_would_serve() -> None:
    with pytest.raises(InputError, match=r"documents in Thai: zero2ir cannot segment words .* model=surface"):
        tokenize(["สวัสดี"], "th")


def test_an_unknown_language_has_words_between_spaces() -> None:
    assert tokenize(["Habari za asubuhi"], "sw") == [["habari", "za", "asubuhi"]]
    assert language_of("sw").name == "sw"


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _identifier.cache_clear()
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    with pytest.raises(InputError, match=r"pip install 'zero2ir\[languages\]'"):
        identify_language(["a"])
    monkeypatch.setitem(sys.modules, "rjieba", None)
    with pytest.raises(InputError, match=r"documents in Chinese: .*pip install 'zero2ir\[languages\]'"):
        tokenize(["分"], "zh")


def test_every_language_has_a_code_and_a_name() -> None:
    assert AUTO_LANGUAGE not in LANGUAGES
    assert all(len(code) == 2 and known.name for code, known in LANGUAGES.items())
    for code, known in LANGUAGES.items():
        if known.spaced or code == "zh":
            tokenize(["a b"], code)
