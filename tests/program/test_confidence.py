"""Confidence: a probability of relevance that rises with how far a document stands out."""

import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.config import LibraryConfig, compose
from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.models.dense import Dense
from zero2ir.models.ranking import Ranking, top_k
from zero2ir.program.confidence import (
    CONFIDENCE_DEPTH,
    MIN_QUERIES,
    Confidence,
    ConfidenceState,
    QueryJudgments,
    signals,
)

PLAIN = Confidence(0.0, 1.0, (1.5, 0.1), (0.5, 0.1))
SCORES = st.lists(st.lists(st.floats(-50, 50, width=32), min_size=6, max_size=6), min_size=1, max_size=5)


def ranking(rows: Sequence[Sequence[float]], k: int = 6) -> Ranking:
    return top_k(np.array(rows, dtype=np.float32), k)


def drawn(n: int, share: float, seed: int, judged: int = 5) -> tuple[Ranking, list[QueryJudgments], np.ndarray]:
    """Rankings of 50 documents, in which relevant ones tend to stand out; of each query some are judged."""
    rng = np.random.default_rng(seed)
    relevant = rng.random((n, 50)) < share
    found = ranking((rng.normal(size=(n, 50)) + 2.0 * relevant).tolist(), CONFIDENCE_DEPTH)
    known = [QueryJudgments(frozenset(rng.permutation(np.flatnonzero(row))[:judged].tolist())) for row in relevant]
    return found, known, np.take_along_axis(relevant, found.numbers, axis=1)


def test_the_signals_by_hand() -> None:
    one = Ranking(np.array([[7, 3, 5]]), np.array([[5.0, 4.0, 1.0]]), np.array([1.0]), np.array([2.0]))
    assert signals(one)[0] == pytest.approx(
        np.array([[np.log(3), 0.25], [np.log(2.5), -0.25], [0.0, -1.0]])  # 4, 3 and 0 above the mean, deviation 2
    )
    alone = Ranking(np.array([[7, -1]]), np.array([[5.0, -np.inf]]), np.array([1.0]), np.array([0.0]))
    assert signals(alone)[0] == pytest.approx(np.array([[np.log(5), 1.0], [0.0, 0.0]]))
    assert signals(Ranking(np.zeros((2, 0), int), np.zeros((2, 0)), np.zeros(2), np.zeros(2))).shape == (2, 0, 2)


def test_agreement_is_a_signal_of_the_query() -> None:
    found = ranking([[5.0, 4.0, 1.0], [5.0, 4.0, 1.0]], 3)._replace(agreement=np.array([0.2, 0.7]))
    assert signals(found)[..., 2].tolist() == [[0.2] * 3, [0.7] * 3]
    assert (signals(found)[..., :2] == signals(found._replace(agreement=None))).all()


def test_where_the_parts_agree_it_is_surer() -> None:
    found, judged, _ = drawn(20, 0.2, 9)
    agreed = np.random.default_rng(0).random(20)
    told = found._replace(agreement=agreed)
    confidence = Confidence.fit(told, judged)
    assert confidence is not None
    more, less = (confidence.probabilities(told._replace(agreement=agreed + move)) for move in (0.1, -0.1))
    assert (more > less).all()


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


@pytest.mark.parametrize("n", range(MIN_QUERIES))
def test_below_four_judged_queries_nothing_can_be_said(n: int) -> None:
    found, judged, _ = drawn(6, 0.2, 0)
    few = found.select_queries(slice(n))
    assert Confidence.fit(few, judged[:n]) is None
    lost = found._replace(numbers=np.where(np.arange(6)[:, None] < n, found.numbers, -1))
    assert Confidence.fit(lost, judged) is None  # the others found nothing


def test_a_collection_of_more_relevant_documents_makes_more_confident() -> None:
    stated = []
    for share in (0.02, 0.1, 0.4):
        found, judged, _ = drawn(60, share, 1, judged=50)
        confidence = Confidence.fit(found, judged)
        assert confidence is not None
        stated.append(float(confidence.probabilities(found)[:, 0].mean()))
    assert stated[0] < stated[1] - 0.1 < stated[2] - 0.2


@pytest.mark.parametrize(("intercept", "slope"), [(-2.0, 1.5), (0.5, 0.7)])
def test_with_many_complete_judgments_it_finds_the_probabilities_that_made_them(intercept: float, slope: float) -> None:
    rng = np.random.default_rng(2)
    found = ranking(rng.normal(size=(1500, 50)).tolist(), CONFIDENCE_DEPTH)
    first = signals(found)[:, 0]
    truth = Confidence(intercept, slope, tuple(first.mean(axis=0)), tuple(first.std(axis=0))).probabilities(found)
    relevant = rng.random(truth.shape) < truth
    judged = [
        QueryJudgments(frozenset(row[is_so].tolist()), frozenset(row[~is_so].tolist()))
        for row, is_so in zip(found.numbers, relevant, strict=True)
    ]
    confidence = Confidence.fit(found, judged)
    assert confidence is not None
    assert confidence.probabilities(found)[:, 0].mean() == pytest.approx(truth[:, 0].mean(), abs=0.05)
    assert np.abs(confidence.probabilities(found) - truth).mean() < 0.05


