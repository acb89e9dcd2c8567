"""The prior of the development suite: its basis, its statistics, what judged queries change, and the choice."""

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
    MODEL_TYPES,
    Basis,
    CollectionGains,
    Family,
    Posterior,
    Prior,
    Suite,
    effective_number,
    expected_maximum,
    family_of,
    generic_prior,
    suite,
    type_coordinates,
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
        rows[f"c{number}"] = CollectionGains(gains=row, judged=row, covariance=(noise * np.eye(functions)).tolist())
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
    nothing = prior.posterior(np.zeros((5, 0)))
    np.testing.assert_array_equal(nothing.mean, prior.mean)
    basis = Basis(np.array(POINTS)).values
    many = prior.posterior(np.tile(measured, 100_000))
    np.testing.assert_allclose(many.mean, basis @ basis.T @ measured.mean(axis=1), atol=0.01)


@given(gains(5, 6))
def test_more_queries_move_more_and_leave_less_doubt(measured: np.ndarray) -> None:
    prior = prior_of(family(best=0.3), *(point for (point,) in POINTS))
    moved, doubt = [0.0], [prior.posterior(np.zeros((5, 0))).gains_over(0)[1]]
    for times in (1, 5, 50):
        posterior = prior.posterior(np.tile(measured, times))
        moved.append(float(np.linalg.norm(posterior.mean - prior.mean)))
        doubt.append(posterior.gains_over(0)[1])
        assert posterior.mean[0] == pytest.approx(0, abs=1e-9)
        assert posterior.covariance[0, 0] == pytest.approx(0, abs=1e-9)
    assert moved == sorted(moved)
    assert all((more >= less - 1e-9).all() for more, less in pairwise(doubt))


@given(gains(4, 5), st.permutations(range(5)))
def test_the_order_of_queries_does_not_matter(measured: np.ndarray, order: list[int]) -> None:
    prior = prior_of(family(best=0.1), 0.2, 0.1, 0.3, 0.4)
    one, other = prior.posterior(measured), prior.posterior(measured[:, order])
    np.testing.assert_allclose(one.mean, other.mean, atol=1e-9)
    np.testing.assert_allclose(one.covariance, other.covariance, atol=1e-9)


def test_what_judging_a_few_documents_shifts_stays_in_doubt_with_any_number_of_queries() -> None:
    sure = shifted = family(best=0.3, spread=0.1)
    rows = {
        name: row.model_copy(update={"judged": [value + 0.05 * n for n, value in enumerate(row.judged)]})
        for name, row in sure.collections.items()
    }
    shifted = sure.model_copy(update={"collections": rows})
    many = np.zeros((2, 10_000))
    doubts = [prior_of(one, 0.2, 0.4).posterior(many).gains_over(0)[1][1] for one in (sure, shifted)]
    assert doubts[1] > 2 * doubts[0]


@given(gains(4, 6))
def test_a_generic_prior_shrinks_each_gain_by_itself(measured: np.ndarray) -> None:
    posterior = generic_prior(measured, 0.02).posterior(measured)
    mean = measured.mean(axis=1)
    assert (np.abs(posterior.mean) <= np.abs(mean) + 1e-9).all()
    assert (np.sign(np.round(posterior.mean, 9)) * np.sign(mean) >= 0).all()
    alone = generic_prior(measured[:2], 0.02).posterior(measured[:2])
    assert alone.mean[1] == pytest.approx(posterior.mean[1])


def test_a_generic_prior_is_drawn_further_by_queries_that_agree() -> None:
    agree, differ = np.array([[0.0] * 4, [0.1] * 4]), np.array([[0.0] * 4, [0.9, -0.7, 0.9, -0.7]])
    means = [generic_prior(one, 0.02).posterior(one).mean[1] for one in (agree, differ)]
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
    types = known.model_type_prior(known.model_types)
    assert types.mean[0] == 0 > types.mean[1:].max()  # no model type is better than the first one on average


def test_a_collection_is_recognised_by_its_name_or_its_documents() -> None:
    known = suite()
    (first, digest), (second, _) = list(known.documents.items())[:2]
    assert known.alike(second, digest) == {first, second}
    assert known.alike("", "") == set()


TYPES = ["hybrid", "sparse", "dense"]


@pytest.fixture
def types() -> Suite:
    """Six collections in which three model types were measured."""
    points = type_coordinates(TYPES)
    basis = Basis(np.array([list(one.values()) for one in points])).values
    noise = basis.T @ np.array([[0, 0, 0], [0, 0.04, 0.01], [0, 0.01, 0.04]]) @ basis
    gains = [(-0.1, -0.05), (0.05, -0.2), (-0.05, 0.05), (-0.2, -0.1), (0.1, -0.15), (-0.04, -0.09)]
    rows = {
        f"c{place}": {
            "gains": [0, sparse, dense],
            "judged": [0, sparse + 0.01, dense],
            "covariance": noise.tolist(),
        }
        for place, (sparse, dense) in enumerate(gains)
    }
    family = {"coordinates": TYPES, "points": [list(one.values()) for one in points], "collections": rows}
    documents = {name: f"digest of {name}" for name in rows}
    return Suite.model_validate({"measure": "nDCG@100", "documents": documents, "families": {MODEL_TYPES: family}})


