"""Several services on one database: what one has stored, all have, in one order, and nothing twice."""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from killed_server import Server
from postgresql_server import PASSWORD, PostgreSQLServer

from zero2ir.cli import main
from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.models.sparse import Sparse
from zero2ir.online.feedback.store import FeedbackEvent
from zero2ir.online.serving.metrics import Metrics
from zero2ir.online.serving.service import SearchService
from zero2ir.online.serving.settings import ServingSettings
from zero2ir.online.serving.web import application
from zero2ir.program.program import Program

HOST = "127.0.0.1:8766"
REFRESH = 0.2
CLICK = FeedbackEvent("a", "click", "white space", "strip", 1, None, 0.0)
GUMBO = Document("gumbo", "", "a zydeco accordion")
Opened = Callable[..., SearchService]


@pytest.fixture
def program(string_methods: list[dict[str, str]]) -> Program:
    documents = [Document(row["doc_id"], "", row["text"]) for row in string_methods]
    return Program(Sparse().index(Corpus(documents)), documents, None, {"model": "sparse"})


@pytest.fixture
def opened(program: Program, postgresql: PostgreSQLServer) -> Iterator[Opened]:
    """Opens services on one new database."""
    url = postgresql.url()
    with ExitStack() as stack:

        def make(refresh_seconds: float = REFRESH, served: Program = program) -> SearchService:
            settings = ServingSettings(refresh_seconds=refresh_seconds)
            return stack.enter_context(SearchService(served, url, settings))

        yield make


def found(service: SearchService, query: str = "zydeco") -> list[str]:
    return service.search(query, 3)[0].docids


def wait_until(holds: Callable[[], bool], seconds: float) -> float:
    """Waits until something holds; returns after how many seconds."""
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < seconds
        time.sleep(0.01)
    return time.monotonic() - start


def test_what_one_adds_or_removes_all_find_within_the_stated_time(opened: Opened) -> None:
    first, second = opened(), opened()
    first.add([GUMBO])
    assert found(first) == ["gumbo"]
    wait_until(lambda: found(second) == ["gumbo"], REFRESH + 1.0)
    second.remove(["gumbo"])
    assert found(second) == []
    wait_until(lambda: found(first) == [], REFRESH + 1.0)
    assert first.version == second.version == 2
    assert b"zero2ir_document_version 2.0" in Metrics(second).text()


def test_a_document_of_another_service_can_be_used_at_once(opened: Opened) -> None:
    first, second = opened(), opened(refresh_seconds=60)
    first.add([GUMBO])
    assert found(second) == []
    client = TestClient(application(second, {HOST}), base_url=f"http://{HOST}")
    event = {"event_id": "e", "kind": "click", "query": "zydeco", "doc_id": "gumbo"}
    assert client.post("/feedback", json=event).json() == {"recorded": True}
    for wrong in ({"doc_id": "nowhere"}, {"query": "a\0"}):
        assert client.post("/feedback", json=event | wrong).status_code == 400
    first.add([GUMBO._replace(doc_id="more")])
    asked = {"query": "zydeco", "candidates": ["more", "strip"]}
    assert [row["doc_id"] for row in client.post("/search", json=asked).json()["results"]][:1] == ["more"]
    first.add([GUMBO._replace(doc_id="last")])
    second.remove(["last"])
    assert not first.journal.changes(3).added


def test_no_change_is_lost_between_services_that_change_documents_at_once(opened: Opened) -> None:
    services = [opened() for _ in range(3)]

    def change(number: int) -> None:
        draws = random.Random(number)
        for step in range(8):
            added = [Document(f"d{draws.randrange(12)}", "", f"zydeco {number} {step} {'a ' * draws.randrange(9)}")]
            services[number].add(added)
            if step % 4 == 3:
                with suppress(InputError):  # another one has removed it
                    services[number].remove([f"d{draws.randrange(12)}"])

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(change, range(3)))
    for service in services:
        service.refresh()
    late = opened()
    states = [service.program.documents for service in (*services, late)]
    assert states == [states[0]] * 4
    assert {service.version for service in (*services, late)} == {late.journal.changes().number}
    rankings = [service.search("zydeco", 20)[0] for service in (*services, late)]
    assert [(one.docids, one.scores) for one in rankings] == [(rankings[0].docids, rankings[0].scores)] * 4


