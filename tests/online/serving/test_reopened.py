"""A program that was trained anew comes into service at SIGHUP; a broken one does not."""

import gc
import os
import signal
import time
import weakref
from pathlib import Path

import pytest
from killed_server import Server

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.models.sparse import Sparse
from zero2ir.online.serving.service import SearchService
from zero2ir.online.serving.settings import ServingSettings
from zero2ir.program.program import Program

ADDED = {"doc_id": "trim", "text": "Trim white space off both ends."}


@pytest.fixture
def documents(string_methods: list[dict[str, str]]) -> list[Document]:
    return [Document(row["doc_id"], "", row["text"]) for row in string_methods]


def save(documents: list[Document], name: str, folder: Path) -> None:
    Program(Sparse().index(Corpus(documents)), documents, None, {"model": name}).save(folder)


def test_the_new_program_serves_the_current_documents(documents: list[Document], tmp_path: Path) -> None:
    folder = tmp_path / "program"
    save(documents, "first", folder)
    with Server(folder, tmp_path / "state") as server:
        server.ask("POST", "/documents", {"documents": [ADDED]})
        save(documents, "second", folder)
        assert server.ask("GET", "/health")[1]["program"] == "first"
        hang_up(server)
        assert health_when(server, "second")["documents"] == len(documents) + 1
        found = server.ask("POST", "/search", {"query": "trim white space", "k": 1})[1]
        assert [row["doc_id"] for row in found["results"]] == ["trim"]


def test_a_broken_program_changes_nothing(documents: list[Document], tmp_path: Path) -> None:
    folder = tmp_path / "program"
    save(documents, "first", folder)
    with Server(folder, tmp_path / "state") as server:
        whole = (folder / "program.json").read_bytes()
        (folder / "program.json").write_bytes(whole[:20])
        hang_up(server)
        time.sleep(0.5)
        assert server.ask("POST", "/search", {"query": "strip"})[0] == 200
        (folder / "program.json").write_bytes(whole.replace(b'"first"', b'"other"'))  # altered: its digest is wrong
        hang_up(server)
        time.sleep(1.5)
        assert server.ask("GET", "/health")[1]["program"] == "first"
        (folder / "program.json").write_bytes(whole)
        save(documents, "second", folder)
        hang_up(server)
        health_when(server, "second")


def test_a_replaced_program_leaves_the_memory(documents: list[Document], tmp_path: Path) -> None:
    retrievers = [Sparse().index(Corpus(documents)) for _ in range(2)]
    for one in retrievers:
        one.itself = one  # type: ignore[attr-defined]  # encoders are in such cycles
    old = weakref.ref(retrievers[0])
    programs = [Program(one, documents, None, {"model": "sparse"}) for one in retrievers]
    del one, retrievers
    with SearchService(programs.pop(0), tmp_path, ServingSettings()) as service:
        gc.disable()  # Python collects cycles only after many allocations, of which a program has few
        try:
            service.replace(programs.pop())
            assert old() is None
        finally:
            gc.enable()


def hang_up(server: Server) -> None:
    os.kill(server.number, signal.SIGHUP)


def health_when(server: Server, program: str) -> dict[str, object]:
    end = time.monotonic() + 30
    while (health := server.ask("GET", "/health")[1])["program"] != program:
        assert time.monotonic() < end, f"{program} never came into service"
        time.sleep(0.05)
    return health
