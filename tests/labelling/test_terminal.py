"""Judging by keys: in memory, and in a real terminal."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

import zero2ir
from zero2ir.data.records import Collection, Judgment, Query
from zero2ir.errors import InputError
from zero2ir.labelling.annotations import Annotation, Annotations
from zero2ir.labelling.session import Session, import_judgments
from zero2ir.labelling.terminal import letters, require_terminal, review_suspicious_judgments, run_in_terminal

Open = Callable[..., Session]


def console() -> Console:
    return Console(file=StringIO(), width=100, height=40, force_terminal=True)


def shown(screen: Console) -> str:
    assert isinstance(screen.file, StringIO)
    return screen.file.getvalue()


def test_keys_answer_skip_and_undo(session: Open) -> None:
    sitting, screen = session(), console()
    run_in_terminal(sitting, screen, iter("x0s2u1q0"))  # x does nothing, and after q nothing counts
    assert [row.grade for row in sitting.annotations.rows] == [0, None, 1]
    assert {row.annotator for row in sitting.annotations.rows} == {"me"}
    assert "current ranking" in shown(screen)
    assert "0 not relevant" in shown(screen)


def test_a_session_continues_and_describes_changes(session: Open, tmp_path: Path) -> None:
    program = tmp_path / "program"
    sitting = session(program)
    run_in_terminal(sitting, console(), iter("2100020001q"))
    asked = sitting.view().item
    first = sitting.closing_text()
    assert first[-1].startswith(f"saved in {program}")
    again = session(program)
    assert again.view().item == asked
    screen = console()
    run_in_terminal(again, screen, iter("0120120120" * 9))
    assert again.view().stopped == "the budget of 10 judged queries is used up"
    assert "of the first ten documents; nDCG@100, expected" in " ".join(shown(screen).split())
    lines = again.closing_text()
    assert any("since the last save: 10 → 50 judged documents used" in line for line in lines)
    assert zero2ir.load(program)(query="cut a sentence into words").docids


def test_markup_and_control_sequences_have_no_effect(tmp_path: Path) -> None:
    documents = [{"doc_id": f"[red]{n}", "text": f"[bold]words[/] \x1b[2J\x1b]0;owned\x07 {n}"} for n in range(3)]
    settings = ["~model@committee.dense", "~model@committee.static"]
    labelling = zero2ir.api.label(
        documents, ["[blink]words\x1b[2J"], tmp_path / "a.jsonl", model="sparse", settings=settings
    )
    screen = Console(file=StringIO(), width=100, height=40)
    run_in_terminal(Session(labelling, "me"), screen, iter("2q"))
    assert "[bold]words[/] �[2J�]0;owned�" in shown(screen)
    assert "[blink]words�[2J" in shown(screen)
    assert "[red]0" in shown(screen)
    assert "\x1b" not in shown(screen)


def test_escape_sequences_are_no_grades() -> None:
    for key in (b"\x1b[2~", b"\x1b[20~", b"\x1b[1;5C", b"\x1bOP", b"\x1b2", b"\x1b", "é".encode()):
        assert not set(letters(key)) & set("012sumq")
    assert letters(b"s1\x1b[A0") == "s10"  # typed ahead


def test_a_removed_document_is_not_reviewed(session: Open) -> None:
    sitting = session(settings=("labelling.repeats=1.0",))
    query = sitting.labelling.queries[0]
    for grade in (2, 0):
        sitting.labelling.add(Annotation(query[0], query[1], "gone", grade, "me"))
    assert sitting.doubts() == []
    run_in_terminal(sitting, console(), iter("q"))
    review_suspicious_judgments(sitting, console(), iter("0"))
    assert len(sitting.annotations.rows) == 2


def test_a_review_changes_only_regraded_judgments(session: Open) -> None:
    sitting = session()
    run_in_terminal(sitting, console(), iter("22q"))
    first, second = sitting.annotations.rows
    for row in (first, second):
        sitting.judge_again(row.query_id, row.doc_id, 0, len(sitting.annotations.rows))
    assert [doubt.doc_id for doubt in sitting.doubts()] == [first.doc_id, second.doc_id]
    review_suspicious_judgments(sitting, console(), iter("s0"))
    assert sitting.annotations.rows[4:] == [Annotation(*second[:3], 0, "me", repeat=True)]
    assert [doubt.doc_id for doubt in sitting.doubts()] == [first.doc_id]
    assert any(line.startswith("suspicious judgment: ") for line in sitting.closing_text())


def test_items_are_repeated_and_agreement_is_shown(session: Open) -> None:
    sitting = session(settings=("labelling.repeats=0.5",))
    run_in_terminal(
        sitting, console(), iter("20100" + "2010100" + "q")
    )  # five documents; five others, and two of the first
    again = [row for row in sitting.annotations.rows if row.repeat]
    assert len(again) == 2
    assert {row.doc_id for row in again} < {row.doc_id for row in sitting.annotations.rows[:5]}
    assert (sitting.view().agreement or "").startswith("2 judged twice: ")
    assert any(line.startswith("agreement with yourself: 2 judged twice: ") for line in sitting.closing_text())


def test_imported_judgments_are_used(session: Open, tmp_path: Path) -> None:
    sitting = session()
    query_id, query = sitting.labelling.queries[0]
    collection = Collection(
        [],
        [Query("mine", query.upper()), Query("other", "another query")],
        [Judgment("mine", "strip", 2), Judgment("other", "join", 0)],
    )
    (tmp_path / "more.trec").write_text(f"other 0 lstrip 1\n{query_id} 0 strip 2\n")
    taken = list(import_judgments(collection, tmp_path / "more.trec", sitting.labelling))
    for rows, source in taken:
        sitting.annotations.add_judgments(rows, source)
    assert [(row.query_id, row.doc_id, row.grade, row.annotator) for row in sitting.annotations.rows] == [
        (query_id, "strip", 2, "qrels"),
        ("other", "join", 0, "qrels"),
        ("other", "lstrip", 1, "more.trec"),
    ]
    assert {row.query for row in sitting.labelling.judgments()} >= {"another query"}
    (tmp_path / "more.trec").write_text("other 0 nothing 1\n")
    with pytest.raises(InputError, match=r"more\.trec:1: no document has the id 'nothing'; 1 of 1"):
        list(import_judgments(collection, tmp_path / "more.trec", sitting.labelling))


def test_refusals(session: Open, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="is not a terminal"):
        require_terminal()
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("Dear Ada")
    with pytest.raises(InputError, match=r"letters/a\.txt: not written by zero2ir"):
        session(tmp_path / "letters")
    sitting = session()
    sitting.answer(1, 0)
    with pytest.raises(InputError, match="already answered elsewhere"):
        sitting.answer(1, 0)
    with pytest.raises(InputError, match="has no judgment"):
        sitting.judge_again("q", "nothing", 1, len(sitting.annotations.rows))
    with pytest.raises(InputError, match="no folder to save"):
        sitting.save()


def typed(arguments: list[str], keys: str, folder: Path) -> str:
    """Types keys into the real command in a real terminal, one a screen; what it showed."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    command = [Path(sys.executable).with_name("zero2ir"), "label", *arguments]
    environment = os.environ | {"TERM": "xterm"}
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=environment) as process:
        os.close(slave)
        seen, asked, left, end = "", 0, list(keys), time.monotonic() + 300
        while time.monotonic() < end:
            if not select.select([master], [], [], 1)[0]:
                continue
            try:
                part = os.read(master, 1 << 16).decode("utf-8", "replace")
            except OSError:
                break
            seen += part
            if left and "q quit" in seen[asked:]:
                asked = len(seen)
                os.write(master, left.pop(0).encode())
        process.kill()
    os.close(master)
    return seen


