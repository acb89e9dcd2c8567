"""Kills zero2ir at random moments, calls it again, and counts what is lost, doubled or left lying about.

    python -m benchmarks.kills 100 --seed 0

A trial kills (SIGKILL) a call of the pipeline within each stage, an experiment, an index or a page of labels, or a
server under load: the process alone, the process of its stage, or the whole tree. Its moment is drawn from the time
that the call takes undisturbed; half of the kills then wait until something is written. Then the same call is made
again, as a user would.

The collection is a part of the embedded one, the model is the hybrid with a static encoder, and a language model of a
fixed answer for each request writes queries and tries prompts.
"""

import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import cached_property, partial
from itertools import zip_longest
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Self

import psutil
import requests

from benchmarks.fake_endpoint import Asked, FakeEndpoint, Reply, message
from benchmarks.outcomes import Outcome, run_alone, to_stderr
from zero2ir.errors import one_line
from zero2ir.labelling.annotations import Annotations
from zero2ir.online.feedback.store import FeedbackStore
from zero2ir.online.serving.journal import DocumentJournal
from zero2ir.online.serving.service import DOCUMENTS_FILE, FEEDBACK_FILE, LOCK_FILE
from zero2ir.program.program import program_digest

sys.path.extend(str(Path(__file__).parents[1] / "tests" / folder) for folder in ("online/serving", "pipeline"))
from killed_server import killed as killed_server
from small_project import FROM_QRELS, Project, committed_project, new_project, same_figures, write_collection

Victim = str  # "process": what was called, alone; "stage": the process of its stage; "tree": all of them
STAGES = ("ingest", "pretrain-synthetic", "train", "evaluate", "report")
VICTIMS = ("process", "stage", "tree")
REPRO, SIDE_BY_SIDE = ("dvc", "repro"), ("python", "-m", "zero2ir.experiments.pipeline")
CHOICES = {"models": ["static_hybrid"], "strategies": ["prompt"], "lm": "fake", "budget": FROM_QRELS}
CONCURRENCY = 2  # requests to the language model at a time
LM = "name: fake\nprovider: litellm\nmodel: openai/fake\napi_base: {url}\nconcurrency: {concurrency}\n"
PRESET = {
    "title": "One condition",
    "panel": {
        "dataset": "local",
        "lm": "none",
        "budget": FROM_QRELS,
        "models": ["sparse"],
        "strategies": ["zero_shot"],
    },
    "memory_gb": 1,
}
EXPERIMENT = ("zero2ir", "experiment", "tiny", "--jobs", "1")
SMALL_ENCODER = ("--set", "pretraining.static.dimension=16", "--set", "pretraining.static.fit.epochs=1")
INDEX = ("zero2ir", "index", "my-collection", "--output", "program", "--shards", "4", "--jobs", "1", *SMALL_ENCODER)
LABEL = ("zero2ir", "label", "my-collection", "--web", "--port", "0", "--model", "sparse", "--budget", "24")
LABEL += ("--set", "~model@committee.dense", "--set", "~model@committee.static", "--annotations", "answers.jsonl")
TEMPORARY = re.compile(r"^tmp\w{8}$|\.(part|old|tmp)$")
NOT_OURS = (".dvc", ".git", "mlruns", "mlflow.db", "__pycache__")  # of these, only temporary names count
SENDERS = 4  # of feedback
ANSWERS = 20  # after which the page of labels is killed, at most, and half a second
LINGER = 300.0  # seconds that what a killed process started may still take
HANGS = 1800.0
ERRORS = (AssertionError, OSError, RuntimeError, ValueError, subprocess.SubprocessError)  # of what is tried


class Survival(NamedTuple):
    """What a kill left, seen after the next call.

    Attributes:
        place: what was killed.
        problem: what the next call said if it failed; "" if it ended well.
        same: whether the measures, or the saved program, are those of an undisturbed run; None where there are none.
        left: temporary files, and processes of the killed call.
        acknowledged: events, documents or answers that were acknowledged; None where there are none.
        lost: of them, or found twice.
        running: names of MLflow runs that are left "running"; None without MLflow.
        asked_again: requests that the language model got beyond those of an undisturbed run; None without one.
    """

    place: str
    problem: str = ""
    same: bool | None = None
    left: Sequence[str] = ()
    acknowledged: int | None = None
    lost: int = 0
    running: Sequence[str] | None = None
    asked_again: int | None = None