def test_two_services_together_cannot_remove_the_last_document(opened: Opened, program: Program) -> None:
    first, second = opened(refresh_seconds=60), opened(refresh_seconds=60)
    *most, one, other = [document.doc_id for document in program.documents]
    first.remove(most)
    second.refresh()
    second._catch_up = lambda: None  # type: ignore[method-assign]  # as if the other one removed right after it
    first.remove([one])
    with pytest.raises(InputError, match="no document would be left"):
        second.remove([other])
    second.add([GUMBO])  # which does not hide what the other one did
    assert [document.doc_id for document in second.program.documents] == [other, "gumbo"]


def test_an_event_counts_once_however_many_services_get_it(opened: Opened) -> None:
    services = [opened(), opened()]
    events = [CLICK._replace(event_id=str(number % 50)) for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda pair: services[pair[0] % 2].record_feedback(pair[1]).result(10), enumerate(events)))
    assert sum(told) == len(services[0].feedback) == len(services[1].feedback) == 50


def test_a_new_program_gets_the_documents_of_all(opened: Opened, program: Program) -> None:
    first, second = opened(refresh_seconds=60), opened(refresh_seconds=60)
    second.add([GUMBO])
    newer = Program(program.retriever, program.documents, None, {"model": "newer"})
    first.replace(newer)
    assert (first.program.name, found(first)) == ("newer", ["gumbo"])


def test_searches_go_on_while_the_database_is_away(
    opened: Opened, postgresql: PostgreSQLServer, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = opened(refresh_seconds=0.05), opened()
    client = TestClient(application(first, {HOST}), base_url=f"http://{HOST}")
    event = {"event_id": "e", "kind": "click", "query": "zydeco", "doc_id": "strip"}
    postgresql.stop()
    assert client.post("/feedback", json=event).status_code == 503
    assert client.post("/documents", json={"documents": [GUMBO._asdict()]}).status_code == 503
    assert client.post("/search", json={"query": "white space"}).json()["results"]
    wait_until(lambda: "document changes of other services are not applied" in caplog.text, 10)
    assert PASSWORD not in caplog.text
    postgresql.start()
    assert client.post("/feedback", json=event).json() == {"recorded": True}
    second.add([GUMBO])
    wait_until(lambda: found(first) == ["gumbo"], 10)


def test_the_command_serves_from_a_database_and_refuses_others_in_one_line(
    program: Program, postgresql: PostgreSQLServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program.save(tmp_path / "program")
    url, log = postgresql.url(), tmp_path / "log"
    with Server(tmp_path / "program", url, log=log) as server:
        assert server.ask("POST", "/documents", {"documents": [GUMBO._asdict()]})[0] == 200
    with Server(tmp_path / "program", url) as server:
        assert server.ask("POST", "/search", {"query": "zydeco"})[1]["results"][0]["doc_id"] == "gumbo"
    assert PASSWORD not in log.read_text(encoding="utf-8")
    for state in (f"{url}-missing", f"sqlite:///{tmp_path}/a.sqlite", "mysql://ann:s3cret@host/name"):
        with pytest.raises(SystemExit):
            main(["serve", str(tmp_path / "program"), "--port", "0", "--state", state])
        refused = capsys.readouterr().err
        assert refused.startswith("error: ")
        assert len(refused.splitlines()) == 1
        assert "s3cret" not in refused
    assert {one.name for one in tmp_path.iterdir()} == {"program", "log"}
