"""The file of answers: nothing that was answered is lost, whatever happens."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.judgments import read_judgments
from zero2ir.errors import DataWarning, InputError
from zero2ir.labelling.annotations import Annotation, Annotations, read_imported
from zero2ir.labelling.export import export_judgments

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
ids = st.sampled_from(["q1", "q2", "d1", "d/ü%20"])
answers = st.builds(Annotation, ids, texts, ids, st.none() | st.integers(0, 3), texts, st.booleans())
ONE = Annotation("q1", "a \u2028 query\r with\u0085 ends", "d1", 1, "me")

DOC_IDS = ["d1", "d2", "d3"]
Room = Callable[[int], AbstractContextManager[None]]


def annotation(number: int, grade: int | None = 1, repeat: bool = False) -> Annotation:
    return Annotation(f"q{number}", f"query {number}", f"d{number}", grade, "me", repeat)


@given(st.lists(answers | st.none()))
def test_answers_are_read_back(steps: list[Annotation | None]) -> None:
    with TemporaryDirectory() as folder:
        path, stands = Path(folder) / "a.jsonl", list[Annotation]()
        for step in steps:
            kept = Annotations(path)  # opened again before each step
            if step is not None:
                kept.add(step)
                stands.append(step)
            elif stands:
                assert kept.undo() == stands.pop()
            assert kept.rows == Annotations(path).rows == stands


@given(st.lists(answers, min_size=1, max_size=4), st.data())
def test_an_incomplete_last_line_is_dropped_and_reported(given: list[Annotation], data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        kept, sizes = Annotations(path), [0]
        for row in given:
            kept.add(row)
            sizes.append(path.stat().st_size)
        cut = data.draw(st.integers(0, sizes[-1]))
        path.write_bytes(path.read_bytes()[:cut])
        whole = sum(size <= cut + 1 for size in sizes) - 1  # a line is whole without its line end
        again = Annotations(path)
        assert again.rows == given[:whole]
        assert (again.notice is not None) == (cut not in sizes and cut + 1 not in sizes)
        again.add(ONE)
        assert Annotations(path).rows == [*given[:whole], ONE]
        assert Annotations(path).notice is None


def test_a_killed_process_keeps_all_acknowledged_answers(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from zero2ir.labelling.annotations import Annotation, Annotations
kept, number = Annotations(Path(sys.argv[1])), 0
while True:
    kept.add(Annotation(f"q{number}", "text " * 200, "d", number % 3, "me"))
    print(number, flush=True)
    number += 1
"""
    path = tmp_path / "a.jsonl"
    with subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(5):
            process.stdout.readline()
        time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        said = 4 + len(process.stdout.readlines())
    rows = Annotations(path).rows
    assert len(rows) in (said + 1, said + 2)  # the last one may have been written and not said
    assert [row.query_id for row in rows] == [f"q{number}" for number in range(len(rows))]


def test_an_answer_that_did_not_fit_can_be_given_again(tmp_path: Path, no_room: Room) -> None:
    path = tmp_path / "a.jsonl"
    kept = Annotations(path)
    kept.add(ONE)
    with no_room(path.stat().st_size + 20):
        for _ in range(2):
            with pytest.raises(InputError, match="cannot write"):
                kept.add(annotation(2))
    assert Annotations(path).rows == [ONE]
    kept.add(annotation(3))
    assert kept.rows == Annotations(path).rows == [ONE, annotation(3)]


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    first, second = Annotations(tmp_path / "a.jsonl"), Annotations(tmp_path / "a.jsonl")
    first.add(ONE)
    with pytest.raises(InputError, match="changed by another program"):
        second.add(ONE)
    assert Annotations(tmp_path / "a.jsonl").rows == [ONE]


def test_the_last_grade_counts_and_skips_do_not(tmp_path: Path) -> None:
    kept = Annotations(tmp_path / "a.jsonl")
    for row in (annotation(1, 2), annotation(2, None), annotation(1, 0, repeat=True), annotation(1, None)):
        kept.add(row)
    assert [(row.doc_id, row.relevance) for row in kept.judgments()] == [("d1", 0)]


