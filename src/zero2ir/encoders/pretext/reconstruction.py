"""The base class of reconstruction tasks, and their training."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from zero2ir.data.records import Document
from zero2ir.encoders.base import readable
from zero2ir.encoders.pretext.training import split_documents
from zero2ir.encoders.training import Checkpointing, CheckpointSettings, LossPoint, train_in_order
from zero2ir.io.settings import Settings


class ReconstructionFit(Settings):
    """Training settings of reconstruction.

    Attributes:
        epochs: passes over the documents, each with other masks or deletions.
        batch_size: documents per step.
        learning_rate: of AdamW, with linear warm-up over a tenth of the steps and linear decay.
    """

    epochs: Annotated[int, Field(ge=1)] = 1
    batch_size: Annotated[int, Field(ge=1)] = 16
    learning_rate: Annotated[float, Field(gt=0)] = 3e-5


class Reconstruction(ABC):
    """A pretext task that restores texts from parts of them."""

    @abstractmethod
    def columns(self, texts: Sequence[str], rng: np.random.Generator) -> Mapping[str, list[str]]:
        """Returns the rows of one epoch."""

    @abstractmethod
    def loss(self, model: Any) -> Any:
        """Returns the loss, a module that includes ``model``, a sentence-transformers network based on BERT."""


def learn_reconstruction(
    model: Any,
    documents: Sequence[Document],
    task: Reconstruction,
    settings: ReconstructionFit,
    checkpoints: CheckpointSettings,
    seed: int,
    folder: Path | None = None,
) -> list[LossPoint]:
    """Trains a network in place to reconstruct the documents; returns the loss curve.

    Args:
        model: a sentence-transformers network based on BERT.
        documents: in the collection's order.
        task: the reconstruction task.
        settings: training settings.
        checkpoints: checkpoints and held-out documents.
        seed: of masks or deletions, the task's new weights, the held-out documents and dropout.
        folder: folder of the checkpoints; None for no resumption.
    """
    import torch

    kept, held_out = (
        readable([document.content for document in part])
        for part in split_documents(documents, checkpoints.held_out, seed)
    )
    rng = np.random.default_rng(seed)
    drawn = [kept[number] for _ in range(settings.epochs) for number in rng.permutation(len(kept))]
    asked = task.columns(held_out, np.random.default_rng([seed, 1])) if held_out else None
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        loss = task.loss(model)
    watch = Checkpointing(checkpoints, asked, folder)
    curve = train_in_order(model, loss, task.columns(drawn, rng), settings, seed, checkpointing=watch)
    model.eval()
    return curve