def test_the_prior_of_model_types_is_the_mean_of_the_other_collections(types: Suite) -> None:
    assert types.model_types == TYPES
    assert types.model_type_prior(TYPES).mean == pytest.approx([0, -0.04, -0.09])
    assert types.model_type_prior(TYPES, types.alike("c3", "")).mean == pytest.approx([0, -0.008, -0.088])
    assert types.model_type_prior(TYPES, types.alike("", "digest of c3")).collections == 5


def test_gains_are_over_the_first_model_type_whichever_it_is(types: Suite) -> None:
    prior, whole = types.model_type_prior(["dense", "hybrid"]), types.model_type_prior(TYPES)
    assert prior.mean == pytest.approx([0, 0.09])
    assert prior.spread[1, 1] == pytest.approx(whole.spread[2, 2])
    assert not prior.spread[0].any()
    assert types.model_type_prior(["sparse", "dense"]).spread[1, 1] == pytest.approx(
        whole.spread[1, 1] + whole.spread[2, 2] - 2 * whole.spread[1, 2]
    )


def test_an_unknown_model_type_is_a_random_one(types: Suite) -> None:
    prior, whole = types.model_type_prior(["hybrid", "mine", "sparse"]), types.model_type_prior(TYPES)
    assert prior.mean == pytest.approx([0, whole.mean[1:].mean(), whole.mean[1]])
    assert prior.spread[1, 1] == pytest.approx(np.diag(whole.spread)[1:].mean())
    assert prior.spread[1, 2] == pytest.approx(whole.spread[1, 2])


def test_a_posterior_is_that_of_one_gaussian_given_another() -> None:
    prior = Prior(np.array([0, 0.1]), np.diag([0, 0.04]), np.diag([0, 0.01]), np.diag([0, 0.5]), 6)
    posterior = prior.posterior(np.tile([[0.2], [0.5]], 10))
    weight = 0.04 / (0.04 + 0.01 + 0.05)
    assert posterior.mean == pytest.approx([0, 0.1 + weight * (0.3 - 0.1)], abs=1e-6)
    assert posterior.covariance[1, 1] == pytest.approx((1 - weight) * 0.04, abs=1e-6)


def test_what_is_not_measured_is_inferred_from_what_is(types: Suite) -> None:
    prior = types.model_type_prior(TYPES)
    posterior = prior.posterior(np.tile([[0.5], [0.9]], 50), [0, 1])
    correlation = prior.spread[1, 2] / prior.spread[1, 1]
    assert posterior.mean[2] - prior.mean[2] == pytest.approx(correlation * (posterior.mean[1] - prior.mean[1]))
    alone = prior.posterior(np.full((1, 50), 0.5), [1])
    assert alone.mean == pytest.approx(prior.mean)  # a gain over nothing


def test_judging_is_worth_what_is_lost_by_not_knowing_at_most(types: Suite) -> None:
    prior, rng = types.model_type_prior(TYPES), np.random.default_rng(0)
    posterior = prior.posterior(np.tile([[0.5], [0.5], [0.4]], 10))
    most = posterior.draws(100_000, rng).max(axis=1).mean() - posterior.mean.max()
    worth = [prior.gain_of_judging(posterior, range(3), range(3), 10 + n, rng) for n in (1, 10, 100, 10_000)]
    assert 0 < worth[0] < worth[1] < worth[2] < worth[3] < most
    assert prior.gain_of_judging(posterior, range(3), [1], 110, rng) == pytest.approx(0, abs=0.002)  # no choice


def test_the_best_of_uncertain_gains_must_gain_more_than_the_default(types: Suite) -> None:
    prior = types.model_type_prior(TYPES)
    certain, uncertain = (np.diag([0, variance, variance]) for variance in (0.0001, 0.01))
    assert prior.choose(Posterior(np.array([0, 0.02, -0.1]), certain), range(3)) == 1
    assert prior.choose(Posterior(np.array([0, 0.02, -0.1]), uncertain), range(3)) == 0
    assert prior.choose(Posterior(np.array([0, 0.02, -0.1]), uncertain), [1, 2]) == 1  # the best of these a priori
    assert prior.choose(Posterior(np.zeros(3), certain), range(3)) == 0


def test_draws_have_the_moments_of_the_posterior() -> None:
    posterior = Posterior(np.array([0, 1.0, 2.0]), np.array([[0, 0, 0], [0, 2.0, 1.0], [0, 1.0, 1.0]]))
    draws = posterior.draws(100_000, np.random.default_rng(0))
    assert draws.mean(axis=0) == pytest.approx(posterior.mean, abs=0.02)
    assert np.cov(draws.T) == pytest.approx(posterior.covariance, abs=0.03)


@pytest.mark.parametrize("number", [1, 2, 5, 20])
def test_the_expected_maximum_is_that_of_independent_gaussians(number: int) -> None:
    draws = np.random.default_rng(0).standard_normal((100_000, number)).max(axis=1)
    assert expected_maximum(number) == pytest.approx(draws.mean(), abs=0.03)


def test_variables_that_go_together_count_as_fewer() -> None:
    assert effective_number(np.diag([1.0, 4.0, 9.0])) == pytest.approx(3)
    assert effective_number(np.outer([1, 2, 3], [1, 2, 3])) == pytest.approx(1, abs=1e-6)
    assert 1 < effective_number(np.array([[1.0, 0.8], [0.8, 1.0]])) < 2
    assert effective_number(np.diag([1.0, 1.0, 0.0])) == pytest.approx(2)  # what is known is no alternative
    assert effective_number(np.zeros((2, 2))) == 1
