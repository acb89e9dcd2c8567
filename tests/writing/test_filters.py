"""What each filter objects to, by hand, and what holds of all of them together."""

import math
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.synthetic.settings import SyntheticSettings
from zero2ir.writing.filters import FILTERS, FilterInputs, jaccard, objections, trigrams, words_of
from zero2ir.writing.settings import FilterName

EVERY = SyntheticSettings(filters=get_args(FilterName))
FILE = "Opens a file and returns a stream. The mode says whether it is read or written."


def written(queries: Sequence[str], document: str | Sequence[str] = FILE, **known: Any) -> FilterInputs:
    texts = [document] * len(queries) if isinstance(document, str) else document
    figures = {
        "styles": ["judgments"] * len(queries),
        "round_trip_ranks": np.ones(len(queries), dtype=np.int64),
        "log_likelihoods": -np.arange(1.0, len(queries) + 1),
        "grades": np.ones(len(queries)),
    }
    return FilterInputs(queries, texts, texts, **{**figures, **known})


def rejected(name: FilterName, batch: FilterInputs, **settings: Any) -> list[str]:
    """The queries that a filter objects to."""
    table = FILTERS[name](batch, EVERY.model_copy(update=settings))
    assert table.dtype == bool
    assert table.shape == (len(batch.queries),)
    return [query for query, objects in zip(batch.queries, table, strict=True) if objects]


def test_every_name_that_the_settings_allow_is_a_filter() -> None:
    assert set(FILTERS) == set(get_args(FilterName))
    assert set(SyntheticSettings().filters) == set(FILTERS) - {"too_short", "likelihood", "grade"}


def test_answers_without_words_are_empty() -> None:
    assert rejected("empty", written(["", " ?\t", "open a file"])) == ["", " ?\t"]


def test_lengths_are_in_words_and_each_cjk_sign_is_one() -> None:
    queries = ["file", "open a file", "one two three four", "ファイルを開く"]
    assert rejected("too_short", written(queries), words=(2, 3)) == ["file"]
    assert rejected("too_long", written(queries), words=(2, 3)) == ["one two three four", "ファイルを開く"]


def test_copies_of_the_prompt() -> None:
    known, shown = ["How do I sort a list?", "sort"], ["A list can be sorted in place or into a new list."]
    queries = [
        "how do i SORT a list",  # the same
        "how do I sort a list",  # but for the sign
        "please tell me how do I sort a list now",  # with more around it
        "how do you sort a list",  # nearly
        "sorted in place or into",  # a demonstration's document
        "sort",
        "sort these numbers",  # one common word is no copy
        "sorted in place",  # nor are three
        "",
    ]
    assert (
        rejected("copied", written(queries, known_queries=known, prompt_texts=shown), near_duplicate=0.6) == queries[:6]
    )
    assert rejected("copied", written(queries)) == []


def test_duplicates_are_the_later_ones() -> None:
    queries = ["open a file", "Open a  FILE?", "read a file", "open a file", "", ""]
    assert rejected("duplicate", written(queries)) == ["Open a  FILE?", "open a file"]


def test_near_duplicates_are_compared_with_those_that_stay() -> None:
    chain = ["how to open a text file", "how to open a text files", "how to open a texts files", "zip archives"]
    similar = jaccard(trigrams(chain), trigrams(chain))
    assert similar[0, 1] > 0.8 > similar[0, 2] > 0.6
    assert similar[1, 2] > 0.8
    assert rejected("near_duplicate", written(chain), near_duplicate=0.8) == [chain[1]]
    assert rejected("near_duplicate", written(chain), near_duplicate=0.6) == chain[1:3]


@given(st.lists(st.text("ab c", max_size=12), max_size=12), st.integers(1, 5))
def test_near_duplicates_do_not_depend_on_the_chunks(queries: list[str], chunk: int) -> None:
    whole = rejected("near_duplicate", written(queries))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zero2ir.writing.filters.SIMILARITY_CHUNK", chunk)
        assert rejected("near_duplicate", written(queries)) == whole


@given(st.text(), st.text())
def test_similarity_is_that_of_the_sets_of_trigrams(one: str, other: str) -> None:
    def grams(text: str) -> set[str]:
        padded = [f" {word} " for word in words_of(text).split()]
        return {word[place : place + 3] for word in padded for place in range(len(word) - 2)}

    union = grams(one) | grams(other)
    expected = len(grams(one) & grams(other)) / len(union) if union else 0.0
    found = float(jaccard(trigrams([one]), trigrams([other]))[0, 0])
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_query_inside_the_document_is_rejected() -> None:
    queries = ["returns a stream", "Returns a Stream. The MODE", "return a stream", "the stream returns", "str", ""]
    assert rejected("substring", written(queries)) == queries[:2]
    assert rejected("substring", written(["ファイルを"], "テキストファイルを開く")) == ["ファイルを"]


def test_a_query_in_another_script_is_rejected() -> None:
    russian, japanese, code = "Открывает файл и возвращает поток", "ファイルを開く関数", "x = [1, 2]; y = {3: 4}"
    assert rejected("language", written(["открыть файл", "открыть file", "open a file"], russian)) == ["open a file"]
    assert rejected("language", written(["関数", "ひらく", "open"], japanese)) == ["open"]
    assert rejected("language", written(["open a file", "!!! ### 1 2 3 4 5 6", "", "открыть файл"])) == [
        "!!! ### 1 2 3 4 5 6",
        "открыть файл",
    ]
    assert rejected("language", written(["a dictionary of numbers", "y = 5"], code)) == []
    assert rejected("language", written(["anything", "что угодно"], "1 2 3")) == []


def test_the_round_trip_filter_uses_its_rank() -> None:
    queries = ["a", "b", "c"]
    assert rejected("round_trip", written(queries, round_trip_ranks=np.array([1, 0, 4])), round_trip=3) == ["b", "c"]
    assert rejected("round_trip", written(queries, round_trip_ranks=np.array([1, 0, 3])), round_trip=3) == ["b"]


def test_the_most_likely_queries_of_each_style_are_kept() -> None:
    queries, styles = list("abcdef"), ["title"] * 4 + ["claim"] * 2
    batch = written(queries, styles=styles, log_likelihoods=np.array([-3, -1, -2, math.nan, -9, -8]))
    assert rejected("likelihood", batch, likelihood=0.5) == ["a", "d", "e"]
    assert rejected("likelihood", batch, likelihood=1.0) == ["d"]


def test_low_and_missing_grades_are_rejected() -> None:
    batch = written(["a", "b", "c"], grades=np.array([0.5, 0.49, math.nan]))
    assert rejected("grade", batch, grade=0.5) == ["b", "c"]


words = st.sampled_from(["open a file", "Open a file", "how to open files", "", "stream. The", "открыть", "w " * 50])


@given(st.lists(words, max_size=9), st.permutations(get_args(FilterName)), st.integers(0, 11))
def test_filters_do_not_depend_on_each_other(queries: list[str], names: list[FilterName], number: int) -> None:
    batch = written(queries, known_queries=["how to open files"])
    settings = EVERY.model_copy(update={"filters": tuple(names[:number])})
    together = objections(batch, settings)
    assert len(together) == len(queries)
    for name in names[:number]:
        table = FILTERS[name](batch, settings)
        assert [name in each for each in together] == table.tolist()
    for each in together:
        assert each == [name for name in names[:number] if name in each]
