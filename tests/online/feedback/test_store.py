"""Feedback is kept once, whatever is sent twice, killed or opened by others at the same time."""

import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zero2ir.errors import InputError
from zero2ir.online.feedback.store import FeedbackEvent, FeedbackStore

GRADE = FeedbackEvent("a", "grade", "cut a string", "split", 1, 2, 12.5, "ann")
CLICK = FeedbackEvent("b", "click", "cut a string", "join", None, None, 13.0)

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
events = st.builds(
    FeedbackEvent,
    event_id=text,
    kind=st.sampled_from(["click", "impression"]),
    query=text | st.just(""),
    doc_id=text,
    position=st.none() | st.integers(1, 1000),
    grade=st.none(),
    timestamp=st.floats(0, 4e9),
    user=text | st.just(""),
)


@settings(max_examples=15)  # each makes files and waits for the disk
@given(sent=st.lists(events, max_size=8))
def test_each_event_is_stored_once_and_unchanged(
    tmp_path_factory: pytest.TempPathFactory, sent: list[FeedbackEvent]
) -> None:
    path = tmp_path_factory.mktemp("store") / "feedback.sqlite"
    first = {event.event_id: event for event in reversed(sent)}
    with FeedbackStore(path) as store:
        told = [store.record(event) for event in sent]
        assert sum(told) == len(first)
        assert store.record_all(sent) == 0
    with FeedbackStore(path) as opened:
        assert sorted(opened.events()) == sorted(first.values())
        assert len(opened) == len(first)


def test_events_are_read_in_order_of_arrival(tmp_path: Path) -> None:
    with FeedbackStore(tmp_path / "new" / "feedback.sqlite") as store:
        assert [store.record(event) for event in (GRADE, CLICK, GRADE)] == [True, True, False]
        assert store.events() == [GRADE, CLICK]
        assert store.events(after=1) == [CLICK]


def test_threads_and_several_stores_share_a_file(tmp_path: Path) -> None:
    stores = [FeedbackStore(tmp_path / "feedback.sqlite") for _ in range(2)]
    numbered = [CLICK._replace(event_id=str(number % 40)) for number in range(80)]  # each is sent twice
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda pair: stores[pair[0] % 2].record(pair[1]), enumerate(numbered)))
    assert sum(told) == len(stores[0]) == len(stores[1]) == 40
    for store in stores:
        store.close()


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (GRADE._replace(event_id=""), "event_id and doc_id must not be empty"),
        (GRADE._replace(doc_id=""), "event_id and doc_id must not be empty"),
        (GRADE._replace(kind="like"), "unknown kind 'like'; use one of grade, click, impression"),  # type: ignore[arg-type]
        (GRADE._replace(grade=None), "grade None with kind grade"),
        (GRADE._replace(grade=-1), "grade -1 with kind grade"),
        (CLICK._replace(grade=1), "grade 1 with kind click"),
        (CLICK._replace(position=0), "positions start at 1"),
    ],
)
def test_an_invalid_event_refuses_the_whole_batch(tmp_path: Path, event: FeedbackEvent, reason: str) -> None:
    with FeedbackStore(tmp_path / "feedback.sqlite") as store:
        with pytest.raises(InputError, match=reason):
            store.record_all([CLICK, event])
        assert store.events() == []


def test_other_files_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("a text that is longer than the head of a database" * 4, encoding="utf-8")
    newer = sqlite3.connect(tmp_path / "newer.sqlite")
    newer.execute("PRAGMA user_version = 2")
    newer.close()
    for name, reason in (
        ("notes.txt", "not a database"),
        ("newer.sqlite", "the file has version 2"),
        ("notes.txt/below", "check the file and the disk"),
    ):
        with pytest.raises(InputError, match=reason) as refused:
            FeedbackStore(tmp_path / name)
        assert "\n" not in str(refused.value)


def test_acknowledged_events_survive_a_kill(tmp_path: Path) -> None:
    script = """
import os, signal, sys
from zero2ir.online.feedback.store import FeedbackEvent, FeedbackStore
store = FeedbackStore(sys.argv[1])
for number in range(50):
    store.record(FeedbackEvent(str(number), "click", "a query", "a document", 1, None, 0.0))
os.kill(os.getpid(), signal.SIGKILL)  # right after the last one returned; nothing is closed
"""
    path = tmp_path / "feedback.sqlite"
    killed = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    with FeedbackStore(path) as store:
        assert [event.event_id for event in store.events()] == [str(number) for number in range(50)]


@pytest.mark.parametrize("table", ["CREATE TABLE events (id INTEGER)", "CREATE TABLE recipes (name TEXT)"])
@pytest.mark.parametrize("version", [0, 1, 7])
def test_a_database_of_another_program_is_neither_used_nor_changed(tmp_path: Path, table: str, version: int) -> None:
    path = tmp_path / "recipes.sqlite"
    with closing(sqlite3.connect(path)) as other:
        other.execute(table)
        other.execute(f"PRAGMA user_version = {version}")
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"recipes\.sqlite: "):
        FeedbackStore(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["recipes.sqlite"]


def test_a_store_that_exists_is_opened_again(tmp_path: Path) -> None:
    for _ in range(2):
        with FeedbackStore(tmp_path / "feedback.sqlite") as store:
            assert store.events() == []
