"""How a network learns pretext tasks: pairs by in-batch contrast, watched on documents that are held out."""

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

CONSECUTIVE_DOCUMENTS = 10  # documents that are held out together


def learn_pairs(
    model: Any,
    documents: Sequence[Document],
    tasks: PairTasks,
    settings: FitSettings,
    checkpoints: CheckpointSettings,
    seed: int,
    folder: Path | None = None,
    prompts: tuple[str, str] = ("", ""),
) -> list[LossPoint]:
    """Trains a bi-encoder in place on pretext pairs; every epoch draws new ones.

    Args:
        model: the network.
        documents: in the collection's order; no query of it is looked at, judged or not.
        tasks: which pairs.
        settings: how long and how hard.
        checkpoints: how it is watched.
        seed: of the pairs, of what is held out, and of dropout.
        folder: keeps the checkpoints; None for no resumption.
        prompts: what stands before queries and before documents.

    Returns:
        The loss curve; empty where the documents give no pair: a warning says so, and the network stays as it is.

    Raises:
        InputError: a task makes no sense with these documents.
    """
    tasks.check(documents)
    kept, held_out = split_documents(documents, checkpoints.held_out, seed)
    columns = _columns(kept, tasks, settings.epochs, np.random.default_rng(seed), prompts)
    if not columns["anchor"]:
        warnings.warn(
            f"no document gives a pair to {', '.join(tasks.names)}: the encoder stays as it was", stacklevel=2
        )
        return []
    watch = Checkpointing(checkpoints, folder=folder)
    if checkpoints.held_out:
        asked = _columns(held_out, tasks, 1, np.random.default_rng([seed, 1]), prompts)
        if not asked["anchor"]:
            raise InputError(
                f"checkpoints.held_out={checkpoints.held_out}: {len(held_out)} documents, which give no pair; take 0"
            )
        watch = replace(watch, held_out=asked)
    return train_contrastive(model, columns, settings, seed, watch)


def split_documents(documents: Sequence[Document], share: float, seed: int) -> tuple[list[Document], list[Document]]:
    """Parts documents into those to learn from and those held out, both in their order.

    Runs of up to ten neighbours are held out together, so that both parts have documents that follow one another.

    Args:
        documents: any.
        share: of the documents that is held out, rounded to whole runs: at least one of several, unless it is 0.
        seed: draws the runs.

    Raises:
        InputError: there is a single document, and a share of it is to be held out.
    """
    if share and len(documents) < 2:
        raise InputError(f"checkpoints.held_out={share}: a single document cannot be parted; take 0")
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
) -> Mapping[str, list[str]]:
    rows = [pair for _ in range(epochs) for pair in tasks.pairs(documents, rng)]
    before_query, before_document = prompts
    return {
        "anchor": [before_query + query for query, _ in rows],
        "positive": [before_document + text for _, text in rows],
    }
