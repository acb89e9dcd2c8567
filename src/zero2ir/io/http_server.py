"""Serves local pages and services over HTTP: checks requests, and limits connections and log lines."""

import json
import logging
import math
import resource
import signal
import socket
from collections.abc import Collection
from functools import partial
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from uvicorn.protocols.http.h11_impl import H11Protocol

from zero2ir.errors import InputError, escaped

ACCEPTED_AT_ONCE = 8  # connections accepted before one of them is looked at
MAX_CONNECTIONS = 10_000
RESERVED_FILES = 96  # files that the process may need besides its connections
MOMENT = 2.0  # seconds in which the first request of a connection should arrive
MAX_PLACE = 200  # characters of the place of a wrong value in a message
MAX_HEAD_BYTES = 65_536  # of a request's headers
MAX_PARTS = 10_000  # of a body
BACKLOG = 1024  # connections that wait in the kernel


def error_response(status: int, message: str, **more: Any) -> JSONResponse:
    """Returns a response with an error message."""
    return JSONResponse({"error": message, **more}, status_code=status)


def refusal(request: Request, hosts: Collection[str] | None, max_body_bytes: int) -> JSONResponse | None:
    """Returns the response to a request that must not reach the application; None if it may.

    Args:
        request: the request; its body is not read.
        hosts: host names accepted in requests; None for any. Protects against DNS rebinding, where a browser reaches
            127.0.0.1 under another name.
        max_body_bytes: maximum size of the body.
    """
    host, length = request.headers.get("host", ""), request.headers.get("content-length", "0")
    if hosts is not None and host not in hosts:
        return error_response(403, "this server is only available on this machine")
    if not (length.isascii() and length.isdecimal()):
        return error_response(400, "Content-Length is not a number")
    if len(length) > len(str(max_body_bytes)) or int(length) > max_body_bytes:
        return error_response(413, f"the request is larger than {max_body_bytes} bytes")
    if request.method in ("GET", "HEAD"):
        return None
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != host:
        return error_response(403, "requests from other sites are refused")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and (request.method != "DELETE" or length != "0"):
        return error_response(415, "send JSON with the header Content-Type: application/json")
    return None


def refuse_in_one_line(app: FastAPI, status: int) -> None:
    """Lets an application answer wrong requests with one line, and an ``InputError`` with a status."""

    @app.exception_handler(InputError)
    async def input_error(request: Request, error: InputError) -> JSONResponse:
        return error_response(status, str(error))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        return error_response(error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "body")
        return error_response(422, f"{escaped(place)[:MAX_PLACE] or 'body'}: {first['msg']}")


def json_problem(body: bytes) -> str | None:
    """Returns why a body is not JSON that every part of a program can use; None if it is."""
    try:
        text = body.decode("utf-8-sig")
        value = json.loads(text, parse_constant=_not_finite, parse_float=_finite)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return "the body contains half of a surrogate pair (\\ud800 to \\udfff)"
    except RecursionError:
        return "the body is nested too deeply"
    except ValueError as error:
        return f"the body is not JSON: {error}"
    return None


def _not_finite(constant: str) -> float:
    raise ValueError(f"{constant} is not a JSON number")


def _finite(number: str) -> float:
    return float(number) if math.isfinite(float(number)) else _not_finite(number)


class LimitedConnection(h11.Connection):
    """The requests of a connection; a body in very many parts is malformed, as it would keep the server busy."""

    parts = 0

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self.parts = 0
        self.parts += isinstance(event, h11.Data)
        if self.parts > MAX_PARTS:
            raise h11.RemoteProtocolError(f"a body of more than {MAX_PARTS} parts")
        return event


