"""Refuses requests that must not reach the application."""

import time
from asyncio import Semaphore
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from zero2ir.io.http_server import error_response, json_problem, refusal
from zero2ir.io.sockets import equal_secrets

PUBLIC_PATHS = {"/health", "/docs", "/openapi.json"}  # accessible without an API key ...
PAGE_FILES = "/static-offline-docs/"  # ... and so are the files of the page at /docs
CLIENT_CLOSED = 499  # status in the log of a request that was cut off
LARGE_BYTES, LARGE_AT_ONCE = 100_000, 8  # larger requests are read and answered a few at a time, to save memory


@dataclass
class Guard:
    """Refuses requests before the application sees them.

    Attributes:
        app: the ASGI application.
        record: called after each request with its scope, status and seconds.
        max_body_bytes: maximum size of a body.
        hosts: host names accepted in requests; None for any.
        api_key: key required from every request except for ``PUBLIC_PATHS``; None for no key.
        large: limits how many large requests are read and answered at once.
    """

    app: Any
    record: Callable[[Any, int, float], None]
    max_body_bytes: int
    hosts: set[str] | None
    api_key: str | None
    large: Semaphore = field(default_factory=lambda: Semaphore(LARGE_AT_ONCE))

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def recorded_send(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        request = Request(scope)
        try:
            refused = self._unauthorized(request) or refusal(request, self.hosts, self.max_body_bytes)
            if refused is not None:
                await refused(scope, receive, recorded_send)
            else:
                length = int(request.headers.get("content-length", 0))
                large = length > LARGE_BYTES or "transfer-encoding" in request.headers
                async with self.large if large else nullcontext():
                    await self._answer(scope, receive, recorded_send)
        except ClientDisconnect:
            status = CLIENT_CLOSED
        finally:
            self.record(scope, status, time.perf_counter() - start)

    def _unauthorized(self, request: Request) -> JSONResponse | None:
        if self.api_key is None or request.url.path in PUBLIC_PATHS or request.url.path.startswith(PAGE_FILES):
            return None
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and equal_secrets(key, self.api_key):
            return None
        return error_response(401, "send the API key in the header Authorization: Bearer <key>")

    async def _answer(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        body, problem = await self._body(receive), None
        if len(body) > self.max_body_bytes:
            problem = error_response(413, f"the request is larger than {self.max_body_bytes} bytes")
        elif body and (reason := json_problem(body)):
            problem = error_response(400, reason)
        await (problem or self.app)(scope, _replayed(body, receive), send)

    async def _body(self, receive: Callable[[], Awaitable[Any]]) -> bytes:
        """Reads the body, at most until it is too large; raises ClientDisconnect if it is cut off."""
        body, more = bytearray(), True
        while more and len(body) <= self.max_body_bytes:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            body += message.get("body", b"")
            more = message.get("more_body", False)
        return bytes(body)


def _replayed(body: bytes, receive: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
    """Returns a receive function that first gives a body that was already read."""
    sent = False

    async def receive_again() -> Any:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
