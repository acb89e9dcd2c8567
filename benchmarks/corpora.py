"""Measures `zero2ir index` on a corpus that is read from disk: speed, memory of all processes, and what a search finds.

    python -m benchmarks.corpora --jobs 2                               # a million passages, about an hour each
    python -m benchmarks.corpora --passages 20000 --shards 4 --executors local ray

Passages are two sentences each, drawn from the documents of beir/scifact: words are as frequent as there, but no new
ones come with further passages, and nearly equal passages are more frequent than in a real corpus. Each executor
indexes the same folder by the command of a user, in a process of its own. Memory is that of all processes together,
several times a second: `PSS` counts a page that processes share once, in equal parts, `RSS` in each of them; both count
pages of mapped files that happen to be in memory, `private` does not. Searches are in a process of their own, one query
at a time; R@100 is the share of a query's exact hundred nearest vectors that the graphs find. The queries are passages
of the same kind that are not in the corpus. Each of the `--jobs` needs about 1 GB.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import numpy as np
import psutil

from benchmarks.adding import sampled_documents

PASSAGES, SHARDS, MODEL = 1_000_000, 8, "static_hybrid"
WRITTEN_AT_ONCE = 50_000
QUERIES, DEPTH, RECALL_DEPTH, SEED = 200, 10, 100, 2
INTERVAL = 0.3  # seconds between two looks at the memory
MEGABYTE = 1 << 20
COMMAND = "from zero2ir.cli import main; main()"


class Memory(NamedTuple):
    """Peaks of the memory of a process and its descendants together, in MiB."""

    pss: float = 0.0
    rss: float = 0.0
    private: float = 0.0

    def with_look(self, process: psutil.Process) -> "Memory":
        looks = [look for one in descendants(process) if (look := memory_of(one)) is not None]
        if not looks:  # the process has just ended
            return self
        return Memory(*(max(most, sum(parts)) for most, parts in zip(self, zip(*looks, strict=True), strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=PASSAGES)
    parser.add_argument("--shards", type=int, default=SHARDS)
    parser.add_argument("--jobs", type=int, help="processes side by side; as cores and memory allow")
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--executors", nargs="+", default=["local", "ray"], help="of %(default)s")
    parser.add_argument("--folder", type=Path, help="for corpus and indexes, which stay there; a temporary one")
    parser.add_argument("--set", action="append", default=[], dest="settings", help="as of zero2ir index")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        corpus = written_corpus(folder / "corpus", given.passages)
        print("| executor | passages | shards | s | passages/s | PSS MB | RSS MB | private MB | index MB |")
        print("|" + "---|" * 9, flush=True)
        seconds = {}
        for executor in given.executors:
            output = folder / f"index-{executor}"
            seconds[executor], memory = indexed(corpus, output, executor, given)
            cells = [f"{seconds[executor]:,.1f}", f"{given.passages / seconds[executor]:,.0f}"]
            cells += [f"{value:,.0f}" for value in (*memory, folder_bytes(output) / MEGABYTE)]
            print(f"| {executor} | {given.passages:,} | {given.shards} | {' | '.join(cells)} |", flush=True)
        if "ray" in seconds and "local" in seconds:
            print(
                f"\nRay takes {seconds['ray'] - seconds['local']:+,.1f} s, {seconds['ray'] / seconds['local']:.2f} "
                "times as long as local processes"
            )
        code = f"from benchmarks.corpora import *; print(json.dumps(searched({str(output)!r})))"
        found, memory = watched([sys.executable, "-c", code])
        print("\n" + "\n".join(f"{name}: {value:,.3f}" for name, value in json.loads(found[-1]).items()))
        print(f"searching, PSS {memory.pss:,.0f}, RSS {memory.rss:,.0f}, private {memory.private:,.0f} MB")


def written_corpus(folder: Path, number: int) -> Path:
    """Writes sampled passages as a table, some at a time; keeps a table that is there."""
    path = folder / "docs.jsonl"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            for start in range(0, number, WRITTEN_AT_ONCE):
                for document in sampled_documents(min(WRITTEN_AT_ONCE, number - start), seed=1000 + start):
                    file.write(json.dumps({"doc_id": document.doc_id, "text": document.text}) + "\n")
    return folder


def indexed(corpus: Path, output: Path, executor: str, given: argparse.Namespace) -> tuple[float, Memory]:
    """Runs the command; returns its seconds and the peaks of the memory of all of its processes."""
    words = ["index", str(corpus), "--output", str(output), "--shards", str(given.shards), "--model", given.model]
    words += ["--executor", executor, *(word for one in given.settings for word in ("--set", one))]
    words += [] if given.jobs is None else ["--jobs", str(given.jobs)]
    start = time.perf_counter()
    _, memory = watched([sys.executable, "-c", COMMAND, *words])
    return time.perf_counter() - start, memory


def watched(command: Sequence[str]) -> tuple[list[str], Memory]:
    """Runs a command; returns the lines that it prints, and the peaks of memory."""
    ended, memory = Event(), Memory()

    def watch(process: psutil.Process) -> None:
        nonlocal memory
        while not ended.wait(INTERVAL):
            memory = memory.with_look(process)

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        thread = Thread(target=watch, args=(psutil.Process(running.pid),))
        thread.start()
        try:
            printed, _ = running.communicate()
        finally:
            ended.set()
            thread.join()
    if running.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return printed.splitlines(), memory


def descendants(process: psutil.Process) -> Iterator[psutil.Process]:
    try:
        yield from [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return


def memory_of(process: psutil.Process) -> tuple[float, float, float] | None:
    """Returns PSS, RSS and private memory in MiB; None if the process has ended."""
    try:
        look = process.memory_full_info()
    except psutil.Error:
        return None
    return look.pss / MEGABYTE, look.rss / MEGABYTE, look.uss / MEGABYTE


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def searched(folder: str) -> dict[str, Any]:
    """Returns the seconds of loading, queries a second, and R@100 of the graphs where there are any."""
    import zero2ir
    from zero2ir.models.base import parts
    from zero2ir.models.dense import Dense
    from zero2ir.models.vector_index import ExactIndex, GraphIndex

    start = time.perf_counter()
    program = zero2ir.load(folder)
    loading = time.perf_counter() - start
    queries = [document.text for document in sampled_documents(2 * QUERIES, seed=SEED)]
    for query in queries[:QUERIES]:  # the first ones weigh terms and read pages
        program(query=query, k=DEPTH)
    start, used = time.perf_counter(), time.process_time()
    for query in queries[QUERIES:]:
        program(query=query, k=DEPTH)
    seconds, processor = time.perf_counter() - start, time.process_time() - used
    figures = {"seconds to load": loading, "queries a second": QUERIES / seconds}
    figures["processor ms a query"] = 1000 * processor / QUERIES
    for part in (program.retriever, *parts(program.retriever)):
        if isinstance(part, Dense) and isinstance(part.nearest, GraphIndex):
            vectors = part.encode_queries(queries)
            near = part.nearest.search(vectors, RECALL_DEPTH).numbers
            exact = ExactIndex(part.nearest.vectors).search(vectors, RECALL_DEPTH).numbers
            shared = [len({*one} & {*other}) for one, other in zip(near.tolist(), exact.tolist(), strict=True)]
            figures[f"R@{RECALL_DEPTH} of the graphs of {part.encoder}"] = float(np.mean(shared)) / RECALL_DEPTH
    return figures


if __name__ == "__main__":
    main()
