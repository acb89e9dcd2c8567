"""Schema of the styles and filters of written queries."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

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


class FilterSettings(Settings):
    """How written queries are filtered; a filter's threshold has the name of the filter.

    Attributes:
        filters: the filters, in order.
        words: minimum and maximum number of words, for "too_short" and "too_long".
        near_duplicate: Jaccard similarity of character trigrams from which two queries are near-duplicates.
        round_trip: BM25 rank up to which a query's own document must be retrieved.
        likelihood: share of the queries of each style that is kept, the most likely ones.
        grade: minimum grade by the LM, 0 to 1.
    """

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

    @model_validator(mode="after")
    def _is_a_range(self) -> "FilterSettings":
        if self.words[0] > self.words[1]:
            raise ValueError(f"words: the minimum {self.words[0]} is larger than the maximum {self.words[1]}")
        return self
