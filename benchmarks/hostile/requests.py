"""Hostile HTTP requests to the server and to the labelling page, whose applications run in this process."""

import asyncio
import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from hypothesis import strategies as st

import zero2ir
from benchmarks.hostile.arguments import program
from benchmarks.hostile.changes import altered, changed, mutated, odd_json
from benchmarks.hostile.contract import Check, Kind, require, require_one_line, time_limit
from benchmarks.hostile.readers import DOCUMENTS
from zero2ir.labelling.session import Session
from zero2ir.labelling.web import labelling_application
from zero2ir.online.serving.service import SearchService
from zero2ir.online.serving.settings import ServingSettings
from zero2ir.online.serving.web import application

HOST, KEY = "127.0.0.1:8766", "the-key-of-the-server"
PAGE_PORT, TOKEN = 8765, "the-token-of-the-page"
PAGE = f"127.0.0.1:{PAGE_PORT}"
REFUSALS = {400, 401, 403, 404, 405, 409, 411, 413, 415, 422}
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "SEARCH", "get"]
PATHS = [
    *("/", "//search", "/search/", "/Search", "/search?x=1", "/search%00", "/../search", "/%2e%2e/%2e%2e/etc/passwd"),
    *(
        "/documents/",
        "/documents/d0",
        "/documents/%2F",
        "/documents/%ff",
        "/documents/" + "x" * 3000,
        "/docs",
        "/redoc",
    ),
    *("/openapi.json", "/static-offline-docs/../web.py", "/static-offline-docs/swagger-ui.css", "/health", "/metrics"),
    *("/metrics?x=%0a", "/%E2%80%AE", "/a;b", "/8765/", "/8765/label.js", "/8765/export/..%2f..%2fx", "/?token="),
]
HEADER_VALUES = [
    *(
        b"",
        b" ",
        b"null",
        b"*",
        b"a" * 5000,
        b"\xff\xfe",
        b"application/json; charset=utf-7",
        b"text/plain",
        b"multipart",
    ),
    *(
        b"http://evil.example",
        b"evil.example:8766",
        b"127.0.0.1:8766.evil.example",
        b"-1",
        b"1e3",
        b"99999999999999999999",
    ),
    *(b"Bearer", b"Bearer \xff", b"Basic x", b"gzip", b"chunked", b"bytes=0-", b"127.0.0.1"),
]


class HttpRequest(NamedTuple):
    """A request as a server of HTTP hands it on.

    Attributes:
        method: of HTTP.
        target: path and query, printable ASCII.
        headers: besides those of an honest client, or in their place.
        body: as sent.
        parts: in how many parts it arrives; 0 if the connection ends within it.
    """

    method: str
    target: str
    headers: Mapping[str, bytes]
    body: bytes
    parts: int


class Answer(NamedTuple):
    """The answer of an application."""

    status: int
    headers: Mapping[str, str]
    body: bytes


SERVED: list[tuple[str, str, Any]] = [
    ("POST", "/search", {"query": "chains", "k": 3, "candidates": ["d0", "d1"], "deadline": 1.0, "user": "ann"}),
    ("POST", "/search", {"query": "chains and tyres", "query_id": "q0"}),
    (
        "POST",
        "/feedback",
        {"event_id": "e", "kind": "grade", "query": "chains", "doc_id": "d0", "position": 1, "grade": 2},
    ),
    (
        "POST",
        "/feedback",
        {"event_id": "f", "kind": "click", "query": "chains", "doc_id": "d1", "position": 1, "user": "x"},
    ),
    ("POST", "/documents", {"documents": [{"doc_id": "new", "title": "New", "text": "a new text on lamps"}]}),
    ("DELETE", "/documents/new", None),
    ("GET", "/health", None),
    ("GET", "/metrics", None),
]
SHOWN: list[tuple[str, str, Any]] = [
    ("POST", f"/{PAGE_PORT}/answer", {"grade": 1, "answer_count": 0}),
    ("POST", f"/{PAGE_PORT}/undo", {"answer_count": 1}),
    ("POST", f"/{PAGE_PORT}/again", {"query_id": "q0", "doc_id": "d0", "grade": 0, "answer_count": 1}),
    ("POST", f"/{PAGE_PORT}/save", {"answer_count": 0}),
    ("GET", f"/{PAGE_PORT}/view", None),
    ("GET", f"/{PAGE_PORT}/export/qrels.trec", None),
    ("GET", "/", None),
]
SMALL_NUMBERS = st.one_of(odd_json(), st.integers(-1, 5))


