"""The typed schema of ``conf/pretraining``'s synthetic queries."""

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator

MIN_DOCUMENT_WORDS = 8  # a shorter document says too little to ask for

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


class SyntheticSettings(BaseModel):
    """How synthetic queries are written and filtered; a filter's bound has the filter's name.

    Attributes:
        documents: how many documents get queries; all where the collection has fewer. A query takes SmolLM2 about a
            second.
        choose: "clusters" draws them in turn from clusters of like documents, "random" from all alike.
        clusters: how many clusters.
        styles: how many queries of each style a document gets.
        demonstrations: (document, query) pairs that a prompt shows, at most.
        document_words: of a longer document the prompt shows the title and a run of sentences of so many words at most.
        filters: what drops a query, in this order.
        words: the fewest and the most words, for "too_short" and "too_long".
        near_duplicate: the least Jaccard similarity of the character trigrams of two queries that count as one.
        round_trip: a query stays if its own document is among so many best of BM25.
        likelihood: the share of each style's queries that stays, the likeliest ones.
        grade: the least grade by the LM, 0 to 1, of a query that stays.
        negatives: hard negatives a query.
        negatives_by: who finds them, and tells the margins: BM25 alone, or with the pretrained encoder.
        negatives_from: they are drawn from its ranks first to last.
        negative_margin: a document that scores above so many times the query's own is no negative.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

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
            raise ValueError("styles: no style gets a query; give one of them at least 1")
        if self.words[0] > self.words[1]:
            raise ValueError(f"words: the fewest, {self.words[0]}, are more than the most, {self.words[1]}")
        return self
