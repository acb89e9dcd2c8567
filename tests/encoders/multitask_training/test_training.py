"""Multi-task training: five tasks on one network."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zero2ir.data.records import Document
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.examples import Example
from zero2ir.encoders.multitask import TASKS, MultitaskEncoder
from zero2ir.encoders.multitask_training.settings import MultitaskSettings
from zero2ir.encoders.multitask_training.training import train_multitask
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.errors import InputError

QUICK: dict[str, Any] = {"steps": 6, "batch_size": 4, "max_tokens": 32, "held_out": 0.2, "clusters": 3}


def trained(documents: list[Document], origin: EncoderSettings, **changes: Any) -> MultitaskEncoder:
    return train_multitask(documents, DenseEncoder(origin), MultitaskSettings(**QUICK | changes), seed=0)


def test_five_tasks_are_trained_and_evaluated(tiny_multitask_encoder: MultitaskEncoder) -> None:
    heads = tiny_multitask_encoder.heads
    assert heads.trained_tasks == TASKS
    assert set(heads.figures) == {
        "rank RR",
        "passages RR",
        "answer F1",
        "classify_query accuracy",
        "classify_document accuracy",
    }
    assert all(0 <= value <= 1 for value in heads.figures.values())
    assert all(np.isfinite(weights).all() for weights in heads.weights.values())
    assert [point.step for point in tiny_multitask_encoder.losses["tasks"]][-1] == QUICK["steps"]


def test_the_same_seed_gives_the_same_encoder(
    docstrings: list[Document], tiny_transformer_settings: EncoderSettings, tiny_multitask_encoder: MultitaskEncoder
) -> None:
    again = trained(docstrings, tiny_transformer_settings)
    assert again.digest() == tiny_multitask_encoder.digest()
    for name, weights in again.heads.weights.items():
        np.testing.assert_array_equal(weights, tiny_multitask_encoder.heads.weights[name])


def test_a_single_task_has_no_other_head(
    docstrings: list[Document], tiny_transformer_settings: EncoderSettings
) -> None:
    made = trained(docstrings, tiny_transformer_settings, tasks=["classify_document"], steps=60, head_rate=0.05)
    assert made.heads.trained_tasks == ("classify_document",)
    assert set(made.heads.weights) == {"classify_document.weight", "classify_document.bias"}
    texts = [document.text for document in docstrings]
    usual = np.bincount(made.classify("classify_document", texts).argmax(axis=1)).max()
    assert usual < len(texts)  # it tells documents apart
    assert made.losses["tasks"][-1].loss < made.losses["tasks"][0].loss


def test_uncertainty_weights_change_the_result(
    docstrings: list[Document], tiny_transformer_settings: EncoderSettings, tiny_multitask_encoder: MultitaskEncoder
) -> None:
    made = trained(docstrings, tiny_transformer_settings, weights="uncertainty", layers=1)
    assert made.digest() != tiny_multitask_encoder.digest()


def test_training_continues_with_heads_classes_and_judged_queries(
    docstrings: list[Document], tiny_transformer_settings: EncoderSettings
) -> None:
    start = trained(docstrings, tiny_transformer_settings)
    before = {name: weights.copy() for name, weights in start.heads.weights.items()}
    judged = [Example("sort it in place", number, answers=("list",)) for number in range(20)]
    settings = MultitaskSettings(**QUICK | {"steps": 2, "head_rate": 1e-6})
    on = train_multitask(docstrings, start, settings, seed=1, judged=judged)
    assert (on.heads.labels, on.heads.source) == (start.heads.labels, start.heads.source)
    for name, weights in on.heads.weights.items():
        assert 0 <= np.abs(weights - before[name]).max() < 1e-4


def test_a_finished_training_is_not_repeated(
    docstrings: list[Document], tiny_transformer_settings: EncoderSettings, tmp_path: Path
) -> None:
    settings = MultitaskSettings(**QUICK | {"checkpoints": 2})
    once, again = (
        train_multitask(docstrings, DenseEncoder(tiny_transformer_settings), settings, seed=0, folder=tmp_path)
        for _ in range(2)
    )
    assert (again.digest(), again.losses) == (once.digest(), once.losses)
    for name, weights in again.heads.weights.items():
        np.testing.assert_array_equal(weights, once.heads.weights[name])
    assert not list(tmp_path.glob("checkpoint-*"))


def test_only_a_transformer_can_be_trained(docstrings: list[Document], tiny_encoder: DenseEncoder) -> None:
    with pytest.raises(InputError, match=r"model=multitask needs an encoder based on BERT"):
        train_multitask(docstrings, tiny_encoder, MultitaskSettings(**QUICK), seed=0)


def test_texts_that_yield_no_rows_are_refused(tiny_transformer_settings: EncoderSettings) -> None:
    documents = [Document(str(n), "", "word") for n in range(30)]  # each is a class of its own
    with pytest.raises(InputError, match=r"these documents teach none of passages, answer"):
        trained(documents, tiny_transformer_settings, tasks=["passages", "answer"])
