"""Which documents may be a query's negatives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.models.base import Retriever
from zero2ir.models.dense import Dense
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.sparse import Sparse
from zero2ir.synthetic.negatives import hard_negatives, mined_negatives

QUERIES = ["return the file object", "the", "a new string"]


@pytest.fixture(scope="module")
def corpus(docstrings: list[Document], tiny_encoder: DenseEncoder) -> Corpus:
    return Corpus(docstrings, {"static": tiny_encoder})


@pytest.fixture(scope="module")
def sparse(corpus: Corpus) -> Sparse:
    return Sparse().index(corpus)


@pytest.fixture(scope="module", params=["sparse", "dense", "hybrid"])
def retriever(request: pytest.FixtureRequest, corpus: Corpus) -> Retriever:
    made: dict[str, Retriever] = {
        "sparse": Sparse(),
        "dense": Dense("static"),
        "hybrid": Hybrid([Sparse(), Dense("static")]),
    }
    return made[request.param].index(corpus)


@given(st.integers(0, 6), st.integers(1, 5), st.integers(0, 20), st.sets(st.integers(0, 59)), st.integers(0, 99))
def test_negatives_come_from_the_ranks_and_are_not_excluded(
    sparse: Sparse, number: int, first: int, more: int, excluded: set[int], seed: int
) -> None:
    drawn = hard_negatives(
        sparse,
        QUERIES,
        [excluded] * 3,
        number=number,
        ranks=(first, first + more),
        rng=np.random.default_rng(seed),
    )
    rows = sparse.search(QUERIES, first + more).numbers[:, first - 1 :]
    for negatives, row in zip(drawn, rows, strict=True):
        pool = {int(document) for document in row if document >= 0} - excluded
        assert set(negatives) <= pool
        assert len(negatives) == len(set(negatives)) == min(number, len(pool))
        assert all(type(document) is int for document in negatives)


@given(st.data())
def test_no_negative_scores_nearly_as_high_as_the_positive(
    retriever: Retriever, corpus: Corpus, data: st.DataObject
) -> None:
    positives = data.draw(st.lists(st.integers(0, 59), min_size=3, max_size=3))
    most, number, first = data.draw(st.floats(0.1, 1.0)), data.draw(st.integers(1, 60)), data.draw(st.integers(1, 9))
    mined = mined_negatives(
        retriever,
        QUERIES,
        positives,
        corpus.contents,
        number=number,
        ranks=(first, 40),
        most=most,
        rng=np.random.default_rng(0),
    )
    every = retriever.search(QUERIES, 60)
    for row, (positive, one) in enumerate(zip(positives, mined, strict=True)):
        scores = {
            int(n): float(score) for n, score in zip(every.numbers[row], every.scores[row], strict=True) if n >= 0
        }
        stretch = [int(n) for n in every.numbers[row][first - 1 : 40] if n >= 0 and n != positive]
        own = scores.get(positive, 0.0)
        assert positive not in one.numbers
        assert set(one.numbers) <= set(stretch)
        assert len(set(one.numbers)) == len(one.numbers) == len(one.margins) <= number
        for negative, margin in zip(one.numbers, one.margins, strict=True):
            assert margin == pytest.approx(own - scores[negative], abs=1e-4)
            assert margin >= -1e-6
            if min(scores.values()) >= 0:
                assert scores[negative] <= most * own + 1e-4


def test_likely_relevant_documents_are_no_negatives(corpus: Corpus, sparse: Sparse) -> None:
    best = sparse.search(QUERIES[:1], 3)
    options = {"number": 9, "ranks": (1, 3), "rng": np.random.default_rng(0)}
    order = best.numbers[0].tolist()
    found = [
        set(mined_negatives(sparse, QUERIES[:1], [n], corpus.contents, most=1.0, **options)[0].numbers) for n in order
    ]
    assert found == [{order[1], order[2]}, {order[2]}, set()]
    (strict,) = mined_negatives(sparse, QUERIES[:1], order[:1], corpus.contents, most=1e-3, **options)
    assert strict.numbers == []


def test_no_query_has_no_negatives(corpus: Corpus, sparse: Sparse) -> None:
    rng = np.random.default_rng(0)
    assert hard_negatives(sparse, [], [], number=3, ranks=(1, 5), rng=rng) == []
    assert mined_negatives(sparse, [], [], corpus.contents, number=3, ranks=(1, 5), most=0.9, rng=rng) == []
