"""The service over HTTP: typed requests, limits, and a guard in front of all of it."""

import json
import logging
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from threading import Thread
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel, ConfigDict, Field, create_model

from zero2ir.data.records import Document
from zero2ir.errors import InputError, StorageError
from zero2ir.io.sockets import HOST, LOOPBACK_NAMES, equal_secrets
from zero2ir.online.feedback.store import FeedbackEvent
from zero2ir.online.serving.metrics import Metrics
from zero2ir.online.serving.service import LOG, SearchService, open_program
from zero2ir.online.serving.settings import ServingSettings
from zero2ir.program.fallback import NoAnswerError

KEY_VARIABLE = "ZERO2IR_API_KEY"
PUBLIC_PATHS = {"/health", "/docs", "/openapi.json"}  # what anybody may see who reaches the service ...
PAGE_FILES = "/static-offline-docs/"  # ... and what the page at /docs is made of
Identifier = Annotated[str, Field(min_length=1, max_length=500)]


class StrictModel(BaseModel):
    """A request or an answer; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid")


class SearchHit(StrictModel):
    """A document of an answer; ``probability`` that it is relevant, None where nothing can tell."""

    doc_id: str
    title: str
    text: str
    score: float
    probability: float | None
    answer: str | None = None


class SkippedProgramResponse(StrictModel):
    """A program that did not serve, and why."""

    program: str
    reason: str
    detail: str


class SearchResponse(StrictModel):
    """What was found; nothing where the policy abstains.

    ``confidence`` is the probability that the first document is relevant; ``served_by`` the program that answered, and
    ``steps`` why those before it did not.
    """

    results: list[SearchHit]
    confidence: float | None
    decision: Literal["answer", "warn", "abstain"] | None
    served_by: str
    steps: list[SkippedProgramResponse]


class FeedbackRequest(StrictModel):
    """What somebody tells; sent again with the same ``event_id`` it counts once."""

    event_id: Identifier
    kind: Literal["grade", "click", "impression"]
    query: str
    doc_id: Identifier
    position: Annotated[int, Field(ge=1, le=10_000)] | None = None
    grade: Annotated[int, Field(ge=0, le=10)] | None = None
    user: Annotated[str, Field(max_length=200)] = ""


class FeedbackResponse(StrictModel):
    """Whether it was new."""

    recorded: bool


class CollectionSize(StrictModel):
    """How many documents there are now."""

    documents: int


class HealthResponse(StrictModel):
    """Whether programs are passed over: "open" circuits."""

    status: Literal["ok"]
    program: str
    documents: int
    circuits: dict[str, Literal["open", "closed"]]


def search_type(settings: ServingSettings) -> Any:
    """The type of a search, with the limits that are set."""
    query = Annotated[str, Field(max_length=settings.max_query_characters)]
    count = Annotated[int, Field(ge=1, le=settings.max_results)]
    candidates = Annotated[list[Identifier], Field(max_length=10_000)]
    fields: dict[str, Any] = {
        "query": (query, ...),
        "k": (count, min(10, settings.max_results)),
        "candidates": (candidates | None, None),
        "deadline": (Annotated[float, Field(gt=0, le=60)] | None, None),
        "user": (Annotated[str, Field(max_length=200)], ""),
    }
    return create_model(
        "Search", __base__=StrictModel, __doc__="A query; candidates are document ids to rank.", **fields
    )


def documents_type(settings: ServingSettings) -> Any:
    """The type of documents to add, with the limits that are set."""
    text = Annotated[str, Field(max_length=settings.max_document_characters)]
    request = create_model(
        "GivenDocument", __base__=StrictModel, doc_id=(Identifier, ...), title=(text, ""), text=(text, ...)
    )
    many = Annotated[list[request], Field(min_length=1, max_length=settings.max_documents_per_request)]  # type: ignore[valid-type]
    return create_model("Documents", __base__=StrictModel, documents=(many, ...))


def application(service: SearchService, hosts: set[str] | None = None, api_key: str | None = None) -> FastAPI:
    """The service's paths, behind the guard.

    Args:
        service: what answers.
        hosts: the names that a request may call this service by; None for any. A browser that was led to 127.0.0.1
            under another name is turned away.
        api_key: that every request has to bring, but those for ``PUBLIC_PATHS``; None for none.
    """
    metrics = Metrics(service)
    app = FastAPIOffline(title="zero2ir", version=version("zero2ir"), redoc_url=None)
    app.add_middleware(_Guard, service=service, metrics=metrics, hosts=hosts, api_key=api_key)
    searched, given_documents = search_type(service.settings), documents_type(service.settings)

    @app.exception_handler(InputError)
    async def refused(request: Request, error: InputError) -> JSONResponse:
        return _error(400, str(error))

    @app.exception_handler(StorageError)
    async def unkept(request: Request, error: StorageError) -> JSONResponse:
        LOG.error("%s", error)
        return _error(503, "it could not be kept: the server cannot write its file; send it again later")

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "body")
        return _error(422, f"{place or 'body'}: {first['msg']}")

    @app.exception_handler(NoAnswerError)
    async def unanswered(request: Request, error: NoAnswerError) -> JSONResponse:
        steps = [step._asdict() for step in error.steps]
        metrics.unanswered.inc()
        metrics.count_skipped(steps)
        return _error(503, str(error), steps=steps)

    @app.post("/search", response_model=SearchResponse)
    def search(request: searched) -> Response:  # type: ignore[valid-type]
        asked: Any = request
        if service.settings.log_queries:
            LOG.info("query %s", json.dumps(asked.query, ensure_ascii=False))
        try:
            answer, documents = service.search(**asked.model_dump())
        except (InputError, NoAnswerError):
            raise
        except Exception as error:
            LOG.error("search: %s", repr(error) if service.settings.log_queries else type(error).__name__)
            metrics.unanswered.inc()
            return _error(503, f"no answer: {service.program.name}: error")
        metrics.answered(answer)
        return JSONResponse(response_json(answer, documents, service.program.name))

    @app.post("/feedback")
    def feedback(request: FeedbackRequest) -> FeedbackResponse:
        recorded = service.record_feedback(FeedbackEvent(**request.model_dump(), timestamp=time.time()))
        metrics.feedback.labels(request.kind).inc(int(recorded))
        return FeedbackResponse(recorded=recorded)

    @app.post("/documents")
    def add(request: given_documents) -> CollectionSize:  # type: ignore[valid-type]
        rows: Any = request
        made = [Document(row.doc_id, row.title, row.text) for row in rows.documents]
        if len({document.doc_id for document in made}) < len(made):
            raise InputError("documents: an id stands twice; give each document once")
        service.add(made)
        return CollectionSize(documents=len(service.program.documents))

    @app.delete("/documents/{doc_id:path}")
    def remove(doc_id: str) -> CollectionSize:
        service.remove([doc_id])
        return CollectionSize(documents=len(service.program.documents))

    @app.get("/health")
    def health() -> HealthResponse:
        program = service.program
        breakers = {} if program.chain is None else program.chain.breakers
        return HealthResponse(
            status="ok",
            program=program.name,
            documents=len(program.documents),
            circuits={name: "open" if one.is_open else "closed" for name, one in breakers.items()},
        )

    @app.get("/metrics")
    def prometheus() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return app


def response_json(answer: Any, documents: list[Document], name: str) -> dict[str, Any]:
    """An ``SearchResponse``; it is not validated again, since it is our own."""
    probabilities = answer.probabilities or [None] * len(documents)
    read = answer.get("answers") or [None] * len(documents)
    return {
        "results": [
            {
                "doc_id": document.doc_id,
                "title": document.title,
                "text": document.text,
                "score": score,
                "probability": probability,
                "answer": found,
            }
            for document, score, probability, found in zip(documents, answer.scores, probabilities, read, strict=False)
        ],
        "confidence": answer.confidence,
        "decision": answer.get("decision"),
        "served_by": answer.get("served_by") or name,
        "steps": answer.get("steps") or [],
    }


def _error(status: int, message: str, **more: Any) -> JSONResponse:
    return JSONResponse({"error": message, **more}, status_code=status)


class _Guard:
    """In front of every path: who may ask, how much, and one line in the log without a word of it."""

    def __init__(
        self, app: Any, service: SearchService, metrics: Metrics, hosts: set[str] | None, api_key: str | None
    ) -> None:
        self.app = app
        self.most = service.settings.max_body_bytes
        self.metrics = metrics
        self.hosts = hosts
        self.api_key = api_key

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def watched(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        request = Request(scope)
        try:
            if (refusal := self._refused(request)) is not None:
                await refusal(scope, receive, watched)
            elif (body := await self._body(request, receive)) is None:
                await _error(413, f"the request is larger than {self.most} bytes")(scope, receive, watched)
            else:
                await self.app(scope, _again(body, receive), watched)
        finally:
            self._log(scope, status, time.perf_counter() - start)

    def _refused(self, request: Request) -> JSONResponse | None:
        if self.hosts is not None and request.headers.get("host", "") not in self.hosts:
            return _error(403, "this service is served to this machine alone")
        if self.api_key is None or request.url.path in PUBLIC_PATHS or request.url.path.startswith(PAGE_FILES):
            return None
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and equal_secrets(key, self.api_key):
            return None
        return _error(401, "send the API key in the header Authorization: Bearer <key>")

    async def _body(self, request: Request, receive: Callable[[], Awaitable[Any]]) -> bytes | None:
        """All of it, since it is small; None where it is too large."""
        stated = request.headers.get("content-length", "0")
        if not stated.isdecimal() or int(stated) > self.most:
            return None
        body, more = b"", True
        while more and len(body) <= self.most:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        return None if more or len(body) > self.most else body

    def _log(self, scope: Any, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")  # the pattern: an id in a path is nobody's business
        self.metrics.requests.labels(route, str(status)).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        LOG.info("%s %s %d %.1f ms", scope["method"], route, status, 1000 * seconds)


def _again(body: bytes, receive: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
    """Gives a body that was received once more, and then what else comes."""
    sent = False

    async def give() -> Any:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return give


def api_key_from_environment(host: str) -> str | None:
    """The API key that the environment holds.

    Raises:
        InputError: there is none, and the service would be open to other machines.
    """
    key = os.environ.get(KEY_VARIABLE) or None
    if key is None and host not in LOOPBACK_NAMES:
        raise InputError(f"--host {host}: open to other machines; put a key that they have to send into {KEY_VARIABLE}")
    return key


def on_sighup(reopen: Callable[[], None]) -> None:
    """Reopens at SIGHUP, in a thread of its own; what is in service stays where that fails, and the log says so."""

    def run() -> None:
        try:
            reopen()
        except Exception as error:
            LOG.error("reopened: no, %s", error if isinstance(error, InputError) else type(error).__name__)
        else:
            LOG.info("reopened")

    signal.signal(signal.SIGHUP, lambda *_: Thread(target=run, daemon=True).start())


def serve_program(
    place: str, state: Path, settings: ServingSettings, bound: socket.socket, api_key: str | None
) -> None:
    """Opens a program and serves it until Ctrl-C or SIGTERM; SIGHUP opens it anew.

    Args:
        place: its folder, or an MLflow model URI.
        state: the folder that keeps feedback and changed documents.
        settings: limits, and what is recorded.
        bound: where to listen.
        api_key: that requests have to send; None for none.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    with SearchService(open_program(place), state, settings) as service:
        for name, error in service.warm_up().items():
            print(f"{name} does not answer yet ({error})", flush=True)
        on_sighup(lambda: service.replace(open_program(place)))
        serve(service, bound, api_key)


def serve(service: SearchService, bound: socket.socket, api_key: str | None) -> None:
    """Serves until Ctrl-C or SIGTERM, and prints the address first.

    Meanwhile every matrix product of numpy has one thread: the product of a query is small, and searches side by side
    fight for the cores otherwise (27 ms of processor a search of ``static_hybrid`` on beir/scifact, against 3).
    """
    import uvicorn
    from threadpoolctl import threadpool_limits

    host, port = bound.getsockname()[:2]
    hosts = {f"{name}:{port}" for name in LOOPBACK_NAMES} if host == HOST else None
    print(f"serving on http://{host}:{port}; its API is described at /docs; Ctrl-C ends it", flush=True)
    config = uvicorn.Config(
        application(service, hosts, api_key), log_level="warning", access_log=False, timeout_graceful_shutdown=10
    )
    try:
        with threadpool_limits(1, user_api="blas"):
            uvicorn.Server(config).run(sockets=[bound])
    except KeyboardInterrupt:
        print()  # below the ^C
