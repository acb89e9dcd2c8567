"""A server that is killed again and again while people send feedback and documents, and what is left of it."""

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from zero2ir.feedback import FeedbackStore
from zero2ir.serving.journal import DocumentJournal
from zero2ir.serving.service import DOCUMENTS, FEEDBACK

BUSY = 10  # events between two kills, at least
COMMAND = "from zero2ir.cli import main; main()"


class Server:
    """``zero2ir serve`` in a process of its own, on any free port of the loopback interface.

    Args:
        program: a folder or an MLflow URI.
        state: the folder that it keeps.
        options: further words of the command.
        log: gets what it writes to standard error.
    """

    def __init__(self, program: str | Path, state: Path, options: Sequence[str] = (), log: Path | None = None) -> None:
        words = [sys.executable, "-c", COMMAND, "serve", str(program), "--port", "0", "--state", str(state), *options]
        errors = subprocess.DEVNULL if log is None else log.open("ab")
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("serving on http://"):
            raise RuntimeError(f"the server did not start: {line!r}")
        self.host, port = line.split()[2].removeprefix("http://").rstrip(";").split(":")
        self.port = int(port)

    def ask(self, method: str, path: str, body: Any = None, seconds: float = 30.0) -> tuple[int, Any]:
        """One request on a connection of its own: the status, and the answer's JSON."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=seconds)
        try:
            connection.request(method, path, json.dumps(body), {"content-type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def kill(self) -> None:
        """Leaves it no moment for anything."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.end()

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()


@dataclass
class Survived:
    """What was sent over all kills, and what is there in the end.

    Attributes:
        kills: how often the server was killed.
        sent: feedback events that were sent.
        acknowledged: of these, those that the server said it has.
        unanswered: attempts that got no answer, of a server that was killed or was not there yet; all were repeated.
        stored: event ids in the store, as often as they stand there.
        documents: ids of added documents that the server said it has.
        kept: ids in the journal of documents.
    """

    kills: int = 0
    sent: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    unanswered: int = 0
    stored: list[str] = field(default_factory=list)
    documents: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)

    @property
    def lost(self) -> int:
        """What was acknowledged and is not there."""
        return len(self.acknowledged - set(self.stored)) + len(self.documents - self.kept)

    @property
    def doubled(self) -> int:
        """What is there more than once."""
        return len(self.stored) - len(set(self.stored))


def killed(program: Path, state: Path, kills: int, senders: int, seed: int) -> Survived:
    """Sends feedback and documents without pause, kills the server at random moments, and looks at what is left.

    A sender whose request is cut off sends it again, as it has to, until the server has answered.

    Args:
        program: a saved program with a document "strip".
        state: the folder that the service keeps.
        kills: how many.
        senders: threads that send feedback; one more sends documents.
        seed: of the moments.
    """
    moments, found, lock = random.Random(seed), Survived(), threading.Lock()
    server, ended = Server(program, state), threading.Event()

    def send(sender: int) -> None:
        number = 0
        while not ended.is_set():
            event_id = f"{sender}-{number}"
            event = {"event_id": event_id, "kind": "click", "query": "a query", "doc_id": "strip", "position": 1}
            document = {"documents": [{"doc_id": f"d{number}", "text": f"a text about {number}"}]}
            path, body = ("/documents", document) if sender == senders else ("/feedback", event)
            with lock:
                if sender < senders:
                    found.sent.add(event_id)
            if _answered(server_now, path, body, ended, found, lock):
                with lock:
                    (found.documents if sender == senders else found.acknowledged).add(
                        f"d{number}" if sender == senders else event_id
                    )
            number += 1

    def server_now() -> Server:
        return server

    threads = [threading.Thread(target=send, args=(sender,), daemon=True) for sender in range(senders + 1)]
    for thread in threads:
        thread.start()
    for _ in range(kills):
        before = len(found.acknowledged)
        while len(found.acknowledged) < before + BUSY:
            time.sleep(0.01)
        time.sleep(moments.uniform(0.0, 0.5))
        server.kill()
        found.kills += 1
        server = Server(program, state)
    time.sleep(0.5)
    ended.set()
    for thread in threads:
        thread.join(60)
    server.kill()
    with FeedbackStore(state / FEEDBACK) as store, DocumentJournal(state / DOCUMENTS) as journal:
        found.stored = [event.event_id for event in store.events()]
        found.kept = {document.doc_id for document in journal.changes()[0]}
    return found


def _answered(server: Any, path: str, body: Any, ended: threading.Event, found: Survived, lock: threading.Lock) -> bool:
    """Whether the server said that it has it; asked until it answers."""
    while not ended.is_set():
        try:
            status, _ = server().ask("POST", path, body)
            return status == 200
        except (OSError, http.client.HTTPException, ValueError):
            with lock:
                found.unanswered += 1
            time.sleep(0.05)
    return False