@st.composite
def requests(draw: st.DrawFn, honest: list[tuple[str, str, Any]]) -> HttpRequest:
    """Draws an honest request with one to two things changed: its values, bytes, headers, method, path or arrival."""
    method, target, value = draw(st.sampled_from(honest))
    body, headers, parts = b"" if value is None else json.dumps(value).encode(), {}, draw(st.integers(1, 3))
    for _ in range(draw(st.integers(1, 2))):
        match draw(st.integers(0, 9)):
            case 0:
                method = draw(st.sampled_from(METHODS))
            case 1:
                target = draw(st.one_of(st.sampled_from(PATHS), mutated(target.encode()).map(_as_target)))
            case 2 | 3:
                names = [
                    "host",
                    "origin",
                    "content-type",
                    "content-length",
                    "authorization",
                    "cookie",
                    "x-zero2ir-token",
                ]
                names += [
                    "transfer-encoding",
                    "expect",
                    "range",
                    "accept-encoding",
                    "x-forwarded-host",
                    "upgrade",
                    "\x7f",
                ]
                headers[draw(st.sampled_from(names))] = draw(st.sampled_from(HEADER_VALUES))
            case 4:
                body = draw(altered(body))
            case 5 if not draw(st.integers(0, 3)):
                parts = 0
            case _:
                body = json.dumps(draw(changed(value, SMALL_NUMBERS))).encode()
    return HttpRequest(method, target, headers, body, parts)


def _as_target(path: bytes) -> str:
    return "/" + "".join(chr(byte) for byte in path[:2000] if 33 <= byte < 127).lstrip("/")


def ask(runner: asyncio.Runner, app: Any, request: HttpRequest, honest: Mapping[str, bytes]) -> Answer | None:
    """Calls an application as a server of HTTP does; returns None where the client is gone, or nothing is answered."""
    path, _, query = request.target.partition("?")
    sent = {"content-length": str(len(request.body)).encode(), **honest, **request.headers}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode("latin-1"), value) for name, value in sent.items()],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8766),
        "state": {},
    }
    size = -(-len(request.body) // max(1, request.parts)) or 1
    arriving = [request.body[at : at + size] for at in range(0, len(request.body), size)] or [b""]
    answered: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if request.parts == 0 or not arriving:
            return {"type": "http.disconnect"}
        part = arriving.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(arriving)}

    async def send(message: dict[str, Any]) -> None:
        answered.append(message)

    with time_limit():
        runner.run(app(scope, receive, send))
    if not answered:
        return None
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answered[0]["headers"]}
    return Answer(answered[0]["status"], headers, b"".join(message.get("body", b"") for message in answered[1:]))


def require_answer(request: HttpRequest, answer: Answer | None, accepted: set[int]) -> None:
    """Raises Broken unless an answer is a result or a refusal in one line, which repeats no secret."""
    if answer is None:
        require(request.parts == 0, "no answer")
        return
    require(answer.status in accepted | REFUSALS, f"status {answer.status}: {answer.body[:300]!r}")
    require(not any(secret.encode() in answer.body for secret in (KEY, TOKEN)), "a secret is in the answer")
    require("\n" not in "".join(answer.headers.values()), f"a header has two lines: {answer.headers}")
    if answer.headers.get("content-type") == "application/json" and answer.status >= 400:
        require_one_line(json.loads(answer.body)["error"])


def require_finite(value: Any) -> None:
    """Raises Broken if JSON has a number that is none."""
    if isinstance(value, float):
        require(math.isfinite(value), "an answer is not finite")
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        require_finite(one)


