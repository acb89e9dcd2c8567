"""An OpenAI-compatible endpoint on the loopback interface, with the moods and the faults that real ones have.

with FakeEndpoint("thoughts") as endpoint:              # always in one mood
    ...
with FakeEndpoint() as endpoint:
    endpoint.answer = Faulty("time-out", 0.1, seed=0)   # useful answers, but for a tenth
"""

import json
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple

PROMPT_TOKENS = 5  # of each answer's usage
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
    hangs: bool = False  # nothing is sent until the endpoint closes
    reset: bool = False  # the connection is reset in the middle of the body

    @property
    def body(self) -> bytes:
        """As it is sent."""
        return self.content if isinstance(self.content, bytes) else json.dumps(self.content).encode()


def message(content: Any, finish_reason: str = "stop", **fields: Any) -> Reply:
    """A chat completion in OpenAI's form."""
    choice = {
        "index": 0,
        "finish_reason": finish_reason,
        "message": {"role": "assistant", "content": content, **fields},
    }
    usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": 3, "total_tokens": PROMPT_TOKENS + 3}
    return Reply(200, {"id": "1", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage})


Answer = Callable[[Asked, int], Reply]


def stopped(text: str) -> Answer:
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
MOODS: dict[str, Answer] = {
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


def helpful(asked: Asked, number: int) -> Reply:
    """What the request asks for: JSON by its schema, an order, a "yes", or else some words of the last message."""
    body = asked.body or {}
    text = str(body["messages"][-1]["content"])
    if schema := ((body.get("response_format") or {}).get("json_schema") or {}).get("schema"):
        answer = json.dumps({name: _value(one, text) for name, one in schema["properties"].items()})
    elif "[2] " in text:
        answer = "[2] > [1]"
    elif body.get("logprobs") and (body.get("max_tokens") or body.get("max_completion_tokens")) == 1:
        answer = "yes" if sha256(text.encode()).digest()[0] % 2 else "no"
    else:
        words = [word for word in text.split()[1:] if word.isalpha()] or ["nothing"]
        first = sha256(text.encode()).digest()[0] % len(words)
        answer = " ".join((words * 2)[first : first + 6])
    reply = message(answer)
    if body.get("logprobs"):
        reply.content["choices"][0]["logprobs"] = {"content": [_token(word, -0.5) for word in answer.split()]}
    return reply


def _value(schema: Mapping[str, Any], text: str) -> Any:
    """A value that fits a field of a JSON schema."""
    if "enum" in schema:
        return schema["enum"][len(text) % len(schema["enum"])]
    return len(text) % 3 if schema.get("type") == "integer" else "Write a short query that the document answers."


def _token(text: str, logprob: Any) -> dict[str, Any]:
    other = "no" if text == "yes" else "yes"
    tops = [{"token": text, "logprob": logprob}, {"token": other, "logprob": logprob}]
    return {"token": text, "logprob": logprob, "top_logprobs": tops}


Fault = Callable[[Asked, Reply], Reply]  # what becomes of a good reply


def _says(content: Any, finish_reason: str = "stop", **fields: Any) -> Fault:
    return lambda asked, good: message(content, finish_reason, **fields)


def _with_logprobs(value: Any) -> Fault:
    """The text of the good reply with other log-probabilities."""

    def fault(asked: Asked, good: Reply) -> Reply:
        (choice,) = good.content["choices"]
        changed = {**choice, "logprobs": value} if "logprobs" in choice else choice
        return good._replace(content={**good.content, "choices": [changed]})

    return fault


def _echo(asked: Asked, good: Reply) -> Reply:
    """The text of the good reply and the key, as it came."""
    (choice,) = good.content["choices"]
    text = f"{choice['message']['content']} {asked.headers.get('authorization')}"
    return message(text)


# Those after which there is no answer, those with an answer of no use, and those with the good answer and more.
FAILED: dict[str, Fault] = {
    "HTTP 500": lambda asked, good: Reply(500, {"error": {"message": "out of memory"}}),
    "HTTP 503 in HTML": lambda asked, good: Reply(503, b"<html>unavailable</html>", {"content-type": "text/html"}),
    "time-out": lambda asked, good: good._replace(hangs=True),
    "reset in the body": lambda asked, good: good._replace(reset=True),
    "429, wait 1 s": lambda asked, good: BUSY._replace(headers={"retry-after": "1"}),
    "429, wait an hour": lambda asked, good: BUSY,
    "echo of the key in an error": lambda asked, good: Reply(
        500, {"error": {"message": f"bad key {asked.headers.get('authorization')}"}}
    ),
}
USELESS: dict[str, Fault] = {
    "HTML with 200": lambda asked, good: HTML,
    "cut JSON": lambda asked, good: good._replace(content=good.body[:-20]),
    "empty": _says(" "),
    "null": _says(None),
    "refusal": _says(SORRY),
    "thoughts without end": _says("<think>The user wants", "length"),
    "five megabytes": _says("bicycle " * (5 << 17)),
}
ODD: dict[str, Fault] = {
    "no log-probabilities": _with_logprobs(None),
    "log-probabilities of NaN": _with_logprobs({"content": [_token("yes", float("nan"))]}),
    "log-probabilities of other tokens": _with_logprobs({"content": [_token("perhaps", -1.0)]}),
    "log-probabilities too large": _with_logprobs({"content": [_token("yes", 1e6)]}),
    "log-probabilities of other types": _with_logprobs({"content": [{"token": 3, "logprob": "high"}]}),
    "echo of the key": _echo,
}
FAULTS = {**FAILED, **USELESS, **ODD}


class Faulty:
    """Answers helpfully, but for a share of the requests, which get a fault.

    The draws depend on the seed, the request and how often it came before, and so not on the order of requests.

    Attributes:
        asked: how often each request came, by its content.
        answered: those that got a good answer.
        faults: how many requests did not.
        again: how many requests came although they had got one; its client no longer waited for it.
    """

    def __init__(self, fault: str, rate: float, seed: int) -> None:
        self.fault, self.rate, self.seed = FAULTS[fault], rate, seed
        self.asked, self.answered, self.faults, self.again = Counter[str](), set[str](), 0, 0
        self._lock = threading.Lock()

    def __call__(self, asked: Asked, number: int) -> Reply:
        request, good = json.dumps(asked.body, sort_keys=True), helpful(asked, number)
        with self._lock:
            drawn = sha256(f"{self.seed} {self.asked[request]} {request}".encode()).digest()
            self.asked[request] += 1
            self.again += request in self.answered
            is_drawn = int.from_bytes(drawn[:4], "big") < self.rate * (1 << 32)
            reply = self.fault(asked, good) if is_drawn else good
            if reply == good:
                self.answered.add(request)
            else:
                self.faults += 1
        return reply


class QuietServer(ThreadingHTTPServer):
    """Says nothing of a client that has gone, since what is printed counts as said by the client."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class FakeEndpoint:
    """A real HTTP server; ``requests`` keeps what it got.

    Attributes:
        url: of the API.
        answer: the answer to a POST; may be changed between requests.
        models: the answer to a GET.
    """

    def __init__(self, mood: str = "plain", models: Reply = MODELS) -> None:
        self.answer: Answer = MOODS[mood]
        self.models, self.requests = models, list[Asked]()
        self._closed = threading.Event()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                asked = Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                number = len(endpoint.posts)
                endpoint.requests.append(asked)
                reply = endpoint.answer(asked, number) if asked.method == "POST" else endpoint.models
                if reply.hangs:
                    self.close_connection = True
                    endpoint._closed.wait()
                    return
                data = reply.body
                self.send_response(reply.status)
                for name, value in {"content-type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: len(data) // 2] if reply.reset else data)
                if reply.reset:
                    self.close_connection = True
                    self.wfile.flush()
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()

            do_GET = do_POST = do_CONNECT = answer

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = QuietServer(("127.0.0.1", 0), Handler)
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
        self._closed.set()
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
