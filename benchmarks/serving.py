"""Measures a program in service: its speed, and losses by kills and by a faulty language model.

    python benchmarks/serving.py load kills faults

Uses the documents of beir/scifact (from the ir_datasets home), ten judged queries of seed 0, and the loopback
interface:

- ``load``: requests a second and their times for each model, with 16 clients that send the next request when they
  have an answer, beside ``mlflow models serve`` for the same program. Queries are the collection's train queries.
- ``kills``: the server is killed fifty times while eight senders send feedback and one adds documents.
- ``faults``: the hybrid with passages that a language model writes, with BM25 as the fallback; the endpoint fails,
  hangs or returns nonsense in 30 and 100 % of the requests.

Programs are kept in .cache/benchmark/serving, and encoded documents in .cache/embeddings.
"""

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from zero2ir.config import IngestConfig, LibraryConfig, build, compose
from zero2ir.data.checks import check_collection
from zero2ir.data.judgments import draw_judgments
from zero2ir.data.loading import load_collection
from zero2ir.data.records import Collection
from zero2ir.data.settings import JudgmentBudget
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.making import make_encoder, source_role
from zero2ir.io import paths
from zero2ir.lm.factory import lazy_lm
from zero2ir.lm.settings import LMSettings
from zero2ir.models.base import encoder_roles
from zero2ir.models.rewritten import Rewritten
from zero2ir.models.sparse import Sparse
from zero2ir.program.fallback import FallbackSettings
from zero2ir.program.program import Program, load_program
from zero2ir.program.training import add_fallback, train_program
from zero2ir.strategies.base import TrainingInputs

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "online" / "serving"))
from faulty_endpoint import FAULTS, Fault, FaultyEndpoint
from killed_server import Server, killed

DATASET, SEED = "beir/scifact", 0
MODELS = ("sparse", "static_hybrid", "hybrid")
CLIENTS, SECONDS, MOST = 16, 20.0, 5000
KILLS, SENDERS = 50, 8
QUERIES, DEADLINE = 40, 6.0  # at each rate of each fault; seconds, for a machine with much else to do
CACHE = paths.CACHE_FOLDER / "benchmark" / "serving"


def main() -> None:
    parts = {"load": load_test, "kills": kill_test, "faults": fault_test}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=list(parts), choices=list(parts), metavar="PART")
    parser.add_argument("--models", nargs="+", default=MODELS, help="files of conf/model (default: %(default)s)")
    given = parser.parse_args()
    collection, _ = check_collection(load_collection(compose("ingest", IngestConfig, [f"dataset={DATASET}"]).dataset))
    for part in given.parts:
        parts[part](collection, given.models)


# Programs.


def inputs_for(collection: Collection, model: str) -> tuple[Any, Any, TrainingInputs]:
    """Returns the model, the strategy, and ten judged queries with the encoders that the model needs."""
    config = compose("library", LibraryConfig, [f"model={model}"])
    chosen, strategy = build(config.model, "model"), build(config.strategy, "strategy")
    corpus = Corpus(collection.documents, cache=paths.CACHE_FOLDER / "embeddings")
    for role in encoder_roles(chosen):
        source = source_role(role, config.encoder, corpus.language)
        corpus.encoders[role] = make_encoder(source, corpus, config.encoder, config.pretraining, SEED)
    return (
        chosen,
        strategy,
        TrainingInputs(
            corpus, draw_judgments(collection, JudgmentBudget(judging="relevant"), SEED), (), config.tuning, SEED
        ),
    )


def saved_program(collection: Collection, model: str) -> Path:
    """Returns the folder of a program that was trained on ten judged queries."""
    folder = CACHE / model
    if not folder.exists():
        chosen, strategy, inputs = inputs_for(collection, model)
        train_program(chosen, strategy, inputs, {"model": model}).program.save(folder)
    return folder


# Load.


def load_test(collection: Collection, models: Sequence[str]) -> None:
    queries = [query.text for query in collection.queries if query.split == "train"]
    heads = "served by | program | requests/s | p50 ms | p95 ms | p99 ms | CPU ms a request | requests | errors"
    print(f"| {heads} |\n{'|---' * 9}|")
    for model in models:
        folder = saved_program(collection, model)
        with TemporaryDirectory() as state, Server(folder, Path(state)) as server:
            own = Target(server.number, server.port, "/search", lambda text: {"query": text})
            row("zero2ir serve", model, own, queries)
        with served_by_mlflow(folder, model) as (number, port):
            other = Target(number, port, "/invocations", lambda text: {"dataframe_records": [{"query": text}]})
            row("mlflow models serve", model, other, queries)


class Target(NamedTuple):
    """A server: its process id, its port on the loopback interface, and the path and body of a request."""

    number: int
    port: int
    path: str
    body: Callable[[str], Any]

    def processor_seconds(self) -> float:
        """Returns the processor time of the process and its children; other work on the machine hardly changes it."""
        import psutil

        process = psutil.Process(self.number)
        used = [one.cpu_times() for one in (process, *process.children(recursive=True))]
        return sum(one.user + one.system for one in used)


def row(server: str, model: str, target: Target, queries: Sequence[str]) -> None:
    """Warms a server up, measures it, and prints a row."""
    asked(target, queries[:20], clients=2, seconds=60.0)
    before = target.processor_seconds()
    times, errors, seconds = asked(target, queries, CLIENTS, SECONDS)
    each = 1000 * (target.processor_seconds() - before) / len(times)
    p50, p95, p99 = np.percentile(times, [50, 95, 99]) * 1000
    figures = f"{len(times) / seconds:.1f} | {p50:.0f} | {p95:.0f} | {p99:.0f} | {each:.1f} | {len(times)} | {errors}"
    print(f"| {server} | {model} | {figures} |", flush=True)


