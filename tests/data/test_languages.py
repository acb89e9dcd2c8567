"""Identification of languages: of a few sentences, and of whole collections."""

import pytest

from zero2ir.data.languages import (
    AUTO_LANGUAGE,
    IDENTIFICATION_CHARACTERS,
    LANGUAGES,
    checked_code,
    identify_language,
    language_of,
    likely_language,
)
from zero2ir.errors import InputError

SENTENCES = {
    "en": "How many points did the defence of the Panthers give up?",
    "es": "¿Cuántos puntos dejaron escapar en defensa los Panthers?",
    "de": "Wie viele Punkte gab die Verteidigung der Panthers ab?",
    "zh": "黑豹队的防守丢了多少分？",
    "ru": "Сколько очков пропустила защита команды?",
    "hi": "साइकिल की चेन पर हर कड़ी में तेल की एक बूंद डालिए।",
    "ar": "ضَعْ قَطْرَةَ زَيْتٍ عَلَى كُلِّ حَلْقَةٍ مِنَ السِّلْسِلَةِ",
    "ja": "自転車のチェーンに油を一滴ずつさしてください。",
    "th": "หยดน้ำมันลงบนโซ่จักรยานทีละข้อ",
    "ko": "자전거 체인에 기름을 한 방울씩 떨어뜨리세요.",
}


@pytest.mark.parametrize("code", ["en", "es", "de", "zh", "ru"])
def test_the_language_of_a_sentence_is_identified(code: str) -> None:
    assert identify_language([SENTENCES[code]]) == code
    assert identify_language([SENTENCES[code]], among=(code, "fr")) == code


def test_identification_can_be_restricted_to_some_languages() -> None:
    assert identify_language([SENTENCES["de"]], among=("en", "es")) in ("en", "es")
    assert identify_language([SENTENCES["de"]], among=("xx",)) == "de"  # an unknown code is no restriction


def test_a_large_collection_is_sampled_from_its_beginning_to_its_end() -> None:
    texts = [SENTENCES["en"]] * 2 + [SENTENCES["es"]] * (IDENTIFICATION_CHARACTERS // 20)
    assert identify_language(texts) == likely_language(texts) == "es"
    assert identify_language([]) == identify_language(["42 – 7!"]) == ""
    assert likely_language([]) == likely_language(["42 – 7!"]) == "en"


@pytest.mark.parametrize("code", SENTENCES)
def test_the_language_of_a_small_collection_is_identified(code: str) -> None:
    assert likely_language([SENTENCES[code]] * 2) == code


@pytest.mark.parametrize(
    "texts",
    [
        ["apple banana apple", "banana cherry", "cherry cherry date fig"],
        ["def remove(space):", "str.strip([chars])", "int main() { return 0; }"],
        ["rust bolt M8", "hex nut M8", "washer M10"],
        ["zebra", "alpha", "beta", "gamma"],
        ["A1", "B2"],
        ["\ud800 broken"],
    ],
)
def test_without_strong_evidence_a_collection_is_english(texts: list[str]) -> None:
    assert likely_language(texts) == "en"


def test_a_variety_has_the_code_of_its_written_language() -> None:
    assert likely_language(["我哋今日去邊度食飯呀？佢哋仲未嚟。"] * 3) == "zh"  # Cantonese


def test_a_language_is_set_by_its_code() -> None:
    assert [checked_code(code) for code in ("auto", "de", "sw", "yue")] == ["auto", "de", "sw", "yue"]
    with pytest.raises(InputError, match=r"^'German' is no code of a language; use de, or auto$"):
        checked_code("German")
    with pytest.raises(InputError, match=r"^'de-DE' is no code of a language; use a code of ISO 639-1 such as de"):
        checked_code("de-DE")


def test_every_language_has_a_code_and_a_name() -> None:
    assert AUTO_LANGUAGE not in LANGUAGES
    assert all(len(code) == 2 and known.name for code, known in LANGUAGES.items())
    assert language_of("sw").name == "sw"
