"""A service whose files are locked, whose clients are rude, and whose requests are many."""

import asyncio
import logging
import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from killed_server import Server

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError, StorageError
from zero2ir.io.http_server import RateLimit
from zero2ir.models.sparse import Sparse
from zero2ir.online.feedback.store import FeedbackEvent, FeedbackStore
from zero2ir.online.feedback.writer import FeedbackWriter
from zero2ir.online.serving.service import DOCUMENTS_FILE, FEEDBACK_FILE, SearchService
from zero2ir.online.serving.settings import ServingSettings
from zero2ir.online.serving.web import application
from zero2ir.program.fallback import FallbackSettings
from zero2ir.program.program import FallbackLink, Program

HOST = "127.0.0.1:8766"
QUERY = "list of the words in the string"
CLICK = FeedbackEvent("a", "click", QUERY, "split", 1, None, 0.0)
Answer = tuple[int, Any, float]


class Slow(Sparse):
    """BM25 that takes its time."""

    seconds: float = 0.0

    def search(self, *given: Any, **more: Any) -> Any:
        time.sleep(self.seconds)
        return super().search(*given, **more)


@pytest.fixture(scope="module")
def documents(string_methods: list[dict[str, str]]) -> list[Document]:
    return [Document(row["doc_id"], row["doc_id"], row["text"]) for row in string_methods]


@pytest.fixture
def program(documents: list[Document]) -> Program:
    corpus = Corpus(documents)
    links = [FallbackLink("sparse", Sparse().index(corpus))]
    return Program(Slow().index(corpus), documents, None, {"model": "rich"}, links=links, fallback=FallbackSettings())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the write lock of an SQLite file, as another process would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


def ask(service: SearchService, *requests: tuple[str, str, Any]) -> list[Answer]:
    """Sends requests at the same time; returns the status, the JSON and the seconds of each."""
    app = application(service, {HOST})

    async def one(client: httpx.AsyncClient, method: str, path: str, body: Any) -> Answer:
        start = time.monotonic()
        answer = await client.request(method, path, json=body)
        return answer.status_code, answer.json(), time.monotonic() - start

    async def every() -> list[Answer]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}", timeout=60) as client:
            return await asyncio.gather(*(one(client, *request) for request in requests))

    return asyncio.run(every())


def search(**more: Any) -> tuple[str, str, Any]:
    return "POST", "/search", {"query": QUERY, "k": 3, **more}


HEALTH = ("GET", "/health", None)
FEEDBACK = ("POST", "/feedback", {"event_id": "e", "kind": "click", "query": QUERY, "doc_id": "split", "position": 1})


def test_a_locked_file_delays_no_search_and_loses_no_impression(program: Program, tmp_path: Path) -> None:
    with SearchService(program, tmp_path, ServingSettings(impressions=True)) as service:
        with locked(tmp_path / FEEDBACK_FILE):
            *answers, feedback, health = ask(service, *[search()] * 20, FEEDBACK, HEALTH)
            assert {status for status, _, _ in answers} == {200}
            assert max(seconds for *_, seconds in [*answers, health]) < 1.0
            assert feedback[0] == 503
            assert "send it again later" in feedback[1]["error"]
            (_, told, _), *_ = ask(service, HEALTH)
            assert told["waiting_events"] == 60
        assert service.writer.flush(5)
        assert ask(service, FEEDBACK)[0][1] == {"recorded": True}
        assert len(service.feedback) == 61


