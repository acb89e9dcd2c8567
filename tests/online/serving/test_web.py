"""The service as others call it: typed, limited, guarded, and silent about what was asked."""

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from threadpoolctl import threadpool_info, threadpool_limits

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.io.sockets import listen
from zero2ir.models.sparse import Sparse
from zero2ir.online.serving.service import SearchService, warm_up
from zero2ir.online.serving.settings import ServingSettings
from zero2ir.online.serving.web import api_key_from_environment, application, serve
from zero2ir.program.confidence import Confidence
from zero2ir.program.fallback import FallbackSettings
from zero2ir.program.policy import Policy
from zero2ir.program.program import FallbackLink, Program

HOST = "127.0.0.1:8766"
SURE = Confidence(0.5, 1.0, (0.7, 0.4), (1.5, 0.1), (0.5, 0.1))
QUERY = "list of the words in the string"
GRADE = {"event_id": "e1", "kind": "grade", "query": QUERY, "doc_id": "split", "position": 1, "grade": 2}


class Broken(Sparse):
    """BM25 that can be told to fail or to take its time."""

    trouble: Callable[[], Any] = staticmethod(lambda: None)

    def search(self, *given: Any, **more: Any) -> Any:
        self.trouble()
        return super().search(*given, **more)


def fails() -> None:
    raise ConnectionError(f"http://lm.example refused: {QUERY}")


@pytest.fixture(scope="module")
def documents(string_methods: list[dict[str, str]]) -> list[Document]:
    return [Document(row["doc_id"], row["doc_id"], row["text"]) for row in string_methods]


@pytest.fixture
def program(documents: list[Document]) -> Program:
    corpus = Corpus(documents)
    rich = Broken(k1=1.2).index(corpus)
    about = {"model": "rich"}
    links = [FallbackLink("sparse", Sparse().index(corpus), SURE)]
    return Program(rich, documents, SURE, about, links=links, fallback=FallbackSettings(deadline=1.0, max_failures=2))


@pytest.fixture
def opened(program: Program, tmp_path: Path) -> Iterator[Callable[..., TestClient]]:
    """Opens the service, as often as wanted, over the same folder."""
    services: list[SearchService] = []

    def make(api_key: str | None = None, served: Program = program, **settings: Any) -> TestClient:
        for service in services:
            service.close()
        services.append(SearchService(served, tmp_path / "state", ServingSettings(**settings)))
        client = TestClient(
            application(services[-1], {HOST}, api_key), base_url=f"http://{HOST}", raise_server_exceptions=False
        )
        client.service = services[-1]  # type: ignore[attr-defined]
        return client

    yield make
    services[-1].close()


def test_an_answer_has_documents_probabilities_and_the_program(opened: Any, program: Program) -> None:
    answer = opened().post("/search", json={"query": QUERY, "k": 3}).json()
    expected = program(query=QUERY, k=3)
    assert [row["doc_id"] for row in answer["results"]] == expected.docids
    assert [row["probability"] for row in answer["results"]] == expected.probabilities
    assert [row["interval"] for row in answer["results"]] == expected.intervals
    assert answer["confidence"] == expected.confidence == expected.probabilities[0]
    assert answer["confidence_interval"] == expected.confidence_interval == expected.intervals[0]
    assert answer["results"][0]["text"] == program.document(expected.docids[0]).text
    assert (answer["served_by"], answer["steps"], answer["decision"]) == ("rich", [], None)
    only = opened().post("/search", json={"query": QUERY, "candidates": ["strip", "join"]}).json()
    assert {row["doc_id"] for row in only["results"]} == {"strip", "join"}


def test_the_fallback_answers_if_the_first_program_fails_or_hangs(opened: Any, program: Program) -> None:
    client = opened()
    for trouble, reason in ((fails, "error"), (lambda: time.sleep(2), "time-out"), (fails, "circuit open")):
        program.retriever.trouble = trouble  # type: ignore[attr-defined]
        start = time.monotonic()
        answer = client.post("/search", json={"query": QUERY}).json()
        assert time.monotonic() - start < 1.0
        assert answer["served_by"] == "sparse"
        assert [(step["program"], step["reason"]) for step in answer["steps"]] == [("rich", reason)]
        assert answer["results"]
    assert client.get("/health").json()["circuits"] == {"rich": "open", "sparse": "closed"}
    told = client.get("/metrics").text
    assert 'zero2ir_answers_total{decision="answer",served_by="sparse"} 3.0' in told
    assert 'zero2ir_skipped_programs_total{program="rich",reason="circuit open"} 1.0' in told
    assert 'zero2ir_circuit_open{program="rich"} 1' in told
    assert QUERY not in told


