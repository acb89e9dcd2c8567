"""Lets clients search, send feedback and change documents for an hour, and measures the server's memory and times.

    python -m benchmarks.soak --seconds 3600

The server is ``zero2ir serve --impressions`` with a static_hybrid program of pydocs, trained on ten judged queries. 16
clients each do something once a second on average, with exponential pauses, which leaves most of a machine to other
work. Two thirds of it are searches, the others are clicks and grades after a search, added and removed documents with a
search for them, and looks at /health and /metrics. A client keeps at most three documents of its own, so the collection
stays as large as it is. A SIGHUP a minute lets the server open its program again.
"""

import random
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import httpx
import numpy as np
import psutil
from scipy import stats

from benchmarks.outcomes import Outcome, run_alone
from zero2ir import train
from zero2ir.data import pydocs
from zero2ir.data.checks import check_collection
from zero2ir.data.judgments import draw_judgments
from zero2ir.data.settings import JudgmentBudget
from zero2ir.online.feedback.store import FeedbackStore
from zero2ir.online.serving.journal import DocumentJournal
from zero2ir.online.serving.service import DOCUMENTS_FILE, FEEDBACK_FILE

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "online" / "serving"))
from killed_server import Server

MODEL, SEED = "static_hybrid", 0
SHARES = {"search": 14, "feedback": 4, "change": 2, "look": 1}
OWN = "soak"  # how the ids of the clients' documents begin
LETTERS = "bcdfghjklmnpqrstvwxz"  # of words that no document has
MOST_OWN = 3
AGAIN = 0.25  # share of events that are sent twice
KEEP_SECONDS = 2.0  # for which a client keeps its connection, less than the server does
WINDOWS = 60  # of the soak; the memory of each is the median of its samples
MOST_GROWTH = 1.0  # megabytes in the last half


class Load(NamedTuple):
    """How much the server has to do.

    Attributes:
        seconds: of the soak.
        clients: number of clients.
        rate: how often a second each client does something, on average.
        reload_seconds: seconds between two SIGHUPs.
    """

    seconds: float
    clients: int = 16
    rate: float = 1.0
    reload_seconds: float = 60.0


class Sent(NamedTuple):
    """A request that was answered, or not: ``status`` is then the type of the error."""

    kind: str
    status: int | str
    seconds: float


@dataclass
class Client:
    """Somebody who uses the server, and remembers what it acknowledged.

    Attributes:
        web: sends the requests.
        name: begins the ids of events and documents.
        queries: what is searched for.
        random: chooses.
        sent: every request.
        events: ids of acknowledged events.
        shown: number of documents in the answers.
        kept: words of the documents that are there, by id.
        removed: words of those that were removed, by id.
        looked_for: how often such a word was searched for.
        wrong: what an answer should not have been, in one line.
    """

    web: httpx.Client
    name: str
    queries: Sequence[str]
    random: random.Random
    sent: list[Sent] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    shown: int = 0
    kept: dict[str, str] = field(default_factory=dict)
    removed: dict[str, str] = field(default_factory=dict)
    looked_for: int = 0
    wrong: list[str] = field(default_factory=list)

    def run(self, end: float, rate: float) -> None:
        """Sends requests until a moment of the monotonic clock."""
        ways: dict[str, Callable[[], Any]] = {
            "search": lambda: self.search(self.random.choice(self.queries)),
            "feedback": self.feedback,
            "change": self.change,
            "look": lambda: self.ask("look", "GET", self.random.choice(["/health", "/metrics"])),
        }
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, self.random.expovariate(rate)))
            ways[self.random.choices(list(SHARES), list(SHARES.values()))[0]]()

    def ask(self, kind: str, method: str, path: str, body: Any = None) -> httpx.Response | None:
        """Sends a request; returns the response if it is the intended one."""
        start, response = time.perf_counter(), None
        try:
            response = self.web.request(method, path, json=body) if body else self.web.request(method, path)
            status: int | str = response.status_code
        except httpx.HTTPError as error:
            status = type(error).__name__
        self.sent.append(Sent(kind, status, time.perf_counter() - start))
        return response if status == httpx.codes.OK else None

    def search(self, query: str) -> list[str]:
        """Returns the ids of the documents that are found."""
        response = self.ask("search", "POST", "/search", {"query": query, "k": 10, "user": self.name})
        found = [row["doc_id"] for row in response.json()["results"]] if response else []
        self.shown += len(found)
        return found

    def feedback(self) -> None:
        """Clicks on or grades a document that is shown; sometimes twice, as after a lost answer."""
        query = self.random.choice(self.queries)
        places = [(place, one) for place, one in enumerate(self.search(query), 1) if not one.startswith(OWN)]
        if not places:
            return
        place, doc_id = self.random.choice(places)
        event_id, grade = f"{self.name}-{len(self.sent)}", self.random.choice([None, 0, 1, 2])
        about: dict[str, Any] = {"kind": "click"} if grade is None else {"kind": "grade", "grade": grade}
        event = {"event_id": event_id, "query": query, "doc_id": doc_id, "position": place, "user": self.name, **about}
        if first := self.ask("feedback", "POST", "/feedback", event):
            self.events.append(event_id)
            again = self.ask("feedback", "POST", "/feedback", event) if self.random.random() < AGAIN else None
            said = [one.json()["recorded"] for one in (first, again) if one]
            if said != [True, False][: len(said)]:
                self.wrong.append(f"event {event_id}: recorded {said}")

    def change(self) -> None:
        """Adds a document with a word of its own, or removes the oldest one, and looks for it."""
        number = len(self.kept) + len(self.removed)
        if len(self.kept) < MOST_OWN:
            doc_id, word = f"{OWN}-{self.name}-{number}", "".join(self.random.choices(LETTERS, k=12))
            text = f"{word} {self.random.choice(self.queries)} {word}"
            if self.ask("add", "POST", "/documents", {"documents": [{"doc_id": doc_id, "text": text}]}):
                self.kept[doc_id] = word
                self.look_for(doc_id, word, True)
        else:
            doc_id, word = next(iter(self.kept.items()))
            if self.ask("remove", "DELETE", f"/documents/{doc_id}"):
                self.removed[doc_id] = self.kept.pop(doc_id)
                self.look_for(doc_id, word, False)

    def look_for(self, doc_id: str, word: str, is_there: bool) -> None:
        """Searches for the word of a document, which must be found if it is there, and only then."""
        self.looked_for += 1
        if (doc_id in self.search(word)) != is_there:
            self.wrong.append(f"document {doc_id}: {'not found' if is_there else 'found after its removal'}")

    def look_for_all(self) -> None:
        for doc_id, word in self.kept.items():
            self.look_for(doc_id, word, True)
        for doc_id, word in self.removed.items():
            self.look_for(doc_id, word, False)


