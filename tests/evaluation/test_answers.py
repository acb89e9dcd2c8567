"""Measures of answers, on a run small enough to check by eye."""

import pytest

from zero2ir.data.records import Judgment
from zero2ir.errors import InputError
from zero2ir.evaluation.answers import AnswerKey, score_answers
from zero2ir.evaluation.measures import Run
from zero2ir.evaluation.results import EvaluationSettings, SystemIdentity, read_results, write_results

RUN = Run(["q1", "q2"], [["a", "b"], ["b", "a"]], [[2.0, 1.0], [1.0, 2.0]])  # both rank a before b
KEY = AnswerKey(
    {"q1": ["in Ani"], "q2": ["1045"], "q3": ["missed"], "q4": []},
    {"a": "the fall of 1045", "b": "it was in Ani"},
    {"q1": "Ani", "q2": "in 1045"},
)


def test_each_query_with_answers_is_measured_and_a_missed_one_counts_0() -> None:
    rows = score_answers(RUN, KEY, ["AnswerRecall@1", "AnswerRecall@2", "EM", "F1"])
    values = {(row.measure, row.query_id): row.value for row in rows}
    assert values == {
        **{("AnswerRecall@1", "q1"): 0, ("AnswerRecall@1", "q2"): 1, ("AnswerRecall@1", "q3"): 0},
        **{("AnswerRecall@2", "q1"): 1, ("AnswerRecall@2", "q2"): 1, ("AnswerRecall@2", "q3"): 0},
        **{("EM", "q1"): 0, ("EM", "q2"): 0, ("EM", "q3"): 0},
        **{("F1", "q1"): pytest.approx(2 / 3), ("F1", "q2"): pytest.approx(2 / 3), ("F1", "q3"): 0},
    }


def test_without_answers_there_is_nothing_to_measure() -> None:
    with pytest.raises(InputError, match="F1 needs test queries with answers"):
        score_answers(RUN, AnswerKey(), ["F1"])


def test_results_hold_them_among_the_others_in_the_order_asked_for(tmp_path) -> None:
    settings = EvaluationSettings(measures=["nDCG@10", "F1", "RR@10", "AnswerRecall@1"], resamples=100)
    metrics = write_results(
        tmp_path / "r",
        system=SystemIdentity(model="m", strategy="s", seed=0, dataset="d"),
        run=RUN,
        qrels=[Judgment("q1", "b", 1), Judgment("q2", "a", 1)],
        confidence={},
        cost={},
        settings=settings,
        seed=0,
        key=KEY,
    )
    assert metrics["AnswerRecall@1"]["mean"] == pytest.approx(1 / 3, abs=1e-6)
    assert metrics["F1"]["n"] == 3
    assert list(read_results(tmp_path / "r").per_query) == list(settings.measures)


@pytest.mark.parametrize(
    ("measures", "message"),
    [
        (["F1"], "ranking measure"),
        (["RR@10", "F1", "F1"], "each measure once"),
        (["RR@10", "F2"], "cannot compute 'F2'"),
    ],
)
def test_measures_are_checked(measures: list[str], message: str) -> None:
    with pytest.raises((InputError, ValueError), match=message):
        EvaluationSettings(measures=measures)
    with pytest.raises((InputError, ValueError), match="AnswerRecall@20"):
        EvaluationSettings(measures=["RR@10", "AnswerRecall@20"], depth=10)
