"""What the suite says about model types, and what judged queries add."""

import numpy as np
import pytest

from zero2ir.strategies.model_prior import Belief, ModelTypes, Prior, model_types

NAMES = ("hybrid", "sparse", "dense")


def one_collection(digest: str, sparse: float, dense: float, shift: float = 0.0) -> dict:
    noise = [[0, 0, 0], [0, 0.04, 0.01], [0, 0.01, 0.04]]
    return {
        "digest": digest,
        "gains": [0, sparse, dense],
        "judged": [0, sparse + shift, dense],
        "covariance": noise,
        "error": (np.array(noise) / 400).tolist(),
    }


@pytest.fixture
def types() -> ModelTypes:
    gains = [(-0.1, -0.05), (0.05, -0.2), (-0.05, 0.05), (-0.2, -0.1), (0.1, -0.15)]
    rows = {f"c{place}": one_collection(str(place), *pair, 0.01) for place, pair in enumerate(gains)}
    return ModelTypes.model_validate({"names": NAMES, "collections": rows})


def test_the_prior_is_the_mean_of_the_other_collections(types: ModelTypes) -> None:
    assert types.prior(NAMES).mean == pytest.approx([0, -0.04, -0.09])
    assert types.prior(NAMES, "3").mean == pytest.approx([0, 0, -0.0875])


def test_gains_are_over_the_first_candidate_whichever_it_is(types: ModelTypes) -> None:
    prior = types.prior(("dense", "hybrid"))
    whole = types.prior(NAMES)
    assert prior.mean == pytest.approx([0, 0.09])
    assert prior.spread[1, 1] == pytest.approx(whole.spread[2, 2])
    assert not prior.spread[0].any()
    assert types.prior(("sparse", "dense")).spread[1, 1] == pytest.approx(
        whole.spread[1, 1] + whole.spread[2, 2] - 2 * whole.spread[1, 2]
    )


def test_an_unknown_candidate_is_a_random_model_type(types: ModelTypes) -> None:
    prior, whole = types.prior(("hybrid", "mine", "sparse")), types.prior(NAMES)
    assert prior.mean == pytest.approx([0, whole.mean[1:].mean(), whole.mean[1]])
    assert prior.spread[1, 1] == pytest.approx(np.diag(whole.spread)[1:].mean())
    assert prior.spread[1, 2] == pytest.approx(whole.spread[1, 2])


def test_one_query_moves_the_belief_little_and_fifty_much(types: ModelTypes) -> None:
    prior, observed = types.prior(NAMES), [0, 1, 2]
    gains = np.array([0.5, 0.7, 0.5])  # only differences count
    moved = [prior.posterior(gains, observed, n).mean[1] - prior.mean[1] for n in (0, 1, 5, 50)]
    assert moved[0] == 0 < moved[1] < moved[2] < moved[3]
    assert moved[1] < 0.24 * 0.6  # of the distance to what was measured
    deviations = [prior.posterior(gains, observed, n).covariance[1, 1] for n in (0, 1, 5, 50)]
    assert deviations == sorted(deviations, reverse=True)


def test_a_posterior_is_that_of_one_gaussian_given_another() -> None:
    prior = Prior(np.array([0, 0.1]), np.diag([0, 0.04]), np.diag([0, 0.01]), np.diag([0, 0.5]))
    belief = prior.posterior(np.array([0.2, 0.5]), [0, 1], 10)
    weight = 0.04 / (0.04 + 0.01 + 0.05)
    assert belief.mean == pytest.approx([0, 0.1 + weight * (0.3 - 0.1)])
    assert belief.covariance[1, 1] == pytest.approx((1 - weight) * 0.04)


def test_what_is_not_measured_is_inferred_from_what_is(types: ModelTypes) -> None:
    prior = types.prior(NAMES)
    belief = prior.posterior(np.array([0.5, 0.9]), [0, 1], 50)
    correlation = prior.spread[1, 2] / prior.spread[1, 1]
    assert belief.mean[2] - prior.mean[2] == pytest.approx(correlation * (belief.mean[1] - prior.mean[1]))
    assert prior.posterior(np.array([0.5]), [1], 50).mean == pytest.approx(prior.mean)  # a gain over nothing


def test_judging_is_worth_what_is_lost_by_not_knowing_at_most(types: ModelTypes) -> None:
    prior, rng = types.prior(NAMES), np.random.default_rng(0)
    belief = prior.posterior(np.array([0.5, 0.5, 0.4]), [0, 1, 2], 10)
    draws = belief.draws(100_000, rng)
    most = draws.max(axis=1).mean() - belief.mean.max()
    worth = [prior.gain_of_judging(belief, [0, 1, 2], [0, 1, 2], 10, n, rng) for n in (1, 10, 100, 10_000)]
    assert 0 < worth[0] < worth[1] < worth[2] < worth[3] < most
    assert prior.gain_of_judging(belief, [0, 1, 2], [1], 10, 100, rng) == pytest.approx(0, abs=0.002)  # no choice


def test_the_best_of_uncertain_gains_must_gain_more_than_the_default(types: ModelTypes) -> None:
    prior = types.prior(NAMES)
    certain, uncertain = (np.diag([0, variance, 0]) for variance in (0.0001, 0.01))
    assert prior.choose(Belief(np.array([0, 0.01, -0.1]), certain), [0, 1, 2]) == 1
    assert prior.choose(Belief(np.array([0, 0.01, -0.1]), uncertain), [0, 1, 2]) == 0
    assert prior.choose(Belief(np.array([0, 0.01, -0.1]), uncertain), [1, 2]) == 1  # the best of these a priori
    assert prior.choose(Belief(np.zeros(3), certain), [0, 1, 2]) == 0


def test_draws_have_the_moments_of_the_belief() -> None:
    belief = Belief(np.array([0, 1.0, 2.0]), np.array([[0, 0, 0], [0, 2.0, 1.0], [0, 1.0, 1.0]]))
    draws = belief.draws(100_000, np.random.default_rng(0))
    assert draws.mean(axis=0) == pytest.approx(belief.mean, abs=0.02)
    assert np.cov(draws.T) == pytest.approx(belief.covariance, abs=0.03)


def test_the_statistics_of_the_suite_are_there() -> None:
    types = model_types()
    assert types.names[0] == "hybrid"
    assert len(types.collections) == 13
    prior = types.prior(types.names)
    assert prior.mean[0] == 0 > prior.mean[1:].max()  # no model type is better than hybrid on average
    assert len({row.digest for row in types.collections.values()}) == 13
