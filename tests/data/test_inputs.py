"""Python values that users pass: read once, taken as what they are, or refused with their place."""

import io
import sys
from collections import namedtuple
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zero2ir.data.inputs import (
    as_candidates,
    as_documents,
    as_ids,
    as_judgments,
    as_pairs,
    as_qrels,
    as_queries,
    as_texts,
)
from zero2ir.data.records import Document, JudgedDocument, Judgment
from zero2ir.errors import DataWarning, InputError
from zero2ir.io.values import MAX_GRADE

NAN = float("nan")
IDS = ["chain", "brake", "tube"]
ROWS = [("oil", "chain", 1), ("squeal", "brake", 2), ("hole", "tube", 0)]
DOCUMENTS = [
    {"doc_id": "chain", "title": "Oiling", "text": "a drop of oil"},
    {"doc_id": "brake", "title": NAN, "text": "brakes squeal"},
    {"doc_id": "tube", "text": "a hole under water"},
]
RECORDS = [
    Document("chain", "Oiling", "a drop of oil"),
    Document("brake", "", "brakes squeal"),
    Document("tube", "", "a hole under water"),
]
Row = namedtuple("Row", "doc_id title text")


def frame(rows: Any, **options: Any) -> Any:
    return pytest.importorskip("pandas").DataFrame(rows, **options)


def table(rows: Any) -> Any:
    return pytest.importorskip("pyarrow").Table.from_pylist(rows)


@pytest.mark.parametrize(
    "documents",
    [
        lambda: DOCUMENTS,
        lambda: (row for row in DOCUMENTS),
        lambda: {row["doc_id"]: {"title": row.get("title"), "text": row["text"]} for row in DOCUMENTS},
        lambda: MappingProxyType({row["doc_id"]: row for row in DOCUMENTS}),
        lambda: [Row(row["doc_id"], row.get("title"), row["text"]) for row in DOCUMENTS],
        lambda: iter(RECORDS),
        lambda: frame(DOCUMENTS),
        lambda: frame(DOCUMENTS).to_dict("records"),
        lambda: frame(DOCUMENTS).itertuples(),
        lambda: frame(DOCUMENTS, index=[7, 3, 5]).convert_dtypes(),
        lambda: table([{**row, "title": None if row.get("title") is NAN else row.get("title")} for row in DOCUMENTS]),
        lambda: np.array(DOCUMENTS, dtype=object),
    ],
)
def test_every_form_of_a_corpus_gives_the_same_documents(documents: Any) -> None:
    assert as_documents(documents()) == RECORDS


