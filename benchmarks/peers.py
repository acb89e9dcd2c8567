"""Measures zero2ir beside what one would use instead: the same documents, queries, weights and machine.

    make peers                                     # the peers' environment, .venv-peers
    python -m benchmarks.peers beir/scifact        # or further names of conf/dataset

Each system runs in a process of its own, all of them in turn in each round. The first table has each system's quality
on the test queries and the medians over the rounds; ``setup`` imports, loads, and indexes 32 documents. The second one
has ratios: how many times as fast zero2ir is as the peer, by wall time and by processor time. A system that cannot run
is left out, and the reason is printed.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmarks.peer_systems import OWN, PEERS
from zero2ir.config import IngestConfig, compose
from zero2ir.data.checks import check_collection
from zero2ir.data.loading import load_collection
from zero2ir.data.records import Collection, Document, Judgment, Query
from zero2ir.evaluation.intervals import Interval, bootstrap_interval
from zero2ir.evaluation.measures import run_of, score_run
from zero2ir.io import paths

HERE = Path(__file__).resolve().parent
MODEL = paths.CACHE_FOLDER / "benchmark" / "peers" / "minilm"
DEPTH = 100
MEASURES = ("nDCG@10", "R@100")
PARTS = ("index", "single", "batch")  # those of which the ratios are shown
LEXICAL = ("bm25s", "rank_bm25", "PyTerrier BM25", "PyTerrier RM3")
LATE = ("sentence-transformers MaxSim",)
ENCODERS = tuple(name for name in PEERS if name not in (*LEXICAL, *LATE))
RIVALS = {"sparse": LEXICAL, "static_hybrid": ENCODERS, "hybrid": ENCODERS, "late_interaction": LATE}


@dataclass(frozen=True)
class Task:
    """The test queries of a collection with their judgments."""

    documents: Sequence[Document]
    queries: Sequence[Query]
    judgments: Sequence[Judgment]

    @classmethod
    def of(cls, collection: Collection, most: int | None) -> "Task":
        """Takes the first documents, at most ``most``, and the test queries with a relevant one among them."""
        documents = collection.documents[:most]
        known = {document.doc_id for document in documents}
        judgments = [row for row in collection.judgments if row.doc_id in known]
        judged = {row.query_id for row in judgments if row.relevance > 0}
        queries = [query for query in collection.queries if query.split == "test" and query.query_id in judged]
        kept = {query.query_id for query in queries}
        return cls(documents, queries, [row for row in judgments if row.query_id in kept])

    def write(self, file: Path) -> None:
        """Writes the task for ``peer_systems``; a document is its title and text, joined as BEIR does."""
        texts = [f"{document.title} {document.text}".strip() for document in self.documents]
        queries = [query.text for query in self.queries]
        task = {"documents": texts, "queries": queries, "k": DEPTH, "model": str(MODEL.resolve())}
        file.write_text(json.dumps(task))

    def quality(self, rankings: Sequence[Sequence[tuple[int, float]]]) -> dict[str, Interval]:
        """Returns the mean of each measure with its interval over queries."""
        rows = {
            query.query_id: [(self.documents[number].doc_id, score) for number, score in hits]
            for query, hits in zip(self.queries, rankings, strict=True)
        }
        scores = score_run(run_of(rows), self.judgments, MEASURES)
        values = {name: [score.value for score in scores if score.measure == name] for name in MEASURES}
        return {name: bootstrap_interval(rows, resamples=2000, level=0.95, seed=0) for name, rows in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="a file of conf/dataset")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s; two at least give intervals")
    parser.add_argument("--documents", type=int, help="only the first documents, for a trial")
    parser.add_argument("--only", nargs="+", choices=[*OWN, *PEERS], default=[*OWN, *PEERS], metavar="SYSTEM")
    parser.add_argument("--environment", type=Path, default=Path(".venv-peers"), help="default: %(default)s")
    given = parser.parse_args()
    peers = given.environment / "bin" / "python"
    if not peers.exists():
        parser.error(f"{given.environment}: there is no environment of the peers; run make peers")
    if not MODEL.exists():
        run(peers, "peer_models.py", str(MODEL))
    collection, _ = check_collection(
        load_collection(compose("ingest", IngestConfig, [f"dataset={given.dataset}"]).dataset)
    )
    task = Task.of(collection, given.documents)
    print(f"{given.dataset}: {len(task.documents)} documents, {len(task.queries)} queries, {given.rounds} rounds\n")
    with TemporaryDirectory() as folder:
        task.write(Path(folder) / "task.json")
        rounds = measure_rounds(given.only, given.rounds, peers, Path(folder) / "task.json")
    print_systems(task, rounds)
    print_ratios(rounds)


def measure_rounds(names: Sequence[str], rounds: int, peers: Path, task: Path) -> dict[str, list[dict[str, Any]]]:
    """Returns the answers of each system in each round, without those that fail."""
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for number, name in product(range(rounds), names):
        if name not in answers:
            continue
        print(f"round {number + 1}: {name}", file=sys.stderr)
        try:
            own = name in OWN
            answer = run(Path(sys.executable) if own else peers, "peer_systems.py", name, str(task), own=own)
            answers[name].append(json.loads(answer))
        except RuntimeError as error:
            del answers[name]
            print(f"{name} is left out: {error}\n", flush=True)
    return answers


def run(python: Path, script: str, *words: str, own: bool = False) -> str:
    """Runs a script of this folder offline and returns its output; only zero2ir's own process sees PYTHONPATH.

    Raises:
        RuntimeError: it failed; with the last line that it wrote.
    """
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HAYSTACK_TELEMETRY_ENABLED": "False"}
    if not own:
        environment.pop("PYTHONPATH", None)
    command = [str(python.absolute()), "-P", str(HERE / script), *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"exit status {done.returncode}; {done.stderr.strip().rpartition(chr(10))[2]}")
    return done.stdout


def print_systems(task: Task, rounds: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    parts = ("set-up s", "index s", "one by one, queries/s", "in one batch, queries/s")
    print_row("system", *MEASURES, *parts, "peak MB", "index MB on disk")
    print_row(*["---"] * (len(MEASURES) + 7))
    for name, answers in rounds.items():
        quality = task.quality(answers[0]["rankings"]).values()
        setup, index = (duration(answers, part) for part in ("setup", "index"))
        single, batch = (f"{1 / median_of(answers, part)[0]:,.1f}" for part in ("single", "batch"))
        disk = answers[0]["disk"]
        memory = float(np.median([answer["memory"] for answer in answers]))
        sizes = (f"{memory / 1e6:,.0f}", "–" if disk is None else f"{disk / 1e6:,.1f}")
        print_row(f"`{name}`" if name in OWN else name, *map(show, quality), setup, index, single, batch, *sizes)
    print()


def print_ratios(rounds: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Prints how many times as fast each model of zero2ir is as its rivals; wall time, then processor time."""
    print_row("zero2ir", "peer", "indexing", "processor", "one by one", "processor", "in one batch", "processor")
    print_row(*["---"] * 8)
    for own, rivals in RIVALS.items():
        for peer in rivals:
            if own in rounds and peer in rounds:
                times = [(seconds_of(rounds[own], part), seconds_of(rounds[peer], part)) for part in PARTS]
                ratios = [ratio_interval(a[:, kind], b[:, kind]) for a, b in times for kind in (0, 1)]
                print_row(f"`{own}`", peer, *(show(ratio, 2) for ratio in ratios))


