"""Binary files with altered bytes: a part of ``make promises``.

Each reader runs in a process of its own, since what fails may be the C, C++ or Rust of a library, and end the process:
a crash counts as a broken promise, names its input, and the next process goes on behind it. An input is drawn from the
seed and its number alone, so that ``python -m benchmarks.binary_files READER SEED FIRST NUMBER`` repeats it.

The bytes are those of a valid file with one to four changes, of the kinds that break parsers. A fuzzer guided by
coverage (Atheris) would see only our lines around these libraries, which are not built for it.
"""

import gzip
import json
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.hostile.contract import Broken, require, require_one_line
from benchmarks.hostile.readers import COLLECTION, DOCUMENTS, as_jsonl
from benchmarks.outcomes import Outcome
from zero2ir.data.records import Document
from zero2ir.data.stored_documents import check_documents, write_documents
from zero2ir.encoders.loading import load_encoder
from zero2ir.encoders.static import StaticSettings, train_static
from zero2ir.encoders.training import FitSettings
from zero2ir.errors import InputError, one_line
from zero2ir.evaluation.measures import read_trec_run
from zero2ir.io.arrays import map_array, read_array, read_tensors
from zero2ir.io.files import files_below
from zero2ir.io.lines import read_json_lines
from zero2ir.io.parquet import read_records, write_records
from zero2ir.lm.gguf_header import read_header
from zero2ir.models.graph_file import load_graph
from zero2ir.models.neighbour_graph import empty_graph, write_graph
from zero2ir.online.feedback.store import FeedbackEvent, FeedbackStore

SECONDS, MEGABYTES = 20, 1000  # of one input, and beyond what the process needs at first
NUMBER = 20_000
SHOWN = 5
TOO_MUCH = 3  # status of a process that took too much memory, which is given back with it
ROWS, DIMENSION = 64, 16
FLOATS = ("float32", (None, DIMENSION))
LAYOUTS = {"weights": FLOATS, "numbers": ("int64", (ROWS,))}
EXTREMES = [0, 1, 0x7F, 0x80, 0xFF, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**64 - 1]


class Reader(NamedTuple):
    """Writes a valid file or folder, and reads one."""

    name: str
    write: Callable[[Path], Any]
    read: Callable[[Path], Any]
    packed: bool = False  # whether bytes also change before they are compressed


def _vectors() -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(ROWS, DIMENSION)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _write_tensors(path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"weights": _vectors(), "numbers": np.arange(ROWS, dtype=np.int64)}, path)


def _write_feedback(path: Path) -> None:
    with FeedbackStore(path) as store:
        store.record_all([FeedbackEvent(str(n), "grade", "chains", "d0", 1, 2, 1.0) for n in range(20)])


def _read_feedback(path: Path) -> None:
    with FeedbackStore(path) as store:
        store.events()
        store.record(FeedbackEvent("new", "click", "chains", "d1", 1, None, 2.0))


def _write_gguf(path: Path) -> None:
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(512)
    writer.add_token_list(["a", "b"] * 50)
    writer.add_tensor("weights", _vectors())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _search_graph(path: Path) -> None:
    graph = load_graph(path, empty_graph(DIMENSION, 16), ROWS)
    graph.search(_vectors()[:3], 5, threads=1)


def _write_encoder(folder: Path) -> None:
    fit = FitSettings(epochs=1, batch_size=4, learning_rate=0.02)
    train_static(COLLECTION.documents, StaticSettings(dimension=DIMENSION, fit=fit), seed=0).save(folder)


READERS = {
    reader.name: reader
    for reader in (
        Reader("array.npy", lambda path: np.save(path, _vectors()), lambda path: read_array(path, FLOATS)),
        Reader("mapped.npy", lambda path: np.save(path, _vectors()), lambda path: map_array(path, FLOATS)),
        Reader("tensors.safetensors", _write_tensors, lambda path: read_tensors(path, LAYOUTS)),
        Reader(
            "documents.parquet",
            lambda path: write_records(COLLECTION.documents, Document, path),
            lambda path: read_records(path, Document),
        ),
        Reader(
            "documents.arrow",
            lambda path: write_documents(COLLECTION.documents, path),
            lambda path: list(check_documents(path)),
        ),
        Reader(
            "docs.jsonl.gz",
            lambda path: path.write_bytes(gzip.compress(as_jsonl(DOCUMENTS), mtime=0)),
            lambda path: list(read_json_lines(path)),
            True,
        ),
        Reader(
            "run.trec.gz",
            lambda path: path.write_bytes(gzip.compress(b"q0 Q0 d0 1 0.5 tag\nq0 Q0 d1 2 0.4 tag\n", mtime=0)),
            read_trec_run,
            True,
        ),
        Reader("feedback.sqlite", _write_feedback, _read_feedback),
        Reader(
            "graph.usearch",
            lambda path: write_graph(path, lambda rows: _vectors()[rows], ROWS, DIMENSION),
            _search_graph,
        ),
        Reader("weights.gguf", _write_gguf, read_header),
        Reader("encoder", _write_encoder, load_encoder),
    )
}


