"""Confidence: a probability that rises with the lead of the first document."""

import json
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from zero2ir.confidence import LEAST, Confidence, lead

scores_row = st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=14).map(lambda row: sorted(row)[::-1])


def padded(*rows: list[float], k: int = 14) -> np.ndarray:
    return np.array([row + [-np.inf] * (k - len(row)) for row in rows], dtype=np.float32)


def test_the_lead_by_hand() -> None:
    deviation = math.sqrt((4 + 1 + 1) / 3)  # of 3, 0 and 0 around 1
    assert lead(padded([3.0, 0.0, 0.0]))[0, 0] == pytest.approx(2 / deviation)
    assert lead(padded([3.0, 0.0, 0.0] + [0.0] * 7 + [-50.0]))[0, 0] == pytest.approx(3.0)  # the best ten count
    alone, none, alike = lead(padded([5.0], [], [2.0, 2.0, 2.0], k=3)).tolist()
    assert alone == [0, -np.inf, -np.inf]
    assert none == [-np.inf] * 3
    assert alike == [0, 0, 0]
    assert lead(np.zeros((2, 0))).shape == (2, 0)


@given(scores_row, st.sampled_from([1e-3, 0.5, 4.0, 1000.0]), st.floats(-50, 50, width=32))
def test_the_lead_depends_on_neither_scale_nor_offset(row: list[float], scale: float, offset: float) -> None:
    assume(row[0] - row[-1] > 0.1)
    plain = np.array([row], dtype=np.float64)
    assert lead(plain * scale + offset) == pytest.approx(lead(plain), rel=1e-6)


@given(scores_row)
def test_the_lead_is_no_less_than_nought_and_no_more_than_the_depth_allows(row: list[float]) -> None:
    assert 0 <= lead(padded(row))[0, 0] <= 3 + 1e-6  # sqrt(n - 1) for n scores


@given(st.floats(0, 5), st.floats(-5, 5), st.lists(scores_row, min_size=2, max_size=5))
def test_more_lead_is_more_confidence(slope: float, intercept: float, rows: list[list[float]]) -> None:
    scores = padded(*rows)
    probabilities = Confidence(slope, intercept, centre=1.0, spread=0.5).predict(scores)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert (np.diff(probabilities[np.argsort(lead(scores)[:, 0], kind="stable")]) >= -1e-12).all()
    if slope > 0.1 and abs(intercept) < 1 and np.ptp(lead(scores)[:, 0]) > 0.1:
        assert np.ptp(probabilities) > 0


def test_nothing_found_is_no_confidence() -> None:
    sure = Confidence(1.0, 5.0, 0.0, 1.0)
    probabilities = sure.predict(padded([], [1.0], [2.0, 1.0]))
    assert probabilities[0] == 0
    assert (probabilities[1:] > 0.9).all()
    assert sure.predict(np.zeros((2, 0))).tolist() == [0, 0]


@pytest.mark.parametrize("n", range(LEAST))
def test_below_four_judged_documents_nothing_can_be_said(n: int) -> None:
    assert LEAST == 4
    assert Confidence.fit(np.ones(n), np.ones(n, dtype=bool)) is None


@pytest.mark.parametrize(("correct", "share"), [(True, 6 / 7), (False, 1 / 7)])
def test_judgments_of_one_class_give_laplaces_share(correct: bool, share: float) -> None:
    scores = np.sort(np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32), axis=1)[:, ::-1]
    confidence = Confidence.fit(lead(scores)[:, 0], np.full(5, correct))
    assert confidence is not None
    assert confidence.slope == 0
    assert confidence.predict(scores) == pytest.approx([share] * 5)


def judged(n: int, seed: int, sign: int) -> tuple[np.ndarray, np.ndarray]:
    """Queries whose first document is right where its lead is large (``sign`` 1) or small (-1)."""
    rng = np.random.default_rng(seed)
    head = rng.uniform(0, 3, n)
    rest = np.sort(rng.uniform(-1, 0, (n, 9)), axis=1)[:, ::-1]
    return np.column_stack([head, rest]).astype(np.float32), (head > 1.5) == (sign > 0)


def test_the_slope_follows_the_judgments() -> None:
    scores, correct = judged(40, 0, 1)
    confidence = Confidence.fit(lead(scores)[:, 0], correct)
    assert confidence is not None
    assert confidence.slope > 0.5
    fresh, right = judged(40, 1, 1)
    probabilities = confidence.predict(fresh)
    assert probabilities[right].mean() > probabilities[~right].mean() + 0.3


def test_more_lead_is_never_less_confidence_whatever_the_judgments_say() -> None:
    scores, correct = judged(40, 0, -1)
    confidence = Confidence.fit(lead(scores)[:, 0], correct)
    assert confidence is not None
    assert confidence.slope == 0
    assert confidence.predict(scores) == pytest.approx([(correct.sum() + 1) / 42] * 40)


@pytest.mark.parametrize("n", [4, 10, 200])
def test_on_what_it_was_fitted_to_it_is_right_on_average(n: int) -> None:
    scores, correct = judged(n, 2, 1)
    correct[0] = not correct[0]
    confidence = Confidence.fit(lead(scores)[:, 0], correct)
    assert confidence is not None
    assert confidence.predict(scores).mean() == pytest.approx(correct.mean(), abs=1e-3)  # the intercept is not shrunk


def test_equal_leads_leave_the_base_rate() -> None:
    scores = np.tile(np.array([[2.0, 1.0, 0.0]], dtype=np.float32), (4, 1))
    confidence = Confidence.fit(lead(scores)[:, 0], np.array([True, True, True, False]))
    assert confidence is not None
    assert confidence.predict(scores) == pytest.approx([0.75] * 4, abs=1e-3)


def test_it_survives_json() -> None:
    scores, correct = judged(10, 3, 1)
    confidence = Confidence.fit(lead(scores)[:, 0], correct)
    assert confidence is not None
    assert Confidence(**json.loads(json.dumps(confidence.as_dict()))) == confidence
