"""Surface: what two languages share in writing."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.models.sparse import Sparse
from zero2ir.models.surface import CharacterNgrams, folded, grams

TEXTS = [
    "Martin Luther was born in 1483 in Eisleben.",
    "The revolution changed the constitution of France.",
    "Oxygen was discovered by Priestley and by Scheele.",
    "The Panthers gave up 308 points.",
]


@pytest.fixture
def surface() -> CharacterNgrams:
    return CharacterNgrams().index(Corpus([Document(f"d{n}", "", text) for n, text in enumerate(TEXTS)]))


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("¿Cómo cambió la revolución la constitución?", 1),
        ("Wo wurde Luther geboren?", 0),
        ("¿Quién descubrió el oxígeno?", 2),
        ("哪支球队丢了 308 分？", 3),
        ("1483年", 0),
    ],
)
def test_names_cognates_and_numbers_find_their_document(surface: CharacterNgrams, query: str, place: int) -> None:
    assert surface.search([query], 1).numbers[0, 0] == place


def test_words_alone_do_not(surface: CharacterNgrams) -> None:
    sparse = Sparse().index(Corpus([Document(f"d{n}", "", text) for n, text in enumerate(TEXTS)]))
    assert sparse.search(["¿Quién descubrió el oxígeno?"], 1).numbers[0, 0] == -1


def test_grams_know_where_a_word_begins_and_ends() -> None:
    assert grams("ol 42", (3, 3)) == ["_ol", "ol_", "42"]
    assert grams("ab", (3, 5)) == ["_ab", "ab_", "_ab_"]
    assert grams("", (3, 5)) == []


@given(st.text())
def test_case_accents_and_form_make_no_difference(text: str) -> None:
    for other in (unicodedata.normalize("NFD", text), unicodedata.normalize("NFC", text), text.casefold()):
        assert folded(other) == folded(text)


def test_letters_lose_their_accents() -> None:
    assert folded("Straße Łódź ŒUVRE ﬁn") == "strasse lodz oeuvre fin"


@pytest.mark.parametrize(
    ("text", "latin"),
    [("Москва", "moskva"), ("Ελλάδα", "ellada"), ("서울", "seoul"), ("١٩٨٤", "1984"), ("🐍 –", "🐍 –")],
)
def test_other_scripts_are_written_in_latin_letters(text: str, latin: str) -> None:
    assert folded(text) == latin


def test_chinese_characters_stay_unless_that_is_asked_for() -> None:
    assert folded("東京で") == "東京de"
    assert folded("東京 é", pinyin=True) == "dongjing e"
    assert "_guanghe" not in CharacterNgrams().tokens(["光合作用"])[0]
    assert "_guan" in CharacterNgrams(pinyin=True).tokens(["光合作用"])[0]


def test_a_name_in_another_script_finds_its_document() -> None:
    texts = ["Vladimir Lenin died in Gorki.", "Paris is the capital of France.", "The city of Novgorod is old."]
    model = CharacterNgrams().index(Corpus([Document(f"d{n}", "", text) for n, text in enumerate(texts)]))
    found = model.search(["Где умер Владимир Ленин?", "Новгород"], 1).numbers[:, 0]
    assert found.tolist() == [0, 2]


def test_what_a_script_needs_and_lacks_is_said_and_latin_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anyascii", None)
    assert folded("Łódź – 42 🐍 東京") == "lodz – 42 🐍 東京"
    with pytest.raises(
        InputError, match=r"transliterating 'москва' needs anyascii; pip install 'zero2ir\[languages\]'"
    ):
        folded("in Москва")


@pytest.mark.parametrize("lengths", [(0, 3), (5, 3), (3,)])
def test_wrong_lengths_are_rejected(lengths) -> None:
    with pytest.raises(ValueError, match="lengths"):
        CharacterNgrams(lengths=lengths)
