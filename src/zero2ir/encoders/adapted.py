"""Continued pre-training: the general-purpose encoder goes on learning, from the collection alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from zero2ir.data.records import Document
from zero2ir.encoders.dense import DenseEncoder, bert_body
from zero2ir.encoders.pretext.denoising import Denoising
from zero2ir.encoders.pretext.masking import Masking
from zero2ir.encoders.pretext.reconstruction import Reconstruction, ReconstructionFit, learn_reconstruction
from zero2ir.encoders.pretext.tasks import DEFAULT_PAIR_TASKS, PairTasks
from zero2ir.encoders.pretext.training import learn_pairs
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.encoders.training import CheckpointSettings, FitSettings, LossPoint
from zero2ir.errors import InputError
from zero2ir.io.settings import Settings

RECONSTRUCTIONS: dict[str, Reconstruction] = {"masked": Masking(), "denoising": Denoising()}


class AdaptedSettings(Settings):
    """Continued pre-training: a second or more a document on one core, so about twenty minutes for a thousand.

    Attributes:
        reconstruction: what comes first: "masked" tokens are told from those around them, or "denoising" writes a text
            from the vector of what is left of its words; "none" begins with the pairs.
        reconstruction_fit: how long and how hard it reconstructs.
        contrastive_fit: how it trains on pretext pairs then; a rate that is not small unlearns more than the pairs
            teach.
        max_tokens: texts are cut after so many in training.
        checkpoints: checkpoints, and documents that are held out to tell when to end, of each of the two trainings.
    """

    reconstruction: Literal["none", "masked", "denoising"] = "masked"
    reconstruction_fit: ReconstructionFit = ReconstructionFit()
    contrastive_fit: FitSettings = FitSettings(epochs=1, batch_size=32, learning_rate=1e-5)
    max_tokens: Annotated[int, Field(ge=8)] = 128
    checkpoints: CheckpointSettings = CheckpointSettings(number=10, held_out=0.05)


def train_adapted(
    documents: Sequence[Document],
    pretrained: EncoderSettings,
    settings: AdaptedSettings,
    seed: int,
    tasks: PairTasks = DEFAULT_PAIR_TASKS,
    folder: Path | None = None,
) -> DenseEncoder:
    """Trains a general-purpose encoder on: first to reconstruct the documents, then on pretext pairs; no label.

    Args:
        documents: the collection.
        pretrained: the encoder to start from.
        settings: how long and how hard.
        seed: of the damage, the pairs, what is held out, and dropout.
        tasks: the pairs; by default inverse cloze and titles, which need no LM.
        folder: keeps the checkpoints; None for no resumption.

    Raises:
        InputError: there is no encoder to start from, it does not suit the reconstruction, or a task makes no sense
            with these documents.

    Source: Gururangan et al., ACL 2020, arXiv 2004.10964, section 3; for retrieval GPL, arXiv 2112.07577, section 5.
    """
    if pretrained.source == "static":
        raise InputError("adapted goes on from a general-purpose encoder; choose encoder=minilm, or model=scratch")
    tasks.check(documents)
    start = DenseEncoder(pretrained)
    if settings.reconstruction != "none":
        bert_body(start, f"reconstruction={settings.reconstruction}")
    losses: dict[str, Sequence[LossPoint]] = {}
    read = start.model.max_seq_length or np.inf
    limited = np.isfinite(read)  # a static table reads all
    if limited:
        start.model.max_seq_length = int(min(read, settings.max_tokens))
    if settings.reconstruction != "none":
        task = RECONSTRUCTIONS[settings.reconstruction]
        losses["reconstruction"] = learn_reconstruction(
            start.model,
            documents,
            task,
            settings.reconstruction_fit,
            settings.checkpoints,
            seed,
            _below(folder, "reconstruction"),
        )
    losses["pairs"] = learn_pairs(
        start.model,
        documents,
        tasks,
        settings.contrastive_fit,
        settings.checkpoints,
        seed,
        _below(folder, "pairs"),
        start.prompts,
    )
    if limited:
        start.model.max_seq_length = int(read)
    origin = pretrained.model_copy(
        update={"name": f"adapted-seed{seed}", "source": "static", "model": "", "sha256": ""}
    )
    return DenseEncoder(origin, start.model, losses)


def _below(folder: Path | None, name: str) -> Path | None:
    return folder / name if folder is not None else None
