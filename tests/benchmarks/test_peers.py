"""The comparison with the peers: ratios over rounds, and the systems that are measured."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.peer_systems import OWN, PEERS, measure
from benchmarks.peers import RIVALS, Task, ratio_interval
from zero2ir.data.pydocs.documents import read_pydocs
from zero2ir.data.records import Collection, Document, Judgment, Query

SECONDS = st.floats(0.001, 1000.0)
ROUNDS = st.lists(st.tuples(SECONDS, SECONDS), min_size=2, max_size=8)


@given(ROUNDS)
def test_ratios_of_the_swapped_systems_are_the_reciprocals(rounds: list[tuple[float, float]]) -> None:
    ours, theirs = zip(*rounds, strict=True)
    one, other = ratio_interval(ours, theirs), ratio_interval(theirs, ours)
    assert np.allclose([one.mean, one.ci_low, one.ci_high], [1 / other.mean, 1 / other.ci_high, 1 / other.ci_low])


def test_the_interval_is_that_of_a_paired_t_test_on_logarithms() -> None:
    ours, theirs = [1.0, 1.2, 0.9, 1.1, 1.0], [2.1, 2.3, 2.0, 2.2, 1.9]
    expected = stats.ttest_rel(np.log(theirs), np.log(ours)).confidence_interval(0.95)
    found = ratio_interval(ours, theirs)
    assert np.allclose(np.log([found.ci_low, found.ci_high]), [expected.low, expected.high])


def test_one_round_has_no_interval() -> None:
    found = ratio_interval([2.0], [3.0])
    assert found.mean == pytest.approx(1.5)
    assert np.isnan([found.ci_low, found.ci_high]).all()


def test_every_system_is_compared() -> None:
    assert set(RIVALS) == set(OWN)
    assert set(chain(*RIVALS.values())) == set(PEERS)


def test_a_trial_keeps_the_test_queries_that_can_be_answered() -> None:
    documents = [Document(str(number), "", f"text {number}") for number in range(4)]
    queries = [Query("a", "first", "test"), Query("b", "last", "test"), Query("c", "none", "train")]
    judgments = [Judgment("a", "0", 1), Judgment("a", "3", 1), Judgment("b", "3", 1), Judgment("c", "0", 1)]
    task = Task.of(Collection(documents, queries, judgments), 2)
    assert [query.query_id for query in task.queries] == ["a"]
    assert task.judgments == [Judgment("a", "0", 1)]


def test_a_system_is_measured_and_judged() -> None:
    documents = [Document(*row) for row in read_pydocs()[0][:40]]
    texts = [document.content for document in documents]
    found = measure("sparse", texts, texts[:3], 5, "")
    queries = [Query(str(number), text, "test") for number, text in enumerate(texts[:3])]
    judgments = [Judgment(query.query_id, documents[int(query.query_id)].doc_id, 1) for query in queries]
    task = Task.of(Collection(documents, queries, judgments), None)
    assert task.quality(found["rankings"])["nDCG@10"].mean == 1.0  # a text finds itself first
    assert min(chain(*found["seconds"].values())) > 0
    assert found["memory"] > 0
    assert found["disk"] > 0
