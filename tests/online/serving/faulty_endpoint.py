"""An OpenAI-compatible endpoint that fails, hangs or talks nonsense as often as it is told to."""

import json
import random
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

Fault = Literal["fails", "hangs", "nonsense", "empty", "drops"]
FAULTS: tuple[Fault, ...] = ("fails", "hangs", "nonsense", "empty", "drops")
PASSAGE = "A string method that answers the question."


class FaultyEndpoint:
    """On any free port of the loopback interface, for the duration of a block.

    Args:
        fault: "fails" with status 500; "hangs" until the block ends; "nonsense" is no JSON; "empty" says nothing;
            "drops" closes the connection.
        rate: how often, 0 to 1.
        seed: of the draws.

    Attributes:
        url: of the API.
        counts: requests, by "well" and the fault.
    """

    def __init__(self, fault: Fault, rate: float, seed: int = 0) -> None:
        self.fault, self.rate = fault, rate
        self.counts: Counter[str] = Counter()
        self._draws, self._lock, self._over = random.Random(seed), threading.Lock(), threading.Event()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._send(200, {"object": "list", "data": []})

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                fault = endpoint.drawn()
                if fault is None:
                    self._send(200, completion(PASSAGE))
                elif fault == "empty":
                    self._send(200, completion(" "))
                elif fault == "fails":
                    self._send(500, {"error": {"message": "out of memory"}})
                elif fault == "nonsense":
                    self._send(200, None)
                else:
                    if fault == "hangs":
                        endpoint._over.wait(60)
                    self.close_connection = True

            def _send(self, status: int, body: Any) -> None:
                content = b"<html>what?" if body is None else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def drawn(self) -> Fault | None:
        """What becomes of the next request."""
        with self._lock:
            fault = self.fault if self._draws.random() < self.rate else None
            self.counts[fault or "well"] += 1
        return fault

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()


def completion(text: str) -> dict[str, Any]:
    """A chat completion in OpenAI's form."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "faulty",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
