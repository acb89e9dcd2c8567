"""The typed schema of ``conf/dataset/<choice>.yaml`` and of the budget of judgments."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_KEYS_OF_SOURCE = {
    "pydocs": set[str](),
    "ir_datasets": {"train", "test"},
    "local": {"path", "document_language", "query_language"},
}
_NEEDED = {"ir_datasets": ("test", "an ir_datasets id"), "local": ("path", "your folder")}


class DatasetSettings(BaseModel):
    """Which collection to read.

    Attributes:
        name: what reports call it.
        source: what reads it; the other keys belong to one source each.
        train: ir_datasets id whose queries judgments are drawn from, or None to draw from the test queries.
        test: ir_datasets id whose queries are tested.
        path: folder of a local collection.
        document_language: a local collection's docs.<language> in place of docs.
        query_language: a local collection's queries.<language> in place of queries.
        parallel: whether a local collection's queries.<document_language> are its queries' translations, by their ids.
        ordered: whether documents that follow one another belong together: chapters, threads, sections.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    source: Literal["pydocs", "ir_datasets", "local"]
    train: str | None = None
    test: str | None = None
    path: Path | None = None
    document_language: str | None = None
    query_language: str | None = None
    parallel: bool = False
    ordered: bool = False

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
        if self.parallel and (self.document_language is None or self.document_language == self.query_language):
            raise ValueError(
                "dataset.parallel: queries and documents are in one language; give dataset.query_language and "
                "dataset.document_language, or set dataset.parallel=false"
            )
        return self


class JudgmentBudget(BaseModel):
    """How many judgments training may see.

    Attributes:
        queries: judged queries.
        documents_per_query: judged documents of each query, at most; at least one of them is relevant.
        shuffled: a control: each query gets the judged documents of another one, so that whoever still gains from the
            judgments has learned nothing from what they say.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    queries: int = Field(default=10, ge=1)
    documents_per_query: int = Field(default=5, ge=1)
    shuffled: bool = False

    @model_validator(mode="after")
    def _there_is_another_query(self) -> Self:
        if self.shuffled and self.queries < 2:
            raise ValueError("shuffled: a single query has no other one to take documents from; raise queries")
        return self
