"""What the checks drop, repair, count and refuse."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zero2ir.data.checks import check_collection
from zero2ir.data.checks import require_judged_queries as require
from zero2ir.data.records import CandidateDocument as Candidate
from zero2ir.data.records import Collection, DataIssue, Document, Judgment, Query, RawCollection
from zero2ir.errors import InputError


def test_every_flaw_of_a_bad_collection_is_counted():
    raw = RawCollection(
        documents=[
            Document("a", "", "same"),
            Document("b", "", "same"),
            Document("a", "", "same"),
            Document("empty", " ", "\n"),
            Document("titled", "only a title", ""),
        ],
        queries=[
            Query("q1", "one"),
            Query("q1", "one"),
            Query("q2", " "),
            Query("q3", "three", "train"),
            Query("q3", "three", "test"),
            Query("q4", "four"),
        ],
        judgments=[
            Judgment("q1", "a", 1),
            Judgment("q1", "a", 1),
            Judgment("q1", "b", -1),
            Judgment("q1", "b", 0),
            Judgment("q1", "nowhere", 1),
            Judgment("q1", "empty", 1),
            Judgment("q2", "a", 1),
            Judgment("q3", "titled", 2),
            Judgment("q4", "a", 0),
        ],
        source="a test",
        notes={"rows the reader left out": 7},
        places={("judgment", 1): "qrels.trec:2"},
    )
    collection, quality = check_collection(raw)
    assert {flaw: finding.count for flaw, finding in quality.items()} == {
        "repeated documents": 1,
        "empty documents": 1,
        "documents with duplicate text": 1,
        "repeated queries": 2,
        "queries in both splits": 1,
        "empty queries": 1,
        "queries without a relevant document": 1,
        "judgments of unknown queries": 1,
        "judgments of unknown documents": 2,
        "repeated judgments": 2,
        "negative grades": 1,
        "rows the reader left out": 7,
    }
    assert [document.doc_id for document in collection.documents] == ["a", "b", "titled"]
    assert collection.queries == [Query("q1", "one"), Query("q3", "three", "test"), Query("q4", "four")]
    assert collection.judgments == [
        Judgment("q1", "a", 1),
        Judgment("q1", "b", 0),
        Judgment("q3", "titled", 2),
        Judgment("q4", "a", 0),
    ]
    assert quality["repeated judgments"].examples == ("qrels.trec:2", "a test, judgment of 'q1' and 'b'")
    assert collection.metadata == {"source": "a test", "licence": "unknown"}


def test_examples_stop_at_five():
    raw = RawCollection([Document(str(i), "", "same") for i in range(9)], [], [], "a test")
    finding = check_collection(raw)[1]["documents with duplicate text"]
    assert finding == DataIssue(8, tuple(f"a test, document '{i}'" for i in range(1, 6)))


@pytest.mark.parametrize(
    ("documents", "queries", "judgments", "message"),
    [
        ([], [], [], r"a test: no document has any text; add documents"),
        ([Document("a", "", " ")], [], [], r"no document has any text"),
        ([Document("a", "", "x"), Document("a", "", "y")], [], [], r"two texts have the document id 'a'"),
        ([Document("", "", "x")], [], [], r"the id '' is empty"),
        ([Document("a", "", "x")], [Query("q", "x"), Query("q", "y")], [], r"two texts have the query id 'q'"),
        (
            [Document("a", "", "x")],
            [Query("q", "x")],
            [Judgment("q", "a", 1), Judgment("q", "a", 0)],
            r"a test, judgment of 'q' and 'a' and .*: query 'q' and document 'a' have two grades, 1 and 0; keep one",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(documents, queries, judgments, message):
    with pytest.raises(InputError, match=message):
        check_collection(RawCollection(documents, queries, judgments, "a test"))


def test_a_collection_without_judged_queries_is_fine_until_they_are_needed():
    collection, _ = check_collection(
        RawCollection([Document("a", "", "x")], [Query("q", "x")], [Judgment("q", "a", 0)], "a test")
    )
    with pytest.raises(InputError, match="a test: no query has a relevant document"):
        require(collection)
    require(Collection([], [], [Judgment("q", "a", 1)]))


ids = st.sampled_from(["1", "2", "3"])
raws = st.builds(
    RawCollection,
    documents=st.lists(st.builds(lambda i: Document(i, "", f"text {i}"), ids), min_size=1, max_size=5),
    queries=st.lists(st.builds(lambda i, s: Query(i, f"query {i}", s), ids, st.sampled_from(["train", "test"]))),
    judgments=st.lists(st.builds(lambda q, d: Judgment(q, d, int(q) - int(d)), ids, ids)),
    source=st.just("a test"),
)


@settings(deadline=None)  # machines are shared; a slow moment is no failure
@given(raws)
def test_what_passes_the_checks_holds_together_and_passes_again(raw):
    collection, _ = check_collection(raw)
    documents = [document.doc_id for document in collection.documents]
    queries = [query.query_id for query in collection.queries]
    pairs = [judgment[:2] for judgment in collection.judgments]
    assert len(set(documents)) == len(documents)
    assert len(set(queries)) == len(queries)
    assert len(set(pairs)) == len(pairs)
    assert {query_id for query_id, _ in pairs} <= set(queries)
    assert {doc_id for _, doc_id in pairs} <= set(documents)
    assert all(judgment.relevance >= 0 for judgment in collection.judgments)
    again = check_collection(RawCollection(collection.documents, collection.queries, collection.judgments, "a test"))[0]
    assert again == collection


def test_candidates_are_known_pairs_and_what_is_wrong_with_them_is_counted():
    raw = RawCollection(
        documents=[Document("a", "", "one"), Document("b", "", "two")],
        queries=[Query("q1", "one"), Query("q2", "two")],
        judgments=[Judgment("q1", "a", 1), Judgment("q1", "b", 1), Judgment("q2", "b", 0)],
        source="a test",
        candidates=[Candidate(*row) for row in [("q1", "b"), ("q1", "b"), ("q1", "nowhere"), ("nobody", "a")]],
        places={("candidate", 3): "run:7"},
    )
    collection, quality = check_collection(raw)
    assert collection.candidates == [("q1", "b")]
    assert {flaw: quality[flaw] for flaw in quality if "candidate" in flaw} == {
        "candidates of unknown queries": DataIssue(1, ("run:7: no query has the id 'nobody'",)),
        "candidates of unknown documents": DataIssue(
            1, ("a test, candidate of 'q1' and 'nowhere': no document has the id 'nowhere'",)
        ),
        "repeated candidates": DataIssue(1, ("a test, candidate of 'q1' and 'b'",)),
        "queries without a candidate": DataIssue(1, ("q2",)),
        "relevant documents that are no candidates": DataIssue(1, ("q1 a",)),
    }
    assert collection.candidates_of(["q1", "q2"]) == {"q1": ["b"], "q2": []}


def test_without_candidates_the_whole_collection_is_ranked_and_nothing_is_said_of_any():
    raw = RawCollection([Document("a", "", "one")], [Query("q1", "one")], [Judgment("q1", "a", 1)], source="a test")
    collection, quality = check_collection(raw)
    assert collection.candidates is None
    assert collection.candidates_of(["q1"]) is None
    assert not [flaw for flaw in quality if "candidate" in flaw]
