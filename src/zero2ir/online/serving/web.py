"""HTTP interface of the service: typed requests, limits, and a guard in front of all paths."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from threading import Thread
from typing import Annotated, Any, Literal

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel, ConfigDict, Field, create_model
from starlette.exceptions import HTTPException

from zero2ir.data.records import Document
from zero2ir.errors import InputError, StorageError, StorageFullError
from zero2ir.io.http_server import error_response, log_to_stderr, refuse_in_one_line, run_server
from zero2ir.io.lines import json_line
from zero2ir.io.memory import map_large_blocks
from zero2ir.io.sockets import HOST, LOOPBACK_NAMES
from zero2ir.online.feedback.store import FeedbackEvent
from zero2ir.online.serving.guard import Guard
from zero2ir.online.serving.metrics import Metrics
from zero2ir.online.serving.service import LOG, SearchService, open_program, warm_up
from zero2ir.online.serving.settings import ServingSettings
from zero2ir.program.fallback import NoAnswerError

KEY_VARIABLE = "ZERO2IR_API_KEY"
SEARCH_THREADS = 40
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
WRITE_SECONDS = 2.0  # how long feedback waits for the disk
Identifier = Annotated[str, Field(min_length=1, max_length=500)]


class StrictModel(BaseModel):
    """A request or response; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid")


SEARCH_TEXT = (
    "A query; candidates are document ids to rank. The document with the id and text of the query is left out, if the "
    "query_id is given."
)


class SearchHit(StrictModel):
    """A document of the answer; the ``probability`` of its relevance and its 95 % ``interval`` are null if unknown."""

    doc_id: str
    title: str
    text: str
    score: float
    probability: float | None
    interval: tuple[float, float] | None
    answer: str | None = None


class SkippedProgramResponse(StrictModel):
    """A program that did not answer, and the reason."""

    program: str
    reason: str
    detail: str


class SearchResponse(StrictModel):
    """The retrieved documents; empty if the policy abstains.

    ``confidence`` is the probability that the first document is relevant, with its 95 % interval; ``served_by`` the
    program that answered, and ``steps`` the reasons why programs before it did not.
    """

    results: list[SearchHit]
    confidence: float | None
    confidence_interval: tuple[float, float] | None
    decision: Literal["answer", "warn", "abstain"] | None
    served_by: str
    steps: list[SkippedProgramResponse]


class FeedbackResponse(StrictModel):
    """Whether the event was new."""

    recorded: bool


class CollectionSize(StrictModel):
    """Current number of documents."""

    documents: int


class HealthResponse(StrictModel):
    """State of the service.

    An "open" circuit means that the program is being skipped; ``waiting_events`` are not written yet,
    ``lost_impressions`` never will be.
    """

    status: Literal["ok"]
    program: str
    documents: int
    circuits: dict[str, Literal["open", "closed"]]
    waiting_events: int
    lost_impressions: int


def search_type(settings: ServingSettings) -> Any:
    """Builds the request type of a search with the configured limits."""
    query = Annotated[str, Field(max_length=settings.max_query_characters)]
    count = Annotated[int, Field(ge=1, le=settings.max_results)]
    candidates = Annotated[list[Identifier], Field(max_length=10_000)]
    fields: dict[str, Any] = {
        "query": (query, ...),
        "k": (count, min(10, settings.max_results)),
        "candidates": (candidates | None, None),
        "deadline": (Annotated[float, Field(gt=0, le=60)] | None, None),
        "user": (Annotated[str, Field(max_length=200)], ""),
        "query_id": (Identifier | None, None),
    }
    return create_model("Search", __base__=StrictModel, __doc__=SEARCH_TEXT, **fields)


def feedback_type(settings: ServingSettings) -> Any:
    """Builds the request type of a feedback event with the configured limits."""
    fields: dict[str, Any] = {
        "event_id": (Identifier, ...),
        "kind": (Literal["grade", "click", "impression"], ...),
        "query": (Annotated[str, Field(max_length=settings.max_query_characters)], ...),
        "doc_id": (Identifier, ...),
        "position": (Annotated[int, Field(ge=1, le=10_000)] | None, None),
        "grade": (Annotated[int, Field(ge=0, le=10)] | None, None),
        "user": (Annotated[str, Field(max_length=200)], ""),
    }
    about = "A feedback event; an event resent with the same ``event_id`` counts once."
    return create_model("Feedback", __base__=StrictModel, __doc__=about, **fields)


