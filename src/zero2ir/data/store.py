"""Stores a collection on disk as three or four Parquet files, a manifest and a description for other tools."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from zero2ir.data.croissant import CROISSANT_FILE, describe
from zero2ir.data.languages import AUTO_LANGUAGE
from zero2ir.data.records import CandidateDocument, Collection, DataQuality, Document, Judgment, Query
from zero2ir.errors import InputError
from zero2ir.io.files import finished_folder, sha256, write_json
from zero2ir.io.parquet import read_records, write_records
from zero2ir.io.paths import ingested
from zero2ir.io.settings import read_state

_FILES: dict[str, type] = {"documents.parquet": Document, "queries.parquet": Query, "qrels.parquet": Judgment}
_CANDIDATES = "candidates.parquet"  # exists only if each query ranks its own candidates
_MANIFEST_KEYS_OF_CHECKS = ("counts", "quality", "sha256")  # the manifest's keys that are not collection metadata


class Manifest(BaseModel):
    """``manifest.json``: facts of a collection, its counts and flaws, and the digests of its files by name."""

    model_config = ConfigDict(extra="allow")

    sha256: dict[str, str]
    language: str = AUTO_LANGUAGE
    ordered: bool = False
    name: str | None = None
    source: str | None = None
    licence: str | None = None
    url: str | None = None

    @property
    def facts(self) -> dict[str, str]:
        """Name, source and licence of the collection, and its page; those that are stated."""
        return self.model_dump(include={"name", "source", "licence", "url"}, exclude_none=True)


def write_collection(collection: Collection, quality: DataQuality, folder: Path) -> None:
    """Writes the folder atomically; the same collection gives the same bytes.

    Args:
        collection: a checked collection.
        quality: the flaws found by the checks; written to ``manifest.json`` with counts, source, licence and digests.
            ``croissant.json`` describes the files for other tools.
        folder: replaced if it exists.
    """
    rows: dict[str, Sequence[tuple[Any, ...]]] = {
        "documents.parquet": collection.documents,
        "queries.parquet": collection.queries,
        "qrels.parquet": collection.judgments,
    }
    files = dict(_FILES)
    if collection.candidates is not None:
        rows[_CANDIDATES], files[_CANDIDATES] = collection.candidates, CandidateDocument
    with finished_folder(folder) as part:
        for name, records in rows.items():
            write_records(records, files[name], part / name)
        digests = {name: sha256(part / name) for name in files}
        manifest = {
            **collection.metadata,
            "counts": _counts(collection),
            "quality": {flaw: asdict(issue) for flaw, issue in quality.items()},
            "sha256": digests,
        }
        write_json(part / "manifest.json", manifest)
        write_json(part / CROISSANT_FILE, describe(collection.metadata, files, digests, part))


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest of a collection.

    Raises:
        InputError: the collection does not exist, or the file is damaged.
    """
    return read_state(ingested(folder / "manifest.json"), Manifest)


def read_documents(folder: Path) -> list[Document]:
    """Reads the documents only, so that training stages see neither queries nor qrels.

    Raises:
        InputError: the collection does not exist.
    """
    return read_records(ingested(folder / "documents.parquet"), Document)


def stored_language(folder: Path) -> str:
    """Returns the ISO 639-1 code of the documents' language, which the stage ingest identified.

    Raises:
        InputError: the collection does not exist.
    """
    return read_manifest(folder).language


def stored_facts(folder: Path) -> dict[str, str]:
    """Returns name, source and licence of the collection, and its page if there is one.

    Raises:
        InputError: the collection does not exist.
    """
    return read_manifest(folder).facts


def is_ordered(folder: Path) -> bool:
    """Returns whether consecutive documents belong together (``DatasetSettings.ordered``).

    Raises:
        InputError: the collection does not exist.
    """
    return read_manifest(folder).ordered


def read_collection(folder: Path) -> Collection:
    """Reads the whole collection, for drawing judgments and for evaluation.

    Raises:
        InputError: the collection does not exist, or a file changed after it was written.
    """
    manifest = read_manifest(folder)
    for name in manifest.sha256:
        if sha256(ingested(folder / name)) != manifest.sha256[name]:
            raise InputError(f"{folder / name}: the file changed after the ingest stage; run the ingest stage again")
    ranks_all = _CANDIDATES not in manifest.sha256
    return Collection(
        documents=read_documents(folder),
        queries=read_records(folder / "queries.parquet", Query),
        judgments=read_records(folder / "qrels.parquet", Judgment),
        metadata=manifest.model_dump(exclude=set(_MANIFEST_KEYS_OF_CHECKS), exclude_unset=True),
        candidates=None if ranks_all else read_records(folder / _CANDIDATES, CandidateDocument),
    )


def _counts(collection: Collection) -> dict[str, int]:
    splits = Counter(query.split for query in collection.queries)
    return {
        "documents": len(collection.documents),
        "train queries": splits["train"],
        "test queries": splits["test"],
        "judgments": len(collection.judgments),
        "relevant judgments": sum(judgment.relevance > 0 for judgment in collection.judgments),
        **({} if collection.candidates is None else {"candidates": len(collection.candidates)}),
    }
