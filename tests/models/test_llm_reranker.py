"""Rerankers that ask a language model: what they ask, how they read answers, and what a bad answer does."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example
from zero2ir.errors import InputError
from zero2ir.lm.factory import LanguageModel, LMFailure, open_lm
from zero2ir.lm.settings import LMSettings
from zero2ir.models.base import load_model
from zero2ir.models.listwise import Listwise, parse_permutation, windows
from zero2ir.models.llm_reranker import LETTERS_PER_WORD, leading_words
from zero2ir.models.pointwise import Pointwise, parse_relevance
from zero2ir.models.reranked import Reranked
from zero2ir.models.sparse import Sparse

EXAMPLES = [Example(f"query {number}", number, (number + 20, number + 40)) for number in range(6)]
TEXTS = [f"text {number}" for number in range(8)]


def corpus_with(docstrings: list[Document], language_model: LanguageModel) -> Corpus:
    return Corpus(docstrings, language_model=language_model)


# Reading an answer.


@pytest.mark.parametrize(
    ("answer", "order", "whole"),
    [
        ("[2] > [1] > [3]", [1, 0, 2], True),
        ("2, 1, 3", [1, 0, 2], True),
        ("[3]", [2, 0, 1], False),
        ("[3] > [3] > [9] > [0]", [2, 0, 1], False),
        ("I cannot tell", None, False),
        ("", None, False),
        ("9" * 50, None, False),
    ],
)
def test_an_order_is_read_and_put_right(answer: str, order: list[int] | None, whole: bool) -> None:
    assert parse_permutation(answer, 3) == (order, whole)


@given(st.text(max_size=60), st.integers(1, 9))
def test_no_answer_loses_a_document(answer: str, n: int) -> None:
    order, _ = parse_permutation(answer, n)
    assert order is None or sorted(order) == list(range(n))


def told(*tokens: tuple[str, float]) -> Any:
    top = [{"token": token, "logprob": math.log(share)} for token, share in tokens]
    return SimpleNamespace(relevant="yes", logprobs={"content": [{"top_logprobs": top}]})


def test_relevance_is_the_share_of_yes() -> None:
    assert parse_relevance(told(("yes", 0.3), ("No", 0.15), (" Yes", 0.3), ("maybe", 0.25))) == pytest.approx(0.8)
    assert math.isnan(parse_relevance(told(("maybe", 0.9))))
    assert parse_relevance(SimpleNamespace(relevant="Yes.")) == 1.0  # type: ignore[arg-type]
    assert parse_relevance(SimpleNamespace(relevant="no")) == 0.0  # type: ignore[arg-type]
    assert parse_relevance(SimpleNamespace(grade=2)) == pytest.approx(2 / 3)  # type: ignore[arg-type]
    assert math.isnan(parse_relevance(SimpleNamespace(relevant="perhaps")))  # type: ignore[arg-type]
    assert math.isnan(parse_relevance(LMFailure("too long")))


@pytest.mark.parametrize("logprob", [1e6, math.inf, math.nan])
def test_numbers_that_are_no_log_probabilities_are_no_error(logprob: float) -> None:
    tops = [{"token": "yes", "logprob": logprob}, {"token": "no", "logprob": -1.0}]
    value = parse_relevance(SimpleNamespace(logprobs={"content": [{"top_logprobs": tops}]}))  # type: ignore[arg-type]
    assert math.isnan(value) if math.isnan(logprob) else 0.5 < value <= 1


def test_windows_slide_from_the_last_to_the_first() -> None:
    assert windows(7, 4, 2) == [slice(3, 7), slice(1, 5), slice(0, 3)]
    assert windows(3, 4, 2) == [slice(0, 3)]
    assert windows(1, 4, 2) == windows(0, 4, 2) == []


@given(st.integers(2, 40), st.integers(2, 12), st.data())
def test_windows_cover_everything_and_overlap_by_what_is_not_stepped(n: int, window: int, data: st.DataObject) -> None:
    step = data.draw(st.integers(1, window))
    found = windows(n, window, step)
    assert {place for part in found for place in range(part.start, part.stop)} == set(range(n))
    assert found[0].stop == n
    assert found[-1].start == 0


def test_an_excerpt_is_short_whatever_the_text() -> None:
    assert leading_words("a  b\nc d", 3) == "a b c"
    assert len(leading_words("x" * 5000, 3)) == 3 * LETTERS_PER_WORD


# Asking.


def test_each_candidate_is_asked_about_and_the_constant_part_comes_first(docstrings, script_lm) -> None:
    language_model, script = script_lm(lambda messages: json.dumps({"grade": int(messages[-1][-1]) % 4}))
    reranker = Pointwise(words=5).index(corpus_with(docstrings, language_model))
    scores = reranker.score(["how to", "why"], [TEXTS[:4], TEXTS[5:6]])
    np.testing.assert_allclose(scores[0], [0, 1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(scores[1], [1 / 3])
    assert sorted(messages[-1] for messages in script.requests)[0] == "Query: how to\nDocument: text 0"
    assert len({messages[0] for messages in script.requests}) == 1


def test_a_malformed_judgment_leaves_the_candidate_unscored_and_is_counted(docstrings, script_lm) -> None:
    language_model, _ = script_lm(lambda messages: "what?" if "text 1" in messages[-1] else '{"grade": 3}')
    (scores,) = Pointwise().index(corpus_with(docstrings, language_model)).score(["how"], [TEXTS[:3]])
    np.testing.assert_array_equal(np.isnan(scores), [False, True, False])
    assert (language_model.usage.failures, language_model.usage.retries) == (1, 1)


def falling(messages: list[str]) -> str:
    """An order by the number that stands in each text, the highest first."""
    texts = [line for line in messages[-1].splitlines() if line.startswith("[")]
    places = sorted(range(len(texts)), key=lambda place: -int(texts[place].split()[-1]))
    return " > ".join(f"[{place + 1}]" for place in places)


def test_the_window_carries_the_best_to_the_front(docstrings, script_lm) -> None:
    language_model, script = script_lm(falling)
    reranker = Listwise(window=4, step=2).index(corpus_with(docstrings, language_model))
    (scores,) = reranker.score(["how"], [TEXTS])
    # 0123 4567 -> 01 2376 54 -> 0176 3254 -> 7610 3254: each row is the next window's incoming order
    assert list(np.argsort(-scores)) == [7, 6, 1, 0, 3, 2, 5, 4]
    assert sorted(scores) == list(range(1, 9))
    assert len(script.requests) == 3
    whole = Listwise(window=8, step=4).index(corpus_with(docstrings, language_model)).score(["how"], [TEXTS])
    assert list(np.argsort(-whole[0])) == [7, 6, 5, 4, 3, 2, 1, 0]


def test_an_unusable_order_leaves_the_one_that_came_in(docstrings, script_lm) -> None:
    language_model, _ = script_lm(lambda messages: "I like all of them" if "text 0" in messages[-1] else "[2]")
    reranker = Listwise(window=2, step=2).index(corpus_with(docstrings, language_model))
    scores = reranker.score(["how", "why"], [TEXTS[:4], TEXTS[:2]])
    assert list(np.argsort(-scores[0])) == [0, 1, 3, 2]
    assert np.isnan(scores[1]).all()  # its only window was of no use
    assert (language_model.usage.failures, language_model.usage.repaired) == (2, 1)


@pytest.mark.parametrize("reranker", [Pointwise(), Listwise(window=3, step=1)], ids=["pointwise", "listwise"])
@given(answer=st.text(max_size=30))
def test_no_answer_loses_a_document_of_a_search(reranker, answer: str, docstrings, script_lm) -> None:
    language_model, _ = script_lm(lambda messages: answer)
    corpus = corpus_with(docstrings[:10], language_model)
    plain = Sparse().index(corpus).search(["open a file"], 10)
    ranking = Reranked(Sparse(), reranker, 5, 1.0).index(corpus).search(["open a file"], 10)
    assert sorted(ranking.numbers[0]) == sorted(plain.numbers[0])
    if not any(digit in answer for digit in "0123456789"):
        np.testing.assert_array_equal(ranking.numbers, plain.numbers)


def test_without_a_language_model_it_says_so(docstrings) -> None:
    corpus = Corpus(docstrings, language_model=LanguageModel(LMSettings(name="none", provider="none")))
    with pytest.raises(InputError, match="needs a language model; choose one, e"):
        Pointwise().index(corpus).score(["how"], [["a"]])


# Learning is showing.


def test_demonstrations_are_balanced_seeded_and_saved(docstrings, oracle, tmp_path: Path) -> None:
    reranker = Pointwise(words=10, demonstrations=4).index(corpus_with(docstrings, oracle))
    learned, again, other = (reranker.learn(EXAMPLES, seed=seed) for seed in (1, 1, 2))
    assert learned is not None
    assert again is not None
    assert other is not None
    assert learned.prompt.demos == again.prompt.demos != other.prompt.demos
    assert sorted(row["relevant"] for row in learned.prompt.demos) == [False, False, True, True]
    number = {leading_words(text, 10): place for place, text in enumerate(reranker.corpus.contents)}
    for row in learned.prompt.demos:
        place = int(row["query"].split()[1])
        assert (number[row["document"]] == place) == row["relevant"]
    learned.save(tmp_path)
    loaded = load_model(tmp_path, reranker.corpus)
    assert loaded.prompt.demos == learned.prompt.demos  # type: ignore[attr-defined]
    assert reranker.learn([Example("alone", 0)], seed=0) is None  # nothing that is not relevant to show


def test_a_demonstrated_order_puts_the_relevant_document_first(docstrings, oracle) -> None:
    reranker = Listwise(words=10, demonstrations=3, window=3, step=1).index(corpus_with(docstrings, oracle))
    learned = reranker.learn(EXAMPLES, seed=0)
    assert learned is not None
    assert len(learned.prompt.demos) == 3
    for row in learned.prompt.demos:
        place = int(row["query"].split()[1])
        order, whole = parse_permutation(row["order"], 3)
        assert whole
        assert order is not None
        assert row["documents"][order[0]] == leading_words(reranker.corpus.contents[place], 10)


def test_what_is_shown_comes_before_the_question(docstrings, script_lm) -> None:
    language_model, script = script_lm(lambda messages: '{"grade": 1}')
    learned = Pointwise(words=10, demonstrations=2).index(corpus_with(docstrings, language_model)).learn(EXAMPLES, 0)
    assert learned is not None
    learned.score(["how"], [["a file"]])
    (messages,) = script.requests
    answers = [json.loads(message)["grade"] for message in messages[2:-1:2]]
    assert sorted(answers) == [0, 3]
    assert messages[-1] == "Query: how\nDocument: a file"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Pointwise(demonstrations=1), "Pointwise.demonstrations: .* greater than or equal to 2, not 1"),
        (lambda: Listwise(words=0), "Listwise.words: .* greater than or equal to 1"),
        (lambda: Listwise(window=1), "Listwise.window: .* greater than or equal to 2"),
        (lambda: Listwise(window=3, step=4), "window=3, step=4: a step leaves candidates out"),
    ],
)
def test_settings_out_of_range_are_rejected(make, says: str) -> None:
    with pytest.raises(InputError, match=says):
        make()


def test_the_real_smollm2_tells_probabilities_and_orders(docstrings, tmp_path: Path) -> None:
    with open_lm(LMSettings(name="smollm2", context=2048), tmp_path, seed=0) as language_model:
        corpus = corpus_with(docstrings, language_model)
        (scores,) = Pointwise(words=20).index(corpus).score(["open a file"], [corpus.contents[:3]])
        assert ((scores > 0) & (scores < 1)).all()
        assert len(set(scores)) == 3
        (order,) = Listwise(words=20).index(corpus).score(["open a file"], [corpus.contents[:3]])
        assert np.isnan(order).all() or sorted(order) == [1, 2, 3]
        before = language_model.usage.calls
        Pointwise(words=20).index(corpus).score(["open a file"], [corpus.contents[:3]])
        assert language_model.usage.calls == before  # answers are kept
