"""Confidence: a probability of relevance that rises with how far a document stands out."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from zero2ir.config import LibraryConfig, compose
from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.models.dense import Dense
from zero2ir.models.ranking import Ranking, top_k
from zero2ir.program.confidence import (
    CONFIDENCE_DEPTH,
    JUDGED_SHARE,
    Confidence,
    ConfidenceState,
    QueryJudgments,
    signals,
)
from zero2ir.strategies.prior import family_of

PLAIN = Confidence(0.5, 1.0, (0.7, 0.4), (1.5, 0.1), (0.5, 0.1))
SCORES = st.lists(st.lists(st.floats(-50, 50, width=32), min_size=6, max_size=6), min_size=1, max_size=5)


def ranking(rows: Sequence[Sequence[float]], k: int = 6) -> Ranking:
    return top_k(np.array(rows, dtype=np.float32), k)


def drawn(n: int, level: float, seed: int) -> tuple[Ranking, np.ndarray]:
    """Rankings of 50 documents, and which of their first documents are relevant if the level is this."""
    rng = np.random.default_rng(seed)
    found = ranking(rng.normal(size=(n, 50)).tolist(), CONFIDENCE_DEPTH)
    certain = replace(PLAIN, level=level, deviation=1e-9)
    return found, rng.random(n) < certain.probabilities(found)[:, 0]


def asked(found: Ranking, relevant: np.ndarray) -> list[QueryJudgments]:
    """What is judged if somebody is asked about the first documents."""
    first = [frozenset([number]) for number in found.numbers[:, 0].tolist()]
    return [
        QueryJudgments(one) if is_so else QueryJudgments(frozenset(), one)
        for one, is_so in zip(first, relevant, strict=True)
    ]


def named(found: Ranking, relevant: np.ndarray) -> list[QueryJudgments]:
    """What is judged if somebody names relevant documents: most first ones that are, or else one that is not found."""
    known = relevant & (np.random.default_rng(1).random(len(relevant)) < JUDGED_SHARE)
    first = found.numbers[:, 0].tolist()
    return [QueryJudgments(frozenset([one if is_so else 99])) for one, is_so in zip(first, known, strict=True)]


def test_the_signals_by_hand() -> None:
    one = Ranking(np.array([[7, 3, 5]]), np.array([[5.0, 4.0, 1.0]]), np.array([1.0]), np.array([2.0]))
    assert signals(one)[0] == pytest.approx(
        np.array([[np.log(3), 0.25], [np.log(2.5), -0.25], [0.0, -1.0]])  # 4, 3 and 0 above the mean, deviation 2
    )
    alone = Ranking(np.array([[7, -1]]), np.array([[5.0, -np.inf]]), np.array([1.0]), np.array([0.0]))
    assert signals(alone)[0] == pytest.approx(np.array([[np.log(5), 1.0], [0.0, 0.0]]))
    assert signals(Ranking(np.zeros((2, 0), int), np.zeros((2, 0)), np.zeros(2), np.zeros(2))).shape == (2, 0, 2)


@given(SCORES, st.sampled_from([0.5, 4.0, 64.0]), st.integers(-8, 8))
def test_the_signals_depend_on_neither_scale_nor_offset(rows: list[list[float]], scale: float, offset: int) -> None:
    rows = [[float(round(value)) for value in row] for row in rows]
    moved = [[value * scale + offset for value in row] for row in rows]
    assert signals(ranking(moved)) == pytest.approx(signals(ranking(rows)), abs=1e-4)


@given(SCORES)
def test_probabilities_fall_along_a_ranking(rows: list[list[float]]) -> None:
    probabilities = PLAIN.probabilities(ranking(rows))
    assert ((probabilities > 0) & (probabilities < 1)).all()
    assert (np.diff(probabilities, axis=1) <= 1e-9).all()


@given(SCORES, st.integers(2, 6))
def test_probabilities_do_not_depend_on_how_many_are_shown(rows: list[list[float]], k: int) -> None:
    found = ranking(rows)
    assert np.array_equal(PLAIN.probabilities(found.cut(k)), PLAIN.probabilities(found)[:, :k])


def test_nothing_found_is_no_confidence() -> None:
    nothing = top_k(np.zeros((1, 4), dtype=np.float32), 3, np.zeros((1, 4), dtype=bool))
    assert PLAIN.probabilities(nothing).tolist() == [[0.0, 0.0, 0.0]]


@given(st.integers(1, 12), st.integers(0, 12), st.integers(0, 99))
def test_the_level_is_that_of_bayes_theorem(n: int, right: int, seed: int) -> None:
    """By the definition, on a grid of its own."""
    found, _ = drawn(n, 0.0, seed)
    relevant = np.arange(n) < right
    levels = np.linspace(-9, 10, 20_001)
    evidence = np.log(1 / (1 / replace(PLAIN, deviation=1e-9).probabilities(found)[:, 0] - 1)) - PLAIN.level
    p = 1 / (1 + np.exp(-levels[:, None] - evidence))
    weights = np.where(relevant, p, 1 - p).prod(axis=1) * np.exp(-((levels - PLAIN.level) ** 2) / 2)
    mean = np.average(levels, weights=weights)
    given = PLAIN.given(found, asked(found, relevant))
    assert given.level == pytest.approx(mean, abs=1e-3)
    assert given.deviation == pytest.approx(np.sqrt(np.average((levels - mean) ** 2, weights=weights)), abs=1e-3)
    assert replace(given, level=0.5, deviation=1.0) == PLAIN  # the signals count as before


def test_without_judgments_the_prior_stays_with_its_wide_intervals() -> None:
    found, _ = drawn(3, 0.0, 0)
    assert PLAIN.given(found.select_queries(slice(0)), []) == PLAIN
    nothing = top_k(np.zeros((3, 50), dtype=np.float32), CONFIDENCE_DEPTH, np.zeros((3, 50), dtype=bool))
    assert PLAIN.given(nothing, [QueryJudgments(frozenset([1]))] * 3) == PLAIN


def test_an_unjudged_first_document_says_nothing_where_others_were_asked_about() -> None:
    found, _ = drawn(3, 0.0, 0)
    wrong, *_ = asked(found, np.zeros(3, dtype=bool))
    elsewhere = QueryJudgments(frozenset([99]))
    one, all_ = PLAIN.given(found.select_queries([0]), [wrong]), PLAIN.given(found, [wrong, elsewhere, elsewhere])
    assert (all_.level, all_.deviation) == pytest.approx((one.level, one.deviation))
    assert PLAIN.given(found, [elsewhere] * 3).level < PLAIN.given(found.select_queries([0]), [elsewhere]).level < 0.5


@pytest.mark.parametrize("level", [-1.5, 0.0, 2.0])
@pytest.mark.parametrize("judge", [asked, named])
def test_many_judged_queries_find_the_level(level: float, judge: Any) -> None:
    found, relevant = drawn(4000, level, 2)
    confidence = PLAIN.given(found, judge(found, relevant))
    assert confidence.level == pytest.approx(level, abs=0.2)
    assert confidence.deviation < 0.1


def test_intervals_hold_the_true_probability_as_often_as_they_say() -> None:
    """Levels are drawn from the prior."""
    inside = []
    for seed in range(300):
        level = np.random.default_rng([1, seed]).normal(PLAIN.level, PLAIN.deviation)
        found, relevant = drawn(10, level, seed)
        confidence = PLAIN.given(found, asked(found, relevant))
        truth = replace(PLAIN, level=level, deviation=1e-9).probabilities(found)[0, 0]
        ((low, high),) = confidence.intervals(confidence.probabilities(found)[:1, 0])
        inside.append(low <= truth <= high)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.03)


@given(SCORES, st.floats(-4, 4), st.floats(0.05, 3))
def test_a_probability_is_inside_its_interval(rows: list[list[float]], level: float, deviation: float) -> None:
    confidence = replace(PLAIN, level=level, deviation=deviation)
    for row in confidence.probabilities(ranking(rows)):
        for (low, high), stated in zip(confidence.intervals(row), row.tolist(), strict=True):
            assert 0 < low < stated < high < 1
    assert confidence.bound(row, 0.0) == pytest.approx(
        replace(confidence, deviation=1e-9).probabilities(ranking(rows))[-1]
    )
    assert confidence.intervals([0.0, 1.0])[0] == [0.0, 0.0]


def test_a_stated_probability_is_the_mean_over_the_levels() -> None:
    found, _ = drawn(20, 0.0, 3)
    levels = np.random.default_rng(0).normal(PLAIN.level, PLAIN.deviation, 4000)
    mean = np.mean([replace(PLAIN, level=one, deviation=1e-9).probabilities(found) for one in levels], axis=0)
    assert PLAIN.probabilities(found) == pytest.approx(mean, abs=0.02)


def test_questions_about_something_else_are_met_with_less_confidence(docstrings: list[Document]) -> None:
    """No document of the collection answers the latter; each of the former stands in one, word for word."""
    minilm = DenseEncoder(compose("library", LibraryConfig, []).encoder)
    retriever = Dense().index(Corpus(docstrings[:60], {"pretrained": minilm}))
    texts = [" ".join(document.text.split()[:9]) for document in docstrings[:40]]
    judged = [QueryJudgments(frozenset({number})) for number in range(10)]
    prior = Confidence.prior(family_of(retriever))
    confidence = prior.given(retriever.search(texts[:10], CONFIDENCE_DEPTH), judged)
    assert confidence.level > prior.level
    inside = confidence.probabilities(retriever.search(texts[10:], CONFIDENCE_DEPTH))[:, 0]
    others = ["how to bake bread with a sour dough", "the weather in Lisbon for a week", "which shoes for a marathon"]
    outside = confidence.probabilities(retriever.search(others, CONFIDENCE_DEPTH))[:, 0]
    assert outside.max() < np.median(inside)


def test_it_survives_json() -> None:
    found, relevant = drawn(10, 0.2, 6)
    confidence = PLAIN.given(found, asked(found, relevant))
    assert Confidence(**dict(ConfidenceState(**json.loads(json.dumps(confidence.as_dict()))))) == confidence


@pytest.mark.parametrize(
    "change",
    [
        {"level": float("nan")},
        {"level": 1e300},
        {"deviation": 0.0},
        {"deviation": 1e300},  # its square is infinite
        {"slopes": [0.5, -0.1]},
        {"slopes": [0.5]},
        {"centre": [1.0, 2.0, 3.0]},
        {"spread": [0.5, 0.0]},
        {"intercept": 0.0},
    ],
)
def test_a_saved_one_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ConfidenceState(**(PLAIN.as_dict() | change))
