"""Thresholds keep the stated risk on the queries that they are chosen on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.errors import InputError
from zero2ir.program.policy import Policy

SURE = [0.9, 0.8, 0.7, 0.6, 0.5]
RIGHT = [1, 1, 0, 1, 0]


def test_thresholds_are_those_of_the_risk_coverage_curve() -> None:
    policy = Policy.choose(SURE, RIGHT, risk=0.25, max_risk=0.4)
    assert (policy.answer, policy.warn) == (0.6, 0.5)  # of four one is wrong, of five two are
    assert (policy.coverage, policy.queries) == (0.8, 5)
    assert [policy.decide(confidence) for confidence in (0.9, 0.6, 0.59, 0.5, 0.4)] == [
        "answer",
        "answer",
        "warn",
        "warn",
        "abstain",
    ]


def test_a_risk_that_no_threshold_keeps_leaves_no_answer() -> None:
    policy = Policy.choose([0.9, 0.8], [0, 0], risk=0.1)
    assert (policy.answer, policy.warn, policy.coverage) == (None, None, 0.0)
    assert policy.decide(1.0) == "abstain"
    assert policy.decide(None) == "warn"


def test_equal_confidences_are_answered_together() -> None:
    assert Policy.choose([0.9, 0.5, 0.5], [1, 1, 0], risk=0.2, max_risk=0.2).answer == 0.9
    assert Policy.choose([0.9, 0.5, 0.5], [1, 1, 0], risk=0.34).answer == 0.5


@given(
    rows=st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]), st.floats(0, 1)), min_size=1, max_size=30),
    risk=st.floats(0, 0.5),
    more=st.floats(0, 0.5),
)
def test_the_answered_queries_keep_the_risk(rows: list[tuple[float, float]], risk: float, more: float) -> None:
    sure, right = np.array(rows).T
    policy = Policy.choose(sure, right, risk, risk + more)
    decided = np.array([policy.decide(one) for one in sure])
    for chosen, allowed in ((decided == "answer", risk), (decided != "abstain", risk + more)):
        if chosen.any():
            assert (1 - right[chosen]).mean() <= allowed + 1e-9
    assert policy.coverage == pytest.approx((decided == "answer").mean())
    assert Policy(**policy.as_dict()) == policy


@pytest.mark.parametrize("risks", [(-0.1, None), (1.1, None), (0.5, 0.4), (0.5, 1.2)])
def test_what_is_no_risk_is_refused(risks: tuple[float, float | None]) -> None:
    with pytest.raises(InputError, match="give shares with 0 <= risk"):
        Policy.choose(SURE, RIGHT, *risks)
