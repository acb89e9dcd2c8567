"""What a service takes, and what it keeps and tells of it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1)]


class ServingSettings(BaseModel):
    """The limits of a request, and what is written down.

    Attributes:
        query_characters: of the longest query.
        most_results: documents that an answer may have.
        document_characters: of the longest document.
        documents_at_once: that may be added by one request.
        body_bytes: of the largest request.
        log_queries: whether queries, and the texts of errors, which may hold them, are logged.
        impressions: whether each document that was shown is recorded as feedback of the kind "impression".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    query_characters: Count = 1000
    most_results: Count = 100
    document_characters: Count = 100_000
    documents_at_once: Count = 1000
    body_bytes: Count = 4_000_000
    log_queries: bool = False
    impressions: bool = False
