"""Weak judgments: the passages that are found for question-answer pairs."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.answers import contains_answer, normalised_answer
from zero2ir.data.judgments import test_queries as tested_queries
from zero2ir.data.records import Collection, Document, Judgment, Query
from zero2ir.data.settings import JudgmentBudget
from zero2ir.errors import InputError
from zero2ir.synthetic.answer_pairs import SET_ASIDE, AnswerPassageFinder, PairSettings, prepare_answer_pairs

PASSAGES = [
    Document("ani", "Armenia", "After the fall of Ani in 1045, masses migrated to Cilicia."),
    Document("see", "Armenia", "The See was first established in Sivas, long after the fall of Ani."),
    Document("tin", "Pewter", "The most common ratio of tin and lead is 50%/50%."),
    Document("lead", "Pewter", "Lead is poisonous; tin is not, whatever the ratio."),
    Document("other", "1045", "Nothing of interest fell."),
]
PAIRS = [
    Query("q1", "when did Ani fall?", answers=("1045", "in 1045")),
    Query("q2", "what is the most common ratio of tin and lead?", answers=("50%/50%",)),
    Query("q3", "where was the See first established?", answers=("Sivas",)),
    Query("q4", "who fell in Ani?", answers=("Napoleon",)),
]


def found(pairs: Sequence[Query], most: int = 3, **settings: float) -> dict[str, dict[str, int]]:
    rows = AnswerPassageFinder(PASSAGES, PairSettings(**settings)).find(pairs, most).rows  # type: ignore[arg-type]
    assert all(row.weak for group in rows for row in group)
    return {group[0].query_id: {row.doc_id: row.relevance for row in group} for group in rows}


def test_ranked_passages_are_relevant_only_with_an_answer() -> None:
    judged = found(PAIRS[:3])
    assert judged["q1"] == {"ani": 1, "see": 0}  # a title that holds the answer is no passage
    assert judged["q2"] == {"tin": 1, "lead": 0}
    assert judged["q3"]["see"] == 1


def test_a_pair_without_a_passage_is_set_aside_with_its_reason() -> None:
    finder = AnswerPassageFinder(PASSAGES, PairSettings(depth=1))
    pairs = [*PAIRS, Query("q5", "what is poisonous about tin and lead, whatever the ratio?", answers=("50%/50%",))]
    result = finder.find(pairs, 3)
    assert result.skipped_questions["q4"] == "no passage contains an answer"
    assert result.skipped_questions["q5"] == "none of BM25's first 1 passages contains an answer"
    with pytest.raises(InputError, match=r"1 of 2 question-answer pairs .*\(q4: no passage contains an answer"):
        finder.find([PAIRS[0], PAIRS[3]], 3)


def test_a_passage_with_a_much_lower_score_gets_no_judgment() -> None:
    pairs = [Query("q1", "fall of Ani", answers=("fall",)), Query("q2", "lead tin ratio whatever", answers=("ratio",))]
    assert set(found(pairs, min_score=0.0)["q2"]) == {"lead", "tin"}
    assert set(found(pairs, min_score=0.9)["q2"]) == {"lead"}
    assert list(found(pairs, min_score=0.0, positives=1)["q2"].values()).count(1) == 1


@given(st.integers(1, 6), st.integers(1, 4), st.floats(0, 1), st.integers(1, 5))
def test_every_pair_has_a_relevant_passage_first_and_no_more_than_asked_for(
    most: int, positives: int, least: float, depth: int
) -> None:
    texts = {document.doc_id: normalised_answer(document.text) for document in PASSAGES}
    finder = AnswerPassageFinder(PASSAGES, PairSettings(positives=positives, min_score=least, depth=depth))
    for group in finder.find(PAIRS[:3], most).rows:
        assert 1 <= len(group) <= most
        grades = [row.relevance for row in group]
        assert grades == sorted(grades, reverse=True)
        assert 1 <= sum(grades) <= positives
        assert all(row.relevance == contains_answer(texts[row.doc_id], row.answers) for row in group)


def test_a_collection_is_drawn_from_its_pairs_and_tested_by_qrels_or_by_answers() -> None:
    collection = Collection(PASSAGES, PAIRS, [Judgment("q1", "see", 1)])
    prepared = prepare_answer_pairs(collection, JudgmentBudget(queries=3), PairSettings(), seeds=[0, 1])
    again = prepare_answer_pairs(collection, JudgmentBudget(queries=3), PairSettings(), seeds=[1])
    assert prepared.draws[1] == again.draws[1]
    for judgments in prepared.draws.values():
        drawn = {row.query_id for row in judgments}
        assert {row.doc_id for row in judgments if row.query_id == "q1" and row.relevance} <= {"ani"}  # not the qrels'
        if drawn != {"q1", "q2", "q3"}:
            assert not drawn & {query.query_id for query in tested_queries(prepared.collection, judgments)[0]}
    qrels = {(row.query_id, row.doc_id) for row in prepared.collection.judgments}
    assert qrels == {("q1", "see"), ("q2", "tin"), ("q3", "see")}  # q4's answer is nowhere
    aside = sum(len({row.query_id for row in rows}) < 3 for rows in prepared.draws.values())  # where q4 was drawn
    assert prepared.quality[SET_ASIDE].count == aside
    with pytest.raises(InputError, match=r"budget.queries=9, but the test split has 4 queries with answers"):
        prepare_answer_pairs(collection, JudgmentBudget(queries=9), PairSettings(), seeds=[0])


def test_shuffled_answers_get_passages_of_other_questions() -> None:
    collection = Collection(PASSAGES, PAIRS[:3], [])
    plain = prepare_answer_pairs(collection, JudgmentBudget(queries=3), PairSettings(), [0]).draws[0]
    mixed = prepare_answer_pairs(collection, JudgmentBudget(queries=3, shuffled=True), PairSettings(), [0]).draws[0]
    assert {row.doc_id for row in plain} == {row.doc_id for row in mixed}
    first = {rows[0].query_id: rows[0].doc_id for rows in ([row] for row in reversed(plain))}
    assert all(first[row.query_id] != row.doc_id for row in mixed if row.doc_id in first.values() and row.relevance)
