"""The Croissant description of a collection, as MLCommons' own library reads and validates it."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from absl.logging import get_absl_handler
from mlcroissant import Dataset

from zero2ir.data import pydocs
from zero2ir.data.checks import check_collection
from zero2ir.data.croissant import CROISSANT_FILE
from zero2ir.data.records import CandidateDocument, Collection, Document, Judgment, Query
from zero2ir.data.store import read_collection, write_collection

# absl, which mlcroissant imports, holds the standard error that pytest captures, and closes it as soon as any other
# library configures logging.
get_absl_handler().python_handler.setStream(sys.__stderr__)

SMALL = Collection(
    documents=[Document("d1", "título", "text"), Document("d2", "", "日本\u2028語")],
    queries=[Query("q1", "one", "train", answers=("a", "b")), Query("q2", "two", "test", topic="t")],
    judgments=[Judgment("q1", "d1", 2), Judgment("q2", "d2", 0)],
    metadata={"source": "folder small", "licence": "CC0-1.0", "name": "small", "language": "es"},
    candidates=[CandidateDocument("q2", "d2")],
)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("croissant") / "collection"
    collection, quality = check_collection(pydocs.read())
    write_collection(collection, quality, folder)
    return folder


def rows(dataset: Dataset, record_set: str) -> list[tuple[Any, ...]]:
    """The records as mlcroissant reads them; it passes texts on as bytes."""

    def text(value: Any) -> Any:
        if isinstance(value, list):
            return tuple(text(one) for one in value)
        return value.decode("utf-8") if isinstance(value, bytes) else value

    return [tuple(text(value) for value in row.values()) for row in dataset.records(record_set)]


def warnings(dataset: Dataset) -> list[str]:
    """The properties that it recommends and does not find."""
    return sorted(issue.split('"')[1].rpartition("/")[2] for issue in dataset.metadata.ctx.issues.warnings)


def test_every_record_is_read_through_the_description(tmp_path: Path) -> None:
    write_collection(SMALL, {}, tmp_path / "collection")
    dataset = Dataset(tmp_path / "collection" / CROISSANT_FILE)
    assert rows(dataset, "documents") == [tuple(row) for row in SMALL.documents]
    assert rows(dataset, "queries") == [tuple(row) for row in SMALL.queries]
    assert rows(dataset, "judgments") == [tuple(row) for row in SMALL.judgments]
    assert rows(dataset, "candidates") == [("q2", "d2")]
    assert warnings(dataset) == ["citeAs", "datePublished"]  # nobody published it, and DVC compares the bytes


def test_the_embedded_collection_is_described(embedded: Path) -> None:
    dataset = Dataset(embedded / CROISSANT_FILE)
    collection = read_collection(embedded)
    assert warnings(dataset) == ["citeAs", "datePublished"]
    assert dataset.metadata.license == ["PSF-2.0 (documents), Apache-2.0 (queries and judgments)"]
    assert dataset.metadata.url == "https://docs.python.org/3/library/"
    assert str(collection.metadata["source"]) in str(dataset.metadata.description)
    assert rows(dataset, "judgments") == [tuple(row) for row in collection.judgments]
    assert len(rows(dataset, "documents")) == len(collection.documents)


def test_checksums_are_those_of_the_manifest_and_no_path_is_stated(embedded: Path) -> None:
    content = (embedded / CROISSANT_FILE).read_text(encoding="utf-8")
    manifest = json.loads((embedded / "manifest.json").read_text(encoding="utf-8"))
    files = json.loads(content)["distribution"]
    assert {file["contentUrl"]: file["sha256"] for file in files} == manifest["sha256"]
    assert {file["contentSize"] for file in files} == {f"{(embedded / n).stat().st_size} B" for n in manifest["sha256"]}
    assert str(embedded.parent) not in content


def test_the_version_names_the_content(tmp_path: Path) -> None:
    def version(collection: Collection, name: str) -> str:
        write_collection(collection, {}, tmp_path / name)
        return str(json.loads((tmp_path / name / CROISSANT_FILE).read_text("utf-8"))["version"])

    changed = Collection(SMALL.documents, SMALL.queries, [Judgment("q1", "d1", 1)], SMALL.metadata)
    assert version(SMALL, "one") == version(SMALL, "two") != version(changed, "three")


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    write_collection(SMALL, {}, tmp_path / "collection")
    path = tmp_path / "collection" / "qrels.parquet"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(Exception, match=r"Download\(qrels.parquet\)"):
        rows(Dataset(tmp_path / "collection" / CROISSANT_FILE), "judgments")
