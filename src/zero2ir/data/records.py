"""The data records; their field names are the schema of every file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar


class Document(NamedTuple):
    """A document of a collection; ``title`` is empty if it has none."""

    doc_id: str
    title: str
    text: str

    @property
    def content(self) -> str:
        """Title and text as one string, which is indexed, encoded and shown to an LM."""
        return f"{self.title}\n{self.text}".strip() if self.title else self.text.strip()  # without a title no copy

    @property
    def body(self) -> str:
        """The text, or the title if there is no text."""
        return self.text if self.text.strip() else self.title


class Query(NamedTuple):
    """A query; ``split`` is "train" or "test"; judgments are drawn from the train split.

    ``translation`` is its human translation into the documents' language, for cross-language collections; training
    sees it for judged queries only.
    ``answers`` are strings each of which answers the query; empty if no answers are known.
    ``topic`` is shared by queries that are not independent, such as paraphrases; empty if the query shares none.
    """

    query_id: str
    text: str
    split: str = "test"
    translation: str = ""
    answers: tuple[str, ...] = ()
    topic: str = ""


Record = TypeVar("Record", Document, Query)


class Judgment(NamedTuple):
    """A row of the qrels; ``relevance`` is graded, 0 means judged not relevant."""

    query_id: str
    doc_id: str
    relevance: int


class LocatedJudgment(NamedTuple):
    """A judgment as given, with the query's text and its place, e.g. "qrels.trec:12"."""

    query: str
    doc_id: str
    grade: int
    place: str


class JudgedDocument(NamedTuple):
    """One of the few judgments that training may see, with the query's text, translation and answers.

    ``translation`` and ``answers`` are those of the ``Query``; empty if there are none.
    ``weak`` marks a label without a human judgment: a retrieved document is relevant if it contains an answer.
    """

    query_id: str
    query: str
    doc_id: str
    relevance: int
    translation: str = ""
    answers: tuple[str, ...] = ()
    weak: bool = False


class CandidateDocument(NamedTuple):
    """A document that a query may rank, in collections where each query ranks its own candidates only."""

    query_id: str
    doc_id: str


@dataclass(frozen=True)
class RawCollection:
    """A collection as read from its source, unchecked.

    Attributes:
        source: the origin, e.g. "ir_datasets beir/scifact" or a folder's name.
        licence: the licence of the data, or "unknown".
        notes: counts of what the reader dropped or repaired, by reason.
        places: file and line of a document, query or judgment ("qrels.trec:12"), for sources that are files;
            keys are ("document", doc_id), ("query", query_id), ("judgment", index in ``judgments``) and ("candidate",
            index in ``candidates``).
        candidates: the documents that each query ranks; None for the whole collection.
        description: one or two sentences on the data; empty if nothing is known.
        url: a page about the data; empty if there is none.
        citation: BibTeX entries of the works to cite; empty if there are none.
    """

    documents: Sequence[Document]
    queries: Sequence[Query]
    judgments: Sequence[Judgment]
    source: str
    licence: str = "unknown"
    notes: Mapping[str, int] = field(default_factory=dict)
    places: Mapping[tuple[str, str | int], str] = field(default_factory=dict)
    candidates: Sequence[CandidateDocument] | None = None
    description: str = ""
    url: str = ""
    citation: str = ""


@dataclass(frozen=True)
class Collection:
    """A checked collection: ids are unique, texts are not empty, and judgments refer to known queries and documents.

    Attributes:
        metadata: "source" and "licence" of the data, and, if known, "description", "url" and "citation"; in the
            pipeline, also its "name", its "language", and the settings "ordered" and "deep_judgments".
        candidates: the documents that each query ranks, each pair once; None for the whole collection.
    """

    documents: Sequence[Document]
    queries: Sequence[Query]
    judgments: Sequence[Judgment]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    candidates: Sequence[CandidateDocument] | None = None

    def candidates_of(self, query_ids: Iterable[str]) -> dict[str, list[str]] | None:
        """Returns the candidates' document ids by query id; None if queries rank the whole collection."""
        if self.candidates is None:
            return None
        doc_ids: dict[str, list[str]] = {query_id: [] for query_id in query_ids}
        for row in self.candidates:
            if row.query_id in doc_ids:
                doc_ids[row.query_id].append(row.doc_id)
        return doc_ids


@dataclass(frozen=True)
class DataIssue:
    """The count of one kind of flaw, and up to five examples."""

    count: int
    examples: tuple[str, ...] = ()


DataQuality = Mapping[str, DataIssue]  # by kind of flaw, including those with count 0
