"""Other collections that were ingested, with the judgments that were drawn for them: what there is to practise on.

Of another collection nothing but documents and drawn judgments is read: its queries and qrels are for its own test.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zero2ir.data.judgments import normalised, read_judgments, write_judgments
from zero2ir.data.records import Collection, Document, JudgedDocument
from zero2ir.data.store import read_documents
from zero2ir.errors import InputError
from zero2ir.io.files import finished_folder, sha256, write_json
from zero2ir.io.parquet import write_records

_DOCUMENTS, _JUDGMENTS, _METADATA = "documents.parquet", "judgments.jsonl", "metadata.json"


@dataclass(frozen=True)
class AuxiliaryCollection:
    """Documents and judgments from elsewhere.

    Attributes:
        name: what reports call it.
        documents: all of them.
        judgments: of some queries.
        metadata: where it comes from, JSON.
    """

    name: str
    documents: Sequence[Document]
    judgments: Sequence[JudgedDocument]
    metadata: Mapping[str, Any] = field(default_factory=dict)


def read_ingested(data: Path, own: Collection) -> AuxiliaryCollection:
    """Reads what the stage ingest wrote in another project.

    Args:
        data: that project's folder ``data``, with ``collection`` and ``judgments``.
        own: this project's collection; a judged query that is one of its own is left out, since it may be tested.

    Raises:
        InputError: something is missing or altered, it is this collection, or no judged query is left.
    """
    path = data / "collection" / "documents.parquet"
    documents = read_documents(data / "collection")
    manifest = json.loads((data / "collection" / "manifest.json").read_text(encoding="utf-8"))
    digest = sha256(path)
    if digest != manifest["sha256"]["documents.parquet"]:
        raise InputError(f"{path}: altered since it was written; run the ingest stage there again")
    if {document.content for document in documents} == {document.content for document in own.documents}:
        raise InputError(
            f"{data}: holds this very collection, which is no other one; leave it out of auxiliary_collections"
        )
    draws = sorted((data / "judgments").glob("seed*.jsonl"))
    rows = {(row.query_id, row.doc_id): row for draw in draws for row in read_judgments(draw)}
    known, tested = {document.doc_id for document in documents}, {normalised(query.text) for query in own.queries}
    kept = [row for row in rows.values() if normalised(row.query) not in tested]
    if foreign := next((row for row in kept if row.doc_id not in known), None):
        raise InputError(
            f"{data}: document {foreign.doc_id!r} is judged, but not there; run the ingest stage there again"
        )
    if not any(row.relevance > 0 for row in kept):
        raise InputError(
            f"{data}: no judged query of its own in {data / 'judgments'}; run the ingest stage there again"
        )
    facts = {
        "source": manifest.get("source", "unknown"),
        "licence": manifest.get("licence", "unknown"),
        "sha256": {"documents.parquet": digest, **{draw.name: sha256(draw) for draw in draws}},
        "judged_queries": len({row.query_id for row in kept}),
        "left_out": len({row.query_id for row in rows.values()} - {row.query_id for row in kept}),
    }
    return AuxiliaryCollection(str(manifest.get("name", data.resolve().parent.name)), documents, kept, facts)


def write_auxiliary_collections(others: Sequence[AuxiliaryCollection], folder: Path) -> None:
    """Writes the whole folder or nothing; ``metadata.json`` tells of each collection where it comes from."""
    with finished_folder(folder) as part:
        for number, other in enumerate(others):
            below = part / str(number)
            below.mkdir()
            write_records(other.documents, Document, below / _DOCUMENTS)
            write_judgments(other.judgments, below / _JUDGMENTS)
        write_json(part / _METADATA, [{"name": other.name, **other.metadata} for other in others])


def read_auxiliary_collections(folder: Path) -> list[AuxiliaryCollection]:
    """Reads what ``write_auxiliary_collections`` wrote.

    Raises:
        InputError: there is nothing.
    """
    if not (folder / _METADATA).is_file():
        raise InputError(f"{folder / _METADATA}: not there; run the ingest stage first")
    return [
        AuxiliaryCollection(
            facts["name"],
            read_documents(folder / str(number)),
            read_judgments(folder / str(number) / _JUDGMENTS),
            {key: value for key, value in facts.items() if key != "name"},
        )
        for number, facts in enumerate(json.loads((folder / _METADATA).read_text(encoding="utf-8")))
    ]
