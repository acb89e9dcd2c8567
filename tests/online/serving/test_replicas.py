"""Replicas of Ray Serve on one PostgreSQL database, killed and replaced while people search and send feedback."""

import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from killed_server import Server
from postgresql_server import PASSWORD, PostgreSQLServer

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.models.sparse import Sparse
from zero2ir.online.feedback.store import FeedbackStore
from zero2ir.program.program import Program

pytestmark = pytest.mark.slow
EVENTS, SENDERS, REPLICAS = 1000, 8, 2
REFRESH = 1.0
RECOVERY = 300.0  # seconds for a replica to start again, on a busy machine


class Replicated:
    """A server with replicas, what it serves, and where it keeps its state."""

    def __init__(self, documents: list[Document], url: str, folder: Path) -> None:
        self.documents, self.url, self.folder, self.log = documents, url, folder / "program", folder / "log"
        self.save("first")
        options = ["--executor", "ray", "--replicas", str(REPLICAS), "--impressions"]
        options += ["--set", f"serving.refresh_seconds={REFRESH}", "--set", "serving.max_body_bytes=300000"]
        self.server = Server(self.folder, url, options=options, log=self.log)

    def save(self, name: str) -> None:
        Program(Sparse().index(Corpus(self.documents)), self.documents, None, {"model": name}).save(self.folder)

    def health(self) -> dict[str, Any]:
        return dict(self.server.ask("GET", "/health")[1])

    def programs(self) -> list[str]:
        return [one["program"] for one in self.health()["replicas"]]

    def processes(self) -> list[psutil.Process]:
        """The processes of the replicas."""
        below = psutil.Process(self.server.number).children(recursive=True)
        with suppress(psutil.NoSuchProcess):
            return [one for one in below if "ServeReplica" in " ".join(one.cmdline())]
        return self.processes()


@pytest.fixture(scope="module")
def replicated(
    string_methods: list[dict[str, str]],
    postgresql: PostgreSQLServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Replicated]:
    pytest.importorskip("ray", reason="pip install 'zero2ir[ray]'")
    documents = [Document(row["doc_id"], "", row["text"]) for row in string_methods]
    made = Replicated(documents, postgresql.url(), tmp_path_factory.mktemp("replicas"))
    with made.server:
        yield made


