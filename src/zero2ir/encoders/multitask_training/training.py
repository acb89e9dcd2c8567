"""Trains one encoder on several tasks at once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from zero2ir.data.records import Document
from zero2ir.encoders.dense import DenseEncoder, bert_body
from zero2ir.encoders.examples import Example
from zero2ir.encoders.multitask import Heads, MultitaskEncoder
from zero2ir.encoders.multitask_training.dataset import COLUMNS, MultitaskDataset, schedule
from zero2ir.encoders.multitask_training.evaluation import evaluate_heads
from zero2ir.encoders.multitask_training.labels import SOURCE_CLUSTERS, Labels, label_documents, of_titles
from zero2ir.encoders.multitask_training.losses import LEARNED_PARAMETERS, learned_heads, load_heads, task_losses
from zero2ir.encoders.multitask_training.settings import MultitaskSettings
from zero2ir.encoders.precision import computes_in_bfloat16
from zero2ir.encoders.pretext.tasks import DEFAULT_PAIR_TASKS, PairTasks
from zero2ir.encoders.pretext.training import split_documents
from zero2ir.encoders.training import Checkpointing, CheckpointSettings, LossPoint, train_in_order
from zero2ir.errors import InputError


def train_multitask(
    documents: Sequence[Document],
    start: DenseEncoder,
    settings: MultitaskSettings,
    seed: int,
    pairs: PairTasks = DEFAULT_PAIR_TASKS,
    folder: Path | None = None,
    judged: Sequence[Example] = (),
) -> MultitaskEncoder:
    """Trains an encoder's network in place; each batch belongs to one task and uses the loss and head of this task.

    The training data are pretext pairs for ranking, neighbouring passages for passage retrieval, cloze questions for
    answers, and titles or clusters (``labels.label_documents``) as classes of documents and of queries made from them;
    and judged queries, if any.

    Args:
        documents: the collection.
        start: a BERT; if it has heads, training continues with them and their classes.
        settings: training settings and tasks.
        seed: of the heads' initial weights, the rows, their order, the held-out documents and dropout.
        pairs: pretext tasks for ranking.
        folder: folder of the checkpoints; None for no resumption.
        judged: judged queries; document numbers are indices of ``documents``.

    Raises:
        InputError: the encoder is not based on BERT, there are too few documents, or they yield no row for any task.

    Source: Liu et al., ACL 2019, arXiv 1901.11504, section 3.1, algorithm 1.
    """
    body = bert_body(start, "model=multitask")
    if settings.layers is not None:
        body.encoder.layer = body.encoder.layer[: settings.layers]
        body.config.num_hidden_layers = len(body.encoder.layer)
    pairs.check(documents)
    labels = _labels(documents, start, settings, seed)
    kept, held_out = _split(documents, settings.held_out, seed)
    taught, asked = (
        MultitaskDataset(
            [documents[number] for number in numbers],
            labels._replace(class_ids=labels.class_ids[numbers]),
            _judged_among(judged, numbers) if numbers is kept else (),
            pairs,
            settings,
            start.model.tokenizer,
            start.prompts if numbers is kept else ("", ""),  # in the evaluation, the encoder adds its prompts itself
        )
        for numbers in (kept, held_out)
    )
    with _truncated(start.model, settings.max_tokens):
        losses, curve = _learn(start, taught, settings, seed, folder)
    heads = Heads(
        learned_heads(losses),
        labels.names,
        labels.source,
        tuple(task for task in settings.tasks if task in losses),
        scale=settings.scale,
        passage_words=settings.passage_words,
    )
    encoder = MultitaskEncoder(start.settings.trained_as(f"multitask-seed{seed}"), start.model, heads, {"tasks": curve})
    encoder.heads = replace(heads, figures=evaluate_heads(encoder, asked, seed))
    return encoder


def _labels(documents: Sequence[Document], start: DenseEncoder, settings: MultitaskSettings, seed: int) -> Labels:
    """Returns the documents' classes: those of the encoder's heads, if it has any, or new ones."""
    if not isinstance(start, MultitaskEncoder):
        return label_documents(documents, settings.clusters, seed)
    known = start.heads
    if known.source == SOURCE_CLUSTERS and "classify_document" in known.trained_tasks:
        of = start.classify("classify_document", [document.body for document in documents]).argmax(axis=1)
        return Labels(known.labels, of.astype(np.int64), known.source)
    return Labels(known.labels, of_titles(documents, known.labels), known.source)


def _split(documents: Sequence[Document], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Returns the numbers of the training documents and of the held-out ones."""
    kept, held_out = split_documents(documents, share, seed)
    place = {document.doc_id: number for number, document in enumerate(documents)}
    return [place[one.doc_id] for one in kept], [place[one.doc_id] for one in held_out]