def test_texts_have_their_places_or_keys_as_ids() -> None:
    texts = ["one", "two"]
    by_place = [Document("0", "", "one"), Document("1", "", "two")]
    assert as_documents(texts) == as_documents(iter(texts)) == as_documents(np.array(texts)) == by_place
    assert as_documents({"a": "one", 7: "two"}) == [Document("a", "", "one"), Document("7", "", "two")]
    assert as_documents(frame({"t": texts})["t"]) == by_place
    assert as_documents(frame({"t": texts}, index=["a", "b"])["t"])[1] == Document("b", "", "two")


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([*DOCUMENTS, {"doc_id": "x", "text": NAN}], "documents[3]: text is nan; pass a string, or leave the row out"),
        ([{"doc_id": NAN, "text": "x"}], "documents[0]: doc_id is nan; pass a string"),
        ([{"doc_id": "", "text": "x"}], "documents[0]: doc_id is empty"),
        ([{"doc_id": True, "text": "x"}], "documents[0]: doc_id is True; pass a string"),
        ([{"doc_id": 0.5, "text": "x"}], "documents[0]: doc_id is 0.5; pass a string"),
        ([{"doc_id": "x", "text": 7}], "documents[0]: text is 7; pass a string"),
        ([{"doc_id": "x", "text": "y", "title": ["z"]}], "documents[0]: title is ['z']; pass a string"),
        (["fine", "not \ud800 fine"], "documents[1]: text contains a lone surrogate (character 5)"),
        ({"a": NAN}, "documents['a']: float instead of a string or a mapping (nan)"),
        ({"a": {"title": "x"}}, "documents['a']: the key 'text' is missing"),
        ({"a": {"doc_id": "b", "text": "x"}}, "documents['a']: doc_id is 'b', but its key is 'a'"),
        ({None: "x"}, "documents[None]: the key is None"),
        ({"a": "x", 1: "y", "1": "z"}, "documents['1']: documents[1] has the same id '1'"),
        ({"doc_id": "a", "text": "x"}, "documents: a single document, or a mapping of columns"),
        ({"doc_id": ["a"], "text": ["x"]}, "documents: a single document, or a mapping of columns"),
        ([("a", "x")], "documents[0]: tuple instead of a string or a mapping (('a', 'x'))"),
        (zip("ab", "xy", strict=True), "documents[0]: tuple instead of a string or a mapping"),
        ({"x", "y"}, "documents: a set has no order"),
        (b"bytes", "documents: bytes instead of a list"),
        (None, "documents: NoneType instead of a list (None); pass a list"),
        (7, "documents: int instead of a list (7); pass a list"),
        (iter(()), "documents: the list is empty"),
        ({}, "documents: the list is empty"),
    ],
)
def test_what_is_no_corpus_is_refused_with_its_place(documents: Any, message: str) -> None:
    with pytest.raises(InputError) as refused:
        as_documents(documents)
    assert str(refused.value).startswith(message)


def test_a_data_frame_needs_its_columns() -> None:
    with pytest.raises(
        InputError, match=r"^documents: the data frame has no column 'doc_id' \(only text\); rename one"
    ):
        as_documents(frame({"text": ["x"]}))
    with pytest.raises(InputError, match=r"^judgments: the data frame has no column 'query' \(only q, d, g\)"):
        as_judgments(frame({"q": ["x"], "d": ["chain"], "g": [1]}), IDS)
    with pytest.raises(InputError, match=r"^documents: the data frame has two columns of the same name"):
        as_documents(frame([["a", "x", "y"]], columns=["doc_id", "text", "text"]))
    with pytest.raises(InputError, match=r"^queries: a data frame instead of a list; pass one of its columns"):
        as_texts(frame({"text": ["x"]}), "queries")


def test_an_empty_cell_of_a_table_is_a_missing_value() -> None:
    pandas = pytest.importorskip("pandas")
    read = pandas.read_csv(io.StringIO("doc_id,title,text\n1,Chain,oil it\n2,,toe the pads in\n3,Spokes,\n"))
    with pytest.raises(InputError, match=r"^documents\[2\]: text is nan"):
        as_documents(read)
    assert as_documents(read[:2]) == [Document("1", "Chain", "oil it"), Document("2", "", "toe the pads in")]
    for missing in (None, NAN, np.float32("nan"), Decimal("nan"), Decimal("snan"), pandas.NA, pandas.NaT):
        assert as_documents([{"doc_id": "a", "text": "x", "title": missing}])[0].title == ""
        with pytest.raises(InputError, match=r"^documents\[0\]: text is .*; pass a string, or leave the row out"):
            as_documents([{"doc_id": "a", "text": missing}])
        with pytest.raises(InputError, match=r"^judgments\[0\]: query is .*; pass a string, or leave the row out"):
            as_judgments([(missing, "chain", 1)], IDS)