def test_warming_up_names_programs_that_fail(opened: Any, program: Program) -> None:
    service = opened().service
    assert warm_up(service.program) == {}
    program.retriever.trouble = fails  # type: ignore[attr-defined]
    assert warm_up(service.program) == {"rich": "ConnectionError"}


def test_a_search_without_an_answer_is_counted(opened: Any, program: Program) -> None:
    program.retriever.trouble = fails  # type: ignore[attr-defined]
    alone = Program(program.retriever, program.documents, SURE, {"model": "rich"})
    client = opened(served=alone)
    answer = client.post("/search", json={"query": QUERY})
    assert (answer.status_code, answer.json()) == (503, {"error": "no answer: rich: error"})
    assert "zero2ir_unanswered_total 1.0" in client.get("/metrics").text


def test_an_unsure_answer_is_withheld(opened: Any, program: Program) -> None:
    for risk, decision, number in ((1.0, "answer", 10), (0.0, "abstain", 0)):
        program.policy = Policy(risk, risk)
        answer = opened().post("/search", json={"query": QUERY}).json()
        assert (answer["decision"], len(answer["results"])) == (decision, number)
        assert answer["confidence"] > 0


def test_feedback_counts_once_and_survives_a_restart(opened: Any) -> None:
    client = opened()
    assert [client.post("/feedback", json=GRADE).json() for _ in range(2)] == [{"recorded": True}, {"recorded": False}]
    assert 'zero2ir_feedback_total{kind="grade"} 1.0' in client.get("/metrics").text
    (event,) = opened().service.feedback.events()
    assert (event.doc_id, event.grade, event.query) == ("split", 2, QUERY)
    assert abs(event.timestamp - time.time()) < 60


def test_impressions_are_recorded_if_configured(opened: Any) -> None:
    for wanted in (False, True):
        client = opened(impressions=wanted)
        shown = client.post("/search", json={"query": QUERY, "k": 3, "user": "ann"}).json()["results"]
        assert client.service.writer.flush(5)
        events = client.service.feedback.events()
        assert len(events) == (3 if wanted else 0)
    assert [(event.doc_id, event.position) for event in events] == [
        (row["doc_id"], place) for place, row in enumerate(shown, 1)
    ]
    assert {event.kind for event in events} == {"impression"}
    assert client.post("/search", json={"query": "zydeco", "user": "ann"}).json()["results"] == []
    assert client.service.writer.flush(5)
    (nothing,) = client.service.feedback.events(after=3)
    assert (nothing.kind, nothing.query, nothing.doc_id, nothing.user) == ("nothing", "zydeco", "", "ann")


