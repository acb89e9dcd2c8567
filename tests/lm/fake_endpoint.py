"""An OpenAI-compatible endpoint on the loopback interface, with the moods that real ones have."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple

QUERY = "how do I oil the chain of a bicycle"
THOUGHT = "<think>\nThe user wants a query about bicycles.\n</think>\n\n"


class Asked(NamedTuple):
    """One request that the endpoint got; ``headers`` have lower-case names, ``body`` is None without one."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any] | None


class Reply(NamedTuple):
    """The endpoint's answer to one request; a ``content`` that is not bytes is sent as JSON."""

    status: int
    content: Any
    headers: Mapping[str, str] = MappingProxyType({})


def message(content: Any, finish_reason: str = "stop", **fields: Any) -> Reply:
    """A chat completion in OpenAI's form."""
    choice = {
        "index": 0,
        "finish_reason": finish_reason,
        "message": {"role": "assistant", "content": content, **fields},
    }
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    return Reply(200, {"id": "1", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage})


def stopped(text: str) -> Callable[[Asked, int], Reply]:
    """The text up to the request's first stop sequence, as servers cut it."""

    def answer(asked: Asked, number: int) -> Reply:
        cut = text
        for stop in (asked.body or {}).get("stop") or []:
            cut = cut.partition(stop)[0]
        return message(cut)

    return answer


HTML = Reply(200, b"<html><body>Welcome</body></html>", {"content-type": "text/html"})
BUSY = Reply(429, {"error": {"message": "slow down"}}, {"retry-after": "3600"})
SORRY = "I'm sorry, but I can't help with that request."

# What each mood answers to a POST; the second argument counts the POSTs from 0.
MOODS: dict[str, Callable[[Asked, int], Reply]] = {
    "plain": stopped(QUERY),
    "thoughts": stopped(THOUGHT + QUERY),  # a server that stops at the first line end sends "<think>" alone
    "all thoughts": lambda asked, number: message(THOUGHT + QUERY),
    "unfinished thoughts": lambda asked, number: message("<think>The user wants", "length"),
    "closed thoughts": lambda asked, number: message("The user wants a query.</think>" + QUERY),
    "reasoning field": lambda asked, number: message(QUERY, reasoning_content="The user wants a query."),
    "only a reasoning field": lambda asked, number: message(None, reasoning="The user wants a query."),
    "null": lambda asked, number: message(None),
    "empty": lambda asked, number: message(" "),
    "refusal": stopped(SORRY),
    "refusal field": lambda asked, number: message(None, refusal="No."),
    "filtered": lambda asked, number: message("how do I", "content_filter"),
    "html": lambda asked, number: HTML,
    "other json": lambda asked, number: Reply(200, {"status": "ok"}),
    "other types": lambda asked, number: Reply(200, {"choices": [{"message": {"content": 3}}], "usage": "none"}),
    "error in a 200": lambda asked, number: Reply(200, {"error": {"message": "overloaded"}}),
    "megabytes": lambda asked, number: message("bicycle " * 4_000_000),
    "malformed once": lambda asked, number: message(QUERY) if number else HTML,
    "busy once": lambda asked, number: message(QUERY) if number else BUSY,
    "always busy": lambda asked, number: BUSY,
    "fails": lambda asked, number: Reply(500, {"error": {"message": "out of memory"}}),
    "unknown model": lambda asked, number: Reply(404, {"error": {"message": "no such model"}}),
    "echo": lambda asked, number: message(f"a bicycle with {asked.headers.get('authorization')}"),
    "echo in an error": lambda asked, number: Reply(
        400, {"error": {"message": f"bad request {asked.headers.get('authorization')}"}}
    ),
    "echo in a header": lambda asked, number: Reply(
        500, {"error": {"message": "failed"}}, {"x-request-id": asked.headers.get("authorization") or ""}
    ),
    "echo in html": lambda asked, number: Reply(502, f"<p>{asked.headers.get('authorization')}</p>".encode()),
}
USABLE = {"plain", "all thoughts", "closed thoughts", "reasoning field", "malformed once", "busy once", "echo"}
UNUSABLE = {
    *("thoughts", "unfinished thoughts", "only a reasoning field", "null", "empty", "refusal", "refusal field"),
    *("filtered", "html", "other json", "other types", "error in a 200", "megabytes"),
}
FAILING = MOODS.keys() - USABLE - UNUSABLE
MODELS = Reply(200, {"object": "list", "data": [{"id": "m", "object": "model"}]})


class FakeEndpoint:
    """A real HTTP server; ``requests`` keeps what it got.

    Attributes:
        url: of the API.
        answer: the answer to a POST; may be changed between requests.
        models: the answer to a GET.
    """

    def __init__(self, mood: str = "plain", models: Reply = MODELS) -> None:
        self.answer, self.models, self.requests = MOODS[mood], models, list[Asked]()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                asked = Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                number = len(endpoint.posts)
                endpoint.requests.append(asked)
                status, content, headers = endpoint.answer(asked, number) if asked.method == "POST" else endpoint.models
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_CONNECT = answer

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.origin}/v1"

    @property
    def posts(self) -> list[Asked]:
        """The requests for completions."""
        return [asked for asked in self.requests if asked.method == "POST"]

    def __enter__(self) -> "FakeEndpoint":
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def dripping(seconds: float) -> Iterator[str]:
    """The URL of an endpoint that sends one byte of its answer every ``seconds``, and never ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = json.dumps(MODELS.content).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b" ")
                    time.sleep(seconds)
            except OSError:
                return

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
