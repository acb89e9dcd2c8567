"""The records that everything else is made of; their field names are the schema of every file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Document(NamedTuple):
    """One document of a collection; ``title`` is empty where the collection has none."""

    doc_id: str
    title: str
    text: str

    @property
    def content(self) -> str:
        """Title and text as one string: what is indexed, encoded and shown to an LM."""
        return f"{self.title}\n{self.text}".strip()


class Query(NamedTuple):
    """One query; ``split`` is "train" where judgments may be drawn from it, else "test".

    ``translation`` is its text in the documents' language where queries and documents are in two, and somebody
    translated it; training sees that of the judged queries alone.
    """

    query_id: str
    text: str
    split: str = "test"
    translation: str = ""


class Judgment(NamedTuple):
    """One row of the qrels: ``relevance`` is graded, 0 means judged and found not relevant."""

    query_id: str
    doc_id: str
    relevance: int


class JudgedDocument(NamedTuple):
    """One of the few judgments that training may see; it carries its query's text and, if there is one, translation."""

    query_id: str
    query: str
    doc_id: str
    relevance: int
    translation: str = ""


@dataclass(frozen=True)
class RawCollection:
    """What a source holds, before anything was checked.

    Attributes:
        source: where it came from, e.g. "ir_datasets beir/scifact" or a folder's name.
        licence: the licence of the data, or "unknown".
        notes: counts of what the reader itself had to drop or repair, by reason.
        places: where a document, query or judgment stands ("qrels.trec:12"), for sources that are files;
            keys are ("document", doc_id), ("query", query_id) and ("judgment", index in ``judgments``).
    """

    documents: Sequence[Document]
    queries: Sequence[Query]
    judgments: Sequence[Judgment]
    source: str
    licence: str = "unknown"
    notes: Mapping[str, int] = field(default_factory=dict)
    places: Mapping[tuple[str, str | int], str] = field(default_factory=dict)


@dataclass(frozen=True)
class Collection:
    """A checked collection: ids are unique, texts are not empty, and each judgment is of a known query and document.

    Attributes:
        facts: "source" and "licence" of the data; in the pipeline, its "name" and whether it is "ordered", too.
    """

    documents: Sequence[Document]
    queries: Sequence[Query]
    judgments: Sequence[Judgment]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One kind of flaw: how often it was found, and up to five examples."""

    count: int
    examples: tuple[str, ...] = ()


DataQuality = Mapping[str, Finding]  # every flaw that was looked for, by name
