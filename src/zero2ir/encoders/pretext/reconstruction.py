"""Reconstruction tasks: an encoder learns to restore documents that were damaged."""

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
    """How long and how hard to train.

    Attributes:
        epochs: passes over the documents; each damages them anew.
        batch_size: documents a step.
        learning_rate: of AdamW, with linear warm-up over a tenth of the steps and linear decay.
    """

    epochs: Annotated[int, Field(ge=1)] = 1
    batch_size: Annotated[int, Field(ge=1)] = 16
    learning_rate: Annotated[float, Field(gt=0)] = 3e-5


class Reconstruction(ABC):
    """A text-to-text pretext task."""

    @abstractmethod
    def columns(self, texts: Sequence[str], rng: np.random.Generator) -> Mapping[str, list[str]]:
        """One epoch of rows for the loss."""

    @abstractmethod
    def loss(self, model: Any) -> Any:
        """A module that holds the network and what else it takes to restore a text from what the network makes of it.

        Args:
            model: a sentence-transformers network with a BERT inside.
        """


def learn_reconstruction(
    model: Any,
    documents: Sequence[Document],
    task: Reconstruction,
    settings: ReconstructionFit,
    checkpoints: CheckpointSettings,
    seed: int,
    folder: Path | None = None,
) -> list[LossPoint]:
    """Trains a network in place to reconstruct the documents.

    Args:
        model: a sentence-transformers network with a BERT inside.
        documents: in the collection's order; no query of it is looked at.
        task: what is restored from what.
        settings: how long and how hard.
        checkpoints: how it is watched.
        seed: of the damage, the weights that the task adds, what is held out, and dropout.
        folder: keeps the checkpoints; None for no resumption.

    Returns:
        The loss curve.
    """
    import torch
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments

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
    curve = train_in_order(
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
        model,
        loss,
        task.columns(drawn, rng),
        settings,
        seed,
        checkpointing=Checkpointing(checkpoints, asked, folder),
    )
    model.eval()
    return curve