@contextmanager
def _server() -> Iterator[Check]:
    """Tries requests to a server with a key; at the end everything that it acknowledged is in its files."""
    honest = {"host": HOST.encode(), "content-type": b"application/json", "authorization": f"Bearer {KEY}".encode()}
    settings = ServingSettings(impressions=True)
    recorded: list[str] = []
    with tempfile.TemporaryDirectory() as state:
        with SearchService(program(), Path(state), settings) as service, asyncio.Runner() as runner:
            app = application(service, {HOST}, KEY)

            def check(request: HttpRequest) -> None:
                answer = ask(runner, app, request, honest)
                require_answer(request, answer, {200, 201, 307})
                if answer is None:
                    return
                path = request.target.partition("?")[0]
                is_open = path in ("/health", "/docs", "/openapi.json") or path.startswith("/static-offline-docs/")
                if "authorization" in request.headers and not is_open:
                    require(answer.status == 401, f"let in without the key: {answer.status}")
                if "host" in request.headers and answer.status == 200:
                    require(False, "let in under another name")
                if answer.status == 200 and answer.headers.get("content-type") == "application/json":
                    require_finite(value := json.loads(answer.body))
                    if isinstance(value, dict) and value.get("recorded"):
                        recorded.append(json.loads(request.body.decode("utf-8-sig"))["event_id"])
                alive = ask(runner, app, HttpRequest("GET", "/health", {}, b"", 1), honest)
                require(alive is not None and alive.status == 200, "the server is not there any more")

            yield check
            require(service.writer.flush(10), "events are not written")
            documents = {document.doc_id: document for document in service.program.documents}
        with SearchService(program(), Path(state), settings) as again:
            events = [event.event_id for event in again.feedback.events() if event.kind in ("grade", "click")]
            kept = {document.doc_id: document for document in again.program.documents}
    require(not set(recorded) - set(events), f"{len(set(recorded) - set(events))} acknowledged events are lost")
    require(len(set(recorded)) == len(recorded), "an event was acknowledged as new twice")
    require(kept == documents, "documents differ after the restart")


@contextmanager
def _page() -> Iterator[Check]:
    """Tries requests to a labelling page; only those with all of its secrets change anything."""
    with tempfile.TemporaryDirectory() as place, asyncio.Runner() as runner:
        queries = [f"what is about {word}" for word in ("chains", "tyres", "brakes", "lamps")]
        committee = ["~model@committee.dense", "~model@committee.static"]
        labelling = zero2ir.api.label(
            DOCUMENTS, queries, Path(place, "annotations.jsonl"), model="sparse", settings=committee
        )
        session = Session(labelling, "me")
        app = labelling_application(session, PAGE_PORT, TOKEN)
        honest = _secrets_of_page(runner, app)

        def check(request: HttpRequest) -> None:
            before = list(session.annotations.rows)
            answer = ask(runner, app, request, honest)
            require_answer(request, answer, {200, 303, 307})
            changed_rows = list(session.annotations.rows) != before
            if changed_rows:
                require(answer is not None and answer.status == 200, f"changed, but the answer is {answer}")
                forged = {"host", "origin", "cookie", "x-zero2ir-token"} & set(request.headers)
                require(not forged, f"changed with another {forged}")
                require(abs(len(session.annotations.rows) - len(before)) == 1, "more than one answer changed")

        yield check
        rows = list(session.annotations.rows)
        again = Session(
            zero2ir.api.label(DOCUMENTS, queries, session.annotations.path, model="sparse", settings=committee), "me"
        )
        require(again.annotations.rows == rows, "answers differ after the restart")


def _secrets_of_page(runner: asyncio.Runner, app: Any) -> dict[str, bytes]:
    """The headers of a browser that opened the page's address and read the page."""
    host = {"host": PAGE.encode()}
    opened = ask(runner, app, HttpRequest("GET", f"/?token={TOKEN}", {}, b"", 1), host)
    assert opened is not None
    cookie = opened.headers["set-cookie"].partition(";")[0].encode()
    page = ask(runner, app, HttpRequest("GET", f"/{PAGE_PORT}/", {}, b"", 1), {**host, "cookie": cookie})
    assert page is not None
    secret = page.body.split(b'name="token" content="')[1].split(b'"')[0]
    own = {"origin": f"http://{PAGE}".encode(), "x-zero2ir-token": secret, "content-type": b"application/json"}
    return {**host, "cookie": cookie, **own}


PROMISE = "A malformed request is answered or refused in one line, lets nobody in, and loses nothing acknowledged"
SERVER = Kind("requests to the server", PROMISE, requests(SERVED), _server, 1250)
LABEL_PAGE = Kind("requests to the labelling page", PROMISE, requests(SHOWN), _page, 750)
