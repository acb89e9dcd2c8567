"""Labelling in a browser: a local page protected by a token in its address."""

import secrets
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, Literal

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict

from zero2ir.errors import InputError
from zero2ir.io.sockets import HOST, LOOPBACK_NAMES, equal_secrets
from zero2ir.labelling.session import GRADE_NAMES, JSONL, QRELS, QUERIES, Session, View

TOKEN_HEADER = "x-zero2ir-token"
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
    import uvicorn

    token, port = secrets.token_urlsafe(), bound.getsockname()[1]
    print(f"open http://{HOST}:{port}/?token={token} in a browser; Ctrl-C here stops it", flush=True)
    config = uvicorn.Config(labelling_application(session, port, token), log_level="warning", access_log=False)
    try:
        uvicorn.Server(config).run(sockets=[bound])
    except KeyboardInterrupt:
        print()  # below the ^C


def labelling_application(session: Session, port: int, token: str) -> FastAPI:
    """Builds the application that serves the labelling page and its requests.

    A request with ``token`` gets a cookie; every other request needs that cookie. Requests that change anything must
    also come from the page's origin and carry the page's secret in a header, which no other site can read or send.

    Args:
        session: the session.
        port: the port that the page is served on.
        token: the secret in the printed address.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    lock, page_secret, cookie = Lock(), secrets.token_urlsafe(), f"zero2ir_{port}"
    origins = {f"http://{name}:{port}" for name in LOOPBACK_NAMES}

    def refused(request: Request) -> str | None:
        if f"http://{request.headers.get('host', '')}" not in origins:
            return "this page is only served to this machine"  # another name for 127.0.0.1: DNS rebinding
        if not equal_secrets(request.cookies.get(cookie, ""), token):
            return "open the address that the terminal shows; it contains the access token"
        if request.method == "GET":
            return None
        if request.headers.get("origin") != f"http://{request.headers['host']}":
            return "request from another site refused"
        if not equal_secrets(request.headers.get(TOKEN_HEADER, ""), page_secret):
            return "this page is out of date; reload it"
        return None

    @app.middleware("http")
    async def guard(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        named = f"http://{request.headers.get('host', '')}" in origins
        response: Response
        if (
            named
            and request.method == "GET"
            and request.url.path == "/"
            and equal_secrets(request.query_params.get("token", ""), token)
        ):
            response = RedirectResponse("/", status_code=303)
            response.set_cookie(cookie, token, httponly=True, samesite="strict")
        elif reason := refused(request):
            response = PlainTextResponse(reason, status_code=403)
        else:
            response = await call(request)
        response.headers.update(HEADERS)
        return response

    @app.exception_handler(InputError)
    async def input_error(request: Request, error: InputError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=409)

    def changed(change: Callable[[], None]) -> dict[str, Any]:
        with lock:
            change()
            return view_json(session.view())

    @app.get("/")
    def page() -> HTMLResponse:
        return HTMLResponse(_page(page_secret, session.output is not None))

    @app.get("/label.js")
    def script() -> FileResponse:
        return FileResponse(PAGE_FOLDER / "label.js", media_type="text/javascript")

    @app.get("/label.css")
    def style() -> FileResponse:
        return FileResponse(PAGE_FOLDER / "label.css", media_type="text/css")

    @app.get("/view")
    def view() -> dict[str, Any]:
        return changed(lambda: None)

    @app.post("/answer")
    def answer(request: GradeRequest) -> dict[str, Any]:
        return changed(lambda: session.answer(request.grade, request.answer_count))

    @app.post("/undo")
    def undo(request: PageRequest) -> dict[str, Any]:
        return changed(lambda: session.undo(request.answer_count))

    @app.post("/again")
    def again(request: RegradeRequest) -> dict[str, Any]:
        return changed(
            lambda: session.judge_again(request.query_id, request.doc_id, request.grade, request.answer_count)
        )

    @app.post("/save")
    def save() -> dict[str, Any]:
        with lock:
            return {"lines": session.save()}

    @app.get("/export/{name}")
    def export(name: Literal["qrels.trec", "queries.jsonl", "judgments.jsonl"]) -> Response:
        with lock, TemporaryDirectory() as folder:
            session.export(name, Path(folder) / name)
            content = (Path(folder) / name).read_bytes()
        attachment = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(content, media_type="application/octet-stream", headers=attachment)

    return app


def view_json(view: View) -> dict[str, Any]:
    """Returns the view as JSON for the page; texts stay plain text, the page inserts them as text nodes."""
    return asdict(view) | {"item": None if view.item is None else view.item._asdict()}


def _page(page_secret: str, saves: bool) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE_FOLDER), autoescape=True, undefined=jinja2.StrictUndefined
    )
    template = environment.get_template("label.html.j2")
    return template.render(token=page_secret, grades=GRADE_NAMES, saves=saves, exports=(QRELS, QUERIES, JSONL))
