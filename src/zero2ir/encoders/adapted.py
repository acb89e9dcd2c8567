"""Continued pre-training of the general-purpose encoder on the collection."""

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
    """Settings of continued pre-training; a thousand documents take about twenty minutes on one core.

    Attributes:
        reconstruction: the first part: "masked" predicts masked tokens, "denoising" restores a text from the vector of
            some of its words, "none" skips this part.
        reconstruction_fit: training by reconstruction.
        contrastive_fit: training on pretext pairs; a high learning rate does more harm than the pairs do good.
        max_tokens: maximum tokens per text in training.
        checkpoints: checkpoints, and held-out documents for early stopping, of each part.
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
    """Trains a general-purpose encoder further: by reconstruction of the documents, then on pretext pairs.

    Args:
        documents: the collection.
        pretrained: the encoder to start from.
        settings: training settings.
        seed: of masks or deletions, the pairs, the held-out documents and dropout.
        tasks: the pretext tasks; by default inverse cloze and titles, which need no LM.
        folder: folder of the checkpoints; None for no resumption.

    Raises:
        InputError: there is no encoder to start from, it is not based on BERT as the reconstruction needs, or a task
            does not apply to these documents.

    Source: Gururangan et al., ACL 2020, arXiv 2004.10964, section 3; for retrieval GPL, arXiv 2112.07577, section 5.
    """
    if pretrained.source == "static":
        raise InputError("model=adapted needs a general-purpose encoder; choose encoder=minilm, or model=scratch")
    tasks.check(documents)
    start = DenseEncoder(pretrained)
    if settings.reconstruction != "none":
        bert_body(start, f"reconstruction={settings.reconstruction}")
    model, checkpoints = start.model, settings.checkpoints
    losses: dict[str, Sequence[LossPoint]] = {}
    limit = model.max_seq_length or np.inf
    limited = np.isfinite(limit)  # static token embeddings have no limit
    if limited:
        model.max_seq_length = int(min(limit, settings.max_tokens))
    if settings.reconstruction != "none":
        task, fit = RECONSTRUCTIONS[settings.reconstruction], settings.reconstruction_fit
        part = folder / "reconstruction" if folder is not None else None
        losses["reconstruction"] = learn_reconstruction(model, documents, task, fit, checkpoints, seed, part)
    part, prompts = folder / "pairs" if folder is not None else None, start.prompts
    losses["pairs"] = learn_pairs(model, documents, tasks, settings.contrastive_fit, checkpoints, seed, part, prompts)
    if limited:
        model.max_seq_length = int(limit)
    return DenseEncoder(pretrained.trained_as(f"adapted-seed{seed}"), model, losses)