def test_a_full_disk_refuses_feedback_and_costs_no_answer(
    opened: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    client = opened(impressions=True)
    client.service.feedback.database._connection.exec_driver_sql("PRAGMA query_only = ON")  # as on a full disk
    answer = client.post("/feedback", json=GRADE)
    assert (answer.status_code, "send it again later" in answer.text) == (503, True)
    assert str(tmp_path) not in answer.text
    assert client.post("/search", json={"query": QUERY}).json()["results"]
    assert not client.service.writer.flush(0.5)
    assert "10 impressions are not recorded yet" in caplog.text
    client.service.feedback.database._connection.exec_driver_sql("PRAGMA query_only = OFF")
    assert client.post("/feedback", json=GRADE).json() == {"recorded": True}
    assert client.service.writer.flush(5)
    assert len(client.service.feedback) == 11


def test_changed_documents_survive_a_restart(opened: Any, documents: list[Document]) -> None:
    client = opened()
    new = {"doc_id": "a/new one", "title": "", "text": "zydeco accordion"}
    assert client.post("/documents", json={"documents": [new]}).json() == {"documents": len(documents) + 1}
    assert client.delete("/documents/split").json() == {"documents": len(documents)}
    changed = {"doc_id": "join", "text": "a gumbo of strings"}
    assert client.post("/documents", json={"documents": [changed]}).status_code == 200
    for one in (client, opened()):
        assert one.get("/health").json()["documents"] == len(documents)
        found = one.post("/search", json={"query": "zydeco"}).json()["results"]
        assert [row["doc_id"] for row in found] == ["a/new one"]
        assert one.post("/search", json={"query": "gumbo"}).json()["results"][0]["doc_id"] == "join"
        everything = one.post("/search", json={"query": QUERY, "k": 100}).json()["results"]
        assert "split" not in {row["doc_id"] for row in everything}
    assert opened().delete("/documents/a%2Fnew%20one").status_code == 200
    assert opened().post("/search", json={"query": "zydeco"}).json()["results"] == []


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("/search", {"query": "x" * 1001}, 422, "query: String should have at most 1000 characters"),
        ("/search", {"query": "x", "k": 0}, 422, "k: Input should be greater than or equal to 1"),
        ("/search", {"query": "x", "k": 101}, 422, "k: Input should be less than or equal to 100"),
        ("/search", {"query": "x", "path": "/etc/passwd"}, 422, "path: Extra inputs are not permitted"),
        ("/search", {}, 422, "query: Field required"),
        ("/search", {"query": "x", "candidates": ["nowhere"]}, 400, "no document has the id 'nowhere'"),
        ("/feedback", {**GRADE, "doc_id": "nowhere"}, 400, "no document has the id 'nowhere'"),
        ("/feedback", {**GRADE, "kind": "like"}, 422, "kind: Input should be 'grade', 'click' or 'impression'"),
        ("/feedback", {**GRADE, "grade": None}, 400, "kind grade needs a grade 0, 1, ..."),
        ("/documents", {"documents": []}, 422, "documents: List should have at least 1 item"),
        ("/documents", {"documents": [{"doc_id": "a", "text": "x"}] * 2}, 400, "duplicate id"),
        ("/documents", {"documents": [{"doc_id": "a", "text": "x" * 40_000}]}, 413, "larger than 30000 bytes"),
    ],
)
def test_invalid_requests_get_one_line(opened: Any, path: str, body: Any, status: int, reason: str) -> None:
    answer = opened(max_body_bytes=30_000).post(path, json=body)
    assert answer.status_code == status
    assert reason in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


def test_a_large_body_of_unknown_length_is_cut_off(opened: Any) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(1000):
            yield b" " * 1000

    answer = opened(max_body_bytes=30_000).post(
        "/search", content=endless(), headers={"content-type": "application/json"}
    )
    assert answer.status_code == 413


def test_removing_an_unknown_or_the_last_document_is_refused(opened: Any, program: Program) -> None:
    client = opened()
    assert client.delete("/documents/nowhere").status_code == 400
    *most, last = [document.doc_id for document in program.documents]
    client.service.remove(most)
    refused = client.delete(f"/documents/{last}")
    assert (refused.status_code, "no document would be left" in refused.json()["error"]) == (400, True)
    assert opened().get("/health").json()["documents"] == 1


def test_requests_need_the_key(opened: Any) -> None:
    client = opened(api_key="a secret")
    for headers, status in (
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "a secret"}, 401),
        ({"authorization": "Bearer a secret"}, 200),
    ):
        assert client.post("/search", json={"query": QUERY}, headers=headers).status_code == status
        assert client.get("/metrics", headers=headers).status_code == status
    assert client.get("/health").status_code == client.get("/openapi.json").status_code == 200
    assert "/search" in client.get("/openapi.json").json()["paths"]


def test_the_api_page_needs_no_other_host(opened: Any) -> None:
    client = opened(api_key="s3cret")
    page = client.get("/docs").text
    needed = [place for place in re.findall(r'(?:src|href)="([^"]+)"', page) if "favicon" not in place]
    assert len(needed) == 2
    for place in needed:
        assert place.startswith("/")
        assert client.get(place).status_code == 200
    assert "https://" not in page


def test_another_host_name_is_refused(opened: Any) -> None:
    answer = opened().post("/search", json={"query": QUERY}, headers={"host": "evil.example:8766"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),  # needs no preflight
        ({"content-type": ""}, 415),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": f"http://{HOST}", "content-type": "application/json; charset=utf-8"}, 200),
    ],
)
def test_a_page_of_another_site_cannot_write(opened: Any, headers: dict[str, str], status: int) -> None:
    headers = {"content-type": "application/json"} | headers
    client = opened()
    assert client.post("/feedback", content=json.dumps(GRADE), headers=headers).status_code == status
    assert len(client.service.feedback.events()) == (status == 200)
    if "origin" in headers:
        assert client.delete("/documents/split", headers={"origin": headers["origin"]}).status_code == status
        assert client.get("/health", headers={"origin": headers["origin"]}).status_code == 200


