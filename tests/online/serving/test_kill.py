"""What the service said it has is there, once, whenever it is killed."""

from pathlib import Path

import pytest
from killed_server import Server, killed

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.models.sparse import Sparse
from zero2ir.program.program import Program, program_digest


@pytest.fixture(scope="module")
def saved(string_methods: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    documents = [Document(row["doc_id"], "", row["text"]) for row in string_methods]
    folder = tmp_path_factory.mktemp("killed") / "program"
    Program(Sparse().index(Corpus(documents)), documents, None, {"model": "sparse"}).save(folder)
    return folder


def test_kills_lose_and_duplicate_nothing(saved: Path, tmp_path: Path) -> None:
    before = program_digest(saved)
    found = killed(saved, tmp_path / "state", kills=2, senders=4, seed=0)
    assert (found.kills, found.lost, found.doubled) == (2, 0, 0)
    assert found.acknowledged
    assert found.documents
    assert set(found.stored) <= found.sent
    assert program_digest(saved) == before
    with Server(saved, tmp_path / "state") as server:  # and it serves what was added
        status, answer = server.ask("POST", "/search", {"query": "text about", "k": 100})
        assert status == 200
        assert found.documents & {row["doc_id"] for row in answer["results"]}
        assert server.ask("GET", "/health")[1]["documents"] >= len(found.documents)
