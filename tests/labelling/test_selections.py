"""Every way to choose queries: never one that is judged, as many as are wanted, the same by the same seed."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zero2ir.data.records import Document, JudgedDocument
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.labelling.committee import Committee
from zero2ir.labelling.selection_state import FittedModel, SelectionState
from zero2ir.labelling.selections import (
    Bandit,
    Disagreement,
    Diversity,
    ModelChange,
    Random,
    Selection,
    TwoStageSelection,
    Uncertainty,
    overlap,
    rank_biased_overlap,
)
from zero2ir.models.dense import Dense
from zero2ir.models.sparse import Sparse

QUERIES = [
    "open a file",
    "join strings with a separator",
    "sort a list",
    "remove white space at both ends",
    "split at line boundaries",
    "random number",
    "read one byte",
    "path of the home folder",
]
WAYS: dict[str, Selection] = {
    "random": Random(),
    "margin": Uncertainty("margin"),
    "entropy": Uncertainty("entropy"),
    "k-centre": Diversity("k-centre"),
    "k-means": Diversity("k-means"),
    "overlap": Disagreement("overlap"),
    "rbo": Disagreement("rbo"),
    "model change": ModelChange(),
    "narrowed": TwoStageSelection(Uncertainty(), Diversity(), times=2),
    "bandit": Bandit({"random": Random(), "entropy": Uncertainty()}),
}


@pytest.fixture(scope="module")
def committee(docstrings: list[Document], tiny_encoder: DenseEncoder) -> Committee:
    corpus = Corpus(docstrings, {"static": tiny_encoder})
    return Committee(corpus, QUERIES, {"sparse": Sparse().index(corpus), "dense": Dense("static").index(corpus)})


def state_of(committee: Committee, judged: Sequence[int], seed: int = 0) -> SelectionState:
    documents = committee.corpus.documents
    judgments = [
        JudgedDocument(f"q{place}", QUERIES[place], documents[committee.pool(place, "round-robin", 1)[0]].doc_id, 1)
        for place in judged
    ]
    fit = FittedModel(committee.members["sparse"], QUERIES, judgments)
    return SelectionState(committee, judged, seed, fit=lambda: fit, changes=lambda: [0.01] * len(judged))


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    judged=st.lists(st.integers(0, len(QUERIES) - 1), unique=True, max_size=len(QUERIES)),
    number=st.integers(1, 10),
    seed=st.integers(0, 3),
)
def test_the_contract(committee: Committee, way: Selection, judged: list[int], number: int, seed: int) -> None:
    chosen = way.choose(state_of(committee, judged, seed), number)
    assert len(chosen) == len(set(chosen)) == min(number, len(QUERIES) - len(judged))
    assert not set(chosen) & set(judged)
    assert chosen == way.choose(state_of(committee, judged, seed), number)


def test_random_depends_on_the_seed(committee: Committee) -> None:
    assert len({tuple(Random().choose(state_of(committee, [], seed), 4)) for seed in range(9)}) > 1


def test_the_least_margin_comes_first(committee: Committee) -> None:
    state = state_of(committee, [])
    ranking = state.fit().ranking
    margins = (ranking.scores[:, 0] - ranking.scores[:, 1]) / ranking.deviation
    assert Uncertainty("margin").choose(state, 3) == np.argsort(margins, kind="stable")[:3].tolist()


def test_k_centre_takes_the_query_farthest_from_the_judged_ones(committee: Committee) -> None:
    points = committee.features
    (chosen,) = Diversity("k-centre").choose(state_of(committee, [2]), 1)
    away = np.linalg.norm(points - points[2], axis=1)
    assert chosen == int(away.argmax())


def test_disagreement_is_highest_where_members_share_nothing(committee: Committee) -> None:
    state = state_of(committee, [])
    sparse, dense = (ranking.numbers[:, :10] for ranking in committee.rankings.values())
    shared = [overlap(one, two) for one, two in zip(sparse, dense, strict=True)]
    assert shared[Disagreement("overlap").choose(state, 1)[0]] == min(shared)


def test_overlaps_by_hand() -> None:
    one, two, none = np.array([1, 2, 3]), np.array([3, 2, 9]), np.array([-1, -1, -1])
    assert overlap(one, two) == pytest.approx(2 / 3)
    assert overlap(one, none) == 0.0
    assert overlap(none, none) == rank_biased_overlap(one, one) == 1.0
    weights = np.array([1, 0.9, 0.81])
    assert rank_biased_overlap(one, two) == pytest.approx(weights @ [0, 1 / 2, 2 / 3] / weights.sum())


def test_a_bandit_prefers_the_rewarded_arm() -> None:
    bandit = Bandit({"a": Random(), "b": Random()}, prior_deviation=0.05, noise_deviation=0.01)
    rewards: list[float] = []
    for _ in range(60):  # only "b" pays
        rewards.append(0.05 * bandit.pulled(rewards, seed=1)[-1])
    pulled = bandit.pulled(rewards, seed=1)
    assert np.mean(pulled[-20:]) > 0.9
    assert pulled[:30] == bandit.pulled(rewards[:29], seed=1)  # what was taken does not depend on what came later


def test_the_pool_is_the_members_tops(committee: Committee) -> None:
    tops = {int(ranking.numbers[0, 0]) for ranking in committee.rankings.values()}
    assert set(committee.pool(0, "round-robin", len(tops))) == tops
    for how in ("round-robin", "reciprocal-rank"):
        pool = committee.pool(1, how, 7)
        assert len(pool) == len(set(pool)) == 7
        assert committee.pool(1, how, 3) == pool[:3]
