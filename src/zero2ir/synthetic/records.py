"""What a synthetic query is."""

from typing import NamedTuple


class SyntheticQuery(NamedTuple):
    """A query that an LM wrote for a document, with where it comes from.

    Attributes:
        query_id: unique in its file.
        query: the text; empty where the LM gave no usable answer.
        doc_id: the document it was written for.
        negatives: ids of other documents that rank high for it.
        rejected: the first filter that objects to it; empty where it may be used.
        style: what kind of query was asked for, e.g. "judgments", "question".
        passage: what of the document the LM saw.
        margins: by how much the teacher scores the document above each of the negatives.
        objections: every filter that objects, in the order in which they were asked.
        round_trip_rank: the document's BM25 rank for the query, 0 where it is not among the looked-at ones.
        log_likelihood: mean log-probability of the query's tokens by the LM; NaN where it does not tell.
        grade: how well the document answers the query by the LM, 0 to 1; NaN where it was not asked.
        lm: the LM's name.
        prompt: digest of the instruction and the demonstrations.
        seed: of the draws.
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
