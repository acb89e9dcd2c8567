"""Attacks a real server and a real label page over their sockets while an ordinary user goes on.

    python -m benchmarks.attacks --rounds 5

A round sends every hostile request to every path that the applications have, with each of its methods. Then slow
senders and connections that send nothing hold as many connections as they can, and feedback, changes of documents,
searches and new connections arrive in floods. ``benchmarks/hostile_inputs.py`` tries the applications with
drawn requests instead.
"""

import gzip
import json
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import httpx
import numpy as np
import psutil
from fastapi import FastAPI
from starlette.routing import Mount, Route

from benchmarks.outcomes import Outcome, run_alone
from zero2ir import label, load, train
from zero2ir.io.threads import repeated
from zero2ir.labelling.session import Session
from zero2ir.labelling.web import labelling_application
from zero2ir.online.feedback.store import FeedbackStore
from zero2ir.online.serving.journal import DocumentJournal
from zero2ir.online.serving.service import DOCUMENTS_FILE, FEEDBACK_FILE, SearchService
from zero2ir.online.serving.settings import ServingSettings
from zero2ir.online.serving.web import application

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "online" / "serving"))
from killed_server import Server

ROUNDS = 5
SLOW = 300  # connections of slow senders, more than the server keeps
ANSWER_SECONDS = 14.0  # for an answer, or the end of the connection: serving.request_seconds and a bit
FLOOD_SECONDS, FLOODERS = 10.0, 40
RATE = 100  # feedback requests a second that the server takes, so that the flood is larger on slow machines, too
USER_SECONDS = 0.2  # between two requests of the ordinary user
MOST_GROWTH = 64.0  # megabytes of memory
MOST_LINE = 300  # characters of a line of the log
QUERY = "cut a sentence into words"
LARGE = 5_000_000  # bytes, more than a request may have
COMMITTEE = ["~model@committee.dense", "~model@committee.static"]


# What is attacked.


class Way(NamedTuple):
    """A method and a path."""

    method: str
    path: str


@dataclass
class Target:
    """A server that is attacked.

    Attributes:
        name: for the tables.
        port: on the loopback interface.
        process: its number.
        ways: of all its routes.
        bodies: sound bodies by path.
        headers: that let a request in.
        user: sends a request of an ordinary user; returns whether the answer is right.
    """

    name: str
    port: int
    process: int
    ways: list[Way]
    bodies: dict[str, Any]
    headers: dict[str, str]
    user: Callable[[], bool]


def ways(app: FastAPI) -> list[Way]:
    """Returns the methods and paths of an application, with a value for each part of a path."""
    found = [(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods]
    for route in app.routes:  # those that are in no schema: pages and files
        if isinstance(route, Route):
            found += [(method, route.path) for method in sorted(route.methods or ())]
        elif isinstance(route, Mount):
            found.append(("GET", f"{route.path}/{{file}}"))
    return list(dict.fromkeys(Way(method, re.sub(r"\{[^}]*\}", "qrels.trec", path)) for method, path in found))


@contextmanager
def served(folder: Path) -> Iterator[tuple[Target, Path, Path]]:
    """Yields the server of a small program, its state and its log."""
    texts = {name: f"{name}: {getattr(str, name).__doc__}" for name in dir(str) if name[0] != "_"}
    train(texts, model="sparse", strategy="zero_shot").save(folder / "program")
    with SearchService(load(folder / "program"), folder / "elsewhere", ServingSettings()) as service:
        found = ways(application(service))
    state, log = folder / "state", folder / "log"
    options = ["--set", f"serving.max_feedback_per_second={RATE}"]
    with Server(folder / "program", state, options=options, log=log) as server:
        bodies = {
            "/search": {"query": QUERY},
            "/feedback": {"event_id": "a", "kind": "click", "query": QUERY, "doc_id": "split"},
            "/documents": {"documents": [{"doc_id": "new", "text": "A new text."}]},
        }
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=30, trust_env=False) as web:

            def search() -> bool:
                answer = web.post("/search", json={"query": QUERY, "k": 3})
                return answer.status_code == 200 and bool(answer.json()["results"])

            yield Target("server", server.port, server.number, found, bodies, {}, search), state, log


