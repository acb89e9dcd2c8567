"""The records that everything else is made of; their field names are the schema of every file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar


class Document(NamedTuple):
    """One document of a collection; ``title`` is empty where the collection has none."""

    doc_id: str
    title: str
    text: str

    @property
    def content(self) -> str:
        """Title and text as one string: what is indexed, encoded and shown to an LM."""
        return f"{self.title}\n{self.text}".strip()

    @property
    def body(self) -> str:
        """The text; the title where there is no text."""
        return self.text if self.text.strip() else self.title


class Query(NamedTuple):
    """One query; ``split`` is "train" where judgments may be drawn from it, else "test".

    ``translation`` is its text in the documents' language where queries and documents are in two, and somebody
    translated it; training sees that of the judged queries alone.
    ``answers`` are strings that answer it, any of them; none where only documents are known, or nothing.
    """

    query_id: str
    text: str
    split: str = "test"
    translation: str = ""
    answers: tuple[str, ...] = ()


Record = TypeVar("Record", Document, Query)


class Judgment(NamedTuple):
    """One row of the qrels: ``relevance`` is graded, 0 means judged and found not relevant."""

    query_id: str
    doc_id: str
    relevance: int


class JudgedDocument(NamedTuple):
    """One of the few judgments that training may see; it carries its query's text, and what else is known of the query.

    ``translation`` is the query in the documents' language, ``answers`` strings that answer it, where there are any.
    ``weak`` says that nobody judged the document: it was found, and holds an answer or does not.
    """

    query_id: str
    query: str
    doc_id: str
    relevance: int
    translation: str = ""
    answers: tuple[str, ...] = ()
    weak: bool = False


class CandidateDocument(NamedTuple):
    """One document that a query may rank, where each query ranks only its own."""

    query_id: str
    doc_id: str


@dataclass(frozen=True)
class RawCollection:
    """What a source holds, before anything was checked.

    Attributes:
        source: where it came from, e.g. "ir_datasets beir/scifact" or a folder's name.
        licence: the licence of the data, or "unknown".
        notes: counts of what the reader itself had to drop or repair, by reason.
        places: where a document, query or judgment stands ("qrels.trec:12"), for sources that are files;
            keys are ("document", doc_id), ("query", query_id) and ("judgment", index in ``judgments``).
        candidates: what each query ranks; None where that is the whole collection.
    """

    documents: Sequence[Document]
    queries: Sequence[Query]
    judgments: Sequence[Judgment]
    source: str
    licence: str = "unknown"
    notes: Mapping[str, int] = field(default_factory=dict)
    places: Mapping[tuple[str, str | int], str] = field(default_factory=dict)
    candidates: Sequence[CandidateDocument] | None = None


@dataclass(frozen=True)
class Collection:
    """A checked collection: ids are unique, texts are not empty, and each judgment is of a known query and document.

    Attributes:
        metadata: "source" and "licence" of the data; in the pipeline, its "name" and whether it is "ordered", too.
        candidates: what each query ranks, each pair once; None where that is the whole collection.
    """

    documents: Sequence[Document]
    queries: Sequence[Query]
    judgments: Sequence[Judgment]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    candidates: Sequence[CandidateDocument] | None = None

    def candidates_of(self, query_ids: Iterable[str]) -> dict[str, list[str]] | None:
        """The ids of the documents that each of these queries ranks; None where that is the whole collection."""
        if self.candidates is None:
            return None
        found: dict[str, list[str]] = {query_id: [] for query_id in query_ids}
        for row in self.candidates:
            if row.query_id in found:
                found[row.query_id].append(row.doc_id)
        return found


@dataclass(frozen=True)
class DataIssue:
    """One kind of flaw: how often it was found, and up to five examples."""

    count: int
    examples: tuple[str, ...] = ()


DataQuality = Mapping[str, DataIssue]  # every flaw that was looked for, by name