def wait_until(holds: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def found(server: Server, query: str) -> list[str]:
    status, answer = server.ask("POST", "/search", {"query": query, "k": 3})
    assert status == 200
    return [row["doc_id"] for row in answer["results"]]


def test_health_and_metrics_tell_of_every_replica(replicated: Replicated) -> None:
    health = replicated.health()
    names = {one["replica"] for one in health["replicas"]}
    assert (health["status"], len(names), set(replicated.programs())) == ("ok", REPLICAS, {"first"})
    for _ in range(20):
        assert found(replicated.server, "white space")
    text = metrics(replicated.server)
    for name in names:
        assert f'zero2ir_requests_total{{path="/search",replica="{name}",status="200"}}' in text
    assert text.count("# TYPE zero2ir_requests_total counter") == 1


def test_the_limits_hold_as_in_a_single_server(replicated: Replicated) -> None:
    ask, large = replicated.server.ask, "x" * 400_000
    assert raw(replicated.server, {"host": "evil.example", "content-type": "application/json"}) == 403
    assert raw(replicated.server, {"content-type": "text/plain"}) == 415
    assert raw(replicated.server, {"content-type": "application/json", "origin": "http://evil.example"}) == 403
    assert ask("POST", "/documents", {"documents": [{"doc_id": "a", "text": large}]})[0] == 413
    assert ask("POST", "/documents", {"documents": [{"doc_id": "a", "text": large[:150_000]}]})[0] == 422
    assert ask("POST", "/search", {"query": "x", "k": 0})[0] == 422
    assert ask("DELETE", "/documents/nowhere")[0] == 400
    assert ask("GET", "/nowhere") == (404, {"error": "Not Found"})


def test_a_document_added_through_one_is_found_through_all_within_a_second(replicated: Replicated) -> None:
    server = replicated.server
    for step in range(3):
        word = f"zydeco{step}"
        start = time.monotonic()
        assert server.ask("POST", "/documents", {"documents": [{"doc_id": word, "text": word}]})[0] == 200
        wait_until(lambda word=word: all(found(server, word) == [word] for _ in range(10)), 60)
        assert time.monotonic() - start < REFRESH + 3.0  # ten searches and the index in addition
    assert {one["documents"] for one in replicated.health()["replicas"]} == {len(replicated.documents) + 3}
    assert server.ask("DELETE", "/documents/zydeco0")[0] == 200


def test_rolling_replacement_loses_no_request(replicated: Replicated) -> None:
    ended, statuses, errors = threading.Event(), [], []

    def send(number: int) -> None:
        count = 0
        while not ended.is_set():
            count += 1
            event = {"event_id": f"roll-{number}-{count}", "kind": "click", "query": "a", "doc_id": "strip"}
            path, body = ("/feedback", event) if count % 2 else ("/search", {"query": "white space"})
            try:
                statuses.append(replicated.server.ask("POST", path, body)[0])
            except (OSError, http.client.HTTPException) as error:
                errors.append(error)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    more_answers(statuses)
    replicated.save("second")
    os.kill(replicated.server.number, signal.SIGHUP)
    wait_until(lambda: replicated.programs() == ["second"] * REPLICAS, 60)
    more_answers(statuses)
    whole = (replicated.folder / "program.json").read_bytes()
    (replicated.folder / "program.json").write_bytes(whole[:20])
    os.kill(replicated.server.number, signal.SIGHUP)
    wait_until(lambda: "reopening failed: replica " in replicated.log.read_text(encoding="utf-8"), 60)
    (replicated.folder / "program.json").write_bytes(whole)
    more_answers(statuses)
    ended.set()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert set(statuses) == {200}
    assert replicated.programs() == ["second"] * REPLICAS


def test_a_killed_replica_loses_and_doubles_no_feedback(replicated: Replicated) -> None:
    acknowledged: list[str] = []
    numbers, lock, again = iter(range(EVENTS)), threading.Lock(), []

    def send() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            event = {"event_id": f"event-{number}", "kind": "click", "query": "a", "doc_id": "strip", "position": 1}
            for _ in range(2 if number % 10 == 0 else 1):  # some clients send twice
                while not answered(replicated.server, event):
                    again.append(number)
            acknowledged.append(f"event-{number}")

    senders = [threading.Thread(target=send) for _ in range(SENDERS)]
    before = {one["replica"] for one in replicated.health()["replicas"]}
    start = time.monotonic()
    for sender in senders:
        sender.start()
    wait_until(lambda: len(acknowledged) > EVENTS // 4, RECOVERY)
    victim = replicated.processes()[0]
    victim.kill()
    assert len(acknowledged) < EVENTS
    for sender in senders:
        sender.join(RECOVERY)
    print(f"{EVENTS} events in {time.monotonic() - start:.1f} s, {len(again)} sent again")
    with FeedbackStore(replicated.url) as store:
        stored = [event.event_id for event in store.events() if event.event_id.startswith("event-")]
    assert len(acknowledged) == EVENTS
    assert sorted(stored) == sorted(acknowledged)
    wait_until(lambda: replicated.health()["status"] == "ok", RECOVERY)
    after = replicated.health()["replicas"]
    assert len({one["replica"] for one in after} & before) == REPLICAS - 1
    assert {one["program"] for one in after} == {"second"}
    assert len({one["documents"] for one in after}) == 1


def test_the_log_tells_neither_password_nor_query(replicated: Replicated) -> None:
    told = replicated.log.read_text(encoding="utf-8")
    assert "POST /search 200" in told
    assert "not passed on 413" in told
    for secret in (PASSWORD, PASSWORD.replace("/", "%2F").replace(" ", "%20"), "white space", "zydeco"):
        assert secret not in told


def test_ray_is_on_the_loopback_interface_only_and_writes_what_waits_when_it_ends(replicated: Replicated) -> None:
    import psycopg

    below = [psutil.Process(replicated.server.number), *psutil.Process(replicated.server.number).children(True)]
    listening = {
        one.laddr.ip for process in below for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN
    }
    assert listening <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    with FeedbackStore(replicated.url) as store, psycopg.connect(replicated.url) as connection:
        before = len(store)
        connection.execute("LOCK TABLE events IN SHARE ROW EXCLUSIVE MODE")
        for _ in range(10):
            assert len(found(replicated.server, "white space")) == 3
        assert sum(one["waiting_events"] for one in replicated.health()["replicas"]) == 30
        assert replicated.server.process is not None
        replicated.server.process.terminate()
        time.sleep(1.0)
        connection.rollback()
        replicated.server.process.communicate(timeout=60)
        assert len(store) == before + 30
    assert replicated.server.process.returncode == 0
    _, alive = psutil.wait_procs(below, 30)
    assert not alive


def more_answers(statuses: list[int]) -> None:
    number = len(statuses)
    wait_until(lambda: len(statuses) >= number + 10, 60)


def answered(server: Server, event: dict[str, Any]) -> bool:
    try:
        return server.ask("POST", "/feedback", event)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def metrics(server: Server) -> str:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
    connection.request("GET", "/metrics")
    return connection.getresponse().read().decode()


def raw(server: Server, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
    connection.request("POST", "/search", json.dumps({"query": "x"}), headers)
    return connection.getresponse().status