@contextmanager
def labelled(folder: Path) -> Iterator[tuple[Target, Path, Path]]:
    """Yields a label page that somebody has opened, its file of answers and its log."""
    (folder / "texts").mkdir(parents=True)
    for name in ("split", "strip", "join", "upper", "lower", "center"):
        (folder / "texts" / f"{name}.txt").write_text(f"{name}: {getattr(str, name).__doc__}")
    (folder / "queries.txt").write_text(f"{QUERY}\nremove spaces\nupper case\n")
    answers = folder / "answers.jsonl"
    options = ["--web", "--port", "0", "--model", "sparse", "--annotations", str(answers)]
    command = ["label", "texts", "--queries", "queries.txt", *options]
    words = [sys.executable, "-c", "from zero2ir.cli import main; main()", *command]
    words += [word for one in COMMITTEE for word in ("--set", one)]
    with ExitStack() as stack:
        log = stack.enter_context((folder / "log").open("w"))
        process = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True)
        stack.callback(process.communicate)
        stack.callback(process.kill)
        assert process.stdout is not None
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address is not None, (folder / "log").read_text()
        port = int(address.group().split(":")[2].partition("/")[0])
        texts = [path.read_text() for path in (folder / "texts").iterdir()]
        labelling = label(texts, [QUERY], folder / "elsewhere.jsonl", model="sparse", settings=COMMITTEE)
        found = ways(labelling_application(Session(labelling, "me", None), port, "token"))
        web = stack.enter_context(httpx.Client(timeout=30, trust_env=False, follow_redirects=True))
        page = web.get(address.group())
        secret = page.text.split('name="token" content="')[1].split('"')[0]
        cookie = "; ".join(f"{one.name}={one.value}" for one in web.cookies.jar)
        headers = {"origin": f"http://127.0.0.1:{port}", "x-zero2ir-token": secret, "cookie": cookie}
        view_of = {"answer_count": 99}
        grade = view_of | {"grade": 1}
        shown = {"answer": grade, "undo": view_of, "again": grade | {"query_id": "a", "doc_id": "b"}}
        bodies = {f"/{port}/{name}": one for name, one in shown.items()}

        def view() -> bool:
            return web.get(f"http://127.0.0.1:{port}/{port}/view").status_code == 200

        view()  # the first one takes its time
        yield Target("label page", port, process.pid, found, bodies, headers, view), answers, folder / "log"


# Hostile requests.

Content = Callable[[Way, dict[str, str], bytes], bytes]
CLOSED = 0  # stands for the status of a connection that is closed without an answer
READS = {200, 303, 400, 404, 405, 409, 411, 413, 415, 422}  # a method without a body may ignore it
MALFORMED = {400, CLOSED}


class Attack(NamedTuple):
    """A hostile request.

    Attributes:
        name: what is hostile.
        refused: statuses that it may get.
        content: its bytes, given what lets a request in and a sound body.
        reads: further statuses that it may get for a method without a body.
    """

    name: str
    refused: set[int]
    content: Content
    reads: set[int] = READS


