"""The records that everything else is made of; their field names are the schema of every file."""

from typing import NamedTuple


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
    """One query; ``split`` is "train" where judgments may be drawn from it, else "test"."""

    query_id: str
    text: str
    split: str = "test"


class Judgment(NamedTuple):
    """One row of the qrels: ``relevance`` is graded, 0 means judged and found not relevant."""

    query_id: str
    doc_id: str
    relevance: int


class JudgedDocument(NamedTuple):
    """One of the few judgments that training may see; it carries its query's text."""

    query_id: str
    query: str
    doc_id: str
    relevance: int
