"""Rankings without each query's own document."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.models.ranking import NO_DOCUMENT, Candidates, Ranking, scope_without, top_k


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