Place = Callable[[random.Random], Survival]


def main() -> None:
    run_alone(__doc__, partial(run, tell=to_stderr), "number", 100, "of kills", "of places and moments")


def run(number: int, seed: int, tell: Callable[[str], None] = lambda text: None) -> list[Outcome]:
    """Kills ``number`` times; tells about each kill."""
    with TemporaryDirectory(prefix="zero2ir-kills-") as folder, FakeEndpoint() as endpoint:
        endpoint.answer = written
        found = []
        for place in drawn(places(Path(folder), endpoint), number, draws := random.Random(seed)):
            begun = time.monotonic()
            found.append(survival(place, draws))
            tell(f"{time.monotonic() - begun:5.1f} s  {found[-1]}")
    return outcomes(found)


def survival(place: Place, draws: random.Random) -> Survival:
    """Kills once; an error, e.g. of a server that does not start any more, is a call that does not finish."""
    try:
        return place(draws)
    except ERRORS as error:
        return Survival(str(place), one_line(error))


def places(folder: Path, endpoint: FakeEndpoint) -> list[Place]:
    """Returns where one round of trials kills, what takes longer less often."""
    pipeline, experiment = PipelineKills(folder / "pipeline", endpoint), ExperimentKills(folder / "experiment")
    index, server, labels = IndexKills(folder / "index"), ServerKills(folder / "server"), LabelKills(folder / "labels")
    return [
        *(partial(pipeline.kill, stage) for stage in STAGES * 2),
        *[experiment.kill] * 2,
        *[index.kill] * 3,
        *[server.kill] * 5,
        *[labels.kill] * 5,
    ]


def drawn(one_round: Sequence[Place], number: int, draws: random.Random) -> list[Place]:
    """Returns ``number`` places in a random order, each as often as any other, but for one."""
    rounds = [draws.sample(one_round, len(one_round)) for _ in range(ceil(number / len(one_round)))]
    return [place for one in rounds for place in one][:number]


def outcomes(found: Sequence[Survival]) -> list[Outcome]:
    """Returns how often each promise held."""

    def outcome(promise: str, trial: str, trials: Sequence[Survival], held: Callable[[Survival], bool], **more: Any):
        broken = [one for one in trials if not held(one)]
        notes = "; ".join(filter(None, [more.get("notes", ""), *(str(one) for one in broken)]))
        return Outcome(promise=promise, trial=trial, tried=len(trials), kept=len(trials) - len(broken), notes=notes)

    measured = [one for one in found if one.same is not None]
    events = [one for one in found if one.acknowledged is not None]
    tracked = [one for one in found if one.running is not None]
    asking = [one for one in found if one.asked_again is not None]
    where = "kill -9 at a random moment of "
    return [
        outcome(
            "After a kill, the next call finishes.",
            f"{where}every stage of the pipeline, an experiment, an index, a server under load and a label page",
            found,
            lambda one: not one.problem,
        ),
        outcome(
            "The next call ends in the same measures, to four decimals, or the same program.",
            f"{where}the pipeline, an experiment or an index: the process, its stage's process or the whole tree",
            measured,
            lambda one: bool(one.same),
        ),
        outcome("Nothing half-written stays, and no process.", f"{where}all of these", found, lambda one: not one.left),
        outcome(
            "What was acknowledged is there, once.",
            f"{where}a server that gets feedback and documents, or of a label page",
            events,
            lambda one: not one.lost,
            notes=f"{sum(one.acknowledged or 0 for one in events)} events, documents and answers acknowledged",
        ),
        outcome(
            'No MLflow run stays "running".',
            f"{where}the pipeline or an experiment",
            tracked,
            lambda one: not one.running,
        ),
        outcome(
            "Of a language model's answers, only those under way at the kill are asked for again.",
            f"{where}the pipeline, with {CONCURRENCY} requests at a time",
            asking,
            lambda one: (one.asked_again or 0) <= CONCURRENCY,
            notes=f"{sum(one.asked_again or 0 for one in asking)} asked for again",
        ),
    ]


# Kills.


