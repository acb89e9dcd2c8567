"""2,000 malformed inputs: each is refused in one line, or read without losing anything silently.

Hypothesis makes them with a fixed seed: folders of documents in all forms, other files, overrides and values of Python.
Nothing may end in a traceback or hang.
"""

import csv
import gzip
import io
import json
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import zero2ir
from zero2ir.config import LibraryConfig, build, compose
from zero2ir.data.inputs import as_candidates, as_ids, as_judgments, as_pairs, as_qrels, as_queries, as_texts
from zero2ir.data.judgments import normalised, read_judgments
from zero2ir.data.local import read_checked
from zero2ir.errors import DataWarning, InputError
from zero2ir.evaluation.measures import read_trec_run
from zero2ir.evaluation.results import read_results
from zero2ir.experiments.reproduction import read_reproduction
from zero2ir.labelling.annotations import Annotations, read_imported
from zero2ir.labelling.candidates import read_candidate_queries
from zero2ir.online.monitoring.searches import read_searches
from zero2ir.program.program import Program

SECONDS = 20  # an input that takes longer hangs
LONGEST_MESSAGE = 2000  # characters
NUMBERS = {"folders": 700, "files": 400, "overrides": 300, "arguments": 600}
FEW = 15


def inputs(number: int) -> Callable[[Any], Any]:
    """The same inputs every time; without the phase that makes a failing input smaller, each input runs once."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
    return settings(
        max_examples=number,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=checks,
    )


def test_there_are_2000_inputs() -> None:
    assert sum(NUMBERS.values()) == 2000


class Outcome(NamedTuple):
    """A result, or the message of a refusal; and the warnings."""

    value: Any
    refusal: str
    warned: list[str]


def outcome(run: Callable[[], Any]) -> Outcome:
    """Runs within the time limit; only an InputError of one readable line may be raised."""
    with warnings.catch_warnings(record=True) as caught, time_limit():
        warnings.simplefilter("always", DataWarning)
        value, refusal = None, ""
        try:
            value = run()
        except InputError as error:
            refusal = str(error) or "\n"
    warned = [str(one.message) for one in caught if issubclass(one.category, DataWarning)]
    for line in filter(None, [refusal, *warned]):
        require(line.isprintable(), f"unprintable: {line!r}")
        require(len(line) <= LONGEST_MESSAGE, f"{len(line)} characters: {line}")
    return Outcome(value, refusal, warned)


def require(condition: object, message: str) -> None:
    """As ``assert``, but without pages of pytest's explanations."""
    __tracebackhide__ = True
    if not condition:
        pytest.fail(message[:500], pytrace=False)


