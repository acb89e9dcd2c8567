"""Fusion against calculations by hand, on rankings that are given."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zero2ir.config import built
from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.examples import Example
from zero2ir.errors import InputError
from zero2ir.models.base import Retriever, load_retriever
from zero2ir.models.capabilities import Exhaustive
from zero2ir.models.dense import Dense
from zero2ir.models.encoder_based import part_names
from zero2ir.models.hybrid import Hybrid, learned_weights
from zero2ir.models.normalization import Normalization, ScoreStatistics
from zero2ir.models.ranking import Candidates, Ranking, ranking_agreement, top_k
from zero2ir.models.sparse import Sparse

FOUR = Corpus([Document(str(number), "", "text") for number in range(4)])
HOW: list[Normalization] = ["z-score", "min-max", "reciprocal-rank"]


class Given(Retriever):
    """Returns the same documents for each query."""

    kind = "given"

    def __init__(self, scores: Mapping[int, float]) -> None:
        self.scores = scores

    def index(self, corpus: Corpus) -> Self:
        return self

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        rows = np.array([[self.scores.get(number, -np.inf) for number in range(4)]] * len(queries), dtype=np.float32)
        return top_k(rows, k, np.isfinite(rows), candidates)

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        return [np.array([self.scores[int(text)] for text in texts], dtype=np.float32) for texts in candidates]


class Slow(Exhaustive, Given):
    """Given scores that take long to compute."""

    kind = "slow"

    @property
    def exhaustive(self) -> bool:
        return True


def fused(*scores: Mapping[int, float], **options: Any) -> tuple[list[int], list[float]]:
    hybrid = Hybrid([Given(one) for one in scores], **options).index(FOUR)
    ranking = hybrid.search(["any"], 4)
    kept = ranking.numbers[0] >= 0
    return ranking.numbers[0][kept].tolist(), ranking.scores[0][kept].tolist()


ONE = {0: 3.0, 1: 1.0}  # over four documents mean 1, variance 1.5; min-max 1 and 0; ranks 1 and 2
OTHER = {1: 5.0, 2: 5.0, 3: 2.0}  # over four documents mean 3, variance 4.5; min-max 1, 1 and 0; ranks 1, 1 and 3


def test_z_scores_add_up_and_a_document_that_does_not_match_counts_as_zero() -> None:
    numbers, scores = fused(ONE, OTHER, normalization="z-score")
    one, other = 1.5**0.5, 4.5**0.5
    assert numbers == [1, 0, 2, 3]
    assert scores == pytest.approx(
        [(0 / one + 2 / other) / 2, (2 / one - 3 / other) / 2, (-1 / one + 2 / other) / 2, (-1 / one - 1 / other) / 2]
    )


def test_below_the_depth_a_document_gets_the_mean_of_those_below() -> None:
    numbers, scores = fused({0: 4.0, 1: 2.0, 2: 1.0, 3: 1.0}, {1: 3.0}, weights=[1, 1], depth=1)
    assert numbers == [1, 0]
    one, other = 1.5**0.5, (27 / 16) ** 0.5  # means 2 and 3/4
    assert scores == pytest.approx([((4 / 3 - 2) / one + 9 / 4 / other) / 2, (2 / one - 3 / 4 / other) / 2])


def test_an_estimated_mean_says_little_of_the_few_below() -> None:
    found = np.linspace(2, -1, 99)
    mean = (found.sum() - 1.5) / 100  # the one document that was left out scores -1.5

    def missing(mean: float) -> float:
        return mean + ScoreStatistics(np.arange(99), found, mean, deviation=1.0).missing(100, "z-score")

    assert missing(mean) == pytest.approx(-1.5)
    assert missing(mean + 0.1) == pytest.approx(-1.0)  # no better than the last one found, though 8.5 is left for it
    assert missing(mean - 0.1) == pytest.approx(mean - 0.1 - 3)


def test_an_exhaustive_retriever_scores_the_best_documents_of_the_others() -> None:
    slow = Slow({0: 1.0, 1: 2.0, 2: 9.0, 3: 0.0})
    for retrievers in ([Given(ONE), slow], [slow, Given(ONE)]):
        hybrid = Hybrid(retrievers, first_stage_depth=2).index(FOUR)
        assert hybrid.search(["any"], 4).numbers.tolist() == [[0, 1, -1, -1]]


def test_an_exhaustive_retriever_searches_all_documents_if_the_others_find_few_or_there_are_none() -> None:
    slow = Slow({0: 1.0, 1: 2.0, 2: 9.0, 3: 0.0})
    for retrievers in ([Given(ONE), slow], [Given({}), slow], [slow, slow]):
        hybrid = Hybrid(retrievers, first_stage_depth=3).index(FOUR)
        assert sorted(hybrid.search(["any"], 4).numbers[0].tolist()) == [0, 1, 2, 3]


def test_min_max_adds_up() -> None:
    assert fused(ONE, OTHER, normalization="min-max") == ([0, 1, 2, 3], pytest.approx([0.5, 0.5, 0.5, 0.0]))


def test_reciprocal_ranks_add_up_and_a_missing_document_gets_nothing() -> None:
    numbers, scores = fused(ONE, OTHER, normalization="reciprocal-rank")
    assert numbers == [1, 0, 2, 3]
    assert scores == pytest.approx([(1 / 62 + 1 / 61) / 2, 1 / 61 / 2, 1 / 61 / 2, 1 / 63 / 2])


def test_only_the_proportion_of_the_weights_matters() -> None:
    assert fused(ONE, OTHER, weights=[1, 3]) == fused(ONE, OTHER, weights=[0.25, 0.75])
    assert fused(ONE, OTHER) == fused(ONE, OTHER, weights=[0.5, 0.5])
    assert fused(ONE, OTHER, weights=[0.9, 0.1])[0] != fused(ONE, OTHER, weights=[0.1, 0.9])[0]


def test_each_retriever_contributes_its_depth_and_no_more() -> None:
    numbers, _ = fused(ONE, OTHER, depth=1)
    assert numbers == [0, 1]


found = st.dictionaries(st.integers(0, 3), st.floats(-100, 100, width=32), max_size=4)


every = st.fixed_dictionaries({number: st.floats(-100, 100, width=32) for number in range(4)})


@pytest.mark.parametrize("how", HOW)
@given(found, found, st.integers(1, 4))
def test_what_no_ranking_names_counts_in_mean_and_deviation(
    how: Normalization, one: dict[int, float], other: dict[int, float], depth: int
) -> None:
    hybrid = Hybrid([Given(one), Given(other)], [3, 1], how, depth=depth).index(FOUR)
    kept = assert_fused_as_whole(hybrid, None)
    assert kept == {
        *sorted(one, key=lambda n: (-one[n], n))[:depth],
        *sorted(other, key=lambda n: (-other[n], n))[:depth],
    }


@pytest.mark.parametrize("how", HOW)
@given(every, every, st.sets(st.integers(0, 3)))
def test_candidates_are_fused_by_the_mean_and_deviation_of_a_sample(
    how: Normalization, one: dict[int, float], other: dict[int, float], wanted: set[int]
) -> None:
    hybrid = Hybrid([Given(one), Given(other)], [3, 1], how).index(FOUR)
    assert assert_fused_as_whole(hybrid, [np.array(sorted(wanted), dtype=np.int64)]) == wanted


def assert_fused_as_whole(hybrid: Hybrid, candidates: Candidates | None) -> set[int]:
    """Compares a ranking with the sum over all four documents, and returns its documents."""
    references = [ScoreStatistics.from_ranking(ranking, 0) for ranking in hybrid._found(["any"], candidates)]
    total = np.array([0.75, 0.25]) @ [reference.spread(4, hybrid.normalization) for reference in references]
    ranking = hybrid.search(["any"], 4, candidates)
    assert ranking.mean == pytest.approx([total.mean()], abs=1e-9)
    assert ranking.deviation == pytest.approx([total.std()], abs=1e-6)
    kept = ranking.numbers[0][ranking.numbers[0] >= 0]
    np.testing.assert_allclose(ranking.scores[0][: len(kept)], total[kept], rtol=1e-6, atol=1e-9)
    return set(kept.tolist())


@pytest.mark.parametrize("how", HOW)
@given(found, found)
def test_the_whole_weight_gives_the_ranking_of_that_retriever(
    how: Normalization, one: dict[int, float], other: dict[int, float]
) -> None:
    numbers, scores = fused(one, other, weights=[1, 0], normalization=how)
    assert sorted(numbers) == sorted(one)
    assert all(one[above] >= one[below] - 1e-3 for above, below in pairwise(numbers))
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("how", HOW)
@given(found)
def test_a_retriever_that_finds_nothing_changes_nothing(how: Normalization, one: dict[int, float]) -> None:
    assert fused(one, {}, normalization=how)[0] == fused({}, one, normalization=how)[0]
    alone, _ = fused(one, one, normalization=how)
    assert fused(one, {}, normalization=how)[0] == alone


@pytest.mark.parametrize("how", HOW)
@example([0.0, 1.4e-45])  # their difference has no float32 with a full precision
@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=9))
def test_normalising_keeps_the_order_and_the_range(how: Normalization, values: list[float]) -> None:
    scores = np.array(values, dtype=np.float32)
    normal = reference(scores).normalize(scores, how)
    assert np.isfinite(normal).all()
    order = np.argsort(-scores, kind="stable")
    assert (np.diff(normal[order]) <= 1e-6).all()
    if how == "min-max":
        assert normal.min() >= 0
        assert normal.max() == 1
    if how == "reciprocal-rank":
        assert normal.max() == 1 / 61
        assert normal.min() >= 1 / (60 + len(scores))


@given(st.floats(-100, 100, width=32), st.integers(1, 200))
def test_equal_scores_say_nothing(score: float, n: int) -> None:
    same = np.full(n, score, dtype=np.float32)
    assert reference(same).normalize(same, "z-score").tolist() == [0] * n
    assert reference(same).normalize(same, "min-max").tolist() == [1] * n


def reference(scores: np.ndarray) -> ScoreStatistics:
    return ScoreStatistics.from_ranking(top_k(scores[None], len(scores)), 0)


@pytest.mark.parametrize("how", HOW)
def test_a_text_of_the_collection_scores_as_in_the_search(how: Normalization) -> None:
    whole = {0: 3.0, 1: 1.0, 2: 7.0, 3: 2.0}
    hybrid = Hybrid([Given(whole), Given({0: 0.0, 1: 4.0, 2: 2.0, 3: 2.0})], [3, 1], how).index(FOUR)
    ranking = hybrid.search(["any"], 4)
    (scores,) = hybrid.score(["any"], [[str(number) for number in ranking.numbers[0]]])
    np.testing.assert_allclose(scores, ranking.scores[0], rtol=1e-6)


def test_scoring_texts_fuses_their_normalised_scores() -> None:
    whole = {0: 3.0, 1: 1.0, 2: 1.0, 3: 1.0}
    hybrid = Hybrid([Given(whole), Given({0: 0.0, 1: 4.0, 2: 2.0, 3: 2.0})], [3, 1], "min-max").index(FOUR)
    (scores,) = hybrid.score(["any"], [["0", "1", "2"]])
    assert scores.tolist() == pytest.approx([0.75, 0.25, 0.125])


def test_the_grid_of_weights_is_whole_and_leaves_out_the_present() -> None:
    hybrid = Hybrid([Given({}), Given({}), Given({})], [0.5, 0.5, 0.0], steps=2, min_weight=0.0)
    weights = [settings["weights"] for settings in hybrid.alternative_settings()]
    assert sorted(weights) == [[0, 0, 1], [0, 0.5, 0.5], [0, 1, 0], [0.5, 0, 0.5], [1, 0, 0]]
    assert {settings["normalization"] for settings in hybrid.alternative_settings()} == {"z-score"}


@pytest.mark.parametrize(("least", "number"), [(0.0, 10), (0.1, 8), (0.2, 6), (0.3, 4), (0.5, 0)])
def test_no_retriever_gets_less_than_the_least_weight(least: float, number: int) -> None:
    settings = Hybrid([Given({}), Given({})], min_weight=least).alternative_settings()
    assert len(settings) == number
    assert all(least <= weight <= 1 - least for each in settings for weight in each["weights"])


@pytest.mark.parametrize(
    ("number", "options", "message"),
    [
        (2, {"normalization": "zscore"}, "should be 'z-score', 'min-max' or 'reciprocal-rank', not 'zscore'"),
        (1, {}, "Hybrid.retrievers: .* should have at least 2 items"),
        (2, {"weights": [1.0]}, r"weights=\[1.0\] for 2 retrievers; give one each"),
        (2, {"feedback_weights": [1.0] * 3}, "feedback_weights=.* for 2 retrievers"),
        (2, {"weights": [0, 0]}, "all are 0"),
        (2, {"weights": [1.0, -0.5]}, "Hybrid.weights.1: Input should be greater than or equal to 0"),
        (2, {"weights": [1.0, float("inf")]}, "Hybrid.weights.1: Input should be a finite number"),
        (2, {"min_weight": float("nan")}, "Hybrid.min_weight: Input should be a finite number"),
    ],
)
def test_wrong_settings_are_rejected_in_one_line(number: int, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        Hybrid([Given({})] * number, **options)
    assert len(str(error.value).splitlines()) == 1


def test_what_can_learn_learns_and_the_original_stays(docstrings: list[Document], tiny_encoder: DenseEncoder) -> None:
    corpus = Corpus(docstrings, {"static": tiny_encoder})
    hybrid = Hybrid([Sparse(), Dense("static")], [0.25, 0.75], "min-max", depth=30, steps=4).index(corpus)
    before = hybrid.search(["gumbo zydeco"], 10)
    learned = hybrid.learn([Example("gumbo zydeco", 7, (1, 2, 3))], seed=0)
    assert isinstance(learned, Hybrid)
    sparse, dense = learned.retrievers
    assert sparse is hybrid.retrievers[0]
    assert isinstance(dense, Dense)
    assert dense.map is not None
    assert isinstance(hybrid.retrievers[1], Dense)
    assert hybrid.retrievers[1].map is None
    assert (learned.settings(), learned.depth, learned.steps) == (hybrid.settings(), 30, 4)
    after = learned.search(["gumbo zydeco"], 10)
    assert (after.scores != before.scores).any()
    again = hybrid.search(["gumbo zydeco"], 10)
    np.testing.assert_array_equal(again.numbers, before.numbers)
    np.testing.assert_array_equal(again.scores, before.scores)


def test_a_saved_hybrid_goes_on_learning_as_it_was_told(docstrings: list[Document], tmp_path: Path) -> None:
    told = {"learning": "weights", "penalty": 0.5, "steps": 4, "min_weight": 0.3}
    corpus = Corpus(docstrings)
    Hybrid([Sparse(), Sparse(k1=2.0)], **told).index(corpus).save(tmp_path)  # type: ignore[arg-type]
    loaded = load_retriever(tmp_path, corpus)
    assert {name: getattr(loaded, name) for name in told} == told


def test_where_nothing_can_learn_none_is_said(docstrings: list[Document]) -> None:
    hybrid = Hybrid([Sparse(), Sparse(k1=2.0)]).index(Corpus(docstrings))
    assert hybrid.learn([Example("open a file", 0)], seed=0) is None


def test_learned_weights_go_where_the_positives_stand_out_and_stay_near_the_given_ones() -> None:
    table = np.array([[3.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, 0.5]])  # the first retriever knows the positive
    given = np.array([0.5, 0.5])
    free = learned_weights([table] * 4, np.ones(4), given, penalty=1e-3)
    near = learned_weights([table] * 4, np.ones(4), given, penalty=2.0)
    assert free[0] > near[0] > 0.5
    assert sum(free) == pytest.approx(1)
    assert learned_weights([table], np.ones(1), given, penalty=1e6) == pytest.approx([0.5, 0.5], abs=1e-4)
    assert learned_weights([table], np.zeros(1), given, penalty=1.0) == pytest.approx([0.5, 0.5])


def test_the_slope_of_the_logistic_loss_is_right() -> None:
    rng = np.random.default_rng(0)
    tables = [rng.normal(size=(6, 3)) for _ in range(5)]
    weights = learned_weights(tables, np.ones(5), np.full(3, 1 / 3), penalty=0.5)

    def loss(weights: np.ndarray) -> float:
        fits = sum(np.log(np.exp(table @ weights)[0] / np.exp(table @ weights).sum()) for table in tables) / 5
        return 0.5 * np.square(weights - 1 / 3).sum() - fits

    scales = np.linspace(0, 3, 601)  # the weights are the minimum's direction
    best_scale = min(scales, key=lambda scale: loss(scale * np.array(weights)))
    at = best_scale * np.array(weights)
    for step in 0.02 * rng.normal(size=(50, 3)):
        assert loss(np.maximum(at + step, 0)) >= loss(at) - 1e-4


def test_a_hybrid_learns_its_weights_from_examples() -> None:
    strong, weak = Given({0: 9.0, 1: 1.0, 2: 1.0, 3: 0.5}), Given({0: 0.1, 1: 3.0, 2: 2.0, 3: 1.0})
    hybrid = Hybrid([strong, weak], [0.5, 0.5], learning="weights", penalty=0.01).index(FOUR)
    assert hybrid.learn([], seed=0) is None
    learned = hybrid.learn([Example("any", 0)], seed=0)
    assert isinstance(learned, Hybrid)
    assert learned.weights[0] > 0.6
    assert hybrid.weights == [0.5, 0.5]
    assert Hybrid([strong, weak]).index(FOUR).learn([Example("any", 0)], seed=0) is None


def test_agreement_is_what_the_first_documents_have_in_common() -> None:
    def found(scores: Mapping[int, float]) -> Ranking:
        return Given(scores).search([""], 10)

    one, other, nothing = found({0: 2.0, 1: 1.0, 2: 0.5}), found({1: 3.0, 2: 1.0, 3: 0.0}), found({})
    assert ranking_agreement([one, other]).tolist() == [0.2]
    assert ranking_agreement([one, other, nothing]).tolist() == pytest.approx([0.2 / 3])


@given(st.lists(st.permutations(range(30)), min_size=2, max_size=4))
def test_agreement_depends_on_no_order_of_the_parts(orders: list[list[int]]) -> None:
    rankings = [top_k(np.array([order], dtype=np.float32), 20) for order in orders]
    (value,) = ranking_agreement(rankings)
    assert 0 <= value <= 1
    assert ranking_agreement(rankings[::-1]) == pytest.approx([value])
    assert ranking_agreement([rankings[0], rankings[0]]).tolist() == [1.0]


def test_a_model_names_its_parts() -> None:
    names = ["sparse", "dense", "static_hybrid", "hybrid", "rewritten", "llm_reranker", "late_interaction"]
    found = dict(zip(names, map(part_names, built("model", names)), strict=True))
    assert found == {
        "sparse": ["sparse"],
        "dense": ["pretrained"],
        "static_hybrid": ["sparse", "static"],
        "hybrid": ["sparse", "pretrained", "static"],
        "rewritten": ["sparse", "pretrained", "static", "lm"],
        "llm_reranker": ["sparse", "pretrained", "static", "pointwise", "lm"],
        "late_interaction": ["late_interaction"],
    }
