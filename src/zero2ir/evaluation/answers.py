"""Measures that look at answers: is one in the passages that were found, and how good is the one that is given."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from zero2ir.data.answers import ANSWER_SCORES, contains_answer, normalised_answer
from zero2ir.errors import InputError
from zero2ir.evaluation.measures import QueryScore, Run, ranked_lists

_RECALL = re.compile(r"AnswerRecall@([1-9]\d*)")


@dataclass(frozen=True)
class AnswerKey:
    """What the answers of test queries are measured against.

    Attributes:
        answers: query id → strings that answer it; queries without one are not measured.
        texts: document id → where an answer is looked for.
        predicted: query id → the system's own answer; empty where it gives none.
    """

    answers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    predicted: Mapping[str, str] = field(default_factory=dict)


def is_answer_measure(name: str) -> bool:
    """Whether this is one of ours: AnswerRecall@k, EM or F1."""
    return name in ANSWER_SCORES or _RECALL.fullmatch(name) is not None


def answer_cutoff(name: str) -> int:
    """How many documents an answer measure looks at; 0 where it looks at the system's answer."""
    match = _RECALL.fullmatch(name)
    return int(match[1]) if match else 0


def score_answers(run: Run, key: AnswerKey, measures: Sequence[str]) -> list[QueryScore]:
    """Measures each query that has answers, ordered by measure as given, then by query id; a missed one counts 0.

    AnswerRecall@k is 1 where one of the first k documents holds an answer (Karpukhin et al. 2020, arXiv 2004.04906,
    section 4.1, "top-k accuracy"). EM and F1 compare the system's answer with each of the query's and take the best
    (Rajpurkar et al. 2016, arXiv 1606.05250, section 6.1).

    Raises:
        InputError: no query has an answer.
    """
    if not measures:
        return []
    answers = {query_id: key.answers[query_id] for query_id in sorted(key.answers) if key.answers[query_id]}
    if not answers:
        raise InputError(f"measures: {measures[0]} needs test queries with answers; add them, or leave it out")
    deepest = max(map(answer_cutoff, measures))
    ranked = {ranking.query_id: ranking.doc_ids[:deepest] for ranking in ranked_lists(run, deepest)}
    texts = {doc_id: normalised_answer(key.texts[doc_id]) for doc_id in {one for row in ranked.values() for one in row}}
    hits = {
        query_id: [contains_answer(texts[doc_id], known_answers) for doc_id in ranked.get(query_id, [])]
        for query_id, known_answers in answers.items()
    }
    return [
        QueryScore(
            query_id,
            measure,
            ANSWER_SCORES[measure](key.predicted.get(query_id, ""), known_answers)
            if measure in ANSWER_SCORES
            else float(any(hits[query_id][: answer_cutoff(measure)])),
        )
        for measure in measures
        for query_id, known_answers in answers.items()
    ]
