"""Settings of a service: limits, logging and recording."""

from pydantic import PositiveInt

from zero2ir.io.settings import Settings


class ServingSettings(Settings):
    """The limits of a request, and what is logged and recorded.

    Attributes:
        max_query_characters: maximum length of a query.
        max_results: maximum number of documents in an answer.
        max_document_characters: maximum length of a document.
        max_documents_per_request: maximum number of documents added by one request.
        max_body_bytes: maximum size of a request.
        log_queries: whether to log queries and error texts, which may contain queries.
        impressions: whether to record each shown document as a feedback event of kind "impression".
    """

    max_query_characters: PositiveInt = 1000
    max_results: PositiveInt = 100
    max_document_characters: PositiveInt = 100_000
    max_documents_per_request: PositiveInt = 1000
    max_body_bytes: PositiveInt = 4_000_000
    log_queries: bool = False
    impressions: bool = False
