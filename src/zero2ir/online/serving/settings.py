"""Settings of a service: limits, logging and recording."""

from pydantic import PositiveFloat, PositiveInt

from zero2ir.io.settings import Settings


class ServingSettings(Settings):
    """The limits of a request, and what is logged and recorded.

    Attributes:
        max_query_characters: maximum length of a query.
        max_results: maximum number of documents in an answer.
        max_document_characters: maximum length of a document.
        max_documents_per_request: maximum number of documents added by one request.
        max_body_bytes: maximum size of a request.
        max_connections: number of connections from which the one that waits longest for a request is closed; fewer if
            the process may open few files.
        request_seconds: seconds in which a request must arrive, and in which a client must read a part of its answer.
        max_waiting_events: maximum number of feedback events that wait to be written.
        max_feedback_per_second: maximum number of feedback requests per second.
        max_waiting_changes: maximum number of requests to change documents that wait for their turn.
        max_file_megabytes: maximum size of each file, or table, of feedback and of changed documents.
        refresh_seconds: seconds between two looks for document changes of other services on the same database.
        max_log_lines: maximum number of log lines per second.
        log_queries: whether to log queries and error texts, which may contain queries.
        impressions: whether to record each shown document as a feedback event of kind "impression".
    """

    max_query_characters: PositiveInt = 1000
    max_results: PositiveInt = 100
    max_document_characters: PositiveInt = 100_000
    max_documents_per_request: PositiveInt = 1000
    max_body_bytes: PositiveInt = 4_000_000
    max_connections: PositiveInt = 256
    request_seconds: PositiveFloat = 10.0
    max_waiting_events: PositiveInt = 10_000
    max_feedback_per_second: PositiveInt = 500
    max_waiting_changes: PositiveInt = 16
    max_file_megabytes: PositiveInt = 1000
    refresh_seconds: PositiveFloat = 1.0
    max_log_lines: PositiveInt = 100
    log_queries: bool = False
    impressions: bool = False
