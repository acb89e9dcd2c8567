"""Documents that stay on disk."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data import stored_documents
from zero2ir.data.pydocs.documents import read_pydocs
from zero2ir.data.records import Document
from zero2ir.data.stored_documents import (
    DocumentNumbers,
    StoredContents,
    StoredDocuments,
    check_documents,
    write_documents,
)
from zero2ir.errors import InputError

DOCUMENTS = [Document(*row) for row in read_pydocs()[0]][:500]


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoredDocuments:
    monkeypatch.setattr(stored_documents, "BATCH_DOCUMENTS", 77)
    write_documents(iter(DOCUMENTS), tmp_path / "documents.arrow")
    return StoredDocuments(tmp_path / "documents.arrow")


def test_they_are_a_sequence_of_documents(stored: StoredDocuments) -> None:
    assert len(stored) == 500
    assert list(stored) == DOCUMENTS
    assert [stored[0], stored[np.int64(76)], stored[77], stored[-1]] == [DOCUMENTS[place] for place in (0, 76, 77, -1)]
    assert stored[70:300] == DOCUMENTS[70:300]
    assert stored[::90] == DOCUMENTS[::90]
    assert stored[490:] == DOCUMENTS[490:]
    with pytest.raises(IndexError):
        stored[500]


def test_a_part_is_numbered_from_0(stored: StoredDocuments) -> None:
    part = stored.part(70, 240).part(3, 170)
    assert list(part) == DOCUMENTS[73:240]
    assert part[5] == DOCUMENTS[78]
    assert part.numbers[DOCUMENTS[78].doc_id] == 5
    assert DOCUMENTS[72].doc_id not in part.numbers


def test_contents_are_those_of_the_documents(stored: StoredDocuments) -> None:
    contents = StoredContents(stored)
    assert list(contents) == [document.content for document in DOCUMENTS]
    assert contents[3:200] == [document.content for document in DOCUMENTS[3:200]]
    assert contents[499] == DOCUMENTS[499].content


def test_ids_are_found_without_a_dictionary(stored: StoredDocuments) -> None:
    assert dict(stored.numbers) == {document.doc_id: number for number, document in enumerate(DOCUMENTS)}
    for unknown in ("", "abs\0", "\ud800", 3):
        assert unknown not in stored.numbers


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), min_size=1))
def test_repeated_ids_are_found(tmp_path_factory: pytest.TempPathFactory, ids: list[str]) -> None:
    path = tmp_path_factory.mktemp("ids") / "documents.arrow"
    write_documents((Document(doc_id, "", "text") for doc_id in ids), path)
    numbers = DocumentNumbers(StoredDocuments(path))
    assert sorted(numbers.repeated()) == sorted(
        (ids.index(doc_id), number) for number, doc_id in enumerate(ids) if ids.index(doc_id) < number
    )


def test_equal_hashes_are_told_apart(stored: StoredDocuments, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_documents, "_hashes", lambda ids: np.zeros(len(ids), np.uint64))
    numbers = DocumentNumbers(stored)
    assert [numbers[document.doc_id] for document in DOCUMENTS[::50]] == list(range(0, 500, 50))
    assert list(numbers.repeated()) == []


def test_a_file_of_somebody_else_is_checked(stored: StoredDocuments, tmp_path: Path) -> None:
    check_documents(stored.path)
    whole = stored.path.read_bytes()
    damaged = tmp_path / "damaged.arrow"
    for content in (b"", whole[: len(whole) // 2], whole[:200] + b"\xff" * 4000 + whole[4200:]):
        damaged.write_bytes(content)
        with pytest.raises(InputError, match=r"damaged\.arrow: .*get it again"):
            check_documents(damaged)


@pytest.mark.parametrize(
    "columns",
    [
        {"doc_id": ["a", "a"], "title": ["", ""], "text": ["x", "y"]},
        {"doc_id": ["a", "b"], "title": ["", None], "text": ["x", "y"]},
        {"doc_id": ["a", "b"], "text": ["x", "y"]},
        {"doc_id": [1, 2], "title": ["", ""], "text": ["x", "y"]},
        {"doc_id": pa.array([], pa.string()), "title": pa.array([], pa.string()), "text": pa.array([], pa.string())},
    ],
)
def test_a_file_of_other_content_is_refused(columns: dict[str, list[str]], tmp_path: Path) -> None:
    batch = pa.record_batch({name: pa.array(values) for name, values in columns.items()})
    with pa.ipc.new_file(tmp_path / "documents.arrow", batch.schema) as writer:
        writer.write_batch(batch)
    with pytest.raises(InputError, match="get it again"):
        check_documents(tmp_path / "documents.arrow")