class LimitedProtocol(H11Protocol):
    """An HTTP/1.1 connection that is closed if a request does not arrive, or an answer is not read, in time.

    If there are many connections, the one that waits longest for a request is closed, so that connections without
    requests keep nobody out.

    Args:
        many: number of connections from which one that waits for a moment is closed.
        most: number of connections from which one that waits at all is closed.
        seconds: seconds for a whole request to arrive, and for a client to read a part of its answer.
    """

    def __init__(self, many: int, most: int, seconds: float, **options: Any) -> None:
        super().__init__(**options)
        self.conn = LimitedConnection(h11.SERVER, MAX_HEAD_BYTES)
        self.many = many
        self.most = most
        self.seconds = seconds
        self.waiting_since = self.loop.time()
        self._timers: dict[str, Any] = {}

    @property
    def is_waiting(self) -> bool:
        """Whether no whole request has arrived that is not answered."""
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._close_later("request")
        if len(self.connections) >= self.many:
            before = self.waiting_since - (MOMENT if len(self.connections) < self.most else 0)
            connections: set[Any] = self.connections
            waiting = [one for one in connections if one.is_waiting and one is not self and one.waiting_since <= before]
            if waiting:
                oldest = min(waiting, key=lambda one: one.waiting_since)
                connections.discard(oldest)
                oldest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        for reason in tuple(self._timers):
            self._keep_open(reason)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except h11.LocalProtocolError:  # the malformed rest of a request that is refused already: no second answer
            self.transport.abort()
            return
        if not self.is_waiting:
            self._keep_open("request")
        elif "request" not in self._timers:
            self._close_later("request")

    def send_400_response(self, msg: str) -> None:
        """Answers malformed bytes; if the request before them is answered already, its connection ends."""
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:
            self.transport.abort()
        if self.cycle is not None:
            self.cycle.disconnected = True  # the application's answer would be the second one
            self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        self.waiting_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._close_later("answer")

    def resume_writing(self) -> None:
        super().resume_writing()
        self._keep_open("answer")

    def _close_later(self, reason: str) -> None:
        self._timers[reason] = self.loop.call_later(self.seconds, self.transport.abort)

    def _keep_open(self, reason: str) -> None:
        if (timer := self._timers.pop(reason, None)) is not None:
            timer.cancel()


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for one in sockets or ():
            one.listen(BACKLOG)  # asyncio would accept as many at once as may wait, and run out of files


class RateLimit(logging.Filter):
    """Passes a number of log lines per second; the next line says how many were dropped before it."""

    def __init__(self, max_lines: int) -> None:
        super().__init__()
        self.max_lines = max_lines
        self._second = self._passed = self._dropped = 0

    def filter(self, record: logging.LogRecord) -> bool:
        if int(record.created) != self._second:
            self._second, self._passed = int(record.created), 0
        if self._passed >= self.max_lines:
            self._dropped += 1
            return False
        self._passed += 1
        if self._dropped:
            record.msg, record.args = f"{record.getMessage()} ({self._dropped} lines before it are left out)", ()
            self._dropped = 0
        return True


def log_to_stderr(max_lines: int, *names: str) -> None:
    """Sends the warnings of the server and everything that the loggers ``names`` log to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    handler.addFilter(RateLimit(max_lines))
    for name in ("uvicorn.error", "asyncio", *names):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.INFO if name in names else logging.WARNING)
        logger.propagate = False


def run_server(app: Any, bound: socket.socket, max_connections: int = 64, seconds: float = 10.0) -> None:
    """Serves an application on a listening socket until Ctrl-C or SIGTERM.

    Args:
        app: the ASGI application.
        bound: the socket.
        max_connections: number of connections from which those that wait for a request are closed; fewer if the
            process may not open so many files.
        seconds: see ``LimitedProtocol``.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_CONNECTIONS if files == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, max(9, files - RESERVED_FILES))
    many = min(max_connections, most * 2 // 3)
    config = uvicorn.Config(
        app,
        http=partial(LimitedProtocol, many, most, seconds),  # type: ignore[arg-type]
        ws="none",
        loop="asyncio",  # also where uvloop is installed, which the extra ray brings along
        log_config=None,
        access_log=False,
        backlog=ACCEPTED_AT_ONCE,
        limit_concurrency=most + 1,
        timeout_graceful_shutdown=10,
    )
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the caller can close its files
    try:
        _Server(config).run(sockets=[bound])
    except KeyboardInterrupt:
        print()  # below the ^C
    finally:
        signal.signal(signal.SIGTERM, before)
