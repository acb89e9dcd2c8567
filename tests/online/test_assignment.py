"""Who sees what: the same for ever, in the shares that were asked for, and independent between salts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zero2ir.errors import InputError
from zero2ir.online.assignment import assign_arm, random_generator, uniform

USERS = [f"user-{number}" for number in range(4000)]


@settings(max_examples=10)
@given(st.text(min_size=1), st.text(min_size=1))
def test_a_user_keeps_the_same_arm(user, salt):
    assert assign_arm(user, salt) == assign_arm(user, salt)


def test_the_arms_of_some_users_never_change():
    assert [assign_arm(user, "a trial") for user in ("ada", "bert", "cleo", "dora")] == [1, 0, 0, 0]  # across processes


@pytest.mark.parametrize("shares", [(1, 1), (9, 1), (2, 1, 1)])
def test_arms_have_the_configured_shares(shares):
    counts = np.bincount([assign_arm(user, "salt", shares) for user in USERS], minlength=len(shares))
    assert counts / len(USERS) == pytest.approx(np.array(shares) / sum(shares), abs=0.03)


def test_two_salts_are_independent():
    arms = np.array([[assign_arm(user, salt) for user in USERS] for salt in ("one", "two")])
    assert abs(np.corrcoef(arms)[0, 1]) < 0.05


def test_the_borders_between_words_matter():
    assert uniform("a", "bc") != uniform("ab", "c")
    assert random_generator("a", "bc").random() != random_generator("ab", "c").random()


@pytest.mark.parametrize(
    ("user", "shares", "told"), [("", (1, 1), "user"), ("ada", (1, 0), "shares"), ("a", (), "shares")]
)
def test_invalid_users_and_shares_are_refused(user, shares, told):
    with pytest.raises(InputError, match=told):
        assign_arm(user, "salt", shares)