class Moment(NamedTuple):
    """When a command is killed.

    Attributes:
        seconds: after its start.
        waits: whether to wait then until it writes.
        delay: seconds after that.
    """

    seconds: float
    waits: bool
    delay: float

    def wait(self, project: Project, goes_on: Callable[[], bool]) -> None:
        """Returns at the moment, or when the command has ended."""
        until = time.monotonic() + self.seconds
        while goes_on() and (time.monotonic() < until or (self.waits and not is_written(project))):
            time.sleep(0.002)
        time.sleep(self.delay)


def is_written(project: Project) -> bool:
    """Whether an artifact, or MLflow's store, is being written."""
    return (project.folder / "mlflow.db-journal").exists() or any(
        next(project.folder.glob(pattern), None) for pattern in ("*.part", "*/*.part", "*/*/*.part")
    )


def killed(project: Project, command: Sequence[str], moment: Moment, victim: Victim) -> list[psutil.Process] | None:
    """Kills a command; returns what it had started by then, or None if it ended before."""
    process = subprocess.Popen(
        command,
        cwd=project.folder,
        env=project.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    called = psutil.Process(process.pid)
    moment.wait(project, lambda: process.poll() is None)
    while victim == "stage" and process.poll() is None and not _stages(called):
        time.sleep(0.002)
    if process.poll() is not None:
        return None
    started = called.children(recursive=True)
    for one in {"process": [called], "stage": _stages(called), "tree": [called, *started]}[victim]:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    if victim == "tree":
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # and what has just started
    process.wait(HANGS)
    return started


def _stages(called: psutil.Process) -> list[psutil.Process]:
    """Returns the processes of stages that a command runs."""
    with suppress(psutil.NoSuchProcess):
        return [
            one for one in called.children(recursive=True) if any(word.startswith("stages/") for word in one.cmdline())
        ]
    return []


def lingering(started: Sequence[psutil.Process]) -> list[str]:
    """Waits for what a killed command had started; returns what never ends, and kills it."""
    _, alive = psutil.wait_procs(started, LINGER)
    for one in alive:
        one.kill()
    return [f"process {one.pid}" for one in alive]


def killed_within(
    project: Project,
    command: Sequence[str],
    seconds: float,
    victim: Victim,
    draws: random.Random,
    fresh: Callable[[], Any],
) -> list[psutil.Process]:
    """Kills a command within the seconds that it takes, from a fresh state; earlier if it ended before."""
    moment = Moment(draws.uniform(0.0, seconds), draws.random() < 0.5, draws.uniform(0.0, 0.05))
    while True:
        fresh()
        if (started := killed(project, command, moment, victim)) is not None:
            return started
        moment = moment._replace(seconds=0.7 * moment.seconds)


def left_over(project: Project, expected: set[str]) -> list[str]:
    """Returns the files of a project that an undisturbed run has not."""
    names = {path.relative_to(project.folder) for path in project.folder.rglob("*")}
    return sorted(
        str(name)
        for name in names
        if TEMPORARY.search(name.name) or not (str(name) in expected or set(name.parts) & set(NOT_OURS))
    )


def files_of(project: Project) -> set[str]:
    """Returns the names of all files and folders of a project."""
    return {str(path.relative_to(project.folder)) for path in project.folder.rglob("*")}


def running(store: Path) -> list[str]:
    """Returns the names of the runs and models in an MLflow store that nobody ended.

    Opened for writing, as MLflow does: SQLite then takes back a transaction that a kill left half done.
    """
    if not store.exists():
        return []
    with closing(sqlite3.connect(store)) as connection:
        unfinished = (
            "SELECT name FROM runs WHERE status = 'RUNNING'",
            "SELECT name FROM logged_models WHERE status = 1",  # pending
        )
        return [name for query in unfinished for (name,) in connection.execute(query)]


def said(ended: subprocess.CompletedProcess[str]) -> str:
    """Returns the last line of a command that failed; "" of one that did not."""
    lines = (ended.stderr.strip() or ended.stdout.strip() or "no reason given").splitlines()
    return " / ".join(lines[-3:]) if ended.returncode else ""


# What is killed.


class PipelineKills:
    """Kills the pipeline; each trial starts where the stages before have ended, at the one path that MLflow knows."""

    def __init__(self, folder: Path, endpoint: FakeEndpoint) -> None:
        self.folder, self.endpoint = folder, endpoint
        self.project = Project(folder / "project")
        self.seconds: dict[str, float] = {}  # that each stage takes
        self.requests: dict[str, int] = {}  # from the begin of each stage to the end

    @cached_property
    def undisturbed(self) -> tuple[dict[str, Any], set[str]]:
        """The measures and the files of a run that nobody kills; keeps the state before each stage."""
        project, asked = new_project(self.project.folder), {}
        url = self.endpoint.url
        (project.folder / "conf/lm/fake.yaml").write_text(LM.format(url=url, concurrency=CONCURRENCY), encoding="utf-8")
        project.edit("params.yaml", lambda panel: panel.update(CHOICES))
        for stage in STAGES:
            project.copy(self.folder / stage)
            asked[stage], begun = len(self.endpoint.posts), time.monotonic()
            project.done(*REPRO, stage)
            self.seconds[stage] = time.monotonic() - begun
        self.requests = {stage: len(self.endpoint.posts) - before for stage, before in asked.items()}
        return project.metrics(), files_of(project)

    def kill(self, stage: str, draws: random.Random) -> Survival:
        metrics, files = self.undisturbed
        victim, command, asked = draws.choice(VICTIMS), draws.choice((REPRO, SIDE_BY_SIDE)), 0

        def fresh() -> None:
            nonlocal asked
            shutil.rmtree(self.project.folder)
            Project(self.folder / stage).copy(self.project.folder)
            asked = len(self.endpoint.posts)

        started = killed_within(self.project, command, self.seconds[stage], victim, draws, fresh)
        problem, left = said(self.project.run(*command)), lingering(started)
        return Survival(
            f"{victim} of {' '.join(command)} in {stage}",
            problem,
            same_figures(self.project.metrics(), metrics),
            [*left_over(self.project, files), *left],
            running=running(self.project.folder / "mlflow.db"),
            asked_again=len(self.endpoint.posts) - asked - self.requests[stage],
        )


class ExperimentKills:
    """Kills an experiment of one condition."""

    def __init__(self, folder: Path) -> None:
        self.fresh, self.project = Project(folder / "fresh"), Project(folder / "project")

    @cached_property
    def undisturbed(self) -> tuple[dict[str, Any], set[str], float]:
        """The measures and the files of an experiment that nobody kills, and the seconds that it takes."""
        committed_project(self.project.folder, PRESET).copy(self.fresh.folder)
        begun = time.monotonic()
        self.project.done(*EXPERIMENT)
        return self._condition().metrics(), files_of(self.project), time.monotonic() - begun

    def _condition(self) -> Project:
        (log,) = (self.project.folder / ".cache" / "experiments" / "tiny").glob("*.log")
        return Project(log.with_suffix(""))

    def kill(self, draws: random.Random) -> Survival:
        metrics, files, seconds = self.undisturbed
        victim = draws.choice(VICTIMS)

        def fresh() -> None:
            shutil.rmtree(self.project.folder)
            self.fresh.copy(self.project.folder)

        started = killed_within(self.project, EXPERIMENT, seconds, victim, draws, fresh)
        problem, left = said(self.project.run(*EXPERIMENT)), lingering(started)
        return Survival(
            f"{victim} of {' '.join(EXPERIMENT)}",
            problem,
            same_figures(self._condition().metrics(), metrics),
            [*left_over(self.project, files), *left],
            running=running(self.project.folder / "mlflow.db"),
        )


class IndexKills:
    """Kills ``zero2ir index``."""

    def __init__(self, folder: Path) -> None:
        self.project = Project(folder)

    @cached_property
    def undisturbed(self) -> tuple[str, set[str], float]:
        """The digest of a program whose index nobody kills, the files, and the seconds that it takes."""
        self.project.folder.mkdir()
        write_collection(self.project.folder / "my-collection")
        begun = time.monotonic()
        self.project.done(*INDEX)
        return program_digest(self._program), files_of(self.project), time.monotonic() - begun

    @property
    def _program(self) -> Path:
        return self.project.folder / "program"

    def kill(self, draws: random.Random) -> Survival:
        digest, files, seconds = self.undisturbed
        victim = draws.choice(("process", "tree"))

        def fresh() -> None:
            for name in ("program", "program.work"):
                shutil.rmtree(self.project.folder / name, ignore_errors=True)

        started = killed_within(self.project, INDEX, seconds, victim, draws, fresh)
        problem = said(self.project.run(*INDEX))
        same = not problem and program_digest(self._program) == digest
        left = [*left_over(self.project, files), *lingering(started)]
        return Survival(f"{victim} of {' '.join(INDEX[:2])}", problem, same, left)


class ServerKills:
    """Kills a server while people send feedback and documents."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def program(self) -> Path:
        from zero2ir import train

        texts = [{"doc_id": "strip", "text": "Remove white space."}, {"doc_id": "split", "text": "Cut into words."}]
        train(texts, model="sparse", strategy="zero_shot").save(self.folder / "program")
        return self.folder / "program"

    def kill(self, draws: random.Random) -> Survival:
        state = self.folder / "state"
        shutil.rmtree(state, ignore_errors=True)
        found = killed_server(self.program, state, 1, SENDERS, draws.randrange(2**32))
        with FeedbackStore(state / FEEDBACK_FILE), DocumentJournal(state / DOCUMENTS_FILE):
            expected = {FEEDBACK_FILE, DOCUMENTS_FILE, LOCK_FILE}  # SQLite's logs go when the last one closes the file
        return Survival(
            "server",
            left=sorted({path.name for path in state.iterdir()} - expected),
            acknowledged=len(found.acknowledged) + len(found.documents),
            lost=found.lost + found.doubled,
        )


class LabelKills:
    """Kills a page of labels whose answers follow each other without pause."""

    def __init__(self, folder: Path) -> None:
        self.project, self.answers = Project(folder), folder / "answers.jsonl"

    def kill(self, draws: random.Random) -> Survival:
        folder = self.project.folder
        if not folder.exists():
            folder.mkdir()
            write_collection(folder / "my-collection")
            (folder / "my-collection" / "qrels.trec").unlink()  # there is something to judge
        self.answers.unlink(missing_ok=True)
        before, sent, acknowledged = files_of(self.project), list[int](), 0
        with LabelPage(self.project) as page, suppress(requests.RequestException):
            first = draws.randrange(ANSWERS)
            while page.view()["item"]:
                if acknowledged == first:
                    threading.Timer(draws.uniform(0.0, 0.5), page.process.kill).start()
                sent.append(draws.randrange(3))
                page.answer(sent[-1], acknowledged)
                acknowledged += 1
        with LabelPage(self.project) as page:
            for grade in sent[acknowledged:]:
                page.answer(grade, acknowledged)  # again, as somebody does who got no answer
            counted = page.view()["answer_count"]
        rows = [row.grade for row in Annotations(self.answers).rows] if self.answers.exists() else []
        return Survival(
            f"label page, {acknowledged} answers acknowledged",
            "" if counted == len(sent) else f"the page counts {counted} answers",
            left=left_over(self.project, {*before, self.answers.name}),
            acknowledged=acknowledged,
            lost=sum(one != other for one, other in zip_longest(rows, sent)),
        )


class LabelPage:
    """``zero2ir label --web`` in a process of its own, and somebody who opened the page."""

    def __init__(self, project: Project) -> None:
        self.process = subprocess.Popen(
            LABEL,
            cwd=project.folder,
            env=project.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        address = re.search(r"http://\S+", self.process.stdout.readline())
        assert address is not None, "the page did not start"
        self.session = requests.Session()
        page = self.session.get(address.group(), timeout=HANGS)
        self.url, origin = page.url, page.url.rsplit("/", 2)[0]
        secret = page.text.split('name="token" content="')[1].split('"')[0]
        self.session.headers.update({"origin": origin, "x-zero2ir-token": secret})

    def view(self) -> dict[str, Any]:
        """What the page shows."""
        return self.session.get(f"{self.url}view", timeout=HANGS).json()

    def answer(self, grade: int, answer_count: int) -> bool:
        """Whether the page took an answer; it does not if it shows another number of answers by now."""
        body = {"grade": grade, "answer_count": answer_count}
        return self.session.post(f"{self.url}answer", json=body, timeout=HANGS).status_code == 200

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()


def written(asked: Asked, number: int) -> Reply:
    """Writes a query of words of the request, the same one whenever the request comes."""
    text = asked.body["messages"][-1]["content"] if asked.body else ""
    words = re.findall(r"[a-z]{4,}", text.lower())[-60:]
    return message("how to " + " ".join(random.Random(text).sample(words, min(6, len(words)))))


if __name__ == "__main__":
    main()