def asked(target: Target, queries: Sequence[str], clients: int, seconds: float) -> tuple[list[float], int, float]:
    """Returns the times of the answers in seconds, the number of errors, and the duration; sends at most ``MOST``."""
    times: list[float] = []
    errors, place, lock = Counter[str](), iter(range(min(MOST, 10 * len(queries)))), threading.Lock()
    start = time.perf_counter()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=60)
        while time.perf_counter() - start < seconds:
            with lock:
                number = next(place, None)
            if number is None:
                return
            content = json.dumps(target.body(queries[number % len(queries)]))
            began = time.perf_counter()
            connection.request("POST", target.path, content, {"content-type": "application/json"})
            answer = connection.getresponse()
            read = answer.read()
            with lock:
                times.append(time.perf_counter() - began)
                if answer.status != 200 or b"doc" not in read:
                    errors["error"] += 1

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, errors.total(), time.perf_counter() - start


@contextmanager
def served_by_mlflow(folder: Path, model: str) -> Iterator[tuple[int, int]]:
    """Yields the process and the port at which MLflow serves the same program."""
    import mlflow

    from zero2ir.io.sockets import listen

    place = f"sqlite:///{CACHE.resolve()}/mlflow.db"
    mlflow.set_tracking_uri(place)
    with mlflow.start_run(run_name=model):
        logged = mlflow.dspy.log_model(
            load_program(folder), name="program", use_dspy_model_save=True, pip_requirements=[]
        )
    with listen(0) as bound:
        port = bound.getsockname()[1]
    words = ["-m", "mlflow", "models", "serve", "-m", logged.model_uri, "--env-manager", "local", "-p", str(port)]
    beside = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # MLflow starts uvicorn by its name
    environment = os.environ | {"MLFLOW_TRACKING_URI": place, "PATH": beside}
    with (CACHE / "mlflow.log").open("ab") as log:
        server = subprocess.Popen(
            [sys.executable, *words], env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(port, server)
        yield server.pid, port
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Returns when a server answers."""
    for _ in range(600):
        if server.poll() is not None:
            raise RuntimeError(f"the server ended; see {CACHE / 'mlflow.log'}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/ping")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.5)
        finally:
            connection.close()
    raise RuntimeError("the server does not answer")


# Kills.


def kill_test(collection: Collection, models: Sequence[str]) -> None:
    from zero2ir import train

    texts = [{"doc_id": "strip", "text": "Remove white space."}, {"doc_id": "split", "text": "Cut into words."}]
    with TemporaryDirectory() as folder:
        train(texts, model="sparse", strategy="zero_shot").save(Path(folder) / "program")
        found = killed(Path(folder) / "program", Path(folder) / "state", KILLS, SENDERS, SEED)
    print(
        f"{found.kills} kills: {len(found.sent)} events sent, {len(found.acknowledged)} acknowledged, "
        f"{len(found.stored)} stored, {len(found.documents)} documents acknowledged, {len(found.kept)} kept: "
        f"{found.lost} lost, {found.doubled} doubled",
        flush=True,
    )


# Faults.


def fault_test(collection: Collection, models: Sequence[str]) -> None:
    queries = [query.text for query in collection.queries if query.split == "train"][:QUERIES]
    _, _, inputs = inputs_for(collection, "hybrid")
    hybrid = load_program(saved_program(collection, "hybrid")).retriever
    settings = FallbackSettings(deadline=DEADLINE)
    print(f"| fault | rate | answered | in time | by rewritten | by sparse | why | p50 ms | most ms |\n{'|---' * 9}|")
    for fault in FAULTS[:3]:
        for rate in (0.3, 1.0):
            with FaultyEndpoint(fault, 0.0, SEED) as endpoint, TemporaryDirectory() as folder:
                print(faulty_row(endpoint, fault, rate, Path(folder), hybrid, inputs, queries, settings), flush=True)


def faulty_row(
    endpoint: FaultyEndpoint,
    fault: Fault,
    rate: float,
    folder: Path,
    hybrid: Any,
    inputs: TrainingInputs,
    queries: Sequence[str],
    settings: FallbackSettings,
) -> str:
    """Returns the row of the queries at one rate of one fault."""
    lm = LMSettings(name="faulty", provider="litellm", model="openai/faulty", api_base=endpoint.url)
    corpus = Corpus(inputs.corpus.documents, language_model=lazy_lm(lm, folder, SEED))
    rewritten = Rewritten(hybrid)
    rewritten.corpus = corpus
    rich = Program(rewritten, corpus.documents, None, {"model": "rewritten"}, corpus.language_model)
    program = add_fallback(rich, Program(Sparse().index(corpus), corpus.documents, None, {"model": "sparse"}), settings)
    rewritten.search(["the first one opens the client, and nobody waits"], 1)
    endpoint.rate = rate
    times, who, why, answered = [], Counter[str](), Counter[str](), 0
    for query in queries:
        start = time.perf_counter()
        answer = program(query=query)
        times.append(time.perf_counter() - start)
        answered += bool(answer.docids)
        who[answer.served_by] += 1
        why.update(step["reason"] for step in answer.steps)
    late = sum(seconds > settings.deadline for seconds in times)
    reasons = ", ".join(f"{count} {reason}" for reason, count in why.most_common())
    return (
        f"| {fault} | {rate:.0%} | {answered} of {len(queries)} | {len(times) - late} | {who['rewritten']} | "
        f"{who['sparse']} | {reasons} | {1000 * np.median(times):.0f} | {1000 * max(times):.0f} |"
    )


if __name__ == "__main__":
    main()
