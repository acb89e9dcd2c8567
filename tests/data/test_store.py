"""A collection on disk."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zero2ir.data.records import CandidateDocument, Collection, DataIssue, Document, Judgment, Query
from zero2ir.data.store import is_ordered, read_collection, read_documents, write_collection
from zero2ir.errors import InputError
from zero2ir.io.files import files_below, sha256

COLLECTION = Collection(
    documents=[Document("d1", "título", "text"), Document("d2", "", "日本\u2028語")],
    queries=[Query("q1", "one", "train"), Query("q2", "two", "test")],
    judgments=[Judgment("q1", "d1", 2), Judgment("q2", "d2", 0)],
    metadata={"source": "a test", "licence": "CC0-1.0"},
)
QUALITY = {"empty documents": DataIssue(1, ("docs.jsonl:3",))}


def test_the_manifest_tells_what_is_there(tmp_path):
    folder = tmp_path / "collection"
    write_collection(COLLECTION, QUALITY, folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest == {
        "source": "a test",
        "licence": "CC0-1.0",
        "counts": {
            "documents": 2,
            "train queries": 1,
            "test queries": 1,
            "judgments": 2,
            "relevant judgments": 1,
        },
        "quality": {"empty documents": {"count": 1, "examples": ["docs.jsonl:3"]}},
        "sha256": {name: sha256(folder / name) for name in ("documents.parquet", "queries.parquet", "qrels.parquet")},
    }


text = st.text(st.characters(exclude_categories=["Cs"]))
stored = st.builds(
    Collection,
    st.lists(st.builds(Document, text, text, text), max_size=4),
    st.lists(st.builds(Query, text, text, st.sampled_from(["train", "test"])), max_size=4),
    st.lists(st.builds(Judgment, text, text, st.integers(0, 9)), max_size=4),
    st.just({"source": "a test", "licence": "unknown", "name": "small"}),  # ingest adds the name
    st.none() | st.lists(st.builds(CandidateDocument, text, text), max_size=4),
)


@settings(deadline=None)  # machines are shared; a slow moment is no failure
@given(stored)
def test_a_collection_survives_the_folder_and_gives_the_same_bytes_twice(tmp_path_factory, collection):
    folder = tmp_path_factory.mktemp("store")
    write_collection(collection, {}, folder / "once")
    write_collection(collection, {}, folder / "twice")
    assert read_collection(folder / "once") == collection
    assert [sha256(path) for path in files_below(folder / "once")] == [
        sha256(path) for path in files_below(folder / "twice")
    ]


def test_reading_documents_opens_neither_queries_nor_qrels(tmp_path):
    folder = tmp_path / "collection"
    write_collection(COLLECTION, QUALITY, folder)
    for name in ("queries.parquet", "qrels.parquet", "manifest.json"):
        (folder / name).unlink()
    assert read_documents(folder) == COLLECTION.documents


@pytest.mark.parametrize("name", ["documents.parquet", "queries.parquet", "qrels.parquet"])
def test_an_altered_file_is_refused(tmp_path, name):
    folder = tmp_path / "collection"
    write_collection(COLLECTION, QUALITY, folder)
    with (folder / name).open("ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match=rf"{name}: the file changed after the ingest stage; run the ingest"):
        read_collection(folder)


@pytest.mark.parametrize("metadata", [{}, {"ordered": False}, {"ordered": True}])
def test_the_manifest_says_whether_the_order_means_something(tmp_path, metadata):
    write_collection(
        replace(COLLECTION, metadata={**COLLECTION.metadata, **metadata}), QUALITY, tmp_path / "collection"
    )
    assert is_ordered(tmp_path / "collection") is metadata.get("ordered", False)


@pytest.mark.parametrize("read", [read_collection, read_documents, is_ordered])
def test_a_missing_collection_names_the_stage_that_makes_it(tmp_path, read):
    with pytest.raises(InputError, match="file not found; run the ingest stage first"):
        read(tmp_path)


def test_a_second_collection_replaces_the_first(tmp_path):
    folder = tmp_path / "collection"
    write_collection(COLLECTION, QUALITY, folder)
    smaller = Collection(COLLECTION.documents[:1], [], [], COLLECTION.metadata)
    write_collection(smaller, {}, folder)
    assert read_collection(folder) == smaller
    assert len(files_below(tmp_path)) == 5
    (folder / "notes.txt").touch()
    with pytest.raises(InputError, match=r"notes\.txt: not written by zero2ir"):
        write_collection(COLLECTION, QUALITY, folder)
    assert (folder / "notes.txt").exists()


def test_candidates_are_counted_and_kept_under_a_digest(tmp_path):
    folder = tmp_path / "collection"
    write_collection(replace(COLLECTION, candidates=[CandidateDocument("q1", "d1")]), QUALITY, folder)
    assert json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["counts"]["candidates"] == 1
    with (folder / "candidates.parquet").open("ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match=r"candidates\.parquet: the file changed after the ingest stage"):
        read_collection(folder)
