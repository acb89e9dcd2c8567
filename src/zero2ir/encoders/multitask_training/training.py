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
from zero2ir.encoders.multitask import Heads, MultitaskEncoder, TaskName
from zero2ir.encoders.multitask_training.dataset import COLUMNS, MultitaskDataset, TrainingRow, schedule
from zero2ir.encoders.multitask_training.evaluation import evaluate_heads
from zero2ir.encoders.multitask_training.labels import SOURCE_CLUSTERS, Labels, label_documents, of_titles
from zero2ir.encoders.multitask_training.losses import LEARNED_PARAMETERS, learned_heads, load_heads, task_losses
from zero2ir.encoders.multitask_training.settings import MultitaskSettings
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
    """Trains an encoder's network in place: each batch is of one task, and has that task's loss and head.

    To rank, it learns from pretext pairs; to find passages, from neighbouring ones; to answer, from cloze questions;
    the classes come from the documents' titles or from clusters (``labels.label_documents``), those of queries from the
    document that they were made of. Judged queries join in where there are any.

    Args:
        documents: the collection.
        start: a BERT; one that has heads already goes on with them and their classes.
        settings: how long and how hard, and which tasks.
        seed: of the heads' initial weights, the rows, their order, what is held out, and dropout.
        pairs: the pretext pairs that teach to rank.
        folder: keeps the checkpoints; None for no resumption.
        judged: judged queries; their document numbers are places in ``documents``.

    Raises:
        InputError: the encoder is none that this can train, the documents are too few, or they teach none of the tasks.

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
            start.prompts if numbers is kept else ("", ""),  # an encoder puts its prompts before texts itself
        )
        for numbers in (kept, held_out)
    )
    with _cut(start.model, settings.max_tokens):
        losses, curve = _learn(start, taught, settings, seed, folder)
    heads = Heads(
        learned_heads(losses),
        labels.names,
        labels.source,
        tuple(task for task in settings.tasks if task in losses),
        scale=settings.scale,
        passage_words=settings.passage_words,
    )
    origin = start.settings.model_copy(
        update={"name": f"multitask-seed{seed}", "source": "static", "model": "", "sha256": ""}
    )
    made = MultitaskEncoder(origin, start.model, heads, {"tasks": curve})
    made.heads = replace(heads, figures=evaluate_heads(made, asked, seed))
    return made


def _labels(documents: Sequence[Document], start: DenseEncoder, settings: MultitaskSettings, seed: int) -> Labels:
    """The documents' classes: those that an encoder with heads knows, or new ones."""
    if not isinstance(start, MultitaskEncoder):
        return label_documents(documents, settings.clusters, seed)
    known = start.heads
    if known.source == SOURCE_CLUSTERS and "classify_document" in known.trained_tasks:
        of = start.classify("classify_document", [document.body for document in documents]).argmax(axis=1)
        return Labels(known.labels, of.astype(np.int64), known.source)
    return Labels(known.labels, of_titles(documents, known.labels), known.source)


def _split(documents: Sequence[Document], share: float, seed: int) -> tuple[list[int], list[int]]:
    """The numbers of the documents to learn from, and of those held out."""
    kept, held_out = split_documents(documents, share, seed)
    place = {document.doc_id: number for number, document in enumerate(documents)}
    return [place[one.doc_id] for one in kept], [place[one.doc_id] for one in held_out]


def _judged_among(judged: Sequence[Example], numbers: Sequence[int]) -> list[Example]:
    """The judged queries whose document is among some, by their places there."""
    place = {number: row for row, number in enumerate(numbers)}
    return [one._replace(positive=place[one.positive]) for one in judged if one.positive in place]


def _learn(
    start: DenseEncoder, lessons: MultitaskDataset, settings: MultitaskSettings, seed: int, folder: Path | None
) -> tuple[dict[str, Any], list[LossPoint]]:
    """The losses with what they learned, of the tasks that the documents teach; and the loss curve."""
    import torch
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments

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
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
        start.model,
        losses,
        columns,
        settings,
        seed,
        checkpointing=Checkpointing(CheckpointSettings(number=settings.checkpoints), folder=folder),
        multi_dataset_batch_sampler=_following(order),
        learning_rate_mapping={LEARNED_PARAMETERS: settings.head_rate} if begins else {},
        bf16=bfloat16_is_fast(),
        use_cpu=not torch.cuda.is_available(),  # it refuses bf16 where it does not know that
    )
    start.model.eval()
    return losses, curve


def draw_rows(
    lessons: MultitaskDataset, settings: MultitaskSettings, rng: np.random.Generator
) -> tuple[dict[str, dict[str, list[Any]]], list[int]]:
    """The rows of each task that has any, as many as its steps take, and which task each step is of.

    Raises:
        InputError: the documents teach none of the tasks.
    """
    first = {task: rows for task in settings.tasks if (rows := lessons.epoch(task, rng))}
    if not first:
        raise InputError(
            f"multitask: these documents teach none of {', '.join(settings.tasks)}; give longer texts, or other tasks"
        )
    order = schedule([len(rows) for rows in first.values()], settings.steps, settings.temperature, rng)
    counts = np.bincount(order, minlength=len(first)) * settings.batch_size
    columns: dict[str, dict[str, list[Any]]] = {
        task: _columns(task, _enough(lessons, task, rows, count, rng))
        for (task, rows), count in zip(first.items(), counts, strict=True)
        if count
    }
    known = {number: place for place, number in enumerate(np.flatnonzero(counts))}
    return columns, [known[number] for number in order]


def _enough(
    lessons: MultitaskDataset, task: TaskName, rows: list[TrainingRow], count: int, rng: np.random.Generator
) -> list[TrainingRow]:
    while len(rows) < count:
        rows = [*rows, *lessons.epoch(task, rng)]
    return rows[:count]


def _columns(task: TaskName, rows: Sequence[TrainingRow]) -> dict[str, list[Any]]:
    return {name: [row[place] for row in rows] for place, name in enumerate(COLUMNS[task])}


def _following(order: Sequence[int]) -> Any:
    """A sampler whose batches are of the tasks in this order, each task's rows as they stand."""
    from sentence_transformers.base.sampler import MultiDatasetDefaultBatchSampler

    class Following(MultiDatasetDefaultBatchSampler):
        def __iter__(self) -> Iterator[list[int]]:
            before = np.cumsum([0, *(len(part) for part in cast(Any, self.dataset).datasets)]).tolist()
            batches = [iter(sampler) for sampler in self.batch_samplers]
            for task in order:
                yield [before[task] + row for row in next(batches[task])]

        def __len__(self) -> int:
            return len(order)

    return Following


def bfloat16_is_fast() -> bool:
    """Whether training in bfloat16 is: 1.8 to 2.3 times as fast with a CPU's AMX, and slower without."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


@contextmanager
def _cut(model: Any, tokens: int) -> Iterator[None]:
    """Texts are cut after fewer tokens as long as this is open."""
    before = model.max_seq_length
    model.max_seq_length = min(before or tokens, tokens)
    try:
        yield
    finally:
        model.max_seq_length = before
