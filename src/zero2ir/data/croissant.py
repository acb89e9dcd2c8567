"""Describes a stored collection in the Croissant format, which data hubs and machine-learning libraries read.

Source: Akhtar et al., "Croissant: a metadata format for ML-ready datasets", DEEM 2024, arXiv 2403.19546; the format's
version 1.0, http://mlcommons.org/croissant/1.0.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zero2ir.data.records import CandidateDocument, Document, Judgment, Query

CROISSANT_FILE = "croissant.json"
_CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
_TERMS = (  # of the vocabulary of Croissant; all others are schema.org's
    *("citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty", "fileSet", "format"),
    *("includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex"),
    *("repeated", "replace", "samplingRate", "separator", "source", "subField", "transform"),
)
_CONTEXT = {
    **{term: f"cr:{term}" for term in _TERMS},
    "@language": "en",
    "@vocab": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}
_RECORD_SETS = {  # name, description and key of the records of a file
    Document: ("documents", "The documents, in the order of the collection.", ("doc_id",)),
    Query: ("queries", "The queries of both splits.", ("query_id",)),
    Judgment: ("judgments", "The relevance judgments (qrels).", ("query_id", "doc_id")),
    CandidateDocument: ("candidates", "The documents that each query ranks.", ("query_id", "doc_id")),
}
_FIELDS = {
    "doc_id": "Id of a document.",
    "title": "Title of the document; empty if it has none.",
    "query_id": "Id of a query.",
    "split": "train: judgments for training are drawn from these queries; test: evaluation uses these.",
    "translation": "Human translation into the language of the documents; empty if there is none.",
    "answers": "Strings each of which answers the query; none if no answers are known.",
    "topic": "Shared by queries that are not independent, such as paraphrases; empty if the query shares none.",
    "relevance": "Grade; 0 means judged not relevant, and higher is more relevant.",
}
_OWNERS = {"doc_id": "documents", "query_id": "queries"}  # the records that other records refer to by this column
_TEXT = {Document: "Text of the document.", Query: "Text of the query."}
_TYPES = {int: "sc:Integer"}  # of a column; all others are texts


def describe(
    metadata: Mapping[str, Any], files: Mapping[str, type], digests: Mapping[str, str], folder: Path
) -> dict[str, Any]:
    """Returns the JSON-LD description of a collection; the same collection gives the same one.

    Paths are relative to the folder, and there are no dates: the version names the content.

    Args:
        metadata: of ``Collection``; "source" and "licence" are required.
        files: names of Parquet files in the folder, each with the class of its records.
        digests: SHA-256 of each file, hexadecimal.
        folder: contains the files.
    """
    content = hashlib.sha256("".join(digests[name] for name in sorted(digests)).encode()).hexdigest()
    about = {
        "description": " ".join([metadata.get("description", ""), f"Source: {metadata['source']}."]).strip(),
        "url": metadata.get("url", ""),
        "citeAs": metadata.get("citation", ""),
        "inLanguage": metadata.get("language", ""),
    }
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": _CONFORMS_TO,
        "name": metadata.get("name", "collection"),
        "license": metadata["licence"],
        "version": f"1.0.0+{content[:12]}",
        "keywords": ["information retrieval", "relevance judgments"],
        **{key: value for key, value in about.items() if value},
        "distribution": [_file(folder / name, digests[name]) for name in files],
        "recordSet": [_record_set(name, kind) for name, kind in files.items()],
    }


def _file(path: Path, digest: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": path.name,
        "name": path.name,
        "contentUrl": path.name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": digest,
    }


def _record_set(file: str, kind: type) -> dict[str, Any]:
    name, description, key = _RECORD_SETS[kind]
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        "key": [{"@id": f"{name}/{column}"} for column in key],
        "field": [_field(name, column, file, kind) for column in kind.__annotations__],
    }


def _field(record_set: str, column: str, file: str, kind: type) -> dict[str, Any]:
    annotation = kind.__annotations__[column]
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{record_set}/{column}",
        "name": column,
        "description": _TEXT[kind] if column == "text" else _FIELDS[column],
        "dataType": _TYPES.get(annotation, "sc:Text"),
        "source": {"fileObject": {"@id": file}, "extract": {"column": column}},
    }
    if annotation == tuple[str, ...]:
        field["repeated"] = True
    if (owner := _OWNERS.get(column)) not in (None, record_set):
        field["references"] = {"field": {"@id": f"{owner}/{column}"}}
    return field
