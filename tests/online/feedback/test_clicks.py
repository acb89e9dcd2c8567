"""Simulated people: what they click on follows from rank and relevance as the models say."""

import numpy as np
import pytest
from pydantic import ValidationError

from zero2ir.online.feedback.clicks import CascadeModel, DependentClickModel, PositionBasedModel, attraction

RNG = np.random.default_rng
MANY = 40_000


def test_attraction_grows_with_the_grade_within_the_noise():
    values = attraction(np.array([-1, 0, 1, 2, 3, 9]), noise=0.1, most=3)
    assert values == pytest.approx([0.1, 0.1, 0.1 + 0.8 / 7, 0.1 + 0.8 * 3 / 7, 0.9, 0.9])


def test_a_click_needs_examination_and_attraction():
    attractions = np.tile([0.9, 0.5, 0.0, 0.8], (MANY, 1))
    rate = PositionBasedModel(bias=1.0).click(attractions, RNG(0)).mean(axis=0)
    assert rate == pytest.approx([0.9, 0.5 / 2, 0.0, 0.8 / 4], abs=0.01)


def test_without_bias_every_rank_is_examined():
    assert PositionBasedModel(bias=0).click(np.ones((3, 5)), RNG(0)).all()


def test_a_cascade_stops_at_the_first_click():
    clicked = CascadeModel().click(np.full((MANY, 6), 0.4), RNG(0))
    assert clicked.sum(axis=1).max() == 1
    assert clicked.mean(axis=0) == pytest.approx(0.4 * 0.6 ** np.arange(6), abs=0.01)


def test_users_continue_after_a_click_with_the_given_persistence():
    clicked = DependentClickModel(persistence=0.5).click(np.ones((MANY, 4)), RNG(0))
    assert clicked.mean(axis=0) == pytest.approx(0.5 ** np.arange(4), abs=0.01)
    assert DependentClickModel(persistence=1).click(np.ones((2, 4)), RNG(0)).all()


def test_a_cascade_has_no_persistence():
    with pytest.raises(ValidationError):
        CascadeModel(persistence=0.5)
