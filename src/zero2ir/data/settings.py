"""The typed schemas of ``conf/dataset/<choice>.yaml`` and of the judgment budget."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from zero2ir.data.languages import checked_code
from zero2ir.io.settings import Settings

LanguageCode = Annotated[str, AfterValidator(checked_code)]  # ISO 639, or "auto"
_KEYS_OF_SOURCE = {
    "pydocs": set[str](),
    "ir_datasets": {"train", "test", "candidates"},
    "local": {"path", "train", "test", "document_language", "query_language", "candidates"},
}
_NEEDED = {"ir_datasets": ("test", "an ir_datasets id"), "local": ("path", "your folder")}


class PassageSettings(Settings):
    """How long documents are split into passages.

    Attributes:
        words: maximum length of a passage.
        overlap: number of words that a passage shares with the previous one.
    """

    words: int = Field(ge=1)
    overlap: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _goes_on(self) -> Self:
        if self.overlap >= self.words:
            raise ValueError(f"overlap: {self.overlap} must be less than words ({self.words}); lower it")
        return self


class DatasetSettings(Settings):
    """Settings of the collection.

    Attributes:
        name: its name in reports.
        source: the reader; the keys train, test, path and the languages apply to some sources only.
        train: ir_datasets id of the queries from which judgments are drawn, or None to draw from the test queries; for
            a local collection, the subfolder of ``path`` with these queries and their documents.
        test: ir_datasets id of the test queries; for a local collection, the subfolder of ``path`` with these queries,
            or None for ``path`` itself.
        path: folder of a local collection.
        document_language: reads docs.<language> of a local collection instead of docs.
        query_language: reads queries.<language> of a local collection instead of queries.
        parallel: whether queries.<document_language> of a local collection holds the queries' translations, by id.
        ordered: whether consecutive documents belong together, such as chapters, threads or sections.
        deep_judgments: whether documents without a judgment may be taken as not relevant, because the judges looked for
            all relevant documents of each query.
        candidates: the documents that each query ranks: None for the whole collection, "qrels" for its judged
            documents, "run" for the documents of a run (a local collection's ``candidates.trec``, or ir_datasets'
            scoreddocs).
        topic: a regular expression; its first group, in a query's id, is the query's topic. Queries of one topic are
            not independent: at most one is judged, the others are then not tested, and intervals and tests resample
            topics. None if each query is a topic of its own.
        passages: how long documents are split into passages; None keeps them whole.
        licence: the licence of the data, which the collection's description and the model cards state; None for what
            the source says.
    """

    name: str
    source: Literal["pydocs", "ir_datasets", "local"]
    train: str | None = None
    test: str | None = None
    path: Path | None = None
    document_language: str | None = None
    query_language: str | None = None
    parallel: bool = False
    ordered: bool = False
    deep_judgments: bool = False
    candidates: Literal["qrels", "run"] | None = None
    topic: str | None = None
    passages: PassageSettings | None = None
    licence: str | None = None

    @field_validator("topic")
    @classmethod
    def _has_a_group(cls, pattern: str | None) -> str | None:
        try:
            groups = re.compile(pattern or "()").groups
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
        if not groups:
            raise ValueError(f"{pattern!r} has no group; write the part of the id that is the topic in parentheses")
        return pattern

    @model_validator(mode="before")
    @classmethod
    def _say_what_is_missing(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("source") in _NEEDED:
            key, what = _NEEDED[values["source"]]
            if not values.get(key):
                raise ValueError(f"dataset.{key} is missing; set dataset.{key}=<{what}>")
        return values

    @model_validator(mode="after")
    def _only_keys_of_the_source(self) -> Self:
        keys = {key for key in set().union(*_KEYS_OF_SOURCE.values()) if getattr(self, key) is not None}
        if unsupported := sorted(keys - _KEYS_OF_SOURCE[self.source]):
            raise ValueError(f"dataset.{unsupported[0]} does not apply to source {self.source!r}; remove it")
        if self.train is not None and self.train == self.test:
            raise ValueError(f"dataset.train and dataset.test are both {self.test!r}; set dataset.train=null")
        if self.source == "local" and self.train is not None and self.test is None:
            raise ValueError("dataset.train is set, but dataset.test is not; set both to subfolders of dataset.path")
        if self.parallel and (self.document_language is None or self.document_language == self.query_language):
            raise ValueError(
                "dataset.parallel: queries and documents have the same language; set dataset.query_language and "
                "dataset.document_language, or set dataset.parallel=false"
            )
        return self


class JudgmentBudget(Settings):
    """The number of judgments that training may see.

    Attributes:
        queries: number of judged queries; 0 for a control without labels.
        documents_per_query: maximum number of judged documents per query.
        judging: which documents of a query are judged. "pooled": those that a committee ranks first, as on the label
            page; a document that the qrels do not hold has grade 0 if the collection has ``deep_judgments``, and is
            passed over otherwise. "relevant": one relevant document and others of the qrels.
        unlabelled_queries: number of further train queries of which training sees the text only, like a query log;
            dense models adapt to them.
        shuffled: a control in which each query gets the judged documents of another query; a gain that remains does
            not come from the content of the judgments.
    """

    queries: int = Field(default=10, ge=0)
    documents_per_query: int = Field(default=5, ge=1)
    judging: Literal["pooled", "relevant"] = "pooled"
    unlabelled_queries: int = Field(default=0, ge=0)
    shuffled: bool = False

    @model_validator(mode="after")
    def _there_is_another_query(self) -> Self:
        if self.shuffled and self.queries < 2:
            raise ValueError("shuffled: needs at least two queries; raise queries")
        return self
