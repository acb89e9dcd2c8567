"""Answer strings: when two are the same, and which texts hold one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.answers import AnswerIndex, answer_spans, contains_answer, exact_match, normalised_answer, token_f1

WORDS = st.text(st.sampled_from("ab the,.-–X "), max_size=20)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Catholicos, of a See!", "catholicos of see"),
        ("$5.4 million", "54 million"),
        ("Cilicia—the See", "cilicia see"),
        ("anthem", "anthem"),
        ("The", ""),
    ],
)
def test_an_answer_is_normalised_as_in_squad(text: str, expected: str) -> None:
    assert normalised_answer(text) == expected


def test_f1_is_the_best_over_the_answers_and_counts_shared_words() -> None:
    assert token_f1("two delegates", ["Two delegates."]) == exact_match("two delegates", ["Two delegates."]) == 1
    assert token_f1("two old delegates", ["nobody", "the two delegates"]) == pytest.approx(0.8)  # 2 of 3, 2 of 2
    assert exact_match("two old delegates", ["two delegates"]) == 0
    assert token_f1("", ["x"]) == token_f1("x", []) == 0


@given(WORDS, st.lists(WORDS, min_size=1, max_size=3))
def test_f1_lies_between_exact_match_and_one(given_answer: str, answers: list[str]) -> None:
    assert exact_match(given_answer, answers) <= token_f1(given_answer, answers) <= 1


def test_a_text_holds_whole_words_only() -> None:
    text = normalised_answer("Each brotherhood elects two delegates.")
    assert contains_answer(text, ["nothing", "Two delegates"])
    assert not contains_answer(text, ["wo delegates", "two delegate", "the", ""])


@given(st.lists(WORDS, max_size=6), st.lists(WORDS, max_size=3))
def test_the_index_finds_what_looking_at_every_text_finds(texts: list[str], answers: list[str]) -> None:
    expected = {n for n, text in enumerate(texts) if contains_answer(normalised_answer(text), answers)}
    assert AnswerIndex(texts).matching_texts(answers) == expected


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("刹车发出尖叫时,把刹车皮前端向内调一毫米。", "一毫米"),
        ("หยดน้ำมันลงบนโซ่จักรยานทีละข้อ", "น้ำมัน"),
        ("ضَعْ قَطْرَةَ زَيْتٍ عَلَى كُلِّ حَلْقَةٍ", "قطرة زيت"),
        ("साइकिल की चेन पर हर कड़ी में तेल की एक बूंद डालिए।", "एक बूंद"),
    ],
)
def test_answers_in_other_scripts_are_found_as_whole_words(text: str, answer: str) -> None:
    assert contains_answer(normalised_answer(text), [answer])
    assert AnswerIndex([text, "another text"]).matching_texts([answer]) == {0}
    assert exact_match(f"{answer}。", [answer]) == 1.0
    if "قطرة" not in answer:  # a text with vowel points has the answer in another form
        ((start, end),) = answer_spans(text, [answer])
        assert text[start:end] == answer


def test_characters_of_scripts_without_spaces_count_as_words() -> None:
    assert token_f1("一毫米", ["毫米"]) == pytest.approx(0.8)
    assert not contains_answer(normalised_answer("हिन्दी"), ["हिन्द"])
