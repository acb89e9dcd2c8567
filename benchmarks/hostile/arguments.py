"""Hostile values of Python: what people pass instead of documents, judgments, queries and settings."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from hypothesis import strategies as st

import zero2ir
from benchmarks.hostile.changes import changed
from benchmarks.hostile.contract import Kind, reply
from benchmarks.hostile.readers import DOC_IDS, DOCUMENTS, JUDGMENTS, QUERIES
from zero2ir.data.inputs import as_candidates, as_ids, as_judgments, as_pairs, as_qrels, as_queries, as_texts
from zero2ir.data.judgments import normalised
from zero2ir.program.program import Program

TEXTS = st.one_of(st.sampled_from(["chains", "", " ", "\ud800", "\x00", "é", "x" * 3000, "nan"]), st.text(max_size=8))
SCALARS = st.one_of(
    st.sampled_from(
        [None, True, False, 0, 1, -1, 10**400, 1.5, float("nan"), float("inf"), b"d0", 1j, object(), Path("d0")]
    ),
    st.sampled_from(
        [np.int64(1), np.float32("nan"), np.str_("d0"), np.datetime64("NaT"), pd.NA, pd.NaT, pd.Timestamp(0)]
    ),
    TEXTS,
)
ODD = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3).map(lambda rows: np.array([str(row)[:5] for row in rows])),
        st.lists(TEXTS, max_size=3).map(lambda rows: pd.DataFrame({"text": pd.Series(rows, dtype=object)})),
        st.lists(TEXTS, max_size=3).map(lambda rows: iter(rows)),
        st.dictionaries(
            st.sampled_from(["doc_id", "text", "title", "query", "grade", "relevance", "x"]), inner, max_size=4
        ),
    ),
    max_leaves=5,
)

GIVEN_DOCUMENTS = [{key: row[key] for key in ("doc_id", "text")} for row in DOCUMENTS]
GIVEN_JUDGMENTS = [(query["text"], row["doc_id"], row["grade"]) for query, row in zip(QUERIES, JUDGMENTS, strict=True)]
TEXTS_OF_QUERIES = [row["text"] for row in QUERIES]


class Call(NamedTuple):
    """What is called, and with which arguments."""

    name: str
    arguments: Mapping[str, Any]


CALLS: dict[str, dict[str, Any]] = {
    "train": {
        "documents": GIVEN_DOCUMENTS,
        "judgments": GIVEN_JUDGMENTS,
        "unlabelled_queries": ["lamps that flicker"],
        "candidates": {text: ["d0", "d1", "d5"] for text in TEXTS_OF_QUERIES},
        "translations": {TEXTS_OF_QUERIES[0]: "was über ketten ist"},
        "query_ids": {text: f"q{n}" for n, text in enumerate(TEXTS_OF_QUERIES)},
        "auxiliary_collections": [(GIVEN_DOCUMENTS[:2], GIVEN_JUDGMENTS[:1])],
        "settings": ["tuning.folds=2"],
        "fallback": [],
        "seed": 0,
        "risk": None,
    },
    "search": {"query": "chains", "k": 2, "candidates": ["d0", "d1"], "query_id": "q0", "deadline": 1.0},
    "rank": {"query": "chains", "documents": ["a chain", "a tyre"], "k": 2},
    "search many": {"queries": ["chains", "tyres"], "k": 2, "query_ids": ["q0", None]},
    "add": {"documents": [{"doc_id": "new", "text": "a new document"}]},
    "judgments": {"judgments": GIVEN_JUDGMENTS, "doc_ids": DOC_IDS},
    "pairs": {"pairs": [("what is it", "a chain"), ("and that", ["a tyre", "a tube"])]},
    "queries": {"queries": [("q0", "chains"), ("q1", "tyres"), "locks"]},
    "qrels": {"qrels": [("q0", "d0", 1), ("q0", "d1", 0)]},
    "texts": {"texts": ["a", "b"], "name": "texts"},
    "ids": {"ids": ["a", 1], "name": "ids"},
}
NOT_ODD = {"judgments": ["doc_ids"], "texts": ["name"], "ids": ["name"]}


@cache
def program() -> Program:
    return zero2ir.train(GIVEN_DOCUMENTS, GIVEN_JUDGMENTS, model="sparse", strategy="zero_shot")


def called(call: Call) -> Any:
    match call.name:
        case "train":
            return zero2ir.train(**{"model": "sparse", "strategy": "zero_shot"}, **call.arguments)
        case "search" | "rank":
            return program()(**call.arguments)
        case "search many":
            return program().search(**call.arguments)
        case "add":
            changed = program().with_documents((), ())
            changed.add(**call.arguments)
            return changed
    by_name: dict[str, Callable[..., Any]] = {
        "judgments": as_judgments,
        "pairs": as_pairs,
        "queries": as_queries,
        "qrels": as_qrels,
        "texts": as_texts,
        "ids": as_ids,
        "candidates": as_candidates,
    }
    return by_name[call.name](**call.arguments)


@st.composite
def calls(draw: st.DrawFn) -> Call:
    name = draw(st.sampled_from(sorted(CALLS)))
    arguments = dict(CALLS[name])
    if name == "train":  # each takes others' place
        kept = draw(st.sampled_from(sorted(arguments)))
        arguments = {key: arguments[key] for key in dict.fromkeys(["documents", "judgments", kept])}
        odd = draw(st.sampled_from(["documents", "judgments", kept, kept]))
    else:
        odd = draw(st.sampled_from(sorted(set(arguments) - set(NOT_ODD.get(name, ())))))
    return Call(name, arguments | {odd: draw(changed(arguments[odd], ODD))})


def _check_call(call: Call) -> None:
    value, refusal, warned = reply(lambda: called(call))
    if refusal or warned:
        return
    match call.name:
        case "train" if isinstance(call.arguments["documents"], list | tuple):
            assert len(value.documents) == len(call.arguments["documents"])
        case "judgments" if isinstance(call.arguments["judgments"], list | tuple):
            rows, _ = value
            assert len(rows) == len(call.arguments["judgments"])
            texts = {normalised(str(row[0])) for row in call.arguments["judgments"] if isinstance(row, list | tuple)}
            assert all(normalised(row.query) in texts for row in rows) or not texts
        case "queries" | "qrels" | "texts" | "ids" | "pairs":
            (given_rows,) = [rows for key, rows in call.arguments.items() if key != "name"]
            if isinstance(given_rows, list | tuple):
                distinct = len({normalised(question) for question, _ in given_rows}) if call.name == "pairs" else None
                assert len(value) == (distinct or len(given_rows))
        case "search":
            assert len(value.docids) <= call.arguments["k"]


ARGUMENTS = Kind(
    "values of Python",
    "A wrong argument of the library's functions is taken without losing anything silently, or refused in one line",
    calls(),
    lambda: nullcontext(_check_call),
    1000,
)
