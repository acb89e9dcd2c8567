"""The typed schema of ``conf/dataset/<choice>.yaml`` and of the budget of judgments."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from zero2ir.io.settings import Settings

_KEYS_OF_SOURCE = {
    "pydocs": set[str](),
    "ir_datasets": {"train", "test", "candidates"},
    "local": {"path", "train", "test", "document_language", "query_language", "candidates"},
}
_NEEDED = {"ir_datasets": ("test", "an ir_datasets id"), "local": ("path", "your folder")}


class PassageSettings(Settings):
    """How long documents become passages.

    Attributes:
        words: the most that a passage has.
        overlap: words that a passage shares with the one before.
    """

    words: int = Field(ge=1)
    overlap: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _goes_on(self) -> Self:
        if self.overlap >= self.words:
            raise ValueError(f"overlap: {self.overlap} words of {self.words}; a passage must bring new ones, lower it")
        return self


class DatasetSettings(Settings):
    """Which collection to read.

    Attributes:
        name: what reports call it.
        source: what reads it; the other keys belong to one source each.
        train: ir_datasets id whose queries judgments are drawn from, or None to draw from the test queries; for a
            local collection, the folder below ``path`` that has them, with documents of its own.
        test: ir_datasets id whose queries are tested; for a local collection, the folder below ``path`` that has
            them, or None for ``path`` itself.
        path: folder of a local collection.
        document_language: a local collection's docs.<language> in place of docs.
        query_language: a local collection's queries.<language> in place of queries.
        parallel: whether a local collection's queries.<document_language> are its queries' translations, by their ids.
        ordered: whether documents that follow one another belong together: chapters, threads, sections.
        candidates: None where each query ranks the whole collection; else what it ranks instead: "qrels", all that is
            judged for it, or "run", the documents of a given run: a local collection's ``candidates.trec``, or what
            ir_datasets calls scoreddocs.
        passages: how longer documents are cut into passages; None leaves them whole.
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
    candidates: Literal["qrels", "run"] | None = None
    passages: PassageSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _say_what_is_missing(cls, values: Any) -> Any:
        """What only the user can know is null in ``conf/dataset``; say how to give it."""
        if not isinstance(values, dict) or values.get("source") not in _NEEDED:
            return values
        key, what = _NEEDED[values["source"]]
        if not values.get(key):
            raise ValueError(f"dataset.{key} is missing; add dataset.{key}=<{what}>")
        return values

    @model_validator(mode="after")
    def _only_keys_of_the_source(self) -> "DatasetSettings":
        given = {key for key in set().union(*_KEYS_OF_SOURCE.values()) if getattr(self, key) is not None}
        if foreign := sorted(given - _KEYS_OF_SOURCE[self.source]):
            raise ValueError(f"dataset.{foreign[0]} does not belong to source {self.source!r}; remove it")
        if self.train is not None and self.train == self.test:
            raise ValueError(f"dataset.train and dataset.test are both {self.test!r}; set dataset.train=null")
        if self.source == "local" and self.train is not None and self.test is None:
            raise ValueError("dataset.train is a folder below dataset.path; name that of dataset.test, too")
        if self.parallel and (self.document_language is None or self.document_language == self.query_language):
            raise ValueError(
                "dataset.parallel: queries and documents are in one language; give dataset.query_language and "
                "dataset.document_language, or set dataset.parallel=false"
            )
        return self


class JudgmentBudget(Settings):
    """How many judgments training may see.

    Attributes:
        queries: judged queries; 0 for a control without labels.
        documents_per_query: judged documents of each query, at most; at least one of them is relevant.
        unlabelled_queries: further queries of the train split, whose texts alone training may see: a log, which tells
            how scores spread.
        shuffled: a control: each query gets the judged documents of another one, so that whoever still gains from the
            judgments has learned nothing from what they say.
    """

    queries: int = Field(default=10, ge=0)
    documents_per_query: int = Field(default=5, ge=1)
    unlabelled_queries: int = Field(default=0, ge=0)
    shuffled: bool = False

    @model_validator(mode="after")
    def _there_is_another_query(self) -> Self:
        if self.shuffled and self.queries < 2:
            raise ValueError("shuffled: a single query has no other one to take documents from; raise queries")
        return self