def test_export_and_import(tmp_path: Path) -> None:
    kept = Annotations(tmp_path / "a.jsonl")
    for row in (annotation(1, 2), annotation(2, None), annotation(3, 0), ONE):
        kept.add(row)
    export_judgments(tmp_path, kept.judgments())
    assert (tmp_path / "qrels.trec").read_text() == "q1 0 d1 1\nq3 0 d3 0\n"
    queries = {row["query_id"]: row["text"] for row in map(json.loads, (tmp_path / "queries.jsonl").open())}
    wanted = kept.judgments()
    assert read_imported(tmp_path / "qrels.trec", queries, DOC_IDS) == wanted
    assert read_imported(tmp_path / "judgments.jsonl", {}, DOC_IDS) == wanted
    assert read_judgments(tmp_path / "judgments.jsonl") == wanted
    again = Annotations(tmp_path / "b.jsonl")
    assert again.add_judgments(wanted) == 2
    assert again.add_judgments(wanted) == 0  # twice is once
    assert again.judgments() == wanted


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nonsense", "a.jsonl:2: not an answer"),
        ("[1]", "a.jsonl:2: not an answer"),
        (
            '{"query_id": "q", "query": "t", "annotator": "me", "grade": 1}',
            "a.jsonl:2: the key 'doc_id' is missing; add it",
        ),
        (
            '{"query_id": "q", "query": "t", "doc_id": "d", "annotator": "me", "grade": "x"}',
            "no integer|not an integer",
        ),
        ('{"query_id": "q", "query": "t", "doc_id": "d", "annotator": "me", "grade": -1}', "negative"),
    ],
)
def test_an_invalid_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "a.jsonl"
    Annotations(path).add(ONE)
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(InputError, match=said):
        Annotations(path)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no answer to undo"):
        Annotations(tmp_path / "a.jsonl").undo()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write"):
        Annotations(tmp_path / "file" / "a.jsonl").add(ONE)
    (tmp_path / "undo.jsonl").write_text('{"undo": true}\n')
    with pytest.raises(InputError, match=r"undo.jsonl:1: undo without an answer"):
        Annotations(tmp_path / "undo.jsonl")
    (tmp_path / "qrels.trec").write_text("q9 0 d 1\n")
    with pytest.raises(InputError, match=r"qrels.trec:1: no query has the id 'q9'; 1 of 1 judgments"):
        read_imported(tmp_path / "qrels.trec", {"q1": "text"}, DOC_IDS)


def test_unusable_judgments_of_an_imported_file_are_warned_of(tmp_path: Path) -> None:
    rows = ["q1 0 d1 1", "q1 0 d2 -2", "Q1 0 d3 1", "q1 0 d3 0", "q1 0 d3 0", "q2 0 d1 1"]
    (tmp_path / "qrels.trec").write_text("\n".join(rows))
    with pytest.warns(DataWarning) as said:
        kept = read_imported(tmp_path / "qrels.trec", {"q1": "one", "q2": "two"}, DOC_IDS)
    assert [(row.query, row.doc_id, row.relevance) for row in kept] == [
        *(("one", "d1", 1), ("one", "d2", 0), ("one", "d3", 0), ("two", "d1", 1))
    ]
    assert [str(one.message) for one in said] == [
        "judgments of unknown queries: 1 left out; qrels.trec:3: no query has the id 'Q1' "
        "(the query 'q1' differs only in letter case)",
        "repeated judgments: 1 left out; qrels.trec:5",
        "negative grades: 1 read as 0; qrels.trec:2",
    ]
    (tmp_path / "two.csv").write_text("query_id,query,doc_id,relevance\nq1,one,d1,1\nq1,other,d2,1\n")
    with pytest.raises(InputError, match=r"two.csv:3: an earlier row has another text for the query 'q1'"):
        read_imported(tmp_path / "two.csv", {}, DOC_IDS)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("qrels", "q1 0 d1 1\n"),
        ("qrels.txt", "q1 0 d1 1\n"),
        ("qrels.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\n"),
        ("rows.csv", "doc_id,grade,qid\nd1,1,q1\n"),
        ("rows.jsonl", '{"query_id": "q1", "doc_id": "d1", "label": 1}\n'),
    ],
)
def test_judgments_are_imported_from_tables(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    (row,) = read_imported(tmp_path / name, {"q1": "text"}, ["d1"])
    assert row[:4] == ("q1", "text", "d1", 1)