@pytest.mark.parametrize(
    "judgments",
    [
        lambda: ROWS,
        lambda: zip(*zip(*ROWS, strict=True), strict=True),
        lambda: (list(row) for row in ROWS),
        lambda: ({"query": query, "doc_id": doc_id, "relevance": grade} for query, doc_id, grade in ROWS),
        lambda: frame(ROWS, columns=["query", "doc_id", "grade"]),
        lambda: frame(ROWS, columns=["query", "doc_id", "grade"]).itertuples(),
        lambda: frame(ROWS, columns=["query", "doc_id", "grade"]).itertuples(index=False, name=None),
        lambda: frame(ROWS).to_numpy(),
        lambda: as_judgments(ROWS, IDS)[0],
    ],
)
def test_every_form_of_judgments_gives_the_same_rows(judgments: Any) -> None:
    expected = [JudgedDocument(f"q{number}", *row) for number, row in enumerate(ROWS)]
    assert as_judgments(judgments(), IDS)[0] == expected


@pytest.mark.parametrize("grade", [2, 2.0, np.int64(2), np.uint8(2), np.float32(2), Decimal("2"), Fraction(2)])
def test_a_whole_number_of_any_type_is_a_grade(grade: Any) -> None:
    ((row,), _) = as_judgments([("oil", "chain", grade)], IDS)
    assert (row.relevance, type(row.relevance)) == (2, int)


@pytest.mark.parametrize(
    "grade", [0.5, NAN, float("inf"), 1e30, 10**30, Decimal("1e9999"), None, "1", "good", True, np.True_, 1j, [1], b"1"]
)
def test_other_values_are_no_grades(grade: Any) -> None:
    for read in (lambda rows: as_judgments(rows, IDS), as_qrels):
        with pytest.raises(InputError, match=r"^(judgments|qrels)\[0\]: grade .* is not an integer of at most 1000000"):
            read([("oil", "chain", grade)])
    assert as_judgments([("oil", "chain", MAX_GRADE)], IDS)[0][0].relevance == MAX_GRADE


def test_what_is_not_used_is_counted_and_said_in_the_words_of_the_pipeline() -> None:
    rows = [(f"query {number}", "chain", 1) for number in range(8)]
    with pytest.warns(DataWarning) as said:
        kept, quality = as_judgments([*rows, rows[0], ("one", "Chain.txt", 1), ("two", "brake", -2)], IDS)
    assert [row.query_id for row in kept] == [f"q{number}" for number in range(9)]
    assert kept[-1].relevance == 0
    assert {flaw: (issue.count, issue.examples) for flaw, issue in quality.items()} == {
        "judgments of unknown queries": (0, ()),
        "judgments of unknown documents": (
            1,
            (
                "judgments[9]: no document has the id 'Chain.txt' "
                "(the document 'chain' differs only in letter case and file extension)",
            ),
        ),
        "repeated judgments": (1, ("judgments[8]",)),
        "negative grades": (1, ("judgments[10]",)),
    }
    assert [str(one.message).split(";")[0] for one in said] == [
        "judgments of unknown documents: 1 left out",
        "repeated judgments: 1 left out",
        "negative grades: 1 read as 0",
    ]


@pytest.mark.parametrize("unknown", [0, 1, 2, 3, 10])
def test_more_than_a_fifth_of_unusable_judgments_stop(unknown: int) -> None:
    rows = [(f"query {number}", "nowhere" if number < unknown else "chain", 1) for number in range(10)]
    if unknown <= 2:
        assert len(as_judgments(rows, IDS)[0]) == 10 - unknown
        return
    message = (
        r"^judgments\[0\]: no document has the id 'nowhere'; judgments\[1\]: .*; judgments\[2\]: .*; "
        rf"{unknown} of 10 judgments cannot be used, more than a fifth; correct their ids or remove them$"
    )
    with pytest.raises(InputError, match=message):
        as_judgments(rows, IDS)


