"""Hostile files: folders of documents in all forms, tables, logs and the files between the stages of the pipeline."""

import csv
import gzip
import io
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from benchmarks.hostile.changes import altered, mutated
from benchmarks.hostile.contract import Kind, reply, require
from zero2ir.data.auxiliary import (
    AuxiliaryCollection,
    read_auxiliary_collections,
    read_ingested,
    write_auxiliary_collections,
)
from zero2ir.data.judgments import read_candidates, read_judgments, read_unlabelled_queries
from zero2ir.data.local import read_checked
from zero2ir.data.records import Collection, Document, JudgedDocument, Judgment, Query
from zero2ir.data.store import is_ordered, read_collection, stored_facts, stored_language, write_collection
from zero2ir.encoders.training import read_losses
from zero2ir.evaluation.measures import Run, read_trec_run
from zero2ir.evaluation.results import EvaluationSettings, SystemIdentity, read_results, write_results
from zero2ir.experiments.reproduction import read_reproduction
from zero2ir.experiments.reproduction_log import read_log
from zero2ir.experiments.stage_digests import read_stage_digests
from zero2ir.io.files import files_below
from zero2ir.labelling.annotations import Annotations, read_imported
from zero2ir.labelling.candidates import read_candidate_queries
from zero2ir.online.monitoring.report import read_checks
from zero2ir.online.monitoring.searches import read_searches
from zero2ir.synthetic.card import read_card
from zero2ir.synthetic.settings import SyntheticSettings
from zero2ir.synthetic.store import read_settings

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


def _check_folder(case: Folder) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "given")
        lay(case.files, folder)
        value, refusal, warned = reply(lambda: read_checked(folder))
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
    heads = tuple(
        f"{head}\t" for head in ("doc_id", "query_id", "query-id", "corpus-id", "title", "text", "score", "grade")
    )
    first = lines[0].decode(errors="replace").lstrip() if lines else ""  # also white space of Unicode
    return len(lines) - first.startswith(heads)


JUDGED = as_jsonl([{"query_id": "q0", "query": "chains", "doc_id": f"d{n}", "relevance": 1} for n in range(3)])
ANSWERS = as_jsonl(
    [
        {"query_id": "q0", "query": "chains", "doc_id": f"d{n}", "grade": n % 2, "annotator": "me", "time": 0.0}
        for n in range(3)
    ]
)
TABLES = b"""tables:
  results:
    command: zero2ir experiment paper
    columns: [{head: System}, {head: Cranfield, figure: nDCG@10}]
    rows: [[sparse, "0.373"], [dense, "0.384"]]
"""
MACHINE = {"system": "Linux", "processor": "any", "python": "3.11.7"}
COLLECTION = Collection(
    [Document(**row) for row in DOCUMENTS],
    [Query(row["query_id"], row["text"]) for row in QUERIES],
    [Judgment(row["query_id"], row["doc_id"], row["grade"]) for row in JUDGMENTS],
    {"name": "bicycles", "source": "elsewhere", "licence": "CC0-1.0", "language": "en"},
)

Files = Mapping[str, bytes]


class Reader(NamedTuple):
    """What reads a folder, and makes what it reads."""

    files: Callable[[], Files]
    read: Callable[[Path], Any]


def of_file(name: str, content: bytes, read: Callable[[Path], Any]) -> Reader:
    return Reader(lambda: {name: content}, lambda folder: read(folder / name))


def of_json(name: str, value: Any, read: Callable[[Path], Any]) -> Reader:
    return of_file(name, json.dumps(value).encode(), read)


def written(write: Callable[[Path], Any]) -> Callable[[], Files]:
    """The files of a folder, which is written once."""

    @cache
    def files() -> Files:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place, "written")
            write(folder)
            return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files_below(folder)}

    return files


def _write_results(folder: Path) -> None:
    ids = [query["query_id"] for query in QUERIES]
    write_results(
        folder,
        system=SystemIdentity(model="sparse", strategy="zero_shot", seed=0, dataset="bicycles"),
        run=Run(ids, [DOC_IDS] * 3, [[3.0, 2.0, 1.0, 0.5, 0.2, 0.1]] * 3),
        qrels=COLLECTION.judgments,
        confidence=dict.fromkeys(ids, 0.5),
        cost={"train_seconds": 1.0},
        settings=EvaluationSettings(resamples=100),
        seed=0,
    )


def _write_project(folder: Path) -> None:
    write_collection(COLLECTION, {}, folder / "collection")
    (folder / "judgments").mkdir()
    (folder / "judgments" / "seed0.jsonl").write_bytes(JUDGED)


