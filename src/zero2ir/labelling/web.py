"""Labelling in a browser: a local page protected by a token in its address."""

import secrets
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict
from starlette.requests import ClientDisconnect

from zero2ir.io.http_server import error_response, json_problem, log_to_stderr, refusal, refuse_in_one_line, run_server
from zero2ir.io.pages import render_page
from zero2ir.io.sockets import HOST, LOOPBACK_NAMES, equal_secrets
from zero2ir.labelling.export import JSONL, QRELS, QUERIES, export_lines
from zero2ir.labelling.session import GRADE_NAMES, Session, View

TOKEN_HEADER = "x-zero2ir-token"
MAX_BODY_BYTES = 10_000
MAX_LOG_LINES = 100  # per second
PAGE_FOLDER = Path(str(files("zero2ir.labelling") / "page"))
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class PageRequest(BaseModel):
    """A request of the page; ``answer_count`` is the number of answers that it shows; guards against double answers."""

    model_config = ConfigDict(extra="forbid")

    answer_count: int


class GradeRequest(PageRequest):
    """An answer; ``grade`` is null for a skipped item."""

    grade: Literal[0, 1, 2] | None


class RegradeRequest(PageRequest):
    """A second judgment of a judged pair."""

    query_id: str
    doc_id: str
    grade: Literal[0, 1, 2]


def serve_labelling(session: Session, bound: socket.socket) -> None:
    """Prints the page's address and serves the page until Ctrl-C."""
    token, port = secrets.token_urlsafe(), bound.getsockname()[1]
    print(f"open http://{HOST}:{port}/?token={token} in a browser; Ctrl-C here stops it", flush=True)
    log_to_stderr(MAX_LOG_LINES)
    run_server(labelling_application(session, port, token), bound)


def labelling_application(session: Session, port: int, token: str) -> FastAPI:
    """Builds the application that serves the labelling page and its requests.

    A request with ``token`` gets a cookie; every other request needs that cookie. Requests that change anything must
    also come from the page's origin and carry the page's secret in a header, which no other site can read or send.

    A browser sends a cookie to all ports of a host. Therefore the page is below a path of its own, to which the cookie
    is bound, and the cookie is another secret than the token.

    Args:
        session: the session.
        port: the port that the page is served on.
        token: the secret in the printed address.
    """
    app, pages = FastAPI(docs_url=None, redoc_url=None, openapi_url=None), APIRouter(prefix=f"/{port}")
    lock, page_secret, cookie = Lock(), secrets.token_urlsafe(), (f"zero2ir_{port}", secrets.token_urlsafe())
    hosts = {f"{name}:{port}" for name in LOOPBACK_NAMES}

    def denial(request: Request) -> str | None:
        if not equal_secrets(request.cookies.get(cookie[0], ""), cookie[1]):
            return "open the address that the terminal shows; it contains the access token"
        if request.method == "GET":
            return None
        if "origin" not in request.headers:
            return "requests from other sites are refused"
        if not equal_secrets(request.headers.get(TOKEN_HEADER, ""), page_secret):
            return "this page is out of date; reload it"
        return None

    async def body_problem(request: Request) -> str | None:
        try:
            return json_problem(await request.body())
        except ClientDisconnect:
            return "the request was cut off"

    @app.middleware("http")
    async def guard(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        shown = equal_secrets(request.query_params.get("token", ""), token)
        response: Response
        if refused := refusal(request, hosts, MAX_BODY_BYTES):
            response = refused
        elif request.method == "GET" and request.url.path == "/" and shown:
            response = RedirectResponse(f"{pages.prefix}/", status_code=303)
            response.set_cookie(*cookie, path=pages.prefix, httponly=True, samesite="strict")
        elif reason := denial(request):
            response = PlainTextResponse(reason, status_code=403)
        elif "transfer-encoding" in request.headers:  # of any size
            response = error_response(411, "send the length of the request")
        elif request.method == "POST" and (problem := await body_problem(request)):
            response = error_response(400, problem)
        else:
            response = await call(request)
        response.headers.update(HEADERS)
        return response

    refuse_in_one_line(app, 409)

    def changed(change: Callable[[], None]) -> dict[str, Any]:
        with lock:
            change()
            return view_json(session.view())

    @pages.get("/")
    def page() -> HTMLResponse:
        return HTMLResponse(_page(page_secret, session.output is not None))

    @pages.get("/label.js")
    def script() -> FileResponse:
        return FileResponse(PAGE_FOLDER / "label.js", media_type="text/javascript")

    @pages.get("/label.css")
    def style() -> FileResponse:
        return FileResponse(PAGE_FOLDER / "label.css", media_type="text/css")

    @pages.get("/view")
    def view() -> dict[str, Any]:
        return changed(lambda: None)

    @pages.post("/answer")
    def answer(request: GradeRequest) -> dict[str, Any]:
        return changed(lambda: session.answer(request.grade, request.answer_count))

    @pages.post("/undo")
    def undo(request: PageRequest) -> dict[str, Any]:
        return changed(lambda: session.undo(request.answer_count))

    @pages.post("/again")
    def again(request: RegradeRequest) -> dict[str, Any]:
        return changed(
            lambda: session.judge_again(request.query_id, request.doc_id, request.grade, request.answer_count)
        )

    @pages.post("/save")
    def save() -> dict[str, Any]:
        with lock:
            return {"lines": session.save()}

    @pages.get("/export/{name}")
    def export(name: Literal["qrels.trec", "queries.jsonl", "judgments.jsonl"]) -> Response:
        with lock:
            content = "".join(f"{line.text}\n" for line in export_lines(name, session.annotations.judgments()))
        attachment = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(content, media_type="application/octet-stream", headers=attachment)

    app.include_router(pages)
    return app


def view_json(view: View) -> dict[str, Any]:
    """Returns the view as JSON for the page; texts stay plain text, the page inserts them as text nodes."""
    return asdict(view) | {"item": None if view.item is None else view.item._asdict()}


def _page(page_secret: str, saves: bool) -> str:
    exports = QRELS, QUERIES, JSONL
    values: dict[str, Any] = {"token": page_secret, "grades": GRADE_NAMES, "saves": saves, "exports": exports}
    return render_page("zero2ir.labelling", "page/label.html.j2", **values)
