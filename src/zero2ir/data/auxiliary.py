"""Auxiliary collections: other ingested collections with their drawn judgments, used for transfer.

Only documents and drawn judgments of an auxiliary collection are read; its queries and qrels stay test data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from zero2ir.data.judgments import normalised, read_judgments, write_judgments
from zero2ir.data.records import Collection, Document, JudgedDocument
from zero2ir.data.store import read_documents, read_manifest
from zero2ir.errors import InputError
from zero2ir.io.files import finished_folder, sha256, write_json
from zero2ir.io.parquet import write_records
from zero2ir.io.paths import ingested
from zero2ir.io.settings import read_state

_DOCUMENTS, _JUDGMENTS, _METADATA = "documents.parquet", "judgments.jsonl", "metadata.json"


@dataclass(frozen=True)
class AuxiliaryCollection:
    """Documents and judgments of another collection.

    Attributes:
        name: its name in reports.
        documents: all its documents.
        judgments: its drawn judgments.
        metadata: its provenance; JSON-serialisable.
    """

    name: str
    documents: Sequence[Document]
    judgments: Sequence[JudgedDocument]
    metadata: Mapping[str, Any] = field(default_factory=dict)


class _Facts(BaseModel):
    """What is stored of a collection beside its documents and judgments."""

    model_config = ConfigDict(extra="allow")

    name: str


def read_ingested(data: Path, own: Collection) -> AuxiliaryCollection:
    """Reads the collection and judgments that the ingest stage wrote in another project.

    Args:
        data: that project's ``data`` folder, with ``collection`` and ``judgments``.
        own: this project's collection; judgments of its queries are left out, because it may test them.

    Raises:
        InputError: a file is missing or altered, the collection is this project's own, or no judged query is left.
    """
    path = data / "collection" / "documents.parquet"
    documents = read_documents(data / "collection")
    manifest = read_manifest(data / "collection")
    digest = sha256(path)
    if digest != manifest.sha256.get(path.name):
        raise InputError(f"{path}: the file changed after the ingest stage; run the ingest stage of that project again")
    if {document.content for document in documents} == {document.content for document in own.documents}:
        raise InputError(f"{data}: this is the project's own collection; remove it from auxiliary_collections")
    draws = sorted((data / "judgments").glob("seed*.jsonl"))
    rows = {(row.query_id, row.doc_id): row for draw in draws for row in read_judgments(draw)}
    doc_ids, own_queries = {row.doc_id for row in documents}, {normalised(query.text) for query in own.queries}
    kept = [row for row in rows.values() if normalised(row.query) not in own_queries]
    if unknown := next((row for row in kept if row.doc_id not in doc_ids), None):
        raise InputError(
            f"{data}: the collection lacks the judged document {unknown.doc_id!r}; "
            "run the ingest stage of that project again"
        )
    if not any(row.relevance > 0 for row in kept):
        raise InputError(
            f"{data / 'judgments'}: no relevant document for any query that this project does not have itself; "
            "run the ingest stage of that project again"
        )
    facts = {
        "source": manifest.facts.get("source", "unknown"),
        "licence": manifest.facts.get("licence", "unknown"),
        "sha256": {"documents.parquet": digest, **{draw.name: sha256(draw) for draw in draws}},
        "judged_queries": len({row.query_id for row in kept}),
        "left_out": len({row.query_id for row in rows.values()} - {row.query_id for row in kept}),
    }
    return AuxiliaryCollection(manifest.facts.get("name", data.resolve().parent.name), documents, kept, facts)


def write_auxiliary_collections(collections: Sequence[AuxiliaryCollection], folder: Path) -> None:
    """Writes the folder atomically; ``metadata.json`` holds the provenance of each collection."""
    with finished_folder(folder) as part:
        for number, collection in enumerate(collections):
            below = part / str(number)
            below.mkdir()
            write_records(collection.documents, Document, below / _DOCUMENTS)
            write_judgments(collection.judgments, below / _JUDGMENTS)
        write_json(part / _METADATA, [{"name": each.name, **each.metadata} for each in collections])


def read_auxiliary_collections(folder: Path) -> list[AuxiliaryCollection]:
    """Reads the folder that ``write_auxiliary_collections`` wrote.

    Raises:
        InputError: the folder does not exist, or a file is damaged.
    """
    return [
        AuxiliaryCollection(
            facts.name,
            read_documents(folder / str(number)),
            read_judgments(folder / str(number) / _JUDGMENTS),
            facts.model_extra or {},
        )
        for number, facts in enumerate(read_state(ingested(folder / _METADATA), list[_Facts]))
    ]