def request(way: Way, headers: dict[str, str], body: bytes) -> bytes:
    """Returns the bytes of a request."""
    lines = [f"{way.method} {way.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def sent(change: Callable[[bytes], bytes] = bytes, **headers: str) -> Content:
    """Returns the bytes of a request with a changed body and further headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def content(way: Way, given: dict[str, str], sound: bytes) -> bytes:
        body = change(sound)
        length = {} if "transfer-encoding" in named else {"content-length": str(len(body))}
        return request(way, given | {"content-type": "application/json"} | length | named, body)

    return content


def body(content: bytes, **headers: str) -> Content:
    """Returns the bytes of a request with another body."""
    return sent(lambda sound: content, **headers)


def member(text: bytes) -> Content:
    """Returns the bytes of a request whose JSON object begins with another member."""
    return sent(lambda sound: sound.replace(b"{", b"{" + text + b", ", 1))


def lines(text: str, content: bytes = b"[]") -> Content:
    """Returns the bytes of a request with further lines of headers, which may repeat or contradict others."""

    def written(way: Way, given: dict[str, str], sound: bytes) -> bytes:
        start = request(way, given | {"content-type": "application/json"}, b"")
        return start.removesuffix(b"\r\n") + text.encode() + b"\r\n\r\n" + content

    return written


def moved(change: Callable[[Way], Way]) -> Content:
    """Returns the bytes of a sound request to another way."""
    return lambda way, given, sound: sent()(change(way), given, sound)


def raw(content: bytes) -> Content:
    return lambda way, given, sound: content


def chunked(content: bytes, size: int) -> bytes:
    parts = [content[at : at + size] for at in range(0, len(content), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def other_types(sound: bytes) -> bytes:
    return json.dumps({name: [{}] for name in json.loads(sound)}).encode()


IN_CHUNKS = {"transfer_encoding": "chunked"}
BOMB = gzip.compress(b"0" * 50_000_000)
HIDDEN = b"0\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n"
NOWHERE = {400, 403, 404, 405, 411, 414, 415, 422}
ATTACKS = [
    Attack("five megabytes", {413}, body(b" " * LARGE)),
    Attack("a length of five megabytes", {413}, lines(f"content-length: {LARGE}")),
    Attack("five megabytes in chunks", {411, 413}, body(chunked(b" " * LARGE, 65_536), **IN_CHUNKS)),
    Attack("a hundred thousand chunks", {400, 411}, body(chunked(b" " * 100_000, 1), **IN_CHUNKS)),
    Attack(
        "a chunk of a wrong size", {400, 411, CLOSED}, body(b"zz\r\n{}\r\n0\r\n\r\n", **IN_CHUNKS), READS | {CLOSED}
    ),
    Attack("a chunk of endless size", {400, 411, CLOSED}, body(b"f" * 100 + b"\r\n{}", **IN_CHUNKS), READS | {CLOSED}),
    Attack("deep JSON", {400, 413}, body(b"[" * 50_000 + b"]" * 50_000)),
    Attack("deep objects", {400, 413}, body(b'{"a":' * 4000 + b"1" + b"}" * 4000)),
    Attack("NaN", {400}, member(b'"position": NaN')),
    Attack("a number of 5000 digits", {400}, member(b'"k": ' + b"9" * 5000)),
    Attack("an unknown key", {422}, member(b'"__proto__": {}')),
    Attack("bare control characters", {400}, member(b'"a": "\x00\x1b[2J\x07"')),
    Attack("invalid UTF-8", {400}, member(b'"\xff\xfe": 1')),
    Attack("half of a surrogate pair", {400}, member(b'"a": "\\ud800"')),
    Attack("a list", {422}, body(b"[]")),
    Attack("null", {422}, body(b"null")),
    Attack("no body", {400, 422}, body(b"")),
    Attack("other types", {422}, sent(other_types)),
    Attack("a body in gzip", {400}, sent(gzip.compress, content_encoding="gzip")),
    Attack("a bomb in gzip", {400, 413}, body(BOMB, content_encoding="gzip")),
    Attack("a form", {415}, body(b"query=x", content_type="application/x-www-form-urlencoded")),
    Attack("text", {415}, sent(content_type="text/plain")),
    Attack("several parts", {415}, sent(content_type="multipart/form-data; boundary=x")),
    Attack("two lengths", MALFORMED, lines("content-length: 2\r\ncontent-length: 40"), MALFORMED),
    Attack("a negative length", {400}, lines("content-length: -1"), {400}),
    Attack("a signed length", {400}, lines("content-length: +2"), {400}),
    Attack("a length and chunks", {*NOWHERE, CLOSED}, lines("content-length: 4\r\ntransfer-encoding: chunked", HIDDEN)),
    Attack("an unknown transfer encoding", {400, 501, CLOSED}, lines("transfer-encoding: xchunked"), {501, *MALFORMED}),
    Attack("a folded header", {*NOWHERE, CLOSED}, lines("transfer-encoding:\r\n chunked", b"0\r\n\r\n")),
    Attack("a space before the colon", MALFORMED, lines("content-length : 2"), MALFORMED),
    Attack("a zero in a header", MALFORMED, lines("x: a\x00b"), MALFORMED),
    Attack("a header of 70,000 characters", {422, 431, *MALFORMED}, lines("content-length: 2\r\nx: " + "a" * 70_000)),
    Attack("ten thousand headers", {422, 431, *MALFORMED}, lines("content-length: 2" + "\r\nx: a" * 10_000)),
    Attack("another host", {403}, sent(host="evil.example"), {403}),
    Attack("two hosts", {400, 403, CLOSED}, lines("host: evil.example\r\ncontent-length: 0", b""), {400, 403, CLOSED}),
    Attack("no host", MALFORMED, lambda way, given, sound: request(way, {}, b""), MALFORMED),
    Attack("another site", {403}, sent(origin="http://evil.example")),
    Attack("a site without a name", {403}, sent(origin="null")),
    Attack("an unknown method", NOWHERE, moved(lambda way: way._replace(method="A" * 20_000)), NOWHERE),
    Attack("a path of 60,000 characters", {*NOWHERE, CLOSED}, moved(lambda way: way._replace(path="/a" * 30_000))),
    Attack(
        "a path that climbs", NOWHERE, moved(lambda way: way._replace(path=way.path + "/..%2f%2e%2e/etc/passwd%00"))
    ),
    Attack("another protocol", {403, *MALFORMED}, raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), {403}),
    Attack(
        "TLS", MALFORMED, raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500 + b"\r\n\r\n"), MALFORMED
    ),
    Attack("noise", MALFORMED, raw(random.Random(0).randbytes(5000) + b"\r\n\r\n"), MALFORMED),
]


def answer_to(port: int, content: bytes, seconds: float = ANSWER_SECONDS) -> tuple[int | None, float]:
    """Sends bytes; returns the status, 0 if the connection was closed without one, None if neither came in time."""
    start = time.monotonic()
    received = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
            with suppress(BrokenPipeError, ConnectionResetError):  # refused before its end; the answer is there
                connection.sendall(content)
            while b"\r\n" not in received and (part := connection.recv(65_536)):
                received += part
    except ConnectionError:
        pass
    except TimeoutError:
        return None, time.monotonic() - start
    found = re.match(rb"HTTP/1.1 (\d+)", received)
    return int(found.group(1)) if found else CLOSED, time.monotonic() - start


def requests(target: Target, seed: int) -> list[Outcome]:
    """Sends every attack to every way, in random order."""
    trials = [(attack, way) for attack in ATTACKS for way in target.ways]
    random.Random(seed).shuffle(trials)
    headers = {"host": f"127.0.0.1:{target.port}"} | target.headers
    wrong: list[str] = []
    most, statuses = 0.0, Counter[int | None]()
    for attack, way in trials:
        sound = json.dumps(target.bodies.get(way.path, {"a": 1})).encode()
        status, seconds = answer_to(target.port, attack.content(way, headers, sound))
        accepted = attack.refused if way.path in target.bodies else attack.refused | attack.reads
        statuses[status] += 1
        most = max(most, seconds)
        if status not in accepted:
            wrong.append(f"{attack.name} to {way.method} {way.path}: {status}")
    shown = ", ".join(f"{number} × {status or 'closed'}" for status, number in statuses.most_common())
    return [
        Outcome(
            promise="Every hostile request is refused with an intended status, or changes nothing, in bounded time.",
            trial=f"{target.name}: {len(ATTACKS)} attacks on {len(target.ways)} methods and paths",
            tried=len(trials),
            kept=len(trials) - len(wrong),
            notes="; ".join([f"at most {most:.1f} s; {shown}", *wrong[:5]]),
        )
    ]


# Slow senders.


def slow(target: Target) -> Outcome:
    """Holds connections by sending nothing, or a byte a second of a request."""
    host, json_type = f"host: 127.0.0.1:{target.port}\r\n", "content-type: application/json\r\n"
    starts = [
        b"",
        *(f"{way.method} {way.path} HTTP/1.1\r\n{host}x: ".encode() for way in target.ways),
        *(
            f"{way.method} {way.path} HTTP/1.1\r\n{host}{json_type}content-length: 999\r\n\r\n".encode()
            for way in target.ways
        ),
    ]
    begun = time.monotonic()
    opened = [socket.create_connection(("127.0.0.1", target.port), timeout=10) for _ in range(SLOW)]
    for number, one in enumerate(opened):
        one.sendall(starts[number % len(starts)])
        one.setblocking(False)
    left = dict(enumerate(opened))
    while left and time.monotonic() - begun < 2 * ANSWER_SECONDS:
        time.sleep(1)
        for number, one in list(left.items()):
            if is_over(one, b"" if number % len(starts) == 0 else b"a"):
                left.pop(number).close()
    took = time.monotonic() - begun
    for one in left.values():
        one.close()
    return Outcome(
        promise="A connection whose request does not arrive in time is closed.",
        trial=f"{target.name}: {SLOW} connections that send nothing, or a byte a second, to all methods and paths",
        tried=SLOW,
        kept=SLOW - len(left),
        notes=f"all closed after {took:.0f} s" if not left else f"{len(left)} open after {took:.0f} s",
    )


def is_over(connection: socket.socket, more: bytes) -> bool:
    """Sends more; returns whether the other side has closed the connection, or answered."""
    try:
        connection.send(more)
        return connection.recv(65_536) is not None
    except BlockingIOError:
        return False
    except OSError:
        return True


# Floods.


def floods(target: Target, state: Path) -> list[Outcome]:
    """Sends feedback, changes, searches and connections without pause; compares what is stored with the answers."""
    outcomes = []
    acknowledged: dict[str, set[str]] = {}
    statuses: dict[str, Counter[int | None]] = {}
    for kind in ("feedback", "documents", "search", "connections"):
        acknowledged[kind], statuses[kind] = flood(target.port, kind)
    with FeedbackStore(state / FEEDBACK_FILE) as store:
        events = Counter(event.event_id for event in store.events())
    with DocumentJournal(state / DOCUMENTS_FILE) as journal:
        added = {document.doc_id for document in journal.changes().added}
    for kind, stored in (("feedback", events), ("documents", Counter(added))):
        known = acknowledged[kind]
        unsaid = set(stored) - known
        outcomes.append(
            Outcome(
                promise="In a flood, everything acknowledged is stored once, and nothing else is.",
                trial=f"{FLOODERS} clients send {kind} for {FLOOD_SECONDS:.0f} s without pause",
                tried=len(known | unsaid),
                kept=sum(stored[one] == 1 for one in known),
                notes=_said(statuses[kind]),
            )
        )
    intended = {200, 429, 503, 507, CLOSED}
    tried = sum(statuses[kind].total() for kind in statuses)
    outcomes.append(
        Outcome(
            promise="Requests beyond the limits get status 429 or 503, or their connection is closed.",
            trial=f"floods of feedback (of which {RATE} a second are allowed), documents, searches and connections",
            tried=tried,
            kept=sum(number for counted in statuses.values() for one, number in counted.items() if one in intended),
            notes="; ".join(f"{kind}: {_said(counted)}" for kind, counted in statuses.items()),
        )
    )
    return outcomes


def flood(port: int, kind: str) -> tuple[set[str], Counter[int | None]]:
    """Returns the acknowledged ids, and how often each status came."""
    acknowledged: set[str] = set()
    statuses: Counter[int | None] = Counter()
    lock, end = threading.Lock(), time.monotonic() + FLOOD_SECONDS
    headers = {"host": f"127.0.0.1:{port}", "connection": "close"}

    def send(flooder: int) -> None:
        number = 0
        while time.monotonic() < end:
            name, found = f"{kind}-{flooder}-{number}", None
            number += 1
            bodies: dict[str, Any] = {
                "feedback": {"event_id": name, "kind": "click", "query": "x" * 900, "doc_id": "split"},
                "documents": {"documents": [{"doc_id": name, "text": f"text {name} " + "words " * 500}]},
                "search": {"query": "words " * 160, "k": 100},
            }
            if kind == "connections":
                held = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(20)]
                found, _ = answer_to(port, request(Way("GET", "/health"), headers, b""))
                for one in held:
                    one.close()
            else:
                content = body(json.dumps(bodies[kind]).encode())
                found, _ = answer_to(port, content(Way("POST", f"/{kind}"), headers, b""), 30)
            with lock:
                statuses[found] += 1
                if found == 200:
                    acknowledged.add(name)

    with ThreadPoolExecutor(FLOODERS) as pool:
        list(pool.map(send, range(FLOODERS)))
    return acknowledged, statuses


def _said(statuses: Counter[int | None]) -> str:
    return ", ".join(f"{number} × {status or 'closed'}" for status, number in statuses.most_common())


# The ordinary user.


@dataclass
class User:
    """Somebody who asks five times a second meanwhile.

    Attributes:
        ask: sends a request; returns whether the answer is right.
        times: seconds of each request, by what else went on.
        failed: numbers of wrong answers.
        during: what goes on.
    """

    ask: Callable[[], bool]
    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: Counter[str] = field(default_factory=Counter)
    during: str = "hostile requests"

    def ask_and_note(self) -> None:
        start = time.perf_counter()
        try:
            right = self.ask()
        except httpx.HTTPError:
            right = False
        self.times[self.during].append(time.perf_counter() - start)
        self.failed[self.during] += not right

    def outcome(self, target: Target) -> Outcome:
        shown = [
            f"during {during}: p50 {1000 * np.percentile(row, 50):.0f} ms, p99 {1000 * np.percentile(row, 99):.0f} ms, "
            f"{self.failed[during]} failed"
            for during, row in self.times.items()
        ]
        tried = sum(map(len, self.times.values()))
        return Outcome(
            promise="An ordinary user is answered meanwhile.",
            trial=f"{target.name}: a request five times a second during all attacks",
            tried=tried,
            kept=tried - self.failed.total(),
            notes="; ".join(shown),
        )


# The part.


def run(number: int, seed: int) -> list[Outcome]:
    """A part of ``benchmarks/promises.py``: rounds of attacks on the server and on the label page."""
    outcomes = []
    with TemporaryDirectory() as folder:
        with served(Path(folder) / "server") as (target, state, log):
            outcomes += attacked(target, state, log, number, seed)
        with labelled(Path(folder) / "page") as (target, answers, log):
            outcomes += attacked(target, answers, log, number, seed)
    return outcomes


def attacked(target: Target, written: Path, log: Path, rounds: int, seed: int) -> list[Outcome]:
    """Attacks one target; ``written`` is its state or its file of answers."""
    process, user = psutil.Process(target.process), User(target.user)
    outcomes: list[Outcome] = []
    with repeated(user.ask_and_note, USER_SECONDS):
        found = [requests(target, seed + number)[0] for number in range(rounds)]
        outcomes.append(summed(found))
        before = process.memory_info().rss / 1e6
        outcomes.append(unwritten(target, written))
        user.during = "slow senders"
        outcomes.append(slow(target))
        if target.name == "server":
            user.during = "floods"
            outcomes += floods(target, written)
        user.during = "hostile requests again"
        again = requests(target, seed)
        grown = process.memory_info().rss / 1e6 - before
    lines = log.read_text(errors="replace").splitlines()
    longest = max(map(len, lines), default=0)
    traces = sum("Traceback" in line or "Exception in" in line for line in lines)
    outcomes += [
        user.outcome(target),
        Outcome(
            promise=f"Memory grows by less than {MOST_GROWTH:.0f} MB; no long line and no traceback is in the log.",
            trial=f"{target.name}: memory after the first requests and after all attacks; the log",
            tried=3,
            kept=(grown < MOST_GROWTH) + (longest < MOST_LINE) + (traces == 0),
            notes=f"{grown:+.1f} MB; {len(lines)} lines, the longest of {longest} characters; {traces} tracebacks; "
            f"hostile requests afterwards: {again[0].kept} of {again[0].tried}",
        ),
    ]
    return outcomes


def summed(outcomes: Sequence[Outcome]) -> Outcome:
    """Returns the sum of several rounds, with the notes of the worst one."""
    worst = min(outcomes, key=lambda one: one.kept)
    tried, kept = sum(one.tried for one in outcomes), sum(one.kept for one in outcomes)
    return worst.model_copy(update={"tried": tried, "kept": kept})


def unwritten(target: Target, written: Path) -> Outcome:
    """Hostile requests have stored nothing, and the server has its documents."""
    if target.name == "server":
        with FeedbackStore(written / FEEDBACK_FILE) as store, DocumentJournal(written / DOCUMENTS_FILE) as journal:
            stored = len(store) + journal.changes().number
    else:
        stored = len(written.read_bytes()) if written.exists() else 0
    return Outcome(
        promise="Hostile requests store nothing.",
        trial=f"{target.name}: the files after the requests",
        tried=1,
        kept=int(stored == 0),
        notes=f"{stored} stored",
    )


def main() -> None:
    run_alone(__doc__, run, "--rounds", ROUNDS, "of hostile requests", "of their order")


if __name__ == "__main__":
    main()