class Growth(NamedTuple):
    """Of the memory in the last half of the soak, in megabytes, with its 95 % interval, and the memory at the end."""

    mean: float
    low: float
    high: float
    end: float

    def line(self) -> str:
        return f"{self.mean:+.2f} MB [{self.low:+.2f}, {self.high:+.2f}], at the end {self.end:.0f} MB"


def run(number: int, seed: int) -> list[Outcome]:
    """A part of ``benchmarks/promises.py``: a soak of ``number`` seconds."""
    collection, _ = check_collection(pydocs.read())
    judged = draw_judgments(collection, JudgmentBudget(judging="relevant"), SEED)
    with TemporaryDirectory() as folder:
        documents = [document._asdict() for document in collection.documents]
        train(documents, judged, model=MODEL, fallback=["sparse"]).save(Path(folder) / "program")
        queries = [query.text for query in collection.queries if query.split == "train"]
        return soak(Path(folder), queries, Load(float(number)), seed)


def soak(folder: Path, queries: Sequence[str], load: Load, seed: int) -> list[Outcome]:
    """Soaks the program in ``folder``, and keeps state and log there."""
    state, log = folder / "state", folder / "log"
    with Server(folder / "program", state, options=["--impressions"], log=log) as server:
        documents = server.ask("GET", "/health")[1]["documents"]
        clients = [_client(server, f"c{number}", queries, seed) for number in range(load.clients)]
        end = time.monotonic() + load.seconds
        with ThreadPoolExecutor(load.clients) as pool:
            running = [pool.submit(one.run, end, load.rate) for one in clients]
            samples, reloads = _watched(server, load, end)
            for one in running:
                one.result()
        asked = [one for client in clients for one in client.sent]
        for client in clients:
            client.look_for_all()
            client.web.close()
        kept = sum(len(client.kept) for client in clients)
        health = server.ask("GET", "/health")[1]
    lines = log.read_text().splitlines()
    load_line = f"{load.seconds:.0f} s of {load.clients} clients that each do something {load.rate:g} times a second"
    return [
        _memory(samples, load_line),
        _answers(asked, load_line),
        _reloads(reloads, lines),
        _events(clients, state, health["lost_impressions"]),
        _documents(clients, state, health["documents"] - documents - kept),
    ]


def _client(server: Server, name: str, queries: Sequence[str], seed: int) -> Client:
    limits = httpx.Limits(keepalive_expiry=KEEP_SECONDS)
    address = f"http://{server.host}:{server.port}"
    web = httpx.Client(base_url=address, limits=limits, timeout=30, trust_env=False)
    return Client(web, name, queries, random.Random(f"{seed} {name}"))


