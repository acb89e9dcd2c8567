"""The prior of the development suite: its basis, its statistics, and what judged queries change."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from zero2ir.models.dense import Dense
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.smoothed import Smoothed
from zero2ir.models.sparse import Sparse
from zero2ir.strategies.prior import (
    MIN_COLLECTIONS,
    Basis,
    CollectionGains,
    Family,
    Prior,
    family_of,
    generic_prior,
    suite,
    update,
)

POINTS = [[0.2], [0.0], [0.1], [0.3], [0.4]]
numbers = st.floats(-1, 1).map(lambda value: round(value, 3))


def gains(candidates: int, queries: int) -> st.SearchStrategy[np.ndarray]:
    """Gains over the first candidate, whose own are 0."""
    return arrays(float, (candidates, queries), elements=numbers).map(lambda rows: rows - rows[:1])


def family(best: float, collections: int = 6, noise: float = 0.01, spread: float = 0.02) -> Family:
    """Collections whose gains are parabolas around a best value, which differs a little between them."""
    rng = np.random.default_rng(0)
    points = np.array(POINTS)
    functions = Basis(points).values.shape[1]
    rows = {}
    for number in range(collections):
        top = best + rng.normal(0, spread)
        curve = -((points[:, 0] - top) ** 2)
        row = (curve - curve[0]).tolist()
        rows[f"c{number}"] = CollectionGains(
            gains=row, judged=row, covariance=(noise * np.eye(functions)).tolist(), queries=100
        )
    return Family(coordinates=["weight"], points=POINTS, collections=rows)


def asked(*weights: float) -> list[dict[str, float]]:
    return [{"weight": weight} for weight in weights]


def prior_of(known: Family, *weights: float) -> Prior:
    prior = known.prior(asked(*weights))
    assert prior is not None
    return prior


def test_the_basis_is_orthonormal_and_0_at_the_default() -> None:
    points = np.array([[0.5, 0.2], *([a / 10, b / 10] for a in range(1, 9) for b in range(1, 9 - a))])
    basis = Basis(points)
    np.testing.assert_allclose(basis.values.T @ basis.values, np.eye(5), atol=1e-9)
    np.testing.assert_allclose(basis.values[0], 0, atol=1e-12)
    np.testing.assert_allclose(basis.at(points), basis.values, atol=1e-9)


def test_functions_that_others_explain_are_left_out() -> None:
    rounded = Basis(np.array([[0.15, 0.2414], [0.0, 0.0], [0.1, 0.1609], [0.3, 0.4828]]))  # all in one line
    assert rounded.values.shape == (4, 2)
    used_or_not = Basis(np.array([[0.0], [1.0]]))  # the square is the number itself
    assert used_or_not.values.tolist() == [[0.0], [1.0]]
    assert used_or_not.fit(np.array([[0.0, 0.3]])).tolist() == [[0.3]]


@given(arrays(float, 5, elements=numbers))
def test_a_quadratic_function_is_its_coefficients_at_any_point(coefficients: np.ndarray) -> None:
    points = np.array([[0.5, 0.2], *([a / 10, b / 10] for a in range(1, 9) for b in range(1, 9 - a))])

    def function(rows: np.ndarray) -> np.ndarray:
        x, y = (rows - points[0]).T
        return np.stack([x, y, x * x, x * y, y * y]).T @ coefficients

    basis, new = Basis(points), np.array([[0.33, 0.44], [0.5, 0.2], [0.05, 0.9]])
    np.testing.assert_allclose(basis.at(new) @ basis.fit(function(points)[None])[0], function(new), atol=1e-9)


def test_the_prior_is_the_mean_of_the_collections() -> None:
    known = family(best=0.3)
    prior = prior_of(known, *(point for (point,) in POINTS))
    mean = np.mean([row.gains for row in known.collections.values()], axis=0)
    np.testing.assert_allclose(prior.mean, mean, atol=0.001)
    assert (prior.mean <= mean + 1e-9).all()
    assert prior.collections == 6
    between = prior_of(known, 0.2, 0.25, 0.35).mean  # also off the measured points
    assert between[0] == 0
    assert between[1] > 0.004 < between[2]


def test_a_mean_gain_that_may_be_chance_is_none_and_a_loss_is_one() -> None:
    known = family(best=0.3)
    rows = {
        name: row.model_copy(update={"gains": [0.0, *([0.01 * (-1) ** n + 0.001] * 3), -0.01 + 0.02 * (n % 2)]})
        for n, (name, row) in enumerate(known.collections.items())
    }
    prior = prior_of(known.model_copy(update={"collections": rows}), *(point for (point,) in POINTS))
    assert prior.mean.tolist() == pytest.approx([0.0] * 5, abs=1e-9)
    rows = {name: row.model_copy(update={"gains": [0.0, 0.0, 0.0, 0.0, -0.01]}) for name, row in rows.items()}
    prior = prior_of(known.model_copy(update={"collections": rows}), 0.2, 0.4)
    assert prior.mean[1] == pytest.approx(-0.01)


def test_gains_are_over_the_first_candidate_whatever_the_default_of_the_suite() -> None:
    known = family(best=0.3)
    over_02, over_04 = prior_of(known, 0.2, 0.4, 0.1), prior_of(known, 0.4, 0.2, 0.1)
    assert over_04.mean[1] == pytest.approx(-over_02.mean[1])
    assert over_04.mean[2] == pytest.approx(over_02.mean[2] - over_02.mean[1])
    assert over_04.spread[0].tolist() == [0, 0, 0]


def test_the_collection_at_hand_is_left_out() -> None:
    known = family(best=0.3)
    known.collections["c5"] = known.collections["c5"].model_copy(update={"gains": [0.0, 9.0, 9.0, 9.0, 9.0]})
    without = known.prior(asked(0.2, 0.3), {"c5", "elsewhere"})
    alone = Family(
        coordinates=["weight"], points=POINTS, collections={n: r for n, r in known.collections.items() if n != "c5"}
    )
    assert without is not None
    for one, other in zip(without, prior_of(alone, 0.2, 0.3), strict=True):
        np.testing.assert_array_equal(one, other)
    assert known.prior(asked(0.2, 0.3), {"c4", "c5"}) is None
    assert MIN_COLLECTIONS == 5


@given(gains(5, 7))
def test_without_queries_the_prior_decides_and_with_many_the_queries(measured: np.ndarray) -> None:
    prior = prior_of(family(best=0.3, spread=0.2), *(point for (point,) in POINTS))
    nothing = update(prior, np.zeros((5, 0)))
    np.testing.assert_array_equal(nothing.mean, prior.mean)
    basis = Basis(np.array(POINTS)).values
    many = update(prior, np.tile(measured, 100_000))
    np.testing.assert_allclose(many.mean, basis @ basis.T @ measured.mean(axis=1), atol=0.01)


@given(gains(5, 6))
def test_more_queries_move_more_and_leave_less_doubt(measured: np.ndarray) -> None:
    prior = prior_of(family(best=0.3), *(point for (point,) in POINTS))
    moved, doubt = [0.0], [update(prior, np.zeros((5, 0))).deviation]
    for times in (1, 5, 50):
        posterior = update(prior, np.tile(measured, times))
        moved.append(float(np.linalg.norm(posterior.mean - prior.mean)))
        doubt.append(posterior.deviation)
        assert posterior.mean[0] == pytest.approx(0, abs=1e-9)
        assert posterior.deviation[0] == pytest.approx(0, abs=1e-6)
    assert moved == sorted(moved)
    assert all((more >= less - 1e-9).all() for more, less in pairwise(doubt))


@given(gains(4, 5), st.permutations(range(5)))
def test_the_order_of_queries_does_not_matter(measured: np.ndarray, order: list[int]) -> None:
    prior = prior_of(family(best=0.1), 0.2, 0.1, 0.3, 0.4)
    one, other = update(prior, measured), update(prior, measured[:, order])
    np.testing.assert_allclose(one.mean, other.mean, atol=1e-9)
    np.testing.assert_allclose(one.deviation, other.deviation, atol=1e-9)


def test_what_judging_a_few_documents_shifts_stays_in_doubt_with_any_number_of_queries() -> None:
    sure = shifted = family(best=0.3, spread=0.1)
    rows = {
        name: row.model_copy(update={"judged": [value + 0.05 * n for n, value in enumerate(row.judged)]})
        for name, row in sure.collections.items()
    }
    shifted = sure.model_copy(update={"collections": rows})
    many = np.zeros((2, 10_000))
    doubts = [update(prior_of(one, 0.2, 0.4), many).deviation[1] for one in (sure, shifted)]
    assert doubts[1] > 2 * doubts[0]


@given(gains(4, 6))
def test_a_generic_prior_shrinks_each_gain_by_itself(measured: np.ndarray) -> None:
    posterior = update(generic_prior(measured, 0.02), measured)
    mean = measured.mean(axis=1)
    assert (np.abs(posterior.mean) <= np.abs(mean) + 1e-9).all()
    assert (np.sign(np.round(posterior.mean, 9)) * np.sign(mean) >= 0).all()
    alone = update(generic_prior(measured[:2], 0.02), measured[:2])
    assert alone.mean[1] == pytest.approx(posterior.mean[1])


def test_a_generic_prior_is_drawn_further_by_queries_that_agree() -> None:
    agree, differ = np.array([[0.0] * 4, [0.1] * 4]), np.array([[0.0] * 4, [0.9, -0.7, 0.9, -0.7]])
    means = [update(generic_prior(one, 0.02), one).mean[1] for one in (agree, differ)]
    assert means[0] > 2 * means[1] > 0


def test_families_are_named_by_structure() -> None:
    views = Hybrid([Sparse(), Dense(), Dense("static", "encoder")])
    assert family_of(Smoothed(views)) == "smoothed(hybrid(sparse,dense:pretrained,dense:static:encoder))"
    assert family_of(Sparse()) == "sparse"


def test_the_suite_is_whole() -> None:
    known = suite()
    assert len(known.documents) > MIN_COLLECTIONS
    for name, row in known.families.items():
        assert set(row.collections) == set(known.documents), name
        functions = Basis(np.array(row.points)).values.shape[1]
        for one in row.collections.values():
            assert len(one.gains) == len(one.judged) == len(row.points)
            assert np.shape(one.covariance) == (functions, functions)
            assert one.gains[0] == one.judged[0] == 0


def test_a_collection_is_recognised_by_its_name_or_its_documents() -> None:
    known = suite()
    (first, digest), (second, _) = list(known.documents.items())[:2]
    assert known.alike(second, digest) == {first, second}
    assert known.alike("", "") == set()
