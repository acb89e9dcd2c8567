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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from zero2ir.online.feedback.store import FeedbackStore
from zero2ir.online.serving.journal import DocumentJournal
from zero2ir.online.serving.service import DOCUMENTS_FILE, FEEDBACK_FILE

BUSY = 10  # events between two kills, at least
COMMAND = "from zero2ir.cli import main; main()"
NURSERY = """
import json, os, sys
import dspy, hydra, uvicorn
import zero2ir.config, zero2ir.program.program, zero2ir.online.serving.service, zero2ir.online.serving.web
from zero2ir.cli import main
for line in sys.stdin:
    if not (born := os.fork()):
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        main(json.loads(line))
        os._exit(0)
    print(f"born {born}", flush=True)
    os.waitpid(born, 0)
"""


class Nursery:
    """A process that has imported everything, and is forked for each server: a start takes no seconds of imports."""

    def __init__(self) -> None:
        words = [sys.executable, "-c", NURSERY]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def start(self, words: Sequence[str]) -> tuple[int, str]:
        """The number of a new process that runs the command with these words, and the first line that it prints."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        lines = sorted(self.process.stdout.readline() for _ in range(2))  # "born" stands before "serving"
        return int(lines[0].split()[1]), lines[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.communicate(timeout=60)


class Server:
    """``zero2ir serve`` in a process of its own, on any free port of the loopback interface.

    Args:
        program: a folder or an MLflow URI.
        state: the folder that it keeps, or a database's URL.
        nursery: starts the process; one that imports everything anew where None.
        options: further words of the command.
        files: how many files a process without nursery may open; None for the default.
        log: file for what such a process logs.
    """

    def __init__(
        self,
        program: str | Path,
        state: str | Path,
        nursery: Nursery | None = None,
        options: Sequence[str] = (),
        files: int | None = None,
        log: str | Path = os.devnull,
    ) -> None:
        words = ["serve", str(program), "--port", "0", "--state", str(state), *options]
        self.process: subprocess.Popen[str] | None = None
        if nursery is not None:
            self.number, line = nursery.start(words)
        else:
            limit = "" if files is None else f"import resource; resource.setrlimit(7, ({files}, {files})); "
            command = [sys.executable, "-c", limit + COMMAND, *words]
            with open(log, "w") as file:
                self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True)
            assert self.process.stdout is not None
            self.number, line = self.process.pid, self.process.stdout.readline()
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
        self.end(signal.SIGKILL)

    def end(self, sign: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None and self.process.poll() is not None:
            return
        os.kill(self.number, sign)
        if self.process is not None:
            self.process.communicate(timeout=60)

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
    with Nursery() as nursery:
        return _killed(nursery, program, state, kills, senders, seed)


def _killed(nursery: Nursery, program: Path, state: Path, kills: int, senders: int, seed: int) -> Survived:
    moments, found, lock = random.Random(seed), Survived(), threading.Lock()
    server, ended, there = Server(program, state, nursery), threading.Event(), threading.Event()
    there.set()

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
            if _answered(server_now, path, body, ended, there, found):
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
        there.clear()
        found.kills += 1
        server = Server(program, state, nursery)
        there.set()
    time.sleep(0.5)
    ended.set()
    for thread in threads:
        thread.join(60)
    server.kill()
    with FeedbackStore(state / FEEDBACK_FILE) as store, DocumentJournal(state / DOCUMENTS_FILE) as journal:
        found.stored = [event.event_id for event in store.events()]
        found.kept = {document.doc_id for document in journal.changes()[0]}
    return found


def _answered(
    server: Callable[[], Server],
    path: str,
    body: Any,
    ended: threading.Event,
    there: threading.Event,
    found: Survived,
) -> bool:
    """Whether the server said that it has it; asked until it answers."""
    while not ended.is_set():
        try:
            return server().ask("POST", path, body)[0] == 200
        except (OSError, http.client.HTTPException, ValueError):
            found.unanswered += 1
            time.sleep(0.01)
            there.wait()  # nobody is asked while there is no server
    return False