def test_impressions_beyond_the_queue_are_counted_and_said(
    program: Program, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with SearchService(program, tmp_path, ServingSettings(impressions=True, max_waiting_events=5)) as service:
        with locked(tmp_path / FEEDBACK_FILE):
            ask(service, search())
            ask(service, search())
            assert ask(service, HEALTH)[0][1]["lost_impressions"] == 3
        assert "3 impressions are lost (3 so far)" in caplog.text


def test_what_waits_is_written_when_the_service_closes(program: Program, tmp_path: Path) -> None:
    service = SearchService(program, tmp_path, ServingSettings(impressions=True))
    with locked(tmp_path / FEEDBACK_FILE):
        ask(service, search())
    service.close()
    with FeedbackStore(tmp_path / FEEDBACK_FILE) as store:
        assert len(store) == 3


def test_a_writer_that_cannot_write_ends_and_says_what_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with FeedbackStore(tmp_path / FEEDBACK_FILE, busy_seconds=0.01) as store:
        writer = FeedbackWriter(store, max_waiting=10)
        with locked(tmp_path / FEEDBACK_FILE):
            writer.write_impressions([CLICK])
            with pytest.raises(StorageError):
                writer.write(CLICK).result(5)
            writer.close()
        assert (writer.lost, "1 impressions are lost (1 so far): the server stops" in caplog.text) == (1, True)
        with pytest.raises(StorageError):
            writer.write(CLICK)


def test_an_event_that_cannot_be_written_at_all_stops_no_other(program: Program, tmp_path: Path) -> None:
    with SearchService(program, tmp_path, ServingSettings(impressions=True)) as service:
        service.search(QUERY, 3, user="\ud800")
        assert service.writer.flush(5)
        assert service.writer.lost == 3
        assert ask(service, FEEDBACK)[0][1] == {"recorded": True}


def test_a_client_with_a_tiny_deadline_degrades_only_itself(program: Program, tmp_path: Path) -> None:
    program.retriever.seconds = 0.05  # type: ignore[attr-defined]
    with SearchService(program, tmp_path, ServingSettings()) as service:
        rude = ask(service, *[search(deadline=0.001)] * 20)
        assert {status for status, _, _ in rude} == {503}
        ((_, answer, _),) = ask(service, search())
        assert (answer["served_by"], answer["steps"]) == ("rich", [])


def test_a_burst_is_answered_within_the_deadline(program: Program, tmp_path: Path) -> None:
    program.retriever.seconds = 0.05  # type: ignore[attr-defined]
    alone = Program(program.retriever, program.documents, None, {"model": "rich"}, fallback=program.fallback)
    for served in (program, alone):
        with SearchService(served, tmp_path / served.name, ServingSettings()) as service:
            answers = ask(service, *[search()] * 100, HEALTH)
            assert {status for status, _, _ in answers} == {200}
            assert max(seconds for *_, seconds in answers) < 2.5
            assert answers[-1][2] < 1.0


def test_no_more_documents_are_ranked_than_there_are(program: Program, tmp_path: Path) -> None:
    asked: list[int] = []
    forward = program.forward
    program.forward = lambda **given: asked.append(given["k"]) or forward(**given)  # type: ignore[method-assign, func-returns-value]
    with SearchService(program, tmp_path, ServingSettings(max_results=10**9)) as service:
        status, answer, _ = ask(service, search(k=10**8))[0]
    assert (status, asked) == (200, [len(program.documents)])
    assert len(answer["results"]) <= len(program.documents)


def test_feedback_has_lengths_and_its_file_a_size(program: Program, tmp_path: Path) -> None:
    limits = {"max_file_megabytes": 1, "max_query_characters": 500, "max_feedback_per_second": 10**6}
    with SearchService(program, tmp_path, ServingSettings(**limits)) as service:
        *_, body = FEEDBACK
        ((status, refused, _),) = ask(service, ("POST", "/feedback", {**body, "query": "x" * 501}))
        assert (status, refused["error"]) == (422, "query: String should have at most 500 characters")
        many = [
            ("POST", "/feedback", {**body, "event_id": f"{number:0500}", "query": "x" * 500}) for number in range(1000)
        ]
        answers = ask(service, *many)
        assert {status for status, _, _ in answers} == {200, 507}
        assert "serving.max_file_megabytes" in next(told["error"] for status, told, _ in answers if status == 507)
        text = "x" * 100_000
        added = [("POST", "/documents", {"documents": [{"doc_id": str(n), "text": text}]}) for n in range(12)]
        assert {status for status, _, _ in ask(service, *added)} == {200, 507}
    assert all(path.stat().st_size < 1_100_000 for path in tmp_path.glob("*.sqlite"))


def test_feedback_has_a_rate(program: Program, tmp_path: Path) -> None:
    with SearchService(program, tmp_path, ServingSettings(max_feedback_per_second=5)) as service:
        *_, body = FEEDBACK
        many = [("POST", "/feedback", {**body, "event_id": str(number)}) for number in range(100)]
        *answers, found = ask(service, *many, search())
        counted = Counter(status for status, _, _ in answers)
        assert set(counted) == {200, 429}
        assert len(service.feedback) == counted[200]
        assert "send it again later" in next(told["error"] for status, told, _ in answers if status == 429)
        assert found[0] == 200


def test_a_flood_of_changes_keeps_neither_feedback_nor_searches_waiting(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SearchService(program, tmp_path, ServingSettings(max_waiting_changes=3)) as service:
        add = service.add
        monkeypatch.setattr(service, "add", lambda documents: (time.sleep(0.5), add(documents)))
        texts = [("POST", "/documents", {"documents": [{"doc_id": str(n), "text": "a text"}]}) for n in range(60)]
        *changes, found, feedback = ask(service, *texts, search(), FEEDBACK)
        counted = Counter(status for status, _, _ in changes)
        assert counted == {200: 4, 503: 56}
        assert len(service.journal.changes().added) == 4
        assert "send it again later" in next(told["error"] for status, told, _ in changes if status == 503)
        assert (found[0], feedback[0]) == (200, 200)
        assert max(found[2], feedback[2]) < 2 < max(seconds for *_, seconds in changes)


def test_a_second_server_on_one_folder_is_refused(program: Program, tmp_path: Path) -> None:
    refused = pytest.raises(InputError, match="another server uses this folder; give another one with --state")
    with SearchService(program, tmp_path, ServingSettings()), refused:
        SearchService(program, tmp_path, ServingSettings())
    SearchService(program, tmp_path, ServingSettings()).close()


def test_log_lines_are_limited_and_the_dropped_ones_counted() -> None:
    limit = RateLimit(2)

    def passed(second: float, text: str) -> str | None:
        record = logging.makeLogRecord({"msg": "%s", "args": (text,), "created": second})
        return record.getMessage() if limit.filter(record) else None

    assert [passed(1.1 + number / 10, "a") for number in range(5)] == ["a", "a", None, None, None]
    assert [passed(2.1, "b"), passed(2.2, "c")] == ["b (3 lines before it are left out)", "c"]


def test_half_open_connections_are_closed_and_silence_nothing(documents: list[Document], tmp_path: Path) -> None:
    Program(Sparse().index(Corpus(documents)), documents, None, {"model": "sparse"}).save(tmp_path / "program")
    log = tmp_path / "log"
    options = ["--set", "serving.request_seconds=1.5"]
    with Server(tmp_path / "program", tmp_path / "state", options=options, files=128, log=log) as server:
        beginnings = [b"", b"GET /health HTTP/1.1\r\n", b"POST /search HTTP/1.1\r\ncontent-length: 9\r\n\r\n{"]
        half_open = []
        for number in range(200):
            half_open.append(socket.create_connection((server.host, server.port), timeout=10))
            half_open[-1].sendall(beginnings[number % 3])
        start = time.monotonic()
        for _ in range(5):
            assert server.ask("GET", "/health")[0] == 200
            assert server.ask("POST", "/search", {"query": QUERY})[0] == 200
        assert time.monotonic() - start < 3
        start = time.monotonic()
        for one in half_open:
            with one:
                assert is_closed(one)
        assert time.monotonic() - start < 5
    assert log.stat().st_size < 20_000


def test_a_malformed_body_gets_one_answer_and_writes_no_traceback(documents: list[Document], tmp_path: Path) -> None:
    Program(Sparse().index(Corpus(documents)), documents, None, {"model": "sparse"}).save(tmp_path / "program")
    with Server(tmp_path / "program", tmp_path / "state", log=tmp_path / "log") as server:
        host = f"host: {server.host}:{server.port}\r\ntransfer-encoding: chunked\r\n"
        for media, status in (("text/plain", 415), ("application/json", 400)):
            head, bad = f"POST /search HTTP/1.1\r\n{host}content-type: {media}\r\n\r\n".encode(), b"zz\r\n{}\r\n"
            with socket.create_connection((server.host, server.port), timeout=10) as client:
                client.sendall(head + bad)
                assert client.recv(1000).startswith(b"HTTP/1.1 400 ")
                assert is_closed(client)
            with socket.create_connection((server.host, server.port), timeout=10) as client:
                client.sendall(head)
                time.sleep(0.3)
                client.sendall(bad)
                assert client.recv(1000).startswith(f"HTTP/1.1 {status} ".encode())
                assert is_closed(client)
        assert server.ask("GET", "/health")[0] == 200
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_body_in_very_many_parts_is_malformed_and_keeps_nobody_waiting(
    documents: list[Document], tmp_path: Path
) -> None:
    Program(Sparse().index(Corpus(documents)), documents, None, {"model": "sparse"}).save(tmp_path / "program")
    with Server(tmp_path / "program", tmp_path / "state") as server:
        for parts, status in ((9_000, 200), (200_000, 400)):
            host = f"host: {server.host}:{server.port}\r\ntransfer-encoding: chunked\r\ncontent-type: application/json"
            body = b'{"query": "cut"}' + b" " * (parts - 16)
            chunks = b"".join(b"1\r\n%c\r\n" % one for one in body)
            with socket.create_connection((server.host, server.port), timeout=30) as client:
                with suppress(ConnectionError):
                    client.sendall(f"POST /search HTTP/1.1\r\n{host}\r\n\r\n".encode() + chunks + b"0\r\n\r\n")
                assert client.recv(1000).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_burst_of_connections_is_answered(documents: list[Document], tmp_path: Path) -> None:
    Program(Sparse().index(Corpus(documents)), documents, None, {"model": "sparse"}).save(tmp_path / "program")
    settings = ("serving.max_connections=20", "serving.request_seconds=100")  # the 200 clients are one thread
    options = [word for setting in settings for word in ("--set", setting)]
    with Server(tmp_path / "program", tmp_path / "state", options=options) as server:

        async def one(client: httpx.AsyncClient, number: int) -> int:
            body = {"documents": [{"doc_id": "long", "text": "x " * 50_000}] * 3}  # a duplicate: 400
            path, sent = ("/documents", body) if number % 10 == 0 else ("/search", {"query": QUERY})
            return (await client.post(path, json=sent)).status_code

        async def every() -> list[int]:
            limits = httpx.Limits(max_connections=None)
            address = f"http://{server.host}:{server.port}"
            async with httpx.AsyncClient(base_url=address, timeout=60, limits=limits) as client:
                return await asyncio.gather(*(one(client, number) for number in range(200)))

        assert Counter(asyncio.run(every())) == {200: 180, 400: 20}


def test_a_server_that_is_told_to_end_closes_its_files(documents: list[Document], tmp_path: Path) -> None:
    Program(Sparse().index(Corpus(documents)), documents, None, {"model": "sparse"}).save(tmp_path / "program")
    with Server(tmp_path / "program", tmp_path / "state", options=["--impressions"]) as server:
        with locked(tmp_path / "state" / FEEDBACK_FILE):
            assert server.ask("POST", "/search", {"query": QUERY, "k": 3})[0] == 200
            assert server.ask("GET", "/health")[1]["waiting_events"] == 3
        server.end()
        assert server.process is not None
        assert server.process.returncode == 0
        assert {path.name for path in (tmp_path / "state").iterdir()} == {FEEDBACK_FILE, DOCUMENTS_FILE, "lock"}
        with FeedbackStore(tmp_path / "state" / FEEDBACK_FILE) as store:
            assert len(store) == 3


def test_a_client_that_does_not_read_is_cut_off(tmp_path: Path) -> None:
    long = [Document(str(number), "", "strings " * 20_000) for number in range(100)]
    Program(Sparse().index(Corpus(long)), long, None, {"model": "sparse"}).save(tmp_path / "program")
    options = ["--set", "serving.request_seconds=1"]
    with Server(tmp_path / "program", tmp_path / "state", options=options) as server:
        body = b'{"query": "strings", "k": 100}'
        head = f"POST /search HTTP/1.1\r\nhost: {server.host}:{server.port}\r\ncontent-type: application/json\r\n"
        with socket.create_connection((server.host, server.port), timeout=10) as client:
            client.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            time.sleep(3)
            received = 0
            try:
                while part := client.recv(1_000_000):
                    received += len(part)
            except ConnectionResetError:
                pass
        assert 0 <= received < 100 * 160_000
        assert server.ask("POST", "/search", {"query": "strings", "k": 1})[0] == 200


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side closes the connection, with or without an answer."""
    try:
        while connection.recv(1000):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True
