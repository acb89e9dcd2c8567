"""What drops a synthetic query, and which documents may be its negatives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.collections.records import Document
from zero2ir.corpus import Corpus
from zero2ir.models import Sparse
from zero2ir.synthetic.filters import MOST_WORDS, rejections
from zero2ir.synthetic.negatives import hard_negatives


def test_each_reason_by_hand() -> None:
    queries = ["open a file", "", "Trim  a STRING", "Open a  File", "sort", "w " * (MOST_WORDS + 1), " \t"]
    assert rejections(queries, [1, 0, 1, 1, 0, 1, 1], known=["trim a string"]) == [
        "",
        "empty",
        "copied from the prompt",
        "duplicate",
        "round trip",
        "too long",
        "empty",
    ]


@given(st.lists(st.tuples(st.sampled_from(["a b", "A  b", "c", "", "d e f"]), st.integers(0, 3)), max_size=8))
def test_what_stays_is_new_short_and_finds_its_document(pairs: list[tuple[str, int]]) -> None:
    queries, ranks = [query for query, _ in pairs], [rank for _, rank in pairs]
    reasons = rejections(queries, ranks, known=["d e f"])
    kept = [query.lower().split() for query, reason in zip(queries, reasons, strict=True) if not reason]
    assert len(reasons) == len(queries)
    assert all(kept)
    assert ["d", "e", "f"] not in kept
    assert all(kept.count(one) == 1 for one in kept)
    assert all(rank > 0 for rank, reason in zip(ranks, reasons, strict=True) if not reason)


@pytest.fixture(scope="module")
def sparse(docstrings: list[Document]) -> Sparse:
    return Sparse().index(Corpus(docstrings))


@given(st.integers(0, 6), st.integers(1, 5), st.integers(0, 20), st.sets(st.integers(0, 59)), st.integers(0, 99))
def test_negatives_come_from_the_stretch_and_are_not_excluded(
    sparse: Sparse, number: int, first: int, more: int, excluded: set[int], seed: int
) -> None:
    queries = ["return the file object", "the", "a new string"]
    drawn = hard_negatives(
        sparse,
        queries,
        [excluded] * 3,
        number=number,
        ranks=(first, first + more),
        rng=np.random.default_rng(seed),
    )
    rows = sparse.search(queries, first + more).numbers[:, first - 1 :]
    for negatives, row in zip(drawn, rows, strict=True):
        pool = {int(document) for document in row if document >= 0} - excluded
        assert set(negatives) <= pool
        assert len(negatives) == len(set(negatives)) == min(number, len(pool))
        assert all(type(document) is int for document in negatives)


def test_no_query_has_no_negatives(sparse: Sparse) -> None:
    rng = np.random.default_rng(0)
    assert hard_negatives(sparse, [], [], number=3, ranks=(1, 5), rng=rng) == []