OWN = Collection([Document("a", "", "own text")], [Query("q1", "own query")], [Judgment("q1", "a", 1)])
READERS: dict[str, Reader] = {
    "searches": of_file(
        "searches.jsonl",
        as_jsonl([{"query": f"query {n}", "timestamp": n, "seconds": 0.1, "fallback": False} for n in range(4)]),
        read_searches,
    ),
    "queries of searches": of_file("searches.txt", b"one\ntwo words\n", read_searches),
    "query log": of_file("queries.jsonl", as_jsonl(QUERIES), read_candidate_queries),
    "query lines": of_file("queries.txt", b"one\ntwo words\n", read_candidate_queries),
    "query table": of_file("queries.csv", as_table(QUERIES, ","), read_candidate_queries),
    "annotations": of_file("annotations.jsonl", ANSWERS, lambda path: Annotations(path).rows),
    "imported": of_file("judgments.jsonl", JUDGED, lambda path: read_imported(path, {"q0": "chains"}, DOC_IDS)),
    "imported qrels": of_file(
        "qrels.trec",
        as_trec(JUDGMENTS),
        lambda path: read_imported(path, {"q0": "a", "q1": "b", "q2": "c"}, DOC_IDS),
    ),
    "run": of_file(
        "run.trec.gz",
        gzip.compress(
            "".join(f"q{n} Q0 d{m} {m + 1} {1 / (m + 1):.3f} tag\n" for n in range(2) for m in range(3)).encode(),
            mtime=0,
        ),
        read_trec_run,
    ),
    "results": Reader(written(_write_results), read_results),
    "collection": Reader(
        written(lambda folder: write_collection(COLLECTION, {}, folder)),
        lambda folder: (read_collection(folder), stored_language(folder), stored_facts(folder), is_ordered(folder)),
    ),
    "other project": Reader(written(_write_project), lambda folder: read_ingested(folder, OWN)),
    "auxiliary collections": Reader(
        written(
            lambda folder: write_auxiliary_collections(
                [AuxiliaryCollection("other", COLLECTION.documents, [JudgedDocument("q0", "chains", "d0", 1)])], folder
            )
        ),
        read_auxiliary_collections,
    ),
    "judgments of the pipeline": of_file("seed0.jsonl", JUDGED, read_judgments),
    "unlabelled queries": of_json("unlabelled.json", ["chains", "lamps"], read_unlabelled_queries),
    "candidates": of_json("candidates.json", {"q0": ["d0", "d1"], "q1": ["d5"]}, read_candidates),
    "losses": of_file("losses.csv", b"step,loss,held_out_loss\n1,0.5,\n2,0.4,0.6\n", read_losses),
    "card of queries": of_json(
        "card.json",
        {
            "seed": 0,
            "sections": [
                {"title": "Filters", "caption": "Of 3.", "table": {"headers": ["a"], "rows": [["1"]], "labels": 0}}
            ],
        },
        lambda path: read_card(path.parent),
    ),
    "provenance of queries": of_json(
        "provenance.json",
        {"settings": SyntheticSettings().model_dump(mode="json"), "prompts": {}, "counts": {}},
        lambda path: read_settings(path.parent),
    ),
    "digests of stages": of_file(
        "stages.lock",
        b"python: 3.11.7\nprocessor: any\npanel: {dataset: pydocs}\nstages: {ingest: 0a1b, evaluate: 2c3d}\n",
        read_stage_digests,
    ),
    "reproduction": of_file("reproduction.yaml", TABLES, read_reproduction),
    "log of reproductions": of_file(
        "reproductions.jsonl",
        as_jsonl(
            [
                {"figure": "f", "expected": "0.373", "reproduced": "0.373", "agrees": True, "error": ""}
                | {"date": "2026-11-30T12:00:00Z", "revision": "abc", **MACHINE}
            ]
        ),
        read_log,
    ),
    "drift checks": of_file(
        "checks.jsonl",
        as_jsonl([{"searches": 9, "signals": [{"name": "words", "p_value": 0.5, "current": 1.5}]}] * 2),
        lambda path: read_checks(path.parent),
    ),
}


@st.composite
def folders_of_readers(draw: st.DrawFn) -> tuple[str, str, bytes | None]:
    """Draws a reader, one of its files, and other bytes for it; None for a folder in its place."""
    reader = draw(st.sampled_from(sorted(READERS)))
    files = READERS[reader].files()
    name = draw(st.sampled_from(sorted(files)))
    return reader, name, draw(st.one_of(*[altered(files[name])] * 9, st.sampled_from([None, b""])))


def _check_reader(case: tuple[str, str, bytes | None]) -> None:
    reader, altered, content = case
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "given")
        lay({**READERS[reader].files(), altered: content}, folder)
        reply(lambda: READERS[reader].read(folder))
        require(content is None or (folder / altered).read_bytes() == content, f"{altered} was changed")


def lay(files: Mapping[str, bytes | None], folder: Path) -> None:
    """Writes files, and folders for those that are None."""
    folder.mkdir()
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)


FOLDERS_OF_DOCUMENTS = Kind(
    "folders of documents",
    "A malformed folder of documents is read without losing anything silently, or refused in one line",
    folders(),
    lambda: nullcontext(_check_folder),
    1750,
)
FILES = Kind(
    "files",
    "A malformed table, log or file between stages is read without losing anything silently, or refused in one line",
    folders_of_readers(),
    lambda: nullcontext(_check_reader),
    1750,
)
