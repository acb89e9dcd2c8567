"""Contrastive training on pretext pairs."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from zero2ir.data.records import Document
from zero2ir.encoders.pretext.tasks import PairTasks
from zero2ir.encoders.training import Checkpointing, CheckpointSettings, FitSettings, LossPoint, train_contrastive
from zero2ir.errors import InputError

CONSECUTIVE_DOCUMENTS = 10  # neighbouring documents that are held out together


def learn_pairs(
    model: Any,
    documents: Sequence[Document],
    tasks: PairTasks,
    settings: FitSettings,
    checkpoints: CheckpointSettings,
    seed: int,
    folder: Path | None = None,
    prompts: tuple[str, str] = ("", ""),
    max_pairs: int | None = None,
) -> list[LossPoint]:
    """Trains a bi-encoder in place on pretext pairs, other ones in each epoch.

    Args:
        model: the network.
        documents: in the collection's order.
        tasks: the pretext tasks.
        settings: training settings.
        checkpoints: checkpoints and held-out documents.
        seed: of the pairs, the held-out documents and dropout.
        folder: folder of the checkpoints; None for no resumption.
        prompts: prefixes of queries and of documents.
        max_pairs: the most pairs of all epochs together, divided evenly among them; None for all.

    Returns:
        The loss curve; empty, with a warning, if the documents yield no pair.

    Raises:
        InputError: a task does not apply to these documents.
    """
    tasks.check(documents)
    kept, held_out = split_documents(documents, checkpoints.held_out, seed)
    columns = _columns(kept, tasks, settings.epochs, np.random.default_rng(seed), prompts, max_pairs)
    if not columns["anchor"]:
        warnings.warn(
            f"no document yields a pair for {', '.join(tasks.names)}: the encoder is not trained", stacklevel=2
        )
        return []
    watch = Checkpointing(checkpoints, folder=folder)
    if checkpoints.held_out:
        asked = _columns(held_out, tasks, 1, np.random.default_rng([seed, 1]), prompts)
        if not asked["anchor"]:
            raise InputError(
                f"checkpoints.held_out={checkpoints.held_out}: {len(held_out)} documents, which yield no pair; use 0"
            )
        watch = replace(watch, held_out=asked)
    return train_contrastive(model, columns, settings, seed, watch)


def split_documents(documents: Sequence[Document], share: float, seed: int) -> tuple[list[Document], list[Document]]:
    """Splits documents into training and held-out documents, both in order.

    Holds out runs of up to ten neighbours, so that both parts have neighbouring documents.

    Args:
        documents: the collection.
        share: share of held-out documents, rounded to whole runs; at least one run, unless it is 0.
        seed: draws the runs.

    Raises:
        InputError: a share of a single document is to be held out.
    """
    if share and len(documents) < 2:
        raise InputError(f"checkpoints.held_out={share}: a single document cannot be split; use 0")
    length = min(CONSECUTIVE_DOCUMENTS, max(1, int(share * len(documents))))
    starts = range(0, len(documents), length)
    number = min(max(1, round(share * len(starts))), len(starts) - 1) if share else 0
    drawn = set(np.random.default_rng([seed, 2]).permutation(len(starts))[:number].tolist())
    kept: list[Document] = []
    held_out: list[Document] = []
    for run, start in enumerate(starts):
        (held_out if run in drawn else kept).extend(documents[start : start + length])
    return kept, held_out


def _columns(
    documents: Sequence[Document],
    tasks: PairTasks,
    epochs: int,
    rng: np.random.Generator,
    prompts: tuple[str, str],
    max_pairs: int | None = None,
) -> Mapping[str, list[str]]:
    most = None if max_pairs is None else max(1, max_pairs // epochs)
    rows = [pair for _ in range(epochs) for pair in tasks.pairs(documents, rng, most)]
    before_query, before_document = prompts
    return {
        "anchor": [before_query + query for query, _ in rows],
        "positive": [before_document + text for _, text in rows],
    }