@contextmanager
def time_limit() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TimeoutError(f"more than {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# files

DOCUMENTS = [
    {"doc_id": f"d{n}", "title": f"Title {n}", "text": f"The text of document number {n} is about {word}."}
    for n, word in enumerate(["chains", "tyres", "brakes", "saddles", "lamps", "locks"])
]
QUERIES = [
    {"query_id": f"q{n}", "text": f"what is about {word}"} for n, word in enumerate(["chains", "tyres", "locks"])
]
JUDGMENTS = [{"query_id": f"q{n}", "doc_id": doc_id, "grade": 1} for n, doc_id in enumerate(["d0", "d1", "d5"])]

DOC_IDS = [row["doc_id"] for row in DOCUMENTS]

Rows = Sequence[Mapping[str, Any]]


def as_jsonl(rows: Rows) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_json(rows: Rows) -> bytes:
    return json.dumps(list(rows)).encode()


def as_table(rows: Rows, delimiter: str, header: bool = True) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_trec(rows: Rows) -> bytes:
    return "".join(f"{row['query_id']} 0 {row['doc_id']} {row['grade']}\n" for row in rows).encode()


def renamed(rows: Rows, **names: str) -> Rows:
    return [{names.get(key, key): value for key, value in row.items()} for row in rows]


FORMS: dict[str, dict[str, bytes]] = {
    "jsonl": {
        "docs.jsonl": as_jsonl(DOCUMENTS),
        "queries.jsonl": as_jsonl(QUERIES),
        "qrels.trec": as_trec(JUDGMENTS),
    },
    "tsv": {
        "docs.tsv": as_table(DOCUMENTS, "\t"),
        "queries.tsv": as_table(QUERIES, "\t", header=False),
        "qrels.tsv": as_table(JUDGMENTS, "\t"),
    },
    "csv": {
        "docs.csv": as_table(DOCUMENTS, ","),
        "queries.csv": as_table(QUERIES, ";"),
        "qrels.csv": as_table(JUDGMENTS, ","),
    },
    "json": {
        "docs.json": as_json(DOCUMENTS),
        "queries.json": json.dumps({row["query_id"]: row["text"] for row in QUERIES}).encode(),
        "qrels.json": json.dumps({row["query_id"]: {row["doc_id"]: row["grade"]} for row in JUDGMENTS}).encode(),
    },
    "beir": {
        "corpus.jsonl": as_jsonl(renamed(DOCUMENTS, doc_id="_id")),
        "queries.jsonl": as_jsonl(renamed(QUERIES, query_id="_id")),
        "qrels/test.tsv": as_table(renamed(JUDGMENTS, query_id="query-id", doc_id="corpus-id", grade="score"), "\t"),
    },
    "gzip": {
        "docs.jsonl.gz": gzip.compress(as_jsonl(DOCUMENTS), mtime=0),
        "queries.tsv": as_table(QUERIES, "\t"),
        "qrels.trec": as_trec(JUDGMENTS),
    },
    "texts": {
        "one.txt": b"The text of one.\n",
        "two.md": b"# Two\n\nIts text.\n",
        "below/three.rst": b"Three\n=====\n",
        "queries.jsonl": as_jsonl(QUERIES[:1]),
        "qrels.tsv": b"q0\tone.txt\t1\nq0\ttwo.md\t0\n",
    },
}

TOKENS = [
    *(b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfeq\x00", b"\x1b[31m", b"\x7f", b"\x1f\x8b"),
    *(b'"', b"'", b"{", b"}", b"[", b"]", b",", b";", b":", b"\\", b"\t", b"\n", b"\r", b"\r\n", b" ", b"#", b"="),
    *(
        b"NaN",
        b"Infinity",
        b"-1",
        b"1e999",
        b"0x1",
        b"1.5",
        b"null",
        b"true",
        b'""',
        b"{}",
        b"[]",
        b"\\ud800",
        b"\\u0000",
    ),
    *(
        "\u2028".encode(),
        "\u0085".encode(),
        "\u00a0".encode(),
        "\u200b".encode(),
        "\u202e".encode(),
        "é".encode("latin-1"),
    ),
    *(b"9" * 5000, b"[" * 3000, b'{"a":' * 3000, b"x" * 20000, b"\n\n\n", b"query-id\tcorpus-id\tscore\n"),
    *(b'{"doc_id": 7, "text": []}\n', b"q9 0 d0 1\n", b"q0 0 d9 1\n", b"q0\td0\t0\n", b"doc_id,title,text\n"),
]


@st.composite
def mutated(draw: st.DrawFn, content: bytes) -> bytes:
    """A file's bytes after one to three changes."""
    for _ in range(draw(st.integers(1, 3))):
        lines = content.splitlines(keepends=True) or [b""]
        place, line = draw(st.integers(0, len(content))), draw(st.integers(0, len(lines) - 1))
        match draw(
            st.sampled_from(["insert", "delete", "cut", "replace", "drop", "repeat", "swap", "random", "cells"])
        ):
            case "insert":
                content = content[:place] + draw(st.sampled_from(TOKENS)) + content[place:]
            case "delete":
                content = content[:place] + content[place + draw(st.integers(1, 12)) :]
            case "cut":
                content = content[:place]
            case "replace":
                token = draw(st.sampled_from(TOKENS))
                content = content[:place] + token + content[place + len(token) :]
            case "drop":
                content = b"".join([*lines[:line], *lines[line + 1 :]])
            case "repeat":
                content = b"".join([*lines[: line + 1], lines[line], *lines[line + 1 :]])
            case "swap":
                content = b"".join([*lines[line:], *lines[:line]])
            case "random":
                content = b"".join([*lines[:line], draw(st.binary(max_size=30)), b"\n", *lines[line:]])
            case "cells":
                for delimiter in (b"\t", b" ", b","):
                    if delimiter in lines[line]:
                        lines[line] = delimiter.join(draw(st.permutations(lines[line].split(delimiter))))
                        break
                content = b"".join(lines)
    return content


class Folder(NamedTuple):
    """Files by path; None for a folder in the place of a file."""

    form: str
    files: Mapping[str, bytes | None]


@st.composite
def folders(draw: st.DrawFn) -> Folder:
    form = draw(st.sampled_from(sorted(FORMS)))
    files: dict[str, bytes | None] = dict(FORMS[form])
    name = draw(st.sampled_from(sorted(files)))
    content = files[name]
    assert content is not None
    match draw(st.integers(0, 19)):
        case 0:
            del files[name]
        case 1:
            files[name] = None
        case 2:
            files[name] = b""
        case 3:
            del files[name]
            files[draw(st.sampled_from(["docs.jsonl", "doc.jsonl", "queries.csv", "qrels.trec", "qrel.tsv", "x"]))] = (
                content
            )
        case 4:
            files[draw(st.sampled_from(["docs.tsv", "queries.jsonl", "qrels.tsv", "qrels.dev.tsv"]))] = draw(
                mutated(content)
            )
        case _:
            for one in {name, draw(st.sampled_from(sorted(files)))}:
                files[one] = draw(mutated(FORMS[form][one]))
    return Folder(form, files)


def check_folder(case: Folder) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "given"
        folder.mkdir()
        for name, content in case.files.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            if content is None:
                path.mkdir()
            else:
                path.write_bytes(content)
        value, refusal, warned = outcome(lambda: read_checked(folder))
    if refusal or warned:
        return
    collection, quality, raw = value
    assert collection.documents, "no documents"
    read = {"docs": collection.documents, "corpus": collection.documents, "queries": collection.queries}
    read["qrels"] = collection.judgments
    silent = not any(issue.count for issue in quality.values()) and not any(raw.notes.values())
    for name, content in case.files.items() if silent else ():
        rows = read.get(name.partition(".")[0].partition("/")[0])
        number = lines_in(name, content or b"")
        if case.form == "texts" or rows is None or number is None:
            continue
        assert len(rows) == number, f"{name}: {len(rows)} of {number} lines are read, and nothing is said"


def lines_in(name: str, content: bytes) -> int | None:
    """The number of records of a file that has one on each line; None if it cannot be told."""
    if (b'"' in content and not name.endswith(".jsonl")) or not name.endswith((".jsonl", ".tsv", ".trec")):
        return None
    lines = [line for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
    heads = (b"doc_id\t", b"query_id\t", b"query-id\t", b"corpus-id\t", b"title\t", b"text\t", b"score\t", b"grade\t")
    return len(lines) - bool(lines and lines[0].startswith(heads))


@pytest.mark.slow
@inputs(NUMBERS["folders"])
@given(folders())
def test_malformed_folders(case: Folder) -> None:
    check_folder(case)


@inputs(FEW)
@given(folders())
def test_some_malformed_folders(case: Folder) -> None:
    check_folder(case)


RUN = "".join(f"q{n} Q0 d{m} {m + 1} {1 / (m + 1):.3f} tag\n" for n in range(2) for m in range(3)).encode()
SEARCHES = as_jsonl([{"query": f"query {n}", "timestamp": n, "seconds": 0.1, "fallback": False} for n in range(4)])
ANSWERS = as_jsonl(
    [
        {"query_id": "q0", "query": "chains", "doc_id": f"d{n}", "grade": n % 2, "annotator": "me", "time": 0.0}
        for n in range(3)
    ]
)
JUDGED = as_jsonl([{"query_id": "q0", "query": "chains", "doc_id": f"d{n}", "relevance": 1} for n in range(3)])
METRICS = json.dumps({"nDCG@10": {"mean": 0.5, "ci_low": 0.4, "ci_high": 0.6, "n": 3}, "confidence": {}, "cost": {}})
TABLES = b"""tables:
  results:
    command: zero2ir experiment paper
    columns: [{head: System}, {head: Cranfield, figure: nDCG@10}]
    rows: [[sparse, "0.373"], [dense, "0.384"]]
"""


def read_of(read: Callable[[Path], Any]) -> Callable[[Path], Any]:
    return lambda path: read(path.parent)


FILES: dict[str, tuple[str, bytes, Callable[[Path], Any]]] = {
    "searches": ("searches.jsonl", SEARCHES, read_searches),
    "queries of searches": ("searches.txt", b"one\ntwo words\n", read_searches),
    "query log": ("queries.jsonl", as_jsonl(QUERIES), read_candidate_queries),
    "query lines": ("queries.txt", b"one\ntwo words\n", read_candidate_queries),
    "query table": ("queries.csv", as_table(QUERIES, ","), read_candidate_queries),
    "annotations": ("annotations.jsonl", ANSWERS, lambda path: Annotations(path).rows),
    "imported": ("judgments.jsonl", JUDGED, lambda path: read_imported(path, {"q0": "chains"}, DOC_IDS)),
    "imported qrels": (
        "qrels.trec",
        as_trec(JUDGMENTS),
        lambda path: read_imported(path, {"q0": "a", "q1": "b", "q2": "c"}, DOC_IDS),
    ),
    "run": ("run.trec", RUN, read_trec_run),
    "judgments of the pipeline": ("seed0.jsonl", JUDGED, read_judgments),
    "results": ("metrics.json", METRICS.encode(), read_of(read_results)),
    "reproduction": ("reproduction.yaml", TABLES, read_reproduction),
    "program": ("program.json", json.dumps({"format": 6, "files": {}, "digest": ""}).encode(), read_of(zero2ir.load)),
}


@st.composite
def files(draw: st.DrawFn) -> tuple[str, bytes | None]:
    """A kind of file and its bytes; None for a folder in its place."""
    kind = draw(st.sampled_from(sorted(FILES)))
    return kind, draw(st.one_of(*[mutated(FILES[kind][1])] * 9, st.sampled_from([None, b""])))


def check_file(case: tuple[str, bytes | None]) -> None:
    kind, content = case
    name, _, read = FILES[kind]
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / name
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)
        outcome(lambda: read(path))
        if content is not None:
            assert path.read_bytes() == content, "the file was changed"


@pytest.mark.slow
@inputs(NUMBERS["files"])
@given(files())
def test_malformed_files(case: tuple[str, bytes | None]) -> None:
    check_file(case)


@inputs(FEW)
@given(files())
def test_some_malformed_files(case: tuple[str, bytes | None]) -> None:
    check_file(case)


# overrides

KEYS = [
    "tuning.folds",
    "tuning.measure",
    "tuning.negatives_from",
    "pretraining.static.dimension",
    "seed",
    "lm",
    "model",
]
KEYS += ["lm.name", "lm.temperature", "task.measures", "task.leave_out_own_documents", "evaluation.depth", "strategy"]
KEYS += [
    "answering.risk",
    "model.k1",
    "encoder",
    "pretraining",
    "tuning",
    "hydra.run.dir",
    "nothing.like.it",
    "",
    "tuning.",
]
VALUES = [
    "3",
    "-1",
    "0",
    "1e999",
    "nan",
    "inf",
    "null",
    "~",
    "true",
    "[1,2]",
    "[5,50]",
    "{a:1}",
    "{}",
    "[]",
    "",
    " ",
    "''",
]
VALUES += [
    "${seed}",
    "${oc.env:HOME}",
    "${now:%Y}",
    "$(id)",
    "???",
    "a=b",
    "a,b",
    "range(3)",
    "glob(*)",
    "é",
    "\x00",
    "\n",
]
VALUES += [
    "sparse",
    "none",
    "../../etc/passwd",
    "x" * 3000,
    "[" * 500,
    "nDCG@10",
    "!!python/object:os.system",
    "*a",
    "&a 1",
]
LETTERS = st.text("ab.=[]{}(),:'\"\\$@!~+-#% \t\n\x00é\u2028/0159", max_size=12)


@st.composite
def overrides(draw: st.DrawFn) -> str:
    key = draw(st.one_of(st.sampled_from(KEYS), st.sampled_from(KEYS), LETTERS))
    value = draw(st.one_of(st.sampled_from(VALUES), st.sampled_from(VALUES), LETTERS))
    sign = draw(st.sampled_from(["", "", "", "", "+", "++", "~", "-"]))
    return draw(
        st.sampled_from([f"{sign}{key}={value}"] * 6 + [f"{sign}{key}", value, f"{key}:{value}", f"{key}@x={value}"])
    )


def check_override(word: str) -> None:
    choices = ["task=ranking", "model=sparse", "strategy=zero_shot", "encoder=static", "lm=none"]

    def composed() -> LibraryConfig:
        config = compose("library", LibraryConfig, [*choices, word])
        build(config.model, "model")
        return config

    value, refusal, _ = outcome(composed)
    key, equals, given_value = word.lstrip("+~").partition("=")
    if refusal or word.startswith("~"):
        return
    assert equals, f"{word!r} is taken without a value"
    found: Any = value.model_dump()
    for part in key.strip().partition("@")[0].split("."):
        assert isinstance(found, Mapping), f"{word!r} is taken, but {key!r} is no key"
        assert part in found, f"{word!r} is taken, but {key!r} is no key"
        found = found[part]
    if isinstance(found, int | float) and not isinstance(found, bool) and given_value.strip("'\" "):
        assert float(given_value.strip("'\" ")) == found, f"{word!r} became {found!r}"


@pytest.mark.slow
@inputs(NUMBERS["overrides"])
@given(overrides())
def test_malformed_overrides(word: str) -> None:
    check_override(word)


@inputs(FEW)
@given(overrides())
def test_some_malformed_overrides(word: str) -> None:
    check_override(word)


# values of Python

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


@st.composite
def instead(draw: st.DrawFn, value: Any) -> Any:
    """A value, or the same with one odd part."""
    if isinstance(value, list | tuple) and value and draw(st.integers(0, 4)):
        place = draw(st.integers(0, len(value) - 1))
        parts = [*value[:place], draw(instead(value[place])), *value[place + 1 :]]
        return type(value)(parts)
    if isinstance(value, dict) and value and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(list(value)))
        changed = draw(instead(value[key]))
        return draw(st.sampled_from([{**value, key: changed}, {k: v for k, v in value.items() if k != key}]))
    return draw(ODD)


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
    return Call(name, arguments | {odd: draw(instead(arguments[odd]))})


def check_call(call: Call) -> None:
    value, refusal, warned = outcome(lambda: called(call))
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


@pytest.mark.slow
@inputs(NUMBERS["arguments"])
@given(calls())
def test_malformed_arguments(call: Call) -> None:
    check_call(call)


@inputs(FEW)
@given(calls())
def test_some_malformed_arguments(call: Call) -> None:
    check_call(call)
