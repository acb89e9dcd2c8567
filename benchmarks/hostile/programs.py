"""Hostile files of saved programs: other bytes, other values, files too many and too few, with new digests or not."""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

import zero2ir
from benchmarks.hostile.arguments import GIVEN_DOCUMENTS, GIVEN_JUDGMENTS
from benchmarks.hostile.changes import altered
from benchmarks.hostile.contract import Check, Kind, reply, require
from benchmarks.hostile.readers import lay
from zero2ir.io.files import files_below, sha256
from zero2ir.program import program as module
from zero2ir.program.program import PROGRAM_FILE, load_program

KEY = "0123456789abcdef" * 2
FORBIDDEN = {"os.system", "subprocess.Popen", "socket.connect", "pickle.find_class"}  # no program needs any
FAMILIES = ["sparse", "surface", "feedback"]  # those without a network, which load in milliseconds
EXTRA = ["evil.py", "retriever/evil.py", "retriever/another.npy", "another.safetensors", "a/b/x.json", "retriever"]


class Program(NamedTuple):
    """A saved program with one file altered, added or removed.

    Attributes:
        family: of ``FAMILIES``.
        name: of the file.
        content: its bytes; None to remove it.
        renewed: whether the digests are computed again, as whoever alters a program can.
        signed: whether it was signed, and is opened with the key.
    """

    family: str
    name: str
    content: bytes | None
    renewed: bool
    signed: bool


@cache
def saved(family: str) -> Mapping[str, bytes]:
    """The files of a signed program of a family."""
    program = zero2ir.train(GIVEN_DOCUMENTS, GIVEN_JUDGMENTS, model=family, strategy="zero_shot")
    with tempfile.TemporaryDirectory() as place:
        program.save(folder := Path(place, "program"), sign=KEY)
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files_below(folder)}


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Draws a program, and a file of it or another one."""
    family, signed = draw(st.sampled_from(FAMILIES)), draw(st.booleans())
    files = saved(family)
    name = draw(st.one_of(*[st.sampled_from(sorted(files))] * 6, st.sampled_from(EXTRA)))
    content = None if draw(st.integers(0, 15)) == 0 else draw(altered(files.get(name, b"raise SystemExit(3)")))
    return Program(family, name, content, draw(st.booleans()), signed)


@contextmanager
def _checking() -> Iterator[Check]:
    """Watches for what a program never does: start processes, connect, or unpickle."""
    events: list[str] | None = []

    def watch(event: str, _: Any) -> None:
        if events is not None and event in FORBIDDEN:
            events.append(event)

    def check(case: Program) -> None:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place, "program")
            lay(saved(case.family), folder)
            _alter(folder, case)
            assert events is not None
            events.clear()
            found = reply(lambda: search(folder, KEY if case.signed else None))
            require(not events, f"a program caused {events}")
            if case.signed and not found.refusal:
                require(_content(folder) == _content_of(saved(case.family)), "an altered program passes as signed")

    sys.addaudithook(watch)
    try:
        yield check
    finally:
        events = None


def _alter(folder: Path, case: Program) -> None:
    path = folder / case.name
    if path.is_dir():  # a file in the place of a folder
        shutil.rmtree(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if case.content is not None:
        path.write_bytes(case.content)
    elif path.exists():
        path.unlink()
    if case.renewed:
        renew_digests(folder)


def _content(folder: Path) -> dict[str, Any]:
    return _content_of({path.relative_to(folder).as_posix(): path.read_bytes() for path in files_below(folder)})


def _content_of(files: Mapping[str, bytes]) -> dict[str, Any]:
    """All files, with that of the program as JSON, whose white space may differ."""
    return {**files, PROGRAM_FILE: json.loads(files[PROGRAM_FILE])}


QUERIES = ["remove whitespace from both ends of a string", "what is about chains", "open a file", ""]


def search(folder: Path, key: str | None = None) -> None:
    """Loads a program and checks that everything that it answers is finite."""
    program = load_program(folder, key=key)
    for query in QUERIES:
        check_finite(program(query=query, k=7).toDict())
    check_finite(program(query=QUERIES[0], documents=["strip a string", "open a file", ""]).toDict())
    probabilities = program.search(QUERIES, 10**7)[1]
    require(probabilities is None or len(probabilities) == len(QUERIES), "a query has no probabilities")


def renew_digests(folder: Path) -> None:
    """Computes the digests of all files again, as whoever alters a program can."""
    path = folder / PROGRAM_FILE
    try:
        state = json.loads(path.read_text())
        state["files"] = {
            one.relative_to(folder).as_posix(): {"bytes": one.stat().st_size, "sha256": sha256(one)}
            for one in files_below(folder)
            if one.name != PROGRAM_FILE
        }
        path.write_text(json.dumps(state))
    except (OSError, ValueError, TypeError, RecursionError):
        return
    renew_digest(path)


def renew_digest(path: Path) -> None:
    """Computes the digest of the file of a program again, if it is one that can have a digest."""
    try:
        state = json.loads(path.read_text())
        rest = {name: value for name, value in state.items() if name not in ("digest", "signature")}
        path.write_text(json.dumps({**state, "digest": module._digest(rest)}))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        pass


def check_finite(value: Any) -> None:
    """Raises Broken if an answer has a number that is infinite or none."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            check_finite(one)
    elif isinstance(value, float):
        require(abs(value) < float("inf"), "an answer is not finite")


PROGRAM_FILES = Kind(
    "altered programs",
    "An altered program runs no code, and is refused in one line or answers finitely; with a key it is refused",
    programs(),
    _checking,
    1000,
)
