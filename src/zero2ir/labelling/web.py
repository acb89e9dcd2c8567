"""Judging in a browser: a page that only this machine, and only who was given its address, can see."""

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
from zero2ir.io.sockets import HOST, LOOPBACK_NAMES, equal_secrets, listen
from zero2ir.labelling.session import GRADE_NAMES, JSONL, QRELS, QUERIES, Session, View

__all__ = ["labelling_application", "listen", "serve_labelling", "view_json"]

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
    """What the page sends: ``answer_count`` is how many stood when it was drawn, so that nothing is answered twice."""

    model_config = ConfigDict(extra="forbid")

    answer_count: int


class GradeRequest(PageRequest):
    """An answer; no grade for a skipped item."""

    grade: Literal[0, 1, 2] | None


class RegradeRequest(PageRequest):
    """A second judgment of a pair that is judged."""

    query_id: str
    doc_id: str
    grade: Literal[0, 1, 2]


def serve_labelling(session: Session, bound: socket.socket) -> None:
    """Serves the page until Ctrl-C, and prints its address first."""
    import uvicorn

    token, port = secrets.token_urlsafe(), bound.getsockname()[1]
    print(f"open http://{HOST}:{port}/?token={token} in a browser; Ctrl-C here ends it", flush=True)
    config = uvicorn.Config(labelling_application(session, port, token), log_level="warning", access_log=False)
    try:
        uvicorn.Server(config).run(sockets=[bound])
    except KeyboardInterrupt:
        print()  # below the ^C


def labelling_application(session: Session, port: int, token: str) -> FastAPI:
    """The page and what it asks for.

    Whoever has ``token`` gets a cookie; nothing is answered without it. What changes anything needs the page's own
    secret in a header as well, which no other site can read or send, and comes from the page's own origin.

    Args:
        session: what is asked.
        port: that it is served on.
        token: in the address that is printed.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    lock, page_secret, cookie = Lock(), secrets.token_urlsafe(), f"zero2ir_{port}"
    origins = {f"http://{name}:{port}" for name in LOOPBACK_NAMES}

    def refused(request: Request) -> str | None:
        if f"http://{request.headers.get('host', '')}" not in origins:
            return "this page is served to this machine alone"  # another name for 127.0.0.1: DNS rebinding
        if not equal_secrets(request.cookies.get(cookie, ""), token):
            return "open the address that the terminal shows: it carries the key to this page"
        if request.method == "GET":
            return None
        if request.headers.get("origin") != f"http://{request.headers['host']}":
            return "asked from another site"
        return (
            None
            if equal_secrets(request.headers.get(TOKEN_HEADER, ""), page_secret)
            else "this page is old; load it again"
        )

    @app.middleware("http")
    async def guard(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        named = f"http://{request.headers.get('host', '')}" in origins
        response: Response
        if named and request.method == "GET" and request.url.path == "/" and equal_secrets(_token(request), token):
            response = RedirectResponse("/", status_code=303)
            response.set_cookie(cookie, token, httponly=True, samesite="strict")
        elif reason := refused(request):
            response = PlainTextResponse(reason, status_code=403)
        else:
            response = await call(request)
        response.headers.update(HEADERS)
        return response

    @app.exception_handler(InputError)
    async def said(request: Request, error: InputError) -> JSONResponse:
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
    def answer(given: GradeRequest) -> dict[str, Any]:
        return changed(lambda: session.answer(given.grade, given.answer_count))

    @app.post("/undo")
    def undo(given: PageRequest) -> dict[str, Any]:
        return changed(lambda: session.undo(given.answer_count))

    @app.post("/again")
    def again(given: RegradeRequest) -> dict[str, Any]:
        return changed(lambda: session.judge_again(given.query_id, given.doc_id, given.grade, given.answer_count))

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
    """What the page draws; texts are texts, and the page sets them as such."""
    return asdict(view) | {"item": None if view.item is None else view.item._asdict()}


def _page(page_secret: str, saves: bool) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE_FOLDER), autoescape=True, undefined=jinja2.StrictUndefined
    )
    template = environment.get_template("label.html.j2")
    return template.render(token=page_secret, grades=GRADE_NAMES, saves=saves, exports=(QRELS, QUERIES, JSONL))


def _token(request: Request) -> str:
    return request.query_params.get("token", "")