@pytest.mark.parametrize(
    ("judgments", "message"),
    [
        ({"q1": {"chain": 1}}, "judgments: a mapping instead of a list; pass a list of rows, e.g. [(queries[q], d, gr"),
        ([Judgment("q1", "chain", 1)], "judgments[0]: the id of a query instead of its text"),
        ([{"query_id": "q1", "doc_id": "chain", "grade": 1}], "judgments[0]: the id of a query instead of its text"),
        ([("oil", NAN, 1)], "judgments[0]: doc_id is nan"),
        ([(7, "chain", 1)], "judgments[0]: query is 7; pass a string"),
        ([("oil", "chain")], "judgments[0]: ('oil', 'chain') is invalid; pass (query, doc_id, grade)"),
        ([{"oil", "chain", 1}], "judgments[0]: {"),
        ([None], "judgments[0]: None is invalid"),
        ({("oil", "chain", 1)}, "judgments: a set has no order"),
        ("oil", "judgments: a single string instead of a list"),
        (
            [("oil", "chain", 1), ("Oil?", "chain", 0)],
            "judgments[0] and judgments[1]: query 'oil' and document 'chain'",
        ),
    ],
)
def test_what_is_no_judgment_is_refused_with_its_place(judgments: Any, message: str) -> None:
    with pytest.raises(InputError) as refused:
        as_judgments(judgments, IDS)
    assert str(refused.value).startswith(message)


def test_ids_of_any_whole_number_are_equal() -> None:
    documents = as_documents([{"doc_id": 995, "text": "x"}])
    for given_id in ("995", 995, 995.0, np.int64(995), Decimal(995)):
        assert as_judgments([("q", given_id, 1)], [documents[0].doc_id])[0][0].doc_id == "995"
        assert as_ids(iter([given_id]), "candidates") == ["995"]


def test_candidates_and_translations_are_read_once_by_query() -> None:
    rows, _ = as_judgments(ROWS, IDS, {"OIL": "Öl"})
    assert rows[0].translation == "Öl"
    candidates = {query: iter([doc_id, "tube"]) for query, doc_id, _ in ROWS}
    assert as_candidates(candidates, rows, IDS) == {"q0": ["chain", "tube"], "q1": ["brake", "tube"], "q2": ["tube"]}
    for given_values, message in [
        ({"oil": ["chain"], "Oil": ["tube"]}, "candidates: 'oil' and 'Oil' are the same query; keep one"),
        ([("oil", ["chain"])], "candidates: list instead of a mapping; pass a mapping by query"),
        ({"oil": ["Chain"]}, "candidates of 'oil': no document has the id 'Chain' .the document 'chain' differs only"),
        ({"oil": ["chain", None]}, r"candidates\['oil'\]\[1\] is None"),
        ({NAN: ["chain"]}, "candidates: the query is nan"),
    ]:
        with pytest.raises(InputError, match=f"^{message}"):
            as_candidates(given_values, rows, IDS)
    with pytest.raises(InputError, match=r"^translations\['oil'\] is nan"):
        as_judgments(ROWS, IDS, {"oil": NAN})


def test_questions_and_answers_may_be_a_mapping_or_a_data_frame() -> None:
    pairs = as_pairs([("who?", "me"), ("what?", ["this", "that"])])
    assert as_pairs({"who?": "me", "what?": ["this", "that"]}) == pairs
    assert as_pairs(zip(("who?", "what?"), ("me", ("this", "that")), strict=True)) == pairs
    assert as_pairs(frame({"question": ["who?"], "answer": ["me"]})) == pairs[:1]
    with pytest.raises(InputError, match=r"^judgments\[0\]: the answer nan is invalid; pass a string or a list"):
        as_pairs([("who?", NAN)])
    with pytest.raises(InputError, match=r"^judgments\[0\]: the answer is nan; pass a string"):
        as_pairs([("who?", [NAN])])


def test_queries_are_texts_pairs_or_a_mapping() -> None:
    assert as_queries(["a", ("q2", "b"), (3, "c")]) == [("", "a"), ("q2", "b"), ("3", "c")]
    assert as_queries({"q1": "a"}) == [("q1", "a")]
    for queries, message in [
        ("abc", "queries: a single string instead of a list"),
        (["a", None], r"queries\[1\]: text is None"),
        ([("q1", "a"), ("q1", "b")], "queries: the id 'q1' occurs twice"),
        ([" "], r"queries\[0\]: the query is empty"),
        ([("q1", "a", "b")], r"queries\[0\]: \('q1', 'a', 'b'\) is invalid; pass \(id, text\)"),
    ]:
        with pytest.raises(InputError, match=f"^{message}"):
            as_queries(queries)