def test_from_a_folder_of_text_files_to_a_program(tmp_path: Path, string_methods: list[dict[str, str]]) -> None:
    texts = tmp_path / "my texts"
    for document in string_methods:
        path = texts / "str" / f"{document['doc_id']} method.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document["text"], encoding="utf-8")
    (tmp_path / "asked.txt").write_text("cut a sentence into words\npad a number with zeros\nswap the case\n")
    arguments = ["my texts", "--queries", "asked.txt", "--model", "sparse", "--output", "s", "--export", "out"]
    arguments += ["--set", "~model@committee.dense", "--set", "~model@committee.static"]
    seen = typed(arguments, "201q", tmp_path)
    assert "saved in s; try: zero2ir search s 'your query'" in seen, seen
    assert [row.grade for row in Annotations(texts / "annotations.jsonl").rows] == [2, 0, 1]
    assert "str/split%20method.txt" in zero2ir.load(tmp_path / "s")(query="split").docids
    qrels = (tmp_path / "out" / "qrels.trec").read_text().splitlines()
    assert [line.split()[3] for line in qrels] == ["2", "0", "1"]
    imported = [*arguments, "--annotations", "other.jsonl", "--import", "out/judgments.jsonl"]
    assert "3 judgments imported from judgments.jsonl" in typed(imported, "q", tmp_path)
    assert len(Annotations(tmp_path / "other.jsonl").rows) == 3
