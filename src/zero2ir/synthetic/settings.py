"""Schema of the synthetic queries in ``conf/pretraining``."""

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from zero2ir.writing.settings import MIN_DOCUMENT_WORDS, FilterSettings, Share, StyleName


class SyntheticSettings(FilterSettings):
    """How synthetic queries are written and filtered.

    Attributes:
        documents: number of documents that get queries; all if the collection has fewer. SmolLM2 needs about a second
            per query.
        choose: "clusters" draws in turn from clusters of similar documents, "random" draws uniformly.
        clusters: number of clusters.
        styles: number of queries per document, by style.
        demonstrations: maximum number of (document, query) pairs in a prompt.
        document_words: maximum number of words shown of a document: the title and consecutive sentences.
        negatives: number of hard negatives per query.
        negatives_by: retriever of the negatives and margins: BM25 alone, or with the pretrained encoder.
        negatives_from: first and last rank from which negatives are drawn.
        negative_margin: maximum score of a negative as a share of the score of the query's own document.
    """

    documents: NonNegativeInt = 200
    choose: Literal["clusters", "random"] = "clusters"
    clusters: PositiveInt = 50
    styles: Mapping[StyleName, NonNegativeInt] = {name: int(name == "judgments") for name in get_args(StyleName)}
    demonstrations: NonNegativeInt = 5
    document_words: Annotated[int, Field(ge=MIN_DOCUMENT_WORDS)] = 80
    negatives: NonNegativeInt = 4
    negatives_by: Literal["sparse", "hybrid"] = "sparse"
    negatives_from: tuple[PositiveInt, PositiveInt] = (5, 50)
    negative_margin: Share = 0.95

    @model_validator(mode="after")
    def _asks_for_something(self) -> "SyntheticSettings":
        if not any(self.styles.values()):
            raise ValueError("styles: all are 0; set at least one of them to 1 or more")
        return self
