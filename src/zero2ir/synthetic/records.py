"""Record of a synthetic query."""

from typing import NamedTuple


class SyntheticQuery(NamedTuple):
    """A query written by an LM for a document, with its provenance.

    Attributes:
        query_id: unique in its file.
        query: the text; empty if the LM gave no usable answer.
        doc_id: id of the document that it was written for.
        negatives: ids of highly ranked other documents.
        rejected: first filter that rejects it; empty if it is accepted.
        passage: the passage shown to the LM.
        margins: the teacher's score of the document minus that of each negative.
        objections: all filters that reject it, in order.
        round_trip_rank: BM25 rank of the document for the query, 0 beyond the searched depth.
        log_likelihood: mean log-probability of the query's tokens; NaN if the LM does not return it.
        grade: the LM's grade of the document for the query, 0 to 1; NaN if not graded.
        prompt: digest of instruction and demonstrations.
    """

    query_id: str
    query: str
    doc_id: str
    negatives: list[str]
    rejected: str
    style: str
    passage: str
    margins: list[float]
    objections: list[str]
    round_trip_rank: int
    log_likelihood: float
    grade: float
    lm: str
    prompt: str
    seed: int