def run(number: int, seed: int) -> Sequence[Outcome]:
    """Tries ``number`` files, as many with each reader."""
    each = max(1, number // len(READERS))
    found = {name: tried_with(name, seed, each) for name in READERS}
    broken = [f"{name} {line}" for name, lines in found.items() for line in lines]
    return [
        Outcome(
            promise="A damaged binary file is refused in one line or read, and never ends the process",
            trial=f"altered bytes of {', '.join(READERS)}, seed {seed}; each has {SECONDS} s and {MEGABYTES} MB",
            tried=each * len(READERS),
            kept=each * len(READERS) - len(broken),
            notes="; ".join(broken[:SHOWN]),
        )
    ]


def tried_with(name: str, seed: int, number: int) -> list[str]:
    """Tries files with a reader, and returns what was wrong with which; a process that ends is followed by another."""
    broken: list[str] = []
    first = 0
    while first < number:
        command = [sys.executable, "-m", "benchmarks.binary_files", name, str(seed), str(first), str(number)]
        ended = subprocess.run(command, capture_output=True, text=True)
        lines = [json.loads(line) for line in ended.stdout.splitlines()]
        last = lines[-1]["number"] if lines else first
        broken += [f"{line['number']}: {line['wrong']}" for line in lines if line["wrong"]]
        if ended.returncode not in (0, TOO_MUCH):
            how = "takes too long" if ended.returncode == -signal.SIGALRM else f"ends with {ended.returncode}"
            broken.append(f"{last}: {how} {one_line(ended.stderr)[-200:]}".rstrip())
        first = last + 1
    return broken


def main(name: str, seed: str, first: str, number: str) -> None:
    """Tries files; prints a line of JSON before each, so that a crash has its number, and one if it is wrong."""
    reader = READERS[name]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        reader.write(folder / name)
        files = {path.relative_to(folder): path.read_bytes() for path in files_below(folder)}
        _try(reader, folder)
        at_first = _megabytes()
        for at in range(int(first), int(number)):
            rng = np.random.default_rng([int(seed), *name.encode(), at])
            path = sorted(files)[int(rng.integers(len(files)))]
            for left in set(files_below(folder)) - {folder / one for one in files}:
                left.unlink()  # such as the log of a database
            for one, content in files.items():
                (folder / one).write_bytes(altered(content, rng, reader.packed) if one == path else content)
            print(json.dumps({"number": at, "wrong": ""}), flush=True)
            try:
                signal.alarm(SECONDS)  # nothing catches it: C code ends, too
                _try(reader, folder)
                signal.alarm(0)
                require(_megabytes() - at_first < MEGABYTES, f"{_megabytes() - at_first} MB")
            except Exception as error:
                wrong = f"{path}: {type(error).__name__}: {one_line(error)[:200]}"
                print(json.dumps({"number": at, "wrong": wrong}), flush=True)
                if isinstance(error, Broken) and "MB" in wrong:
                    sys.exit(TOO_MUCH)


def _try(reader: Reader, folder: Path) -> None:
    try:
        reader.read(folder / reader.name)
    except InputError as error:
        require_one_line(str(error))


def _megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000


def altered(content: bytes, rng: np.random.Generator, packed: bool) -> bytes:
    """Returns bytes after one to four changes; those of a compressed file change inside as often as outside."""
    if packed and rng.random() < 0.5:
        return gzip.compress(altered(gzip.decompress(content), rng, False), mtime=0)
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        place = int(rng.integers(len(data) + 1)) if rng.random() < 0.5 else int(rng.integers(min(len(data), 256) + 1))
        width = int(rng.choice([1, 2, 4, 8]))
        match int(rng.integers(7)):
            case 0:
                data[place : place + 1] = rng.bytes(1)
            case 1 | 2:
                extreme = EXTREMES[int(rng.integers(len(EXTREMES)))] % 256**width
                data[place : place + width] = extreme.to_bytes(width, "little")
            case 3:
                data[place : place + width] = b""
            case 4:
                data[place:place] = rng.bytes(width)
            case 5:
                source = int(rng.integers(len(data) + 1))
                data[place : place + 64] = data[source : source + 64]
            case 6 if rng.random() < 0.3:
                del data[place:]
    return bytes(data)


if __name__ == "__main__":
    main(*sys.argv[1:])