def _watched(server: Server, load: Load, end: float) -> tuple[list[float], int]:
    """Samples the memory each second, in megabytes, and sends SIGHUPs; returns the samples and their number."""
    process, samples, reloads = psutil.Process(server.number), [], 0
    start = time.monotonic()
    while (now := time.monotonic()) < end:
        samples.append(process.memory_info().rss / 1e6)
        if (now - start) // load.reload_seconds > reloads:
            process.send_signal(signal.SIGHUP)
            reloads += 1
        time.sleep(min(1.0, load.seconds / WINDOWS))
    return samples, reloads


def growth(samples: Sequence[float]) -> Growth:
    """Fits a line through the medians of the windows in the last half of the samples."""
    windows = np.array_split(samples, min(WINDOWS, len(samples)))
    medians = [float(np.median(window)) for window in windows[len(windows) // 2 :]]
    fit = stats.linregress(np.arange(len(medians)) / len(medians), medians)  # the slope is that of the whole half
    half = float(stats.t.ppf(0.975, len(medians) - 2)) * fit.stderr
    return Growth(fit.slope, fit.slope - half, fit.slope + half, medians[-1])


def _memory(samples: Sequence[float], load: str) -> Outcome:
    found = growth(samples)
    return Outcome(
        promise=f"The server's memory grows by less than {MOST_GROWTH:g} MB in the last half of the soak.",
        trial=f"{load}; resident memory each second, a line by least squares through the medians of {WINDOWS} windows",
        tried=1,
        kept=int(found.mean < MOST_GROWTH),
        notes=found.line(),
    )


def _answers(asked: Sequence[Sent], load: str) -> Outcome:
    times: Mapping[str, list[float]] = defaultdict(list)
    for one in asked:
        times[one.kind].append(1000 * one.seconds)
    shown = [
        f"{kind} {len(row)}, p50 {np.percentile(row, 50):.0f} ms, p99 {np.percentile(row, 99):.0f} ms"
        for kind, row in sorted(times.items())
    ]
    errors = Counter(f"{one.kind} {one.status}" for one in asked if one.status != httpx.codes.OK)
    shown += [f"{number} times {error}" for error, number in errors.most_common()]
    return Outcome(
        promise="Every search, feedback, change of documents and look at /health and /metrics succeeds.",
        trial=load,
        tried=len(asked),
        kept=len(asked) - errors.total(),
        notes="; ".join(shown),
    )


def _reloads(reloads: int, log: Sequence[str]) -> Outcome:
    failed = [line for line in log if "failed" in line or "not applied" in line]
    return Outcome(
        promise="At each SIGHUP the server opens its program again, under load.",
        trial="SIGHUPs during the soak, and what the log says",
        tried=reloads,
        kept=sum(line.endswith(" reopened") for line in log),
        notes="; ".join(failed[:3]),
    )


def _events(clients: Sequence[Client], state: Path, lost: int) -> Outcome:
    acknowledged = [event for client in clients for event in client.events]
    shown = sum(client.shown for client in clients)
    with FeedbackStore(state / FEEDBACK_FILE) as store:
        stored = store.events()
    kinds = Counter(event.kind for event in stored)
    times = Counter(event.event_id for event in stored)
    wrong = [line for client in clients for line in client.wrong if line.startswith("event")]
    right = sum(times[event] == 1 for event in acknowledged) - len(wrong)
    impressions = min(kinds["impression"], 2 * shown - kinds["impression"])  # one too many is as wrong as one too few
    return Outcome(
        promise="Every acknowledged event and every shown document is stored exactly once.",
        trial="The file of feedback after the soak; a quarter of the events were sent twice",
        tried=len(acknowledged) + shown,
        kept=right + impressions,
        notes="; ".join([f"{len(acknowledged)} events, {shown} impressions, {lost} lost", *wrong[:3]]),
    )


def _documents(clients: Sequence[Client], state: Path, more: int) -> Outcome:
    kept = {doc_id for client in clients for doc_id in client.kept}
    removed = {doc_id for client in clients for doc_id in client.removed}
    with DocumentJournal(state / DOCUMENTS_FILE) as journal:
        changes = journal.changes()
    added = {document.doc_id for document in changes.added}
    wrong = [line for client in clients for line in client.wrong if line.startswith("document")]
    wrong += [f"document {doc_id}: not in the journal" for doc_id in (kept - added) | (removed - set(changes.removed))]
    wrong += [f"{more} documents too many in /health"] if more else []
    tried = sum(client.looked_for for client in clients) + len(kept) + len(removed) + 1
    return Outcome(
        promise="Every acknowledged new document is found at once and afterwards, and no removed one.",
        trial="A search for a word of the document after its change and after the soak; the journal, and /health",
        tried=tried,
        kept=tried - len(wrong),
        notes="; ".join([f"{len(kept) + len(removed)} added, {len(removed)} removed", *wrong[:3]]),
    )


def main() -> None:
    run_alone(__doc__, run, "--seconds", 3600, "of the soak", "of what the clients choose")


if __name__ == "__main__":
    main()