DEEP = b'{"query": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/search", b'{"query": "x", "deadline": Infinity}', "Infinity is not a JSON number"),
        ("/search", b'{"query": "x", "deadline": -Infinity}', "-Infinity is not a JSON number"),
        ("/search", b'{"query": "x", "deadline": NaN}', "NaN is not a JSON number"),
        ("/search", b'{"query": "x", "deadline": 1e999}', "1e999 is not a JSON number"),
        ("/search", b'{"query": "x", "k": ' + b"1" * 5000 + b"}", "the body is not JSON"),
        ("/search", DEEP, "nested too deeply"),
        ("/search", b'{"query": "\xff"}', "the body is not JSON"),
        ("/search", b'{"query": "x"', "the body is not JSON"),
        ("/search", b'{"query": "\\ud800"}', "half of a surrogate pair"),
        ("/feedback", json.dumps({**GRADE, "query": "\ud800"}).encode(), "half of a surrogate pair"),
        ("/feedback", json.dumps({**GRADE, "user": "\udfff"}).encode(), "half of a surrogate pair"),
        ("/documents", json.dumps({"documents": [{"doc_id": "a", "text": "\ud800"}]}).encode(), "surrogate pair"),
        ("/documents", DEEP, "nested too deeply"),
    ],
)
def test_a_body_that_is_no_sound_json_gets_one_line(opened: Any, path: str, body: bytes, reason: str) -> None:
    answer = opened().post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert reason in answer.json()["error"]
    assert "\n" not in answer.json()["error"]
    smile = opened().post("/search", json={"query": "\N{GRINNING FACE}"})
    assert smile.status_code == 200


@pytest.mark.parametrize(
    ("length", "status"), [("many", 400), ("-1", 400), ("1e3", 400), ("²", 400), ("9" * 5000, 413)]
)
def test_a_malformed_length_is_said(opened: Any, length: str, status: int) -> None:
    headers = {"content-type": "application/json", "content-length": length.encode()}
    answer = opened().post("/search", content=b"{}", headers=headers)
    assert answer.status_code == status


def test_unknown_paths_and_methods_get_one_line(opened: Any) -> None:
    assert opened().get("/nowhere").json() == {"error": "Not Found"}
    assert opened().get("/search").json() == {"error": "Method Not Allowed"}


@pytest.mark.parametrize("wanted", [False, True])
def test_the_log_contains_queries_only_if_configured(
    opened: Any, program: Program, caplog: pytest.LogCaptureFixture, wanted: bool
) -> None:
    caplog.set_level(logging.INFO)
    program.retriever.trouble = fails  # type: ignore[attr-defined]
    alone = Program(program.retriever, program.documents, SURE, {"model": "rich"})
    client = opened(api_key="a secret", served=alone, log_queries=wanted)
    headers = {"authorization": "Bearer a secret"}
    client.post("/search", json={"query": QUERY}, headers=headers)
    client.post("/feedback", json=GRADE, headers=headers)
    client.delete("/documents/secret-id", headers=headers)
    told = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("zero2ir"))
    assert "POST /search 503" in told
    assert "POST /feedback 200" in told
    assert (QUERY in told) == wanted
    assert "a secret" not in told
    assert "secret-id" not in told


def test_a_made_up_method_writes_no_long_line_into_the_log(opened: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert opened().request("A" * 20_000, "/health").status_code == 415
    assert max(len(record.getMessage()) for record in caplog.records if record.name.startswith("zero2ir")) < 100


def test_other_machines_need_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZERO2IR_API_KEY", raising=False)
    assert api_key_from_environment("127.0.0.1") is None
    with pytest.raises(InputError, match="set an API key in ZERO2IR_API_KEY"):
        api_key_from_environment("0.0.0.0")
    monkeypatch.setenv("ZERO2IR_API_KEY", "a secret")
    assert api_key_from_environment("0.0.0.0") == "a secret"
    listen(0).close()


def test_matrix_products_use_one_thread_while_serving(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def blas_threads() -> set[int]:
        return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}

    seen: list[set[int]] = []
    monkeypatch.setattr("uvicorn.Server.run", lambda *_, **__: seen.append(blas_threads()))
    with threadpool_limits(2, user_api="blas"), listen(0) as bound:
        serve(opened().service, bound, None)
        assert (seen, blas_threads()) == ([{1}], {2})