def documents_type(settings: ServingSettings) -> Any:
    """Builds the request type for adding documents with the configured limits."""
    text = Annotated[str, Field(max_length=settings.max_document_characters)]
    request = create_model(
        "NewDocument", __base__=StrictModel, doc_id=(Identifier, ...), title=(text, ""), text=(text, ...)
    )
    many = Annotated[list[request], Field(min_length=1, max_length=settings.max_documents_per_request)]  # type: ignore[valid-type]
    return create_model("Documents", __base__=StrictModel, documents=(many, ...))


class Rate:
    """Lets a number of requests pass in each second."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._second = self._passed = 0

    def passes(self) -> bool:
        if (second := int(time.monotonic())) != self._second:
            self._second, self._passed = second, 0
        self._passed += 1
        return self._passed <= self.most


def application(service: SearchService, hosts: set[str] | None = None, api_key: str | None = None) -> FastAPI:
    """Builds the application of a service, with its paths behind the guard.

    Args:
        service: the service.
        hosts: host names accepted in requests; None for any. Protects against DNS rebinding, where a browser reaches
            127.0.0.1 under another name.
        api_key: key required from every request except for ``PUBLIC_PATHS``; None for no key.
    """
    metrics = Metrics(service)
    app = FastAPIOffline(title="zero2ir", version=version("zero2ir"), redoc_url=None)
    app.state.metrics = metrics
    most = service.settings.max_body_bytes
    app.add_middleware(Guard, record=metrics.record_request, max_body_bytes=most, hosts=hosts, api_key=api_key)
    search_request, documents_request = search_type(service.settings), documents_type(service.settings)
    feedback_request, searches = feedback_type(service.settings), CapacityLimiter(SEARCH_THREADS)
    rate, one_at_once, changes = Rate(service.settings.max_feedback_per_second), CapacityLimiter(1), 0

    refuse_in_one_line(app, 400)

    @app.exception_handler(StorageError)
    async def storage_error(request: Request, error: StorageError) -> JSONResponse:
        LOG.error("%s", error)
        if isinstance(error, StorageFullError):
            return error_response(507, "not stored: the server's file is full (serving.max_file_megabytes)")
        return error_response(503, "not stored: the server cannot write its file; send it again later")

    @app.exception_handler(NoAnswerError)
    async def no_answer(request: Request, error: NoAnswerError) -> JSONResponse:
        steps = [step._asdict() for step in error.steps]
        metrics.unanswered.inc()
        metrics.count_skipped(steps)
        return error_response(503, str(error), steps=steps)

    def answered(request: Any, arrived: float) -> Response:
        if service.settings.log_queries:
            LOG.info("query %s", json_line(request.query))
        try:
            answer, documents = service.search(**request.model_dump(), waited=time.monotonic() - arrived)
        except (InputError, NoAnswerError):
            raise
        except Exception as error:
            LOG.error("search: %s", repr(error) if service.settings.log_queries else type(error).__name__)
            metrics.unanswered.inc()
            return error_response(503, f"no answer: {service.program.name}: error")
        metrics.answered(answer)
        return JSONResponse(response_json(answer, documents, service.program.name))

    @app.post("/search", response_model=SearchResponse)
    async def search(request: search_request) -> Response:  # type: ignore[valid-type]
        return await to_thread.run_sync(answered, request, time.monotonic(), limiter=searches)

    @app.post("/feedback")
    async def feedback(request: feedback_request) -> FeedbackResponse:  # type: ignore[valid-type]
        if not rate.passes():
            raise HTTPException(429, "not stored: too much feedback in this second; send it again later")
        event = FeedbackEvent(**request.model_dump(), timestamp=time.time())  # type: ignore[attr-defined]
        if not service.program.has_document(event.doc_id):  # another service may have added it just now
            await to_thread.run_sync(service.find, [event.doc_id])
        written = asyncio.wrap_future(service.record_feedback(event))
        try:
            recorded = await asyncio.wait_for(written, WRITE_SECONDS)
        except TimeoutError:
            raise StorageError(f"{service.feedback.shown}: not written within {WRITE_SECONDS:g} s") from None
        metrics.feedback.labels(event.kind).inc(int(recorded))
        return FeedbackResponse(recorded=recorded)

    async def changed(change: Callable[[], None]) -> CollectionSize:
        """Changes documents when those that came before have; a flood takes neither the threads nor the memory."""
        nonlocal changes
        if changes > service.settings.max_waiting_changes:
            raise HTTPException(503, "not stored: too many changes of documents wait; send it again later")
        changes += 1
        try:
            await to_thread.run_sync(change, limiter=one_at_once)
        finally:
            changes -= 1
        return CollectionSize(documents=len(service.program.documents))

    @app.post("/documents")
    async def add(request: documents_request) -> CollectionSize:  # type: ignore[valid-type]
        rows: Any = request
        documents = [Document(row.doc_id, row.title, row.text) for row in rows.documents]
        if len({document.doc_id for document in documents}) < len(documents):
            raise InputError("documents: duplicate id; give each document once")
        return await changed(lambda: service.add(documents))

    @app.delete("/documents/{doc_id:path}")
    async def remove(doc_id: str) -> CollectionSize:
        return await changed(lambda: service.remove([doc_id]))

    @app.get("/health")
    async def health() -> HealthResponse:  # async, so that it never waits for a thread
        return health_of(service)

    @app.get("/metrics")
    async def prometheus() -> Response:
        return Response(metrics.text(), media_type=METRICS_TYPE)

    return app


def health_of(service: SearchService) -> HealthResponse:
    """Returns the state of a service."""
    program = service.program
    breakers = {} if program.chain is None else program.chain.breakers
    return HealthResponse(
        status="ok",
        program=program.name,
        documents=len(program.documents),
        circuits={name: "open" if one.is_open else "closed" for name, one in breakers.items()},
        waiting_events=service.writer.waiting,
        lost_impressions=service.writer.lost,
    )


def response_json(answer: Any, documents: list[Document], name: str) -> dict[str, Any]:
    """Builds a ``SearchResponse`` as JSON, without validating it again."""
    probabilities = answer.probabilities or [None] * len(documents)
    intervals = answer.intervals or [None] * len(documents)
    passages = answer.get("answers") or [None] * len(documents)
    return {
        "results": [
            document._asdict() | {"score": score, "probability": probability, "interval": interval, "answer": passage}
            for document, score, probability, interval, passage in zip(
                documents, answer.scores, probabilities, intervals, passages, strict=False
            )
        ],
        "confidence": answer.confidence,
        "confidence_interval": answer.confidence_interval,
        "decision": answer.get("decision"),
        "served_by": answer.get("served_by") or name,
        "steps": answer.get("steps") or [],
    }


def api_key_from_environment(host: str) -> str | None:
    """Returns the API key from the environment.

    Raises:
        InputError: there is no key, but the service would be open to other machines.
    """
    key = os.environ.get(KEY_VARIABLE) or None
    if key is None and host not in LOOPBACK_NAMES:
        raise InputError(f"--host {host}: reachable from other machines; set an API key in {KEY_VARIABLE}")
    return key


def on_sighup(reopen: Callable[[], None]) -> None:
    """Reopens the program in a thread at SIGHUP; if that fails, logs the error and keeps the current program."""

    def run() -> None:
        try:
            reopen()
        except Exception as error:
            LOG.error("reopening failed: %s", error if isinstance(error, InputError) else type(error).__name__)
        else:
            LOG.info("reopened")

    signal.signal(signal.SIGHUP, lambda *_: Thread(target=run, daemon=True).start())


def serve_program(
    place: str,
    state: Path | str,
    settings: ServingSettings,
    bound: socket.socket,
    api_key: str | None,
    allow_endpoints: Sequence[str] = (),
) -> None:
    """Opens a program and serves it on a listening socket until Ctrl-C or SIGTERM; SIGHUP reopens it.

    Args:
        place: folder of the program, or an MLflow model URI.
        state: folder, or database's URL, for feedback and document changes.
        settings: limits, logging and recording.
        bound: the socket.
        api_key: see ``application``.
        allow_endpoints: see ``zero2ir.load``.
    """
    log_to_stderr(settings.max_log_lines, LOG.name)
    map_large_blocks()
    with SearchService(open_program(place, allow_endpoints), state, settings) as service:
        for name, error in warm_up(service.program).items():
            print(f"{name} does not answer yet ({error})", flush=True)
        on_sighup(lambda: service.replace(open_program(place, allow_endpoints)))
        serve(service, bound, api_key)


def hosts_of(bound: socket.socket) -> tuple[str, set[str] | None]:
    """Returns the address of a listening socket, and the host names accepted in requests; see ``application``."""
    host, port = bound.getsockname()[:2]
    return f"http://{host}:{port}", {f"{name}:{port}" for name in LOOPBACK_NAMES} if host == HOST else None


def serve(service: SearchService, bound: socket.socket, api_key: str | None) -> None:
    """Prints the address and serves until Ctrl-C or SIGTERM.

    Meanwhile numpy's matrix products use one thread: a query's product is small, and parallel searches would compete
    for the cores (27 ms of processor time per search of ``static_hybrid`` on beir/scifact instead of 3).
    """
    from threadpoolctl import threadpool_limits

    address, hosts = hosts_of(bound)
    print(f"serving on {address}; its API is described at /docs; Ctrl-C stops it", flush=True)
    limits = service.settings
    with threadpool_limits(1, user_api="blas"):
        run_server(application(service, hosts, api_key), bound, limits.max_connections, limits.request_seconds)
