"""Training rows of every task, and the schedule of tasks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.records import Document
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.examples import Example
from zero2ir.encoders.multitask import TASKS, TaskName, token_offsets
from zero2ir.encoders.multitask_training.dataset import COLUMNS, MultitaskDataset, interleave_judged_rows, schedule
from zero2ir.encoders.multitask_training.labels import SOURCE_TITLES, Labels
from zero2ir.encoders.multitask_training.settings import MultitaskSettings
from zero2ir.encoders.pretext.tasks import DEFAULT_PAIR_TASKS

DOCUMENTS = [
    Document(
        f"d{n}", f"Article {n % 2}", f"Gregory founded church number {n} in 30{n}. It stands near the river. It is old."
    )
    for n in range(8)
]
JUDGED = [Example("who founded it", 3, answers=("gregory",)), Example("is it old", 4)]


@pytest.fixture
def lessons(tiny_transformer: DenseEncoder) -> MultitaskDataset:
    labels = Labels(("Article 0", "Article 1"), np.array([n % 2 for n in range(7)] + [-1]), SOURCE_TITLES)
    settings = MultitaskSettings(passage_words=9, judged_share=0.5)
    return MultitaskDataset(
        DOCUMENTS, labels, JUDGED, DEFAULT_PAIR_TASKS, settings, tiny_transformer.model.tokenizer, ("q: ", "d: ")
    )


@pytest.mark.parametrize("task", TASKS)
def test_an_epoch_has_the_columns_of_its_task_and_depends_only_on_the_seed(
    lessons: MultitaskDataset, task: TaskName
) -> None:
    rows = lessons.epoch(task, np.random.default_rng(1))
    assert rows
    assert all(len(row) == len(COLUMNS[task]) for row in rows)
    assert rows == lessons.epoch(task, np.random.default_rng(1))
    assert rows != lessons.epoch(task, np.random.default_rng(2))


@pytest.mark.parametrize("task", TASKS)
def test_judged_queries_are_in_the_rows_of_every_task_except_document_classification(
    lessons: MultitaskDataset, task: TaskName
) -> None:
    rows = lessons.epoch(task, np.random.default_rng(0))
    judged = [row for row in rows if "who founded it" in row[0]]
    assert bool(judged) == (task != "classify_document")
    for row in judged:
        assert {"rank": "d: Article 1\nGregory", "passages": "d: Gregory"}.get(task, "") in str(row[1])
        assert task != "classify_query" or row[1] == 1


def test_the_tokens_of_an_answer_are_the_answer(lessons: MultitaskDataset) -> None:
    rows = lessons.epoch("answer", np.random.default_rng(0))
    assert {label == (0, 0) for _, label in rows} == {True, False}  # some have none
    for text, (start, end) in rows:
        (places,) = token_offsets(lessons.tokenizer, [text], None)
        said = text[places[start, 0] : places[end, 1]]
        if "who founded it" in text:
            assert said == "Gregory"
        elif (start, end) != (0, 0):
            assert said in text.split(lessons.tokenizer.sep_token)[1]


def test_a_document_without_a_class_is_not_classified_and_its_title_is_not_shown(lessons: MultitaskDataset) -> None:
    rows = lessons.epoch("classify_document", np.random.default_rng(0))
    assert len(rows) == 7
    assert not any("Article" in text for text, _ in rows)


def test_shared_titles_are_no_ranking_pairs(lessons: MultitaskDataset) -> None:
    assert not any(query.startswith("q: Article") for query, _ in lessons.epoch("rank", np.random.default_rng(0)))


@given(st.integers(0, 30), st.integers(0, 4), st.floats(0, 0.9))
def test_judged_rows_have_their_share_and_no_row_is_lost(number: int, judged: int, share: float) -> None:
    rows, own = [("pretext", n) for n in range(number)], [("judged", n) for n in range(judged)]
    found = interleave_judged_rows(rows, own, share)
    assert [row for row in found if row[0] == "pretext"] == rows
    if rows and own and share:
        assert len(found) - number == max(1, round(share * number))


@given(st.lists(st.integers(0, 500), min_size=1, max_size=5).filter(any), st.integers(5, 60), st.floats(1, 8))
def test_every_task_with_rows_has_steps(sizes: list[int], steps: int, temperature: float) -> None:
    order = schedule(sizes, steps, temperature, np.random.default_rng(0))
    counts = np.bincount(order, minlength=len(sizes))
    assert counts.sum() == steps
    assert ((counts > 0) == (np.array(sizes) > 0)).all()


def test_steps_are_proportional_to_rows_and_more_equal_at_higher_temperature() -> None:
    def shares(temperature: float) -> list[int]:
        return np.bincount(schedule([900, 100], 100, temperature, np.random.default_rng(0))).tolist()

    assert shares(1) == [90, 10]
    assert shares(2) == [75, 25]
    assert shares(1000) == [50, 50]
