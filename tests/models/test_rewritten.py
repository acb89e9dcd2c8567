"""Rewritten: what is searched with, who is asked, and what happens without an answer."""

from pathlib import Path

import numpy as np
import pytest

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example
from zero2ir.errors import InputError
from zero2ir.lm.factory import open_lm
from zero2ir.lm.settings import LMSettings
from zero2ir.models.base import load_retriever
from zero2ir.models.llm_reranker import leading_words
from zero2ir.models.rewritten import Rewritten
from zero2ir.models.sparse import Sparse

QUERIES = ["open a file", "sort a list", "open a file", ""]


def answer(messages) -> str:
    return f"about {messages[-1].removeprefix('Query: ').split()[-1]}s"


@pytest.fixture
def asked(docstrings: list[Document], script_lm):
    language_model, script = script_lm(answer)
    return Corpus(docstrings, language_model=language_model), script


def test_query2doc_repeats_the_query_and_hyde_leaves_it_out(asked) -> None:
    corpus, script = asked
    rewritten = Rewritten(Sparse(), "query2doc", repeat=2).index(corpus)
    assert rewritten.rewrite(QUERIES) == [
        "open a file open a file about files",
        "sort a list sort a list about lists",
        "open a file open a file about files",
        "",
    ]
    assert len(script.requests) == 2  # equal queries are one question, an empty one is none
    assert rewritten.with_settings({"method": "hyde"}).rewrite(QUERIES[:1]) == ["about files"]


def test_the_search_is_the_retrievers_with_the_new_text(asked) -> None:
    corpus, _ = asked
    rewritten = Rewritten(Sparse(), "hyde").index(corpus)
    plain = Sparse().index(corpus)
    found, expected = rewritten.search(["open a file"], 10), plain.search(["about files"], 10)
    np.testing.assert_array_equal(found.scores, expected.scores)
    near = np.array([[3]])
    np.testing.assert_array_equal(
        rewritten.search_with_feedback(["open a file"], near, 0.5, 10).scores,
        plain.search_with_feedback(["about files"], near, 0.5, 10).scores,
    )
    texts = [corpus.contents[:4]]
    np.testing.assert_array_equal(rewritten.score(["open a file"], texts)[0], plain.score(["about files"], texts)[0])


def test_off_asks_nothing_and_comes_first(asked) -> None:
    corpus, script = asked
    off = Rewritten(Sparse(), "off").index(corpus)
    np.testing.assert_array_equal(off.search(QUERIES, 5).scores, Sparse().index(corpus).search(QUERIES, 5).scores)
    assert not script.requests
    swept = dict((settings["method"], ranking) for settings, ranking in off.sweep(QUERIES, 5))
    assert list(swept) == ["off", "query2doc", "hyde"]
    assert len(script.requests) == 2  # once for both styles
    np.testing.assert_array_equal(swept["off"].scores, off.search(QUERIES, 5).scores)


def test_a_query_without_an_answer_stays_as_it_is(docstrings, script_lm) -> None:
    language_model, _ = script_lm(lambda messages: "" if "file" in messages[-1] else "lists")
    rewritten = Rewritten(Sparse(), "hyde").index(Corpus(docstrings, language_model=language_model))
    assert rewritten.rewrite(QUERIES[:2]) == ["open a file", "lists"]
    assert language_model.usage.failures == 1


def test_it_learns_by_showing_relevant_documents(asked, tmp_path: Path) -> None:
    corpus, script = asked
    examples = [Example(f"query {number}", number) for number in range(6)]
    rewritten = Rewritten(Sparse(), words=8, demonstrations=3).index(corpus)
    learned, again, other = (rewritten.learn(examples, seed=seed) for seed in (0, 0, 1))
    assert learned is not None
    assert again is not None
    assert other is not None
    assert learned.prompt.demos == again.prompt.demos != other.prompt.demos
    assert rewritten.prompt.demos == ()
    for row in learned.prompt.demos:
        assert row["passage"] == leading_words(corpus.contents[int(row["query"].split()[1])], 8)
    learned.rewrite(["open a file"])
    assert script.requests[-1][1:-1:2] == [f"Query: {row['query']}" for row in learned.prompt.demos]
    learned.save(tmp_path)
    loaded = load_retriever(tmp_path, corpus)
    assert isinstance(loaded, Rewritten)
    assert loaded.prompt.demos == learned.prompt.demos
    assert loaded.rewrite(QUERIES) == learned.rewrite(QUERIES)


def test_nothing_to_show_and_nothing_to_learn_is_none(asked) -> None:
    corpus, _ = asked
    assert Rewritten(Sparse()).index(corpus).learn([], seed=0) is None
    assert Rewritten(Sparse(), demonstrations=0).index(corpus).learn([Example("a", 0)], seed=0) is None


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"method": "none"}, "method: Input should be 'off', 'query2doc' or 'hyde'"),
        ({"alternatives": ["both"]}, r"alternatives.0: .* not 'both'"),
        ({"repeat": 0}, "repeat: Input should be greater than or equal to 1"),
        ({"demonstrations": -1}, "demonstrations: Input should be greater than or equal to 0"),
    ],
)
def test_settings_out_of_range_are_rejected(wrong, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Rewritten(Sparse(), **wrong)


def test_the_real_smollm2_writes_a_passage(docstrings: list[Document], tmp_path: Path) -> None:
    with open_lm(LMSettings(name="smollm2", context=1024), tmp_path, seed=0) as language_model:
        rewritten = Rewritten(Sparse(), "hyde", max_tokens=16, words=20).index(
            Corpus(docstrings, language_model=language_model)
        )
        learned = rewritten.learn([Example("sort a list", 3), Example("upper case letters", 5)], seed=0)
        assert learned is not None
        (text,) = learned.rewrite(["open a file"])
    assert len(text.split()) > 3
    assert text != "open a file"
