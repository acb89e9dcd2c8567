import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.records import Judgment
from zero2ir.errors import InputError
from zero2ir.evaluation.checks import check_run, check_ties, tie_range
from zero2ir.evaluation.measures import Run, run_of, score_run

QUERIES, DOCUMENTS = ["q1", "q2"], {"a", "b", "c"}
GOOD = Run(QUERIES, [["a", "b"], ["", ""]], [[2.0, 1.0], [0.0, 0.0]])  # q2 found nothing, and says so


def test_a_complete_run_passes():
    check_run(GOOD, QUERIES, DOCUMENTS)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (
            Run(["q1", "q2", "q9"], [["a"], ["a"], ["a"]], [[1]] * 3),
            r"not test queries: q9 \(1 in all\)",
        ),
        (Run(["q1"], [["a"]], [[1]]), r"test queries without a row: q2 \(1 in all\)"),
        (Run(QUERIES, [["a", "x"], ["y", "a"]], [[2, 1]] * 2), r"the collection lacks: x, y \(2 in all\)"),
        (Run(QUERIES, [["a", "a"], ["a", "b"]], [[2, 1]] * 2), "query q1: a document is repeated"),
        (Run(QUERIES, [["a", "b"], ["a", "b"]], [[2, 1], [np.nan, 1]]), "query q2: a score is not a finite number"),
        (Run(QUERIES, [["a", "b"], ["a", "b"]], [[2, 1], [np.inf, 1]]), "query q2: a score is not a finite number"),
        (Run(["q1", "q1"], [["a"], ["b"]], [[1], [1]]), "query_id is repeated"),
    ],
)
def test_an_invalid_run_is_refused(run, message):
    with pytest.raises(InputError, match=message):
        check_run(run, QUERIES, DOCUMENTS)


def test_ties_that_change_the_measure_are_refused_and_others_are_not():
    qrels = [Judgment("q1", "b", 1)]
    apart = Run(["q1"], [["a", "b"]], [[2.0, 1.0]])
    assert tie_range(apart, qrels, "RR") == (0.5, 0.5)
    check_ties(apart, qrels, "RR", 0.0)
    tied = Run(["q1"], [["a", "b", "c"]], [[1.0, 1.0 + 1e-12, 0.5]])  # equal in single precision
    assert tie_range(tied, qrels, "RR") == (0.5, 1.0)
    check_ties(tied, qrels, "RR", 0.5)
    with pytest.raises(
        InputError, match=r"RR depends on the order of ties, between 0\.500 and 1\.000.*evaluation\.tie_limit=0\.501"
    ):
        check_ties(tied, qrels, "RR", 0.05)
    harmless = Run(["q1"], [["b", "a", "c"]], [[2.0, 1.0, 1.0]])
    check_ties(harmless, qrels, "RR", 0.0)


@given(
    st.dictionaries(st.sampled_from("abcde"), st.sampled_from([0.0, 1.0, 2.0]), min_size=1),
    st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 2), min_size=1),
    st.sampled_from(["nDCG@3", "AP", "RR", "P@2", "R@2"]),
)
def test_the_range_holds_every_order_of_ties_and_no_more(scored, grades, measure):
    qrels = [Judgment("q", *row) for row in grades.items()]
    found = set()
    for order in itertools.permutations(scored):
        ranked = sorted(order, key=lambda doc_id: -scored[doc_id])  # stable
        (row,) = score_run(run_of({"q": [(one, -rank) for rank, one in enumerate(ranked)]}), qrels, [measure])
        found.add(row.value)
    assert tie_range(run_of({"q": list(scored.items())}), qrels, measure) == pytest.approx((min(found), max(found)))
