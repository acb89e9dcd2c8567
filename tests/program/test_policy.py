"""A policy answers as long as the risk is small enough."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.errors import InputError
from zero2ir.program.policy import Policy


def test_decisions_follow_the_risks() -> None:
    policy = Policy.of(risk=0.25, max_risk=0.5)
    decisions = ["answer", "answer", "warn", "warn", "abstain", "warn"]
    assert [policy.decide(lowest) for lowest in (0.9, 0.75, 0.74, 0.5, 0.49, None)] == decisions


def test_without_a_largest_risk_it_is_twice_the_risk() -> None:
    assert Policy.of(0.2) == Policy(0.2, 0.4)
    assert Policy.of(0.7) == Policy(0.7, 1.0)


@given(st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0, 1), st.floats(0, 1))
def test_who_is_surer_is_answered_sooner(risk: float, more: float, one: float, other: float) -> None:
    policy = Policy.of(risk, risk + more)
    order = ["abstain", "warn", "answer"]
    low, high = sorted([one, other])
    assert order.index(policy.decide(low)) <= order.index(policy.decide(high))
    assert Policy(**json.loads(json.dumps(policy.as_dict()))) == policy


@pytest.mark.parametrize("risks", [(-0.1, None), (1.1, None), (0.5, 0.4), (0.5, 1.2)])
def test_what_is_no_risk_is_refused(risks: tuple[float, float | None]) -> None:
    with pytest.raises(InputError, match="give shares with 0 <= risk"):
        Policy.of(*risks)