def _judged_among(judged: Sequence[Example], numbers: Sequence[int]) -> list[Example]:
    """Returns the judged queries whose document is among ``numbers``, with its index there."""
    place = {number: row for row, number in enumerate(numbers)}
    return [one._replace(positive=place[one.positive]) for one in judged if one.positive in place]


def _learn(
    start: DenseEncoder, lessons: MultitaskDataset, settings: MultitaskSettings, seed: int, folder: Path | None
) -> tuple[dict[str, Any], list[LossPoint]]:
    """Returns the trained losses of the tasks that have rows, and the loss curve."""
    import torch

    columns, order = draw_rows(lessons, settings, np.random.default_rng(seed))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        losses = task_losses(
            start.model, [task for task in settings.tasks if task in columns], len(lessons.labels.names), settings
        )
    if isinstance(start, MultitaskEncoder):
        load_heads(losses, start.heads)
    own = [name for task, loss in losses.items() for name, _ in loss.named_parameters(task)]
    begins = any(name.split(".")[-1] == "log_variance" or ".head." in name for name in own)
    curve = train_in_order(
        start.model,
        losses,
        columns,
        settings,
        seed,
        checkpointing=Checkpointing(CheckpointSettings(number=settings.checkpoints), folder=folder),
        multi_dataset_batch_sampler=_scheduled_sampler(order),
        learning_rate_mapping={LEARNED_PARAMETERS: settings.head_rate} if begins else {},
        bf16=computes_in_bfloat16("amx_bf16"),  # 1.8 to 2.3 times as fast; slower without
    )
    start.model.eval()
    return losses, curve


def draw_rows(
    lessons: MultitaskDataset, settings: MultitaskSettings, rng: np.random.Generator
) -> tuple[dict[str, dict[str, list[Any]]], list[int]]:
    """Returns the rows of each task with rows, as many as its steps need, and the task number of each step.

    Raises:
        InputError: the documents yield no row for any task.
    """
    first = {task: rows for task in settings.tasks if (rows := lessons.epoch(task, rng))}
    if not first:
        raise InputError(
            f"multitask: these documents teach none of {', '.join(settings.tasks)}; give longer texts, or other tasks"
        )
    order = schedule([len(rows) for rows in first.values()], settings.steps, settings.temperature, rng)
    counts = np.bincount(order, minlength=len(first)) * settings.batch_size
    columns: dict[str, dict[str, list[Any]]] = {}
    for (task, rows), count in zip(first.items(), counts, strict=True):
        while len(rows) < count:
            rows += lessons.epoch(task, rng)
        if count:
            columns[task] = {name: [row[at] for row in rows[:count]] for at, name in enumerate(COLUMNS[task])}
    known = {number: place for place, number in enumerate(np.flatnonzero(counts))}
    return columns, [known[number] for number in order]


def _scheduled_sampler(order: Sequence[int]) -> Any:
    """Returns a sampler whose batches follow a schedule of tasks, with each task's rows in order."""
    from sentence_transformers.base.sampler import MultiDatasetDefaultBatchSampler

    class ScheduledSampler(MultiDatasetDefaultBatchSampler):
        def __iter__(self) -> Iterator[list[int]]:
            before = np.cumsum([0, *(len(part) for part in cast(Any, self.dataset).datasets)]).tolist()
            batches = [iter(sampler) for sampler in self.batch_samplers]
            for task in order:
                yield [before[task] + row for row in next(batches[task])]

        def __len__(self) -> int:
            return len(order)

    return ScheduledSampler


@contextmanager
def _truncated(model: Any, tokens: int) -> Iterator[None]:
    """Lowers the maximum number of tokens temporarily."""
    before = model.max_seq_length
    model.max_seq_length = min(before or tokens, tokens)
    try:
        yield
    finally:
        model.max_seq_length = before
