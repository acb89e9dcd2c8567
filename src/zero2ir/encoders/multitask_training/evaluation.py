"""Evaluation of each head on held-out documents."""

from collections.abc import Sequence
from itertools import islice

import numpy as np

from zero2ir.data.answers import token_f1
from zero2ir.encoders.multitask import CLASSIFYING, MultitaskEncoder, TaskName
from zero2ir.encoders.multitask_training.dataset import MultitaskDataset, TrainingRow

MAX_ROWS_PER_TASK = 100


def evaluate_heads(encoder: MultitaskEncoder, lessons: MultitaskDataset, seed: int) -> dict[str, float]:
    """Evaluates an encoder on rows of held-out documents.

    Returns:
        "<task> <measure>" → value: the mean reciprocal rank of a pair's text among the texts of all pairs, the mean F1
        of the answers, or the share of correct classes. Tasks without rows are missing.
    """
    found = dict(_measured(encoder, task, lessons, seed) for task in encoder.heads.trained_tasks)
    return {name: round(float(np.mean(values)), 4) for name, values in found.items() if len(values)}


def _measured(
    encoder: MultitaskEncoder, task: TaskName, lessons: MultitaskDataset, seed: int
) -> tuple[str, np.ndarray]:
    """Returns "<task> <measure>" and its values, (n_rows,)."""
    rng = np.random.default_rng([seed, 1])
    if task == "answer":
        return f"{task} F1", _f1(encoder, lessons, rng)
    rows = lessons.epoch(task, rng)[:MAX_ROWS_PER_TASK]
    if task in CLASSIFYING:
        return f"{task} accuracy", _right(encoder, task, rows)
    return f"{task} RR", _reciprocal_ranks(encoder, rows)


def _f1(encoder: MultitaskEncoder, lessons: MultitaskDataset, rng: np.random.Generator) -> np.ndarray:
    asked = list(islice(lessons.questions(rng), MAX_ROWS_PER_TASK))
    spans = encoder.find_answers([made.question for _, made in asked], [[passage] for passage, _ in asked])
    pairs = zip(spans, asked, strict=True)
    return np.array([token_f1(span.text, [passage[made.start : made.end]]) for (span,), (passage, made) in pairs])


def _right(encoder: MultitaskEncoder, task: TaskName, rows: Sequence[TrainingRow]) -> np.ndarray:
    likely = encoder.classify(task, [text for text, _ in rows])
    return likely.argmax(axis=1) == np.array([label for _, label in rows]) if rows else np.zeros(0)


def _reciprocal_ranks(encoder: MultitaskEncoder, rows: Sequence[TrainingRow]) -> np.ndarray:
    texts = list(dict.fromkeys(text for _, text in rows))
    own = np.array([texts.index(text) for _, text in rows], dtype=np.int64)
    scores = encoder.encode_queries([query for query, _ in rows]) @ encoder.encode(texts).T
    before = scores > scores[np.arange(len(rows)), own][:, None]
    return 1 / (1 + before.sum(axis=1))
