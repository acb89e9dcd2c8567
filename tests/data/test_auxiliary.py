"""Other collections: what is read of them, what is refused, and that the copy is the same."""

import json
from pathlib import Path

import pytest

from zero2ir.data.auxiliary import read_auxiliary_collections, read_ingested, write_auxiliary_collections
from zero2ir.data.judgments import write_judgments
from zero2ir.data.records import Collection, Document, JudgedDocument, Judgment, Query
from zero2ir.data.store import write_collection
from zero2ir.errors import InputError
from zero2ir.io.files import files_below, sha256

OWN = Collection([Document("a", "", "own text")], [Query("q1", "Known question?")], [Judgment("q1", "a", 1)])
THERE = Collection(
    [Document("d1", "", "one"), Document("d2", "", "two")],
    [Query("q1", "known question"), Query("q2", "new question"), Query("q3", "tested question")],
    [Judgment("q1", "d1", 1), Judgment("q2", "d2", 1), Judgment("q3", "d1", 1)],
    {"source": "elsewhere", "licence": "CC0-1.0", "name": "there"},
)
KNOWN, NEW = JudgedDocument("q1", "known question", "d1", 1), JudgedDocument("q2", "new question", "d2", 1)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """What ingest writes, with two draws, in both of which is one of the queries."""
    folder = tmp_path / "project" / "data"
    write_collection(THERE, {}, folder / "collection")
    for seed, rows in enumerate([[KNOWN, NEW], [NEW]]):
        write_judgments(rows, folder / "judgments" / f"seed{seed}.jsonl")
    return folder


def test_nothing_but_documents_and_drawn_judgments_is_read(data: Path) -> None:
    for name in ("queries.parquet", "qrels.parquet"):
        (data / "collection" / name).unlink()
    other = read_ingested(data, OWN)
    assert other.name == "there"
    assert other.documents == THERE.documents
    assert other.judgments == [NEW]  # once; the known question may be tested here
    assert (other.metadata["judged_queries"], other.metadata["left_out"]) == (1, 1)
    assert other.metadata["sha256"]["seed0.jsonl"] == sha256(data / "judgments" / "seed0.jsonl")


def test_the_copy_holds_the_same_and_tells_where_it_is_from(data: Path, tmp_path: Path) -> None:
    other = read_ingested(data, OWN)
    write_auxiliary_collections([other, other], tmp_path / "auxiliary")
    assert read_auxiliary_collections(tmp_path / "auxiliary") == [other, other]
    before = [sha256(path) for path in files_below(tmp_path / "auxiliary")]
    write_auxiliary_collections([other, other], tmp_path / "auxiliary")
    assert [sha256(path) for path in files_below(tmp_path / "auxiliary")] == before
    facts = json.loads((tmp_path / "auxiliary" / "metadata.json").read_text(encoding="utf-8"))
    assert [one["source"] for one in facts] == ["elsewhere", "elsewhere"]
    write_auxiliary_collections([], tmp_path / "none")
    assert read_auxiliary_collections(tmp_path / "none") == []


def test_what_is_no_other_collection_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this is the project's own collection"):
        read_ingested(data, THERE)
    with pytest.raises(InputError, match=r"documents\.parquet: file not found; run the ingest stage first"):
        read_ingested(tmp_path / "nowhere", OWN)
    with pytest.raises(InputError, match=r"metadata\.json: file not found; run the ingest stage first"):
        read_auxiliary_collections(tmp_path / "nowhere")


def test_judgments_that_do_not_fit_are_refused(data: Path) -> None:
    write_judgments([NEW._replace(doc_id="d9")], data / "judgments" / "seed1.jsonl")
    with pytest.raises(InputError, match="lacks the judged document 'd9'"):
        read_ingested(data, OWN)
    for seed in (0, 1):
        write_judgments([KNOWN], data / "judgments" / f"seed{seed}.jsonl")
    with pytest.raises(InputError, match="no relevant document for any query"):
        read_ingested(data, OWN)


def test_altered_documents_are_refused(data: Path) -> None:
    manifest = data / "collection" / "manifest.json"
    values = json.loads(manifest.read_text(encoding="utf-8"))
    values["sha256"]["documents.parquet"] = "0"
    manifest.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(InputError, match="the file changed after the ingest stage"):
        read_ingested(data, OWN)