def seconds_of(answers: Sequence[Mapping[str, Any]], part: str) -> npt.NDArray[np.float64]:
    """Returns wall and processor seconds, [rounds, 2]."""
    return np.array([answer["seconds"][part] for answer in answers])


def median_of(answers: Sequence[Mapping[str, Any]], part: str) -> npt.NDArray[np.float64]:
    return np.asarray(np.median(seconds_of(answers, part), axis=0))


def duration(answers: Sequence[Mapping[str, Any]], part: str) -> str:
    wall, processor = median_of(answers, part)
    return f"{wall:,.2f} ({processor:,.2f})"


def ratio_interval(ours: npt.ArrayLike, theirs: npt.ArrayLike, level: float = 0.95) -> Interval:
    """Returns how many times as long the other one takes: the geometric mean of the rounds' ratios with its interval.

    Student's t on the logarithms, because rounds are few (Georges, Buytaert and Eeckhout 2007, "Statistically rigorous
    Java performance evaluation", section 3.2). Both are seconds, [rounds], of the same rounds. The bounds are NaN if
    there is one round only.
    """
    logs = np.log(np.asarray(theirs, dtype=float) / np.asarray(ours, dtype=float))
    rounds = len(logs)
    if rounds < 2:
        return Interval(float(np.exp(logs.mean())), np.nan, np.nan, rounds)
    half = stats.t.ppf((1 + level) / 2, rounds - 1) * logs.std(ddof=1) / np.sqrt(rounds)
    return Interval(*(float(np.exp(logs.mean() + shift)) for shift in (0.0, -half, half)), rounds)


def show(interval: Interval, digits: int = 3) -> str:
    if np.isnan(interval.ci_low):
        return f"{interval.mean:.{digits}f}"
    return f"{interval.mean:.{digits}f} [{interval.ci_low:.{digits}f}, {interval.ci_high:.{digits}f}]"


def print_row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
