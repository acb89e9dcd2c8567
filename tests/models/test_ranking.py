"""Rankings: without each query's own document, of listed documents, and the moments of scores."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.models.ranking import (
    NO_DOCUMENT,
    Candidates,
    Ranking,
    moments,
    moments_with_others,
    rank_listed,
    scope_without,
    top_k,
)


@st.composite
def searches(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray | None, list[np.ndarray] | None, np.ndarray, int]:
    """Scores with ties, matching documents or candidates, own documents or none, and the length of the ranking."""
    queries, documents = draw(st.integers(1, 4)), draw(st.integers(1, 8))
    scores = np.array(
        draw(
            st.lists(
                st.lists(st.integers(0, 5), min_size=documents, max_size=documents), min_size=queries, max_size=queries
            )
        ),
        float,
    )
    matching = np.array([[draw(st.booleans()) for _ in range(documents)] for _ in range(queries)])
    numbers = st.lists(st.integers(0, documents - 1), unique=True)
    candidates = [np.array(draw(numbers), dtype=np.int64) for _ in range(queries)]
    own = np.array([draw(st.integers(NO_DOCUMENT, documents - 1)) for _ in range(queries)])
    how = draw(st.sampled_from(["all", "matching", "candidates"]))
    return (
        scores,
        matching if how == "matching" else None,
        candidates if how == "candidates" else None,
        own,
        draw(st.integers(1, documents + 2)),
    )


@given(searches())
def test_the_own_document_never_appears_and_the_others_keep_their_order(
    search: tuple[np.ndarray, np.ndarray | None, Candidates | None, np.ndarray, int],
) -> None:
    scores, matching, candidates, own, k = search
    depth, rest = scope_without(own, k, candidates)
    found = top_k(scores, depth, matching, rest).without(own, k)
    every = top_k(scores, scores.shape[1] + 1, matching, candidates)
    k = min(k, scores.shape[1])
    assert found.numbers.shape == found.scores.shape == (len(scores), k)
    for row in range(len(scores)):
        kept = [(n, s) for n, s in zip(every.numbers[row], every.scores[row], strict=True) if n not in (own[row], -1)]
        padded = [*kept[:k], *[(NO_DOCUMENT, -np.inf)] * (k - len(kept))]
        assert list(zip(found.numbers[row], found.scores[row], strict=True)) == padded


@given(searches())
def test_without_own_documents_nothing_changes(
    search: tuple[np.ndarray, np.ndarray | None, Candidates | None, np.ndarray, int],
) -> None:
    scores, matching, candidates, own, k = search
    nobody = np.full_like(own, NO_DOCUMENT)
    assert scope_without(nobody, k, candidates) == (k, candidates)
    ranking = top_k(scores, k, matching, candidates)
    for one, other in zip(ranking.without(nobody, k)[:2], ranking[:2], strict=True):
        np.testing.assert_array_equal(one, other)


def numbers(ranking: Ranking) -> Sequence[Sequence[int]]:
    return ranking.numbers.tolist()


def test_by_hand() -> None:
    scores = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [3.0, 3.0, 3.0]])
    own = np.array([0, NO_DOCUMENT, 1])
    depth, _ = scope_without(own, 2, None)
    assert numbers(top_k(scores, depth).without(own, 2)) == [[1, 2], [2, 1], [0, 2]]


@given(searches())
def test_listed_documents_are_ranked_as_candidates(
    search: tuple[np.ndarray, np.ndarray | None, Candidates | None, np.ndarray, int],
) -> None:
    scores, _, candidates, _, k = search
    for row, values in enumerate(scores):
        numbers = np.arange(len(values))[::-1] if candidates is None else candidates[row]
        found, expected = rank_listed(numbers, values[numbers], k, len(values)), top_k(values[None], k, None, [numbers])
        assert (found.numbers == expected.numbers).all()
        assert (found.scores == expected.scores).all()


@given(st.lists(st.floats(-9, 9), max_size=6), st.integers(0, 6), st.floats(-9, 9))
def test_moments_with_others_are_those_of_all_scores(scores: list[float], others: int, score: float) -> None:
    found = moments_with_others(np.array(scores), others, score)
    assert found == pytest.approx(moments(np.array([*scores, *[score] * others])), abs=1e-7)


def test_equal_scores_deviate_by_nothing() -> None:
    assert moments_with_others(np.full(3, 0.1), 7, 0.1) == (0.1, 0.0)
    assert moments_with_others(np.zeros(0), 7, 0.1) == (0.1, 0.0)
