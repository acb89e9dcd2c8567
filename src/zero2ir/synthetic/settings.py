"""Schema of the synthetic queries in ``conf/pretraining``."""

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from zero2ir.io.settings import Settings

MIN_DOCUMENT_WORDS = 8  # shorter documents get no queries

StyleName = Literal["judgments", "question", "keywords", "claim", "title", "description"]
FilterName = Literal[
    "empty",
    "too_short",
    "too_long",
    "copied",
    "duplicate",
    "near_duplicate",
    "substring",
    "language",
    "round_trip",
    "likelihood",
    "grade",
]
Share = Annotated[float, Field(gt=0, le=1)]


class SyntheticSettings(Settings):
    """How synthetic queries are written and filtered; a filter's threshold has the name of the filter.

    Attributes:
        documents: number of documents that get queries; all if the collection has fewer. SmolLM2 needs about a second
            per query.
        choose: "clusters" draws in turn from clusters of similar documents, "random" draws uniformly.
        clusters: number of clusters.
        styles: number of queries per document, by style.
        demonstrations: maximum number of (document, query) pairs in a prompt.
        document_words: maximum number of words shown of a document: the title and consecutive sentences.
        filters: the filters, in order.
        words: minimum and maximum number of words, for "too_short" and "too_long".
        near_duplicate: Jaccard similarity of character trigrams from which two queries are near-duplicates.
        round_trip: BM25 rank up to which a query's own document must be retrieved.
        likelihood: share of the queries of each style that is kept, the most likely ones.
        grade: minimum grade by the LM, 0 to 1.
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
    filters: tuple[FilterName, ...] = (
        "empty",
        "too_long",
        "copied",
        "duplicate",
        "near_duplicate",
        "substring",
        "language",
        "round_trip",
    )
    words: tuple[PositiveInt, PositiveInt] = (2, 40)
    near_duplicate: Share = 0.8
    round_trip: PositiveInt = 10
    likelihood: Share = 0.5
    grade: Share = 0.5
    negatives: NonNegativeInt = 4
    negatives_by: Literal["sparse", "hybrid"] = "sparse"
    negatives_from: tuple[PositiveInt, PositiveInt] = (5, 50)
    negative_margin: Share = 0.95

    @model_validator(mode="after")
    def _asks_for_something(self) -> "SyntheticSettings":
        if not any(self.styles.values()):
            raise ValueError("styles: all are 0; set at least one of them to 1 or more")
        if self.words[0] > self.words[1]:
            raise ValueError(f"words: the minimum {self.words[0]} is larger than the maximum {self.words[1]}")
        return self
