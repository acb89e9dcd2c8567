"""Answer measures: AnswerRecall@k of a ranking, EM and F1 of predicted answers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from zero2ir.data.answers import ANSWER_SCORES, contains_answer, normalised_answer
from zero2ir.errors import InputError
from zero2ir.evaluation.measures import QueryScore, Run, ranked_lists

_RECALL = re.compile(r"AnswerRecall@([1-9]\d*)")


@dataclass(frozen=True)
class AnswerKey:
    """Reference answers, document texts and predicted answers of the test queries.

    Attributes:
        answers: query id → reference answers; queries without any are not measured.
        texts: document id → text.
        predicted: query id → the system's answer; empty if it gives none.
    """

    answers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    predicted: Mapping[str, str] = field(default_factory=dict)


def is_answer_measure(name: str) -> bool:
    """Returns whether the name is an answer measure: AnswerRecall@k, EM or F1."""
    return name in ANSWER_SCORES or _RECALL.fullmatch(name) is not None


def answer_cutoff(name: str) -> int:
    """Returns k of AnswerRecall@k; 0 for measures of the system's answer."""
    match = _RECALL.fullmatch(name)
    return int(match[1]) if match else 0


def score_answers(run: Run, key: AnswerKey, measures: Sequence[str]) -> list[QueryScore]:
    """Scores each query with reference answers, in the order of ``measures``, then by query id.

    AnswerRecall@k is 1 if one of the first k documents contains an answer (Karpukhin et al. 2020, arXiv 2004.04906,
    section 4.1, "top-k accuracy"). EM and F1 compare the system's answer with each reference answer and take the
    maximum (Rajpurkar et al. 2016, arXiv 1606.05250, section 6.1). A query that the run or the answers lack scores 0.

    Raises:
        InputError: no query has an answer.
    """
    if not measures:
        return []
    answers = {query_id: key.answers[query_id] for query_id in sorted(key.answers) if key.answers[query_id]}
    if not answers:
        raise InputError(f"measures: {measures[0]} needs test queries with answers; add answers or remove the measure")
    depth = max(map(answer_cutoff, measures))
    ranked = {ranking.query_id: ranking.doc_ids[:depth] for ranking in ranked_lists(run, depth)}
    texts = {doc_id: normalised_answer(key.texts[doc_id]) for doc_id in {one for row in ranked.values() for one in row}}
    hits = {
        query_id: [contains_answer(texts[doc_id], references) for doc_id in ranked.get(query_id, [])]
        for query_id, references in answers.items()
    }
    return [
        QueryScore(
            query_id,
            measure,
            ANSWER_SCORES[measure](key.predicted.get(query_id, ""), references)
            if measure in ANSWER_SCORES
            else float(any(hits[query_id][: answer_cutoff(measure)])),
        )
        for measure in measures
        for query_id, references in answers.items()
    ]