def test_qrels_may_be_rows_a_mapping_or_a_data_frame() -> None:
    rows = [Judgment("q1", "a", 1), Judgment("q1", "b", 0), Judgment("7", "a", 2)]
    assert as_qrels(rows) == as_qrels(iter(rows)) == as_qrels(map(tuple, rows)) == rows
    assert as_qrels({"q1": {"a": 1, "b": 0.0}, 7: {"a": np.int8(2)}}) == rows
    assert as_qrels([("q1", "a", -1)]) == [Judgment("q1", "a", -1)]
    assert as_qrels(frame(rows)) == as_qrels(frame(rows).itertuples()) == rows
    with pytest.raises(InputError, match=r"^qrels\[1\]: an earlier row has another grade for 'q1' and 'a'"):
        as_qrels([("q1", "a", 1), ("q1", "a", 2)])
    with pytest.raises(InputError, match=r"^qrels\['q1'\]: 'a' is invalid; pass a mapping doc_id → grade"):
        as_qrels({"q1": "a"})


def test_a_member_of_an_enumeration_is_its_text() -> None:
    from enum import Enum

    text = Enum("text", {"one": "first text"}, type=str)  # type: ignore[misc]
    assert as_documents([text.one]) == [Document("0", "", "first text")]
    assert type(as_documents([np.str_("x")])[0].text) is str


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.fractions(),
    st.complex_numbers(),
    st.text(st.characters(), max_size=5),
    st.binary(max_size=3),
    st.sampled_from(["chain", "doc_id", "text", "title", "query", "grade", "oil", 1, np.nan, np.int64(3), np.True_]),
    st.just(sys),
)
keys = st.one_of(
    st.none(), st.integers(), st.floats(), st.text(max_size=3), st.sampled_from(["doc_id", "text", "query"])
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.lists(inner, max_size=4).map(iter),
        st.dictionaries(keys, inner, max_size=4),
        st.fixed_dictionaries({"doc_id": inner, "text": inner}, optional={"title": inner}),
        st.fixed_dictionaries({"query": inner, "doc_id": inner, "grade": inner}),
        st.tuples(inner, st.just("chain"), inner),
        st.lists(leaves, max_size=3).map(lambda row: np.array(row, dtype=object)),
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=300)
@given(values)
@pytest.mark.filterwarnings("ignore::zero2ir.errors.DataWarning")
def test_any_value_gives_valid_records_or_one_line_of_error(value: Any) -> None:
    def taken(read: Any) -> Any:
        try:
            return read()
        except InputError as error:
            return pytest.fail(str(error)) if "\n" in str(error) else None

    documents = taken(lambda: as_documents(value)) or []
    assert all(isinstance(text, str) and text.encode() is not None for document in documents for text in document)
    assert len({document.doc_id for document in documents}) == len(documents)
    rows, _ = taken(lambda: as_judgments(value, IDS)) or ([], {})
    assert all(row.doc_id in IDS and row.query.strip() and 0 <= row.relevance <= MAX_GRADE for row in rows)
    for row in taken(lambda: as_qrels(value)) or []:
        assert type(row.query_id) is type(row.doc_id) is str
        assert type(row.relevance) is int
    for pair in taken(lambda: as_pairs(value)) or []:
        assert pair.text.strip()
        assert all(map(str.strip, pair.answers))
    judged = [JudgedDocument("q0", "oil", "chain", 1)]
    assert set((taken(lambda: as_candidates(value, judged, IDS)) or {"q0": []})["q0"]) <= set(IDS)
    for read in (as_texts, as_ids):
        assert all(type(one) is str for one in taken(lambda read=read: read(value, "values")) or [])
    taken(lambda: as_queries(value))
