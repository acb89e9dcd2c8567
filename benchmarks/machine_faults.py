"""Calls zero2ir on a faulty machine: a full disk, a read-only folder, a clock that goes back, locked files, rivals.

    python -m benchmarks.machine_faults 40 --seed 0

While the fault lasts, a call may fail with one line, and nothing that was there may change. Afterwards the same call
works, and what was acknowledged is there. The full and the read-only disk are mounted (tmpfs), which takes root;
without that right these trials are left out. The clock is that of Python (``time.time``) in the called processes;
system calls and file times keep the true one.
"""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from benchmarks.kills import ERRORS, HANGS, LABEL, REPRO, SIDE_BY_SIDE, LabelPage, drawn, running
from benchmarks.outcomes import Outcome, run_alone, to_stderr
from zero2ir.errors import one_line
from zero2ir.io.files import files_below, sha256
from zero2ir.labelling.annotations import Annotations
from zero2ir.online.feedback.store import FeedbackStore
from zero2ir.online.serving.journal import DocumentJournal
from zero2ir.online.serving.service import DOCUMENTS_FILE, FEEDBACK_FILE

sys.path.extend(str(Path(__file__).parents[1] / "tests" / folder) for folder in ("online/serving", "pipeline"))
from killed_server import Server
from small_project import FROM_QRELS, Project, new_project, same_figures, write_collection

DISK_MEGABYTES = 400
FULL, READ_ONLY, CLOCK, LOCKED, RIVALS = "full disk", "read-only folder", "clock goes back", "locked file", "rivals"
PROMISES = {
    FULL: "On a full disk a call says so in one line, what was there stays, and with room again the call works.",
    READ_ONLY: "In a read-only folder a call says so in one line, what was there stays, and afterwards it works.",
    CLOCK: "A clock that goes back changes no measure and loses nothing.",
    LOCKED: "A locked SQLite file is told in one line or status 503, and once it is free the call works.",
    RIVALS: "Two calls at once do not mix: each finishes or says in one line that the other one runs.",
}
TRAIN = ("zero2ir", "train", "my-collection", "--output", "program", "--model", "sparse")
INDEX = ("zero2ir", "index", "my-collection", "--output", "program", "--model", "sparse", "--jobs", "1")
SERVE = ("zero2ir", "serve", "../served", "--port", "0", "--state", "state")
CALLS = {"train": TRAIN, "index": INDEX, "serve": SERVE, "label": LABEL}
CHOICES = {"models": ["sparse"], "strategies": ["fine_tune"], "lm": "none", "budget": FROM_QRELS}
SHIFTED = """
import os, time
true, begun, moment, days = time.time, time.time(), float(os.environ["SHIFT_AFTER"]), float(os.environ["SHIFT_DAYS"])
time.time = lambda: true() - (86400 * days if true() - begun > moment else 0)
"""


class Trial(NamedTuple):
    """What a fault did to a call.

    Attributes:
        fault: a key of ``PROMISES``.
        call: what was called.
        refused: whether it failed while the fault lasted.
        wrong: what did not hold; "" if all did.
    """

    fault: str
    call: str
    refused: bool
    wrong: str = ""


class Case(NamedTuple):
    """A call under a fault; ``run`` returns whether it was refused, and what did not hold."""

    fault: str
    call: str
    run: Callable[[random.Random], tuple[bool, str]]

    def __call__(self, draws: random.Random) -> Trial:
        """Tries it; an error, e.g. of a server that does not start, is something that did not hold."""
        try:
            return Trial(self.fault, self.call, *self.run(draws))
        except ERRORS as error:
            return Trial(self.fault, self.call, False, one_line(error))


def main() -> None:
    run_alone(__doc__, partial(run, tell=to_stderr), "number", 40, "of trials", "of what is drawn")


def run(number: int, seed: int, tell: Callable[[str], None] = lambda text: None) -> list[Outcome]:
    """Tries ``number`` faults; tells about each."""
    with TemporaryDirectory(prefix="zero2ir-faults-") as folder:
        machine, found, draws = Machine(Path(folder)), [], random.Random(seed)
        with machine.disk as mounted:
            for case in drawn(machine.cases(mounted), number, draws):
                begun = time.monotonic()
                found.append(case(draws))
                tell(f"{time.monotonic() - begun:5.1f} s  {found[-1]}")
    return [outcome(fault, [one for one in found if one.fault == fault], mounted) for fault in PROMISES]


