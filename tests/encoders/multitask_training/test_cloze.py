"""Cloze questions: the answer is in the text, and not in the question."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.encoders.multitask_training.cloze import cloze

TEXT = "The church was founded by Gregory in 301 near the old capital."


@pytest.mark.parametrize("seed", range(5))
def test_names_and_dates_have_their_question_words(seed: int) -> None:
    made = cloze(TEXT, np.random.default_rng(seed))
    assert made is not None
    asked = {"Gregory": "who", "301": "how many"}
    answer = TEXT[made.start : made.end]
    assert made.question.startswith(asked[answer])
    assert answer not in made.question


@given(st.text(max_size=120), st.integers(0, 5))
def test_any_text_yields_a_question_with_its_answer_or_none(text: str, seed: int) -> None:
    made = cloze(text, np.random.default_rng(seed))
    if made is not None:
        assert 0 <= made.start < made.end <= len(text)
        assert made.question.split()[0] in ("who", "when", "how", "what")


@pytest.mark.parametrize("text", ["", "the of and", "too short"])
def test_too_few_words_yield_no_question(text: str) -> None:
    assert cloze(text, np.random.default_rng(0)) is None
