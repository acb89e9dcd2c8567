"""What a service takes, and what it keeps and tells of it."""

from pydantic import BaseModel, ConfigDict, PositiveInt


class ServingSettings(BaseModel):
    """The limits of a request, and what is written down.

    Attributes:
        max_query_characters: of the longest query.
        max_results: documents that an answer may have.
        max_document_characters: of the longest document.
        max_documents_per_request: that may be added by one request.
        max_body_bytes: of the largest request.
        log_queries: whether queries, and the texts of errors, which may hold them, are logged.
        impressions: whether each document that was shown is recorded as feedback of the kind "impression".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_query_characters: PositiveInt = 1000
    max_results: PositiveInt = 100
    max_document_characters: PositiveInt = 100_000
    max_documents_per_request: PositiveInt = 1000
    max_body_bytes: PositiveInt = 4_000_000
    log_queries: bool = False
    impressions: bool = False
