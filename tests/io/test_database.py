"""One table in a file or in a database: what is another program's stays as it is, and no password is shown."""

import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import psutil
import pytest
from postgresql_server import USER, PostgreSQLServer

from zero2ir.data.records import Document
from zero2ir.errors import InputError, StorageError, StorageFullError, as_line
from zero2ir.online.feedback.store import FeedbackEvent, FeedbackStore
from zero2ir.online.serving.journal import Changes, DocumentJournal

CLICK = FeedbackEvent("a", "click", "cut a string", "split", 1, None, 1_700_000_000.123456)
FIRST_EVENTS = """
    CREATE TABLE IF NOT EXISTS events (
        number INTEGER PRIMARY KEY,
        event_id TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        query TEXT NOT NULL,
        doc_id TEXT NOT NULL,
        position INTEGER,
        grade INTEGER,
        timestamp REAL NOT NULL,
        user TEXT NOT NULL
    ) STRICT
"""
FIRST_DOCUMENTS = """
    CREATE TABLE IF NOT EXISTS documents (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        doc_id TEXT NOT NULL UNIQUE,
        title TEXT,
        text TEXT
    ) STRICT
"""


def nothing(changes: Changes) -> None:
    """Refuses no change."""


def write(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_files_of_the_first_version_are_opened(tmp_path: Path) -> None:
    events, documents = tmp_path / "feedback.sqlite", tmp_path / "documents.sqlite"
    row = "('a', 'click', 'cut a string', 'split', 1, NULL, 1700000000.123456, '')"
    columns = "event_id, kind, query, doc_id, position, grade, timestamp, user"
    write(events, FIRST_EVENTS, "PRAGMA user_version = 1", f"INSERT INTO events ({columns}) VALUES {row}")
    write(documents, FIRST_DOCUMENTS, "PRAGMA user_version = 1", "INSERT INTO documents VALUES (7, 'x', '', 'old')")
    with FeedbackStore(events) as store, DocumentJournal(documents) as journal:
        assert store.events() == [CLICK]
        assert not store.record(CLICK)
        assert journal.changes() == ([Document("x", "", "old")], [], 7)
        assert journal.record([Document("y", "", "new")], ["x"], 7, nothing).number == 9
        assert journal.changes(7) == ([Document("y", "", "new")], ["x"], 9)


@pytest.mark.parametrize(
    ("before", "after"),
    [("TEXT NOT NULL UNIQUE", "TEXT NOT NULL"), ("grade INTEGER", "grade TEXT"), ("user TEXT NOT NULL", "user TEXT")],
)
def test_a_similar_table_is_refused(tmp_path: Path, before: str, after: str) -> None:
    write(tmp_path / "a.sqlite", FIRST_EVENTS.replace(before, after), "PRAGMA user_version = 1")
    with pytest.raises(InputError, match="another program or version"):
        FeedbackStore(tmp_path / "a.sqlite")


@pytest.mark.parametrize("version", [1, 99])
def test_a_refused_file_is_closed(version: int, tmp_path: Path) -> None:
    """Its lock would make the next one that opens it wait."""
    path = tmp_path / "a.sqlite"
    write(path, "CREATE TABLE other (a INTEGER)", f"PRAGMA user_version = {version}")
    with pytest.raises(InputError) as refused:
        FeedbackStore(path)
    assert refused.traceback
    assert str(path) not in {one.path for one in psutil.Process().open_files()}


def test_an_sqlite_file_has_a_url(tmp_path: Path) -> None:
    with FeedbackStore(f"sqlite:///{tmp_path}/a.sqlite") as store:
        assert store.record(CLICK)
    with FeedbackStore(tmp_path / "a.sqlite") as store:
        assert store.events() == [CLICK]


@pytest.mark.parametrize(
    "url",
    [
        "mysql://ann:s3cret@host/name",
        "sqlite://",
        "sqlite:///:memory:",
        "postgresql://ann:s3cret@host:1s3cret/name",
        "postgresql://ann:s3cret/@host/name",
        "postgresql://ann:s3cret@127.0.0.1:1/name?password=s3cret",
        "postgresql://ann:s3cret@127.0.0.1:1/name?unknown=s3cret",
    ],
)
def test_a_url_that_cannot_be_used_is_one_line_without_password(url: str) -> None:
    with pytest.raises(InputError, match="://") as refused:
        FeedbackStore(url)
    assert "s3cret" not in str(refused.value)


def test_postgresql_keeps_what_sqlite_keeps(postgresql: PostgreSQLServer) -> None:
    url = postgresql.url()
    large = CLICK._replace(event_id="b", position=2**40, query="\N{GRINNING FACE}'%s", user="ann")
    for new in (True, False):  # created, and opened again
        with FeedbackStore(url) as store, DocumentJournal(url) as journal:
            assert [store.record(one) for one in (CLICK, large, CLICK)] == [new, new, False]
            assert store.events() == [CLICK, large]
            assert store.events(after=1) == [large]
            assert len(store) == 2
            before = journal.changes().number
            assert journal.record([Document("y", "t", "new")], ["x"], before, nothing)[:2] == ([], [])
            assert journal.changes()[:2] == ([Document("y", "t", "new")], ["x"])
    groups = [[CLICK, large._replace(event_id="c")], [large._replace(event_id="c")]] * 2
    with FeedbackStore(url) as store:
        assert store.record_groups(groups) == [1, 0, 0, 0]


def test_a_text_that_postgresql_does_not_store_is_refused(postgresql: PostgreSQLServer) -> None:
    url = postgresql.url()
    with FeedbackStore(url) as store, pytest.raises(InputError, match=r"U\+0000"):
        store.record(CLICK._replace(query="a\0"))
    with DocumentJournal(url) as journal, pytest.raises(InputError, match=r"U\+0000"):
        journal.record([Document("a", "", "\0")], [], 0, nothing)


def test_the_size_of_a_table_has_a_limit(postgresql: PostgreSQLServer) -> None:
    with FeedbackStore(postgresql.url(), max_bytes=100_000) as store:
        store.record_all([CLICK._replace(event_id=str(number)) for number in range(2000)])
        with pytest.raises(StorageFullError, match="100000 bytes"):
            store.record(CLICK)


def test_a_table_of_another_program_or_version_is_left_alone(postgresql: PostgreSQLServer) -> None:
    import psycopg

    url = postgresql.url()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE events (a int); CREATE TABLE documents (a int)")
        connection.execute("COMMENT ON TABLE documents IS 'zero2ir 2'")
    for store, reason in (
        (FeedbackStore, "another program"),
        (DocumentJournal, "version 2, this zero2ir reads up to 1"),
    ):
        with pytest.raises(InputError, match=reason):
            store(url)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (0,)


def test_errors_of_the_database_show_no_password(postgresql: PostgreSQLServer) -> None:
    url = postgresql.url()
    shown = f"{USER}:***@127.0.0.1:{postgresql.port}"
    for wrong in (url.replace("s3cret", "wr0ng"), f"{url}-missing", url.replace(str(postgresql.port), "1")):
        with pytest.raises(StorageError, match="cannot be used") as refused:
            FeedbackStore(wrong)
        told = str(refused.value)
        assert as_line(told) == told
        assert "s3cret" not in told
        assert "wr0ng" not in told
        assert shown in told or ":1/" in told


def test_a_database_that_comes_back_is_used_again(postgresql: PostgreSQLServer) -> None:
    with FeedbackStore(postgresql.url()) as store:
        store.record(CLICK)
        postgresql.stop()
        postgresql.start()
        assert not store.record(CLICK)
        assert store.events() == [CLICK]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_numbers_rise_in_the_order_in_which_changes_are_seen(
    postgresql: PostgreSQLServer, tmp_path: Path, kind: str
) -> None:
    """A second writer waits for the first one, so that a reader sees no number before a smaller one."""
    place = str(tmp_path / "documents.sqlite") if kind == "sqlite" else postgresql.url()
    inside, go, seen = Event(), Event(), []
    with DocumentJournal(place) as first, DocumentJournal(place) as second, DocumentJournal(place) as reader:

        def wait(changes: Changes) -> None:
            inside.set()
            assert go.wait(10)

        def later(changes: Changes) -> None:
            seen.append([one.doc_id for one in changes.added])

        slow = Thread(target=first.record, args=([Document("a", "", "x")], [], 0, wait))
        slow.start()
        assert inside.wait(10)
        fast = Thread(target=second.record, args=([Document("b", "", "x")], [], 0, later))
        fast.start()
        fast.join(0.3)
        assert fast.is_alive()
        assert reader.changes() == ([], [], 0)  # reading waits for nobody
        go.set()
        slow.join(10)
        fast.join(10)
        assert seen == [["a"]]
        assert [one.doc_id for one in first.changes().added] == ["a", "b"]


def test_reading_creates_no_table(postgresql: PostgreSQLServer, tmp_path: Path) -> None:
    import psycopg

    url, empty = postgresql.url(), tmp_path / "empty.sqlite"
    empty.touch()
    for place, reason in ((url, "has no table events"), (empty, "contains no table"), (tmp_path / "a", "no such file")):
        with pytest.raises(InputError, match=reason):
            FeedbackStore(place, create=False)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT to_regclass('events')").fetchone() == (None,)
    assert [(one.name, one.stat().st_size) for one in tmp_path.iterdir()] == [("empty.sqlite", 0)]


def test_a_file_whose_schema_is_no_text_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "feedback.sqlite"
    FeedbackStore(path).close()
    path.write_bytes(path.read_bytes().replace(b"NOT NULL", b"NOT \xfaULL"))
    with pytest.raises(InputError, match=r"feedback\.sqlite: cannot be used \('utf-8' codec"):
        FeedbackStore(path)
