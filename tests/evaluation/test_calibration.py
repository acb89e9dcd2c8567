import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.errors import InputError
from zero2ir.evaluation.calibration import (
    calibration,
    error_if_calibrated,
    expected_calibration_error,
    reliability,
    risk_coverage,
    selective_means,
    weighted_mean,
)

OPTIONS = {"resamples": 300, "level": 0.95, "seed": 0}
PAIRS = st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]), st.booleans()), min_size=1, max_size=30)


def test_figures_computed_by_hand():
    confidence, correct = [0.1, 0.3, 0.5, 0.7, 0.9], [False, False, True, True, True]
    found = calibration(confidence, correct, **OPTIONS)
    assert found.accuracy.mean == pytest.approx(0.6)
    assert found.brier.mean == pytest.approx((0.01 + 0.09 + 0.25 + 0.09 + 0.01) / 5)
    assert found.ece.mean == pytest.approx((0.1 + 0.3 + 0.5 + 0.3 + 0.1) / 5)  # five bins of one
    assert found.aurc == pytest.approx((0 + 0 + 0 + 1 / 4 + 2 / 5) / 5)


def test_equal_confidences_share_a_bin():
    points = reliability([0.4] * 10, [True] * 4 + [False] * 6)
    assert (points.confidence.tolist(), points.accuracy.tolist()) == ([pytest.approx(0.4)], [0.4])
    assert points.queries.tolist() == [10]
    found = expected_calibration_error([0.4] * 10, [True] * 4 + [False] * 6, **OPTIONS)
    assert found.mean == pytest.approx(0, abs=1e-12)


@given(PAIRS, st.randoms())
def test_no_figure_depends_on_the_order(pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    one, two = (calibration(*map(list, zip(*rows, strict=True)), **OPTIONS) for rows in (pairs, shuffled))
    assert one.ece.mean == pytest.approx(two.ece.mean)
    assert one.aurc == pytest.approx(two.aurc)
    assert 0 <= one.ece.ci_low <= one.ece.ci_high <= 1.5
    assert 0 <= one.aurc <= 1


def test_selective_means_computed_by_hand():
    confidence, values = [0.9, 0.5, 0.5, 0.1], [1.0, 0.8, 0.2, 0.0]
    found = selective_means(confidence, values, [1.0, 0.75, 0.5, 0.25], **OPTIONS)
    assert [one.mean for one in found] == pytest.approx([0.5, 2 / 3, 0.75, 1.0])  # the tie counts 0.5 for each
    assert all(one.ci_low <= one.mean <= one.ci_high and one.n == 4 for one in found)
    two = selective_means([confidence, [np.nan] * 4], [values, [np.nan] * 4], [0.5], **OPTIONS)
    assert two[0].mean == pytest.approx(0.75)


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 1.0]), st.floats(0, 1)), min_size=1, max_size=20), st.randoms()
)
def test_selective_means_do_not_depend_on_the_order(pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    one, two = (selective_means(*zip(*rows, strict=True), [1.0, 0.5], **OPTIONS) for rows in (pairs, shuffled))
    assert [each.mean for each in one] == pytest.approx([each.mean for each in two])
    assert one[0].mean == pytest.approx(np.mean([value for _, value in pairs]))
    best = max(value for _, value in pairs)
    assert all(each.ci_low - 1e-9 <= each.ci_high <= best + 1e-9 for each in one)


def test_queries_count_by_confidence():
    found = weighted_mean([0.9, 0.5, 0.1], [1.0, 0.4, 0.0], **OPTIONS)
    assert found.mean == pytest.approx((0.9 + 0.2) / 1.5)
    assert found.ci_low <= found.mean <= found.ci_high
    assert found.n == 3
    drawn = weighted_mean([[0.9, np.nan], [0.1, 0.5]], [[1.0, np.nan], [0.0, 0.4]], **OPTIONS)
    assert drawn.mean == pytest.approx((0.9 + 0.2) / 1.5)
    assert drawn.n == 2


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0.1, 1))
def test_equal_confidences_leave_the_plain_mean(values, confidence):
    found = weighted_mean([confidence] * len(values), values, **OPTIONS)
    assert found.mean == pytest.approx(np.mean(values))
    assert min(values) - 1e-9 <= found.ci_low <= found.ci_high <= max(values) + 1e-9


def test_zero_confidence_gives_no_weighted_mean():
    assert np.isnan(weighted_mean([0.0, 0.0], [1.0, 1.0], **OPTIONS).mean)


def test_risk_rises_to_the_share_of_errors():
    coverage, risk = risk_coverage([0.9, 0.5, 0.5, 0.1], [True, True, False, False])
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk.tolist() == pytest.approx([0, 0.25, 1 / 3, 0.5])  # the tie counts half an error at each place


def test_calibrated_confidences_have_the_expected_error_and_others_a_larger_one():
    rng = np.random.default_rng(0)
    stated = rng.random(100)
    floor = error_if_calibrated(stated, resamples=1000, seed=0)
    honest = [expected_calibration_error(stated, rng.random(100) < stated, **OPTIONS).mean for _ in range(100)]
    assert np.mean(honest) == pytest.approx(floor, rel=0.1)
    boastful = expected_calibration_error(stated, rng.random(100) < stated / 3, **OPTIONS)
    assert boastful.ci_low > floor


def test_several_draws_are_taken_together():
    confidence = [[0.2, 0.8, np.nan], [0.2, np.nan, 0.9]]
    correct = [[0, 1, np.nan], [1, np.nan, 1]]
    found = calibration(confidence, correct, **OPTIONS)
    assert found.accuracy.mean == pytest.approx(3 / 4)
    assert found.accuracy.n == 3
    assert found.ece.mean == pytest.approx((abs(0.4 - 1) + 0.2 + 0.1) / 4)


@pytest.mark.parametrize(
    ("confidence", "correct"),
    [([], []), ([0.5], [True, False]), ([1.2], [True]), ([-0.1], [True]), ([float("nan")], [True])],
)
def test_values_that_are_no_probabilities_are_refused(confidence, correct):
    with pytest.raises(InputError, match=r"^confidence: "):
        calibration(confidence, correct, **OPTIONS)


def test_intervals_resample_topics():
    rng = np.random.default_rng(0)
    confidence = np.repeat(rng.random(12), 5)
    correct = np.repeat(rng.random(12) < 0.5, 5).astype(float)
    topics = [f"t{i // 5:02}" for i in range(60)]
    once, shared = confidence[::5], correct[::5]
    assert weighted_mean(confidence, correct, **OPTIONS, topics=topics)[:3] == pytest.approx(
        weighted_mean(once, shared, **OPTIONS)[:3]
    )
    (one,), (many,) = (
        selective_means(*pair, [0.5], **OPTIONS, topics=labels)
        for pair, labels in (((once, shared), None), ((confidence, correct), topics))
    )
    assert many[:3] == pytest.approx(one[:3])
    found = calibration(confidence, correct, **OPTIONS, topics=topics)
    assert found.brier[:3] == pytest.approx(calibration(once, shared, **OPTIONS).brier[:3])
    narrow = calibration(confidence, correct, **OPTIONS)
    assert found.ece.ci_high - found.ece.ci_low > narrow.ece.ci_high - narrow.ece.ci_low
