"""The typed schema of ``conf/pretraining``'s synthetic queries."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

LEAST_WORDS = 8  # a shorter document says too little to ask for


class SyntheticSettings(BaseModel):
    """How synthetic queries are written and filtered.

    Attributes:
        documents: how many documents get a query; all where the collection has fewer.
        demonstrations: (document, query) pairs of the judgments that the prompt shows, at most.
        document_words: a document is cut after so many words in the prompt.
        round_trip: a query stays if its own document is among so many best of BM25.
        negatives: hard negatives a query.
        negatives_from: they are drawn from BM25's ranks first to last.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    documents: Annotated[int, Field(ge=0)] = 200
    demonstrations: Annotated[int, Field(ge=0)] = 5
    document_words: Annotated[int, Field(ge=LEAST_WORDS)] = 80
    round_trip: Annotated[int, Field(ge=1)] = 10
    negatives: Annotated[int, Field(ge=0)] = 4
    negatives_from: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (5, 50)