def outcome(fault: str, trials: Sequence[Trial], mounted: bool) -> Outcome:
    """Returns how often a promise held."""
    broken = [one for one in trials if one.wrong]
    calls = ", ".join(sorted({one.call for one in trials}))
    notes = [f"{sum(one.refused for one in trials)} calls were refused"] if trials else []
    notes += [] if mounted or fault not in (FULL, READ_ONLY) else ["not tried: no right to mount a disk"]
    notes += [f"{one.call}: {one.wrong}" for one in broken]
    return Outcome(
        promise=PROMISES[fault],
        trial=f"{fault}: {calls}" if calls else fault,
        tried=len(trials),
        kept=len(trials) - len(broken),
        notes="; ".join(notes),
    )


class Disk:
    """A small file system in memory, which can be full or read-only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> bool:
        """Whether it could be mounted; otherwise it is a folder like others."""
        self.folder.mkdir()
        options = ["-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "tmpfs", str(self.folder)]
        self.is_mounted = subprocess.run(["mount", *options], capture_output=True).returncode == 0
        return self.is_mounted

    def __exit__(self, *error: object) -> None:
        if self.is_mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    @contextmanager
    def full(self, room: int) -> Iterator[None]:
        """Leaves room for so many bytes only."""
        filler = self.folder / "filler"
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(self.folder).free - room)
        try:
            yield
        finally:
            filler.unlink()

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Takes the right to write from everybody."""
        self._remount("ro")
        try:
            yield
        finally:
            self._remount("rw")

    def _remount(self, mode: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{mode}", str(self.folder)], check=True, capture_output=True)


class Called(NamedTuple):
    """How a call ended: whether well, and what it printed."""

    well: bool
    printed: str

    def wrong(self) -> str:
        """What is wrong with the way in which it failed."""
        errors = [line for line in self.printed.splitlines() if line.lower().lstrip().startswith("error")]
        if self.well or ("Traceback" not in self.printed and errors and len(errors[0]) < 1600):
            return ""
        return f"no single line, but {self.printed[-300:]!r}"


def called(project: Project, command: Sequence[str], **environment: str) -> Called:
    """Calls; a service that begins to serve has ended well, and is stopped."""
    with subprocess.Popen(
        command,
        cwd=project.folder,
        env=project.environment() | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "http://127.0.0.1" in line and command in (SERVE, LABEL):
                process.terminate()
                return Called(True, "".join(lines))
        return Called(process.wait(HANGS) == 0, "".join(lines))


def contents(*folders: Path) -> dict[Path, str]:
    """Returns the digests of all files below folders."""
    return {path: sha256(path) for folder in folders for path in files_below(folder)}


class Machine:
    """Projects, on a disk that can be full, and the cases that try them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.disk = Disk(folder / "disk")
        self.work = Project(folder / "disk" / "work")
        self.pipeline = Project(folder / "disk" / "project")
        (folder / "clock").mkdir()
        (folder / "clock" / "sitecustomize.py").write_text(SHIFTED, encoding="utf-8")

    def cases(self, mounted: bool) -> list[Case]:
        """Returns one round of trials."""
        disk = [
            *(
                Case(fault, name, partial(self.on_disk, fault == FULL, name))
                for fault in (FULL, READ_ONLY)
                for name in (*CALLS, "repro")
            ),
            Case(FULL, "feedback and documents", self.feedback_on_full_disk),
            Case(FULL, "answers", self.answers_on_full_disk),
        ]
        return [
            *(disk if mounted else []),
            Case(CLOCK, "repro", self.clock_of_repro),
            Case(CLOCK, "feedback and documents", self.clock_of_server),
            *(Case(LOCKED, name, partial(self.locked_state, name)) for name in (FEEDBACK_FILE, DOCUMENTS_FILE)),
            Case(LOCKED, "MLflow's store in repro", self.locked_store),
            *(Case(RIVALS, " ".join(one), partial(self.rivals, one)) for one in (REPRO, SIDE_BY_SIDE)),
            Case(RIVALS, "index", self.rival_indexes),
            Case(RIVALS, "servers", self.rival_servers),
        ]

    # What is called.

    @cached_property
    def served(self) -> Path:
        """A program that is served; made with a fresh folder of work."""
        from zero2ir import train

        texts = [{"doc_id": "strip", "text": "Remove white space."}, {"doc_id": "split", "text": "Cut into words."}]
        train(texts, model="sparse", strategy="zero_shot").save(self.folder / "disk" / "served")
        return self.folder / "disk" / "served"

    def fresh_work(self, *before: str) -> Project:
        """A folder of documents, and what a command left there before."""
        assert self.served
        shutil.rmtree(self.work.folder, ignore_errors=True)
        self.work.folder.mkdir()
        write_collection(self.work.folder / "my-collection")
        if before:
            self.work.done(*before)
        else:
            (self.work.folder / "my-collection" / "qrels.trec").unlink()  # there is something to judge
        return self.work

    @cached_property
    def measures(self) -> Mapping[str, Any]:
        """The measures of a pipeline without any fault; keeps the state after its shared stages."""
        project = new_project(self.pipeline.folder)
        project.edit("params.yaml", lambda panel: panel.update(CHOICES))
        project.done(*REPRO, "pretrain-synthetic")
        project.copy(self.folder / "begun")
        project.done(*REPRO)
        return project.metrics()

    def fresh_pipeline(self) -> Project:
        """A pipeline of which the systems are still to be trained."""
        assert self.measures
        shutil.rmtree(self.pipeline.folder)
        return Project(self.folder / "begun").copy(self.pipeline.folder)

    def finished(self, **environment: str) -> str:
        """What is wrong with the pipeline after the next call."""
        again = called(self.pipeline, REPRO, **environment)
        if not again.well:
            return f"the next call failed: {again.printed[-300:]!r}"
        if not same_figures(self.pipeline.metrics(), self.measures):
            return "other measures"
        if left := [*map(str, self.pipeline.unfinished()), *running(self.pipeline.folder / "mlflow.db")]:
            return f"left over: {', '.join(left)}"
        return ""

    # A disk.

    def on_disk(self, is_full: bool, name: str, draws: random.Random) -> tuple[bool, str]:
        """A call on a disk that is full or read-only; what was there before stays."""
        if name == "repro":
            project, command = self.fresh_pipeline(), REPRO
            kept = project.folder / "data", project.folder / "models"
        else:
            command = CALLS[name]
            project = self.fresh_work(*(command if name in ("train", "index") else ()))
            kept = (project.folder,)
        before = contents(*kept)
        room = round(10 ** draws.uniform(0.0, 6.5))  # bytes
        with self.disk.full(room) if is_full else self.disk.read_only():
            faulty = called(project, command)
        wrong = faulty.wrong()
        if not is_full and faulty.well and name != "repro":
            wrong = wrong or "it wrote into a read-only folder"
        after = contents(*kept)
        if not faulty.well and any(after.get(path) != digest for path, digest in before.items()):
            wrong = wrong or "what was there has changed"
        if name == "repro":
            wrong = wrong or self.finished()
        elif not wrong and not (again := called(project, command)).well:
            wrong = f"the next call failed: {again.printed[-300:]!r}"
        return not faulty.well, wrong

    def feedback_on_full_disk(self, draws: random.Random) -> tuple[bool, str]:
        """A server whose disk is full for a while."""
        with Server(self.fresh_state(), self.work.folder / "state") as server:
            users = Users(server)
            users.send(20)
            with self.disk.full(round(10 ** draws.uniform(0.0, 5.0))):
                refused = users.send(50, documents=True)
            users.send(20, documents=True)
        return refused > 0, users.wrong(self.work.folder / "state")

    def answers_on_full_disk(self, draws: random.Random) -> tuple[bool, str]:
        """A page of labels whose disk is full for a while."""
        project, given, refused = self.fresh_work(), list[int](), 0
        with LabelPage(project) as page:

            def answer(number: int) -> int:
                before = len(given)
                for grade in (draws.randrange(3) for _ in range(number)):
                    if page.answer(grade, len(given)):
                        given.append(grade)
                return number - (len(given) - before)

            wrong = "an answer was refused" if answer(3) else ""
            with self.disk.full(0):
                refused = answer(30)
            wrong = wrong or ("an answer was refused" if answer(3) else "")
        rows = [row.grade for row in Annotations(project.folder / "answers.jsonl").rows]
        wrong = wrong or ("" if rows == given else f"{len(given)} answers acknowledged, {len(rows)} there")
        return refused > 0, wrong

    def fresh_state(self) -> Path:
        """The program to serve, with no state."""
        self.fresh_work()
        return self.served

    # A clock.

    def shifted(self, draws: random.Random) -> dict[str, str]:
        """The environment of a process whose clock goes back by days after some seconds."""
        paths = os.pathsep.join([str(self.folder / "clock"), self.pipeline.environment()["PYTHONPATH"]])
        return {
            "PYTHONPATH": paths,
            "SHIFT_AFTER": str(draws.uniform(0.0, 10.0)),
            "SHIFT_DAYS": str(draws.choice((0.01, 1, 400))),
        }

    def clock_of_repro(self, draws: random.Random) -> tuple[bool, str]:
        self.fresh_pipeline()
        return False, self.finished(**self.shifted(draws)) or self.finished()

    def clock_of_server(self, draws: random.Random) -> tuple[bool, str]:
        program, state = self.fresh_state(), self.work.folder / "state"
        with Server(program, state) as server:
            users = Users(server)
            users.send(20, documents=True)
        with environment(self.shifted(draws)), Server(program, state) as server:
            users.server = server
            begun, refused = time.monotonic(), 0
            while time.monotonic() - begun < 12:
                refused += users.send(5, documents=True)
                time.sleep(0.2)
        return refused > 0, users.wrong(state)

    # Locks.

    def locked_state(self, name: str, draws: random.Random) -> tuple[bool, str]:
        """A server, one of whose files another process locks for a while."""
        state = self.folder / "disk" / "work" / "state"
        with Server(self.fresh_state(), state) as server:
            users = Users(server)
            users.send(10, documents=True)
            with locked(state / name):
                refused = users.send(draws.randrange(1, 10), documents=True)
            again = users.send(10, documents=True)
        wrong = users.wrong(state) or ("" if not again else f"{again} refused after the lock")
        return refused > 0, wrong

    def locked_store(self, draws: random.Random) -> tuple[bool, str]:
        """A pipeline whose MLflow store another process locks for a while."""
        project = self.fresh_pipeline()
        project.done(*REPRO, "train")
        with locked(project.folder / "mlflow.db"):
            faulty = called(project, REPRO)
        return not faulty.well, faulty.wrong() or self.finished()

    # Rivals.

    def rivals(self, command: Sequence[str], draws: random.Random) -> tuple[bool, str]:
        """Two calls of a pipeline, the second one some seconds after the first one."""
        project = self.fresh_pipeline()
        ended = both(project, command, draws.uniform(0.0, 10.0))
        wrong = "" if any(one.well for one in ended) else "none of them finished"
        wrong = next(filter(None, [wrong, *(one.wrong() for one in ended)]), "") or self.finished()
        return not all(one.well for one in ended), wrong

    def rival_indexes(self, draws: random.Random) -> tuple[bool, str]:
        """Two calls that index into one folder."""
        project = self.fresh_work()
        ended = both(project, INDEX, draws.uniform(0.0, 5.0))
        wrong = "" if any(one.well for one in ended) else "none of them finished"
        wrong = next(filter(None, [wrong, *(one.wrong() for one in ended)]), "")
        if not wrong and not called(project, ("zero2ir", "search", "program", "a query")).well:
            wrong = "the program cannot be searched"
        return not all(one.well for one in ended), wrong

    def rival_servers(self, draws: random.Random) -> tuple[bool, str]:
        """A second server on the state of the first one."""
        state = self.work.folder / "state"
        with Server(self.fresh_state(), state) as server:
            users = Users(server)
            users.send(draws.randrange(1, 20), documents=True)
            second = called(self.work, SERVE)
            refused = users.send(10, documents=True)
        wrong = "two servers on one state" if second.well else second.wrong()
        wrong = wrong or ("the first one refused" if refused else "") or users.wrong(state)
        wrong = wrong or ("" if called(self.work, SERVE).well else "the second one does not start after the first one")
        return not second.well, wrong


def both(project: Project, command: Sequence[str], seconds: float) -> list[Called]:
    """Calls twice, the second time some seconds later."""
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(called, project, command)
        time.sleep(seconds)
        second = pool.submit(called, project, command)
        return [first.result(), second.result()]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program's lock on an SQLite file."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Changes the environment of processes that start in the block."""
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Users:
    """They send feedback and documents to a server, and note down what it acknowledges."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.sent, self.events, self.documents, self.statuses = 0, list[str](), list[str](), set[int]()

    def send(self, number: int, documents: bool = False) -> int:
        """Sends events, and as many documents; returns how many were refused."""
        refused = 0
        for _ in range(number):
            self.sent += 1
            name = str(self.sent)
            event = {"event_id": name, "kind": "click", "query": "a query " * 50, "doc_id": "strip", "position": 1}
            refused += not self._taken("/feedback", event, name, self.events)
            if documents:
                added = {"documents": [{"doc_id": f"d{name}", "text": f"a text about {name}"}]}
                refused += not self._taken("/documents", added, f"d{name}", self.documents)
        return refused

    def _taken(self, path: str, body: Any, name: str, acknowledged: list[str]) -> bool:
        status, _ = self.server.ask("POST", path, body)
        if status == 200:
            acknowledged.append(name)
        elif status not in (503, 507):
            self.statuses.add(status)
        return status == 200

    def wrong(self, state: Path) -> str:
        """What is wrong with the state that a stopped server left."""
        with FeedbackStore(state / FEEDBACK_FILE) as store, DocumentJournal(state / DOCUMENTS_FILE) as journal:
            stored = [event.event_id for event in store.events()]
            kept = [document.doc_id for document in journal.changes().added]
        if self.statuses:
            return f"refused with status {self.statuses}"
        if len(set(stored)) < len(stored) or not set(self.events) <= set(stored):
            return f"{len(self.events)} events acknowledged, {len(stored)} there"
        lost = set(self.documents) - set(kept)
        return f"{len(lost)} of {len(self.documents)} acknowledged documents are lost" if lost else ""


if __name__ == "__main__":
    main()