def test_unjudged_documents_do_not_count_as_not_relevant() -> None:
    """Of about twenty relevant documents a query, five are judged."""
    found, judged, relevant = drawn(200, 0.4, 4, judged=5)
    everything = [
        QueryJudgments(one.relevant, frozenset(row.tolist()) - one.relevant)
        for one, row in zip(judged, found.numbers, strict=True)
    ]
    fitted, told = Confidence.fit(found, judged), Confidence.fit(found, everything)
    assert fitted is not None
    assert told is not None
    truth = relevant[:, 0].mean()
    assert abs(fitted.probabilities(found)[:, 0].mean() - truth) < abs(told.probabilities(found)[:, 0].mean() - truth)


def test_more_queries_with_relevant_documents_alone_do_not_mistake_the_level_further() -> None:
    """Three of some fifteen relevant documents are judged: the share that is not seen cannot be told from the level."""

    def mistaken(n: int, seed: int) -> float:
        found, judged, relevant = drawn(200, 0.3, seed, judged=3)
        confidence = Confidence.fit(found.select_queries(np.arange(n)), judged[:n])
        assert confidence is not None
        return abs(float(confidence.probabilities(found)[:, 0].mean() - relevant[:, 0].mean()))

    few, many = (np.mean([mistaken(n, seed) for seed in range(4)]) for n in (10, 200))
    assert many < few + 0.1


def test_what_is_judged_not_relevant_lowers_it() -> None:
    found, judged, _ = drawn(10, 0.2, 5)
    bad = [
        QueryJudgments(one.relevant, frozenset(row[:5].tolist()) - one.relevant)
        for one, row in zip(judged, found.numbers, strict=True)
    ]
    before, after = Confidence.fit(found, judged), Confidence.fit(found, bad)
    assert before is not None
    assert after is not None
    assert after.probabilities(found)[:, 0].mean() < before.probabilities(found)[:, 0].mean()


def test_questions_about_something_else_are_met_with_less_confidence(docstrings: list[Document]) -> None:
    """No document of the collection answers the latter; each of the former stands in one, word for word."""
    minilm = DenseEncoder(compose("library", LibraryConfig, []).encoder)
    retriever = Dense().index(Corpus(docstrings[:60], {"pretrained": minilm}))
    texts = [" ".join(document.text.split()[:9]) for document in docstrings[:40]]
    judged = [QueryJudgments(frozenset({number})) for number in range(10)]
    confidence = Confidence.fit(retriever.search(texts[:10], CONFIDENCE_DEPTH), judged)
    assert confidence is not None
    inside = confidence.probabilities(retriever.search(texts[10:], CONFIDENCE_DEPTH))[:, 0]
    others = ["how to bake bread with a sour dough", "the weather in Lisbon for a week", "which shoes for a marathon"]
    outside = confidence.probabilities(retriever.search(others, CONFIDENCE_DEPTH))[:, 0]
    assert outside.max() < np.median(inside)


def test_queries_of_which_nothing_is_judged_tell_how_signals_spread() -> None:
    found, judged, _ = drawn(200, 0.2, 7)
    few = found.select_queries(slice(10))
    alone, beside = (
        Confidence.fit(few, judged[:10]),
        Confidence.fit(few, judged[:10], found.select_queries(slice(10, None))),
    )
    assert alone is not None
    assert beside is not None
    first = signals(found)[:, 0]
    assert beside.centre == pytest.approx(first.mean(axis=0))
    assert beside.spread == pytest.approx(first.std(axis=0))
    assert alone.centre != pytest.approx(first.mean(axis=0))


def test_asked_queries_that_find_nothing_say_nothing() -> None:
    found, judged, _ = drawn(10, 0.2, 8)
    nothing = top_k(np.zeros((3, 50), dtype=np.float32), CONFIDENCE_DEPTH, np.zeros((3, 50), dtype=bool))
    assert Confidence.fit(found, judged, nothing) == Confidence.fit(found, judged)


def test_it_survives_json() -> None:
    found, judged, _ = drawn(10, 0.2, 6)
    confidence = Confidence.fit(found, judged)
    assert confidence is not None
    assert Confidence(**dict(ConfidenceState(**json.loads(json.dumps(confidence.as_dict()))))) == confidence
