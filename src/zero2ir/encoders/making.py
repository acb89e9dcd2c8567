"""Makes the networks that models ask for, from the documents alone."""

import hashlib
from pathlib import Path

from zero2ir.encoders.adapted import AdaptedSettings, train_adapted
from zero2ir.encoders.base import TextEncoder
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.masked_language_model import LearnedSparseSettings, train_learned_sparse
from zero2ir.encoders.multitask_training.settings import MultitaskSettings
from zero2ir.encoders.multitask_training.training import train_multitask
from zero2ir.encoders.pretext.tasks import DEFAULT_PAIR_TASKS, PairTasks
from zero2ir.encoders.projection import ProjectionSettings, projected_encoder
from zero2ir.encoders.scratch import ScratchSettings, train_scratch
from zero2ir.encoders.sentences import SentenceEncoder
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.encoders.static import StaticSettings, train_static
from zero2ir.errors import InputError
from zero2ir.io.settings import Settings

ROLES = ("pretrained", "static", "scratch", "adapted", "learned_sparse", "late_interaction", "sentences", "multitask")


class MakingSettings(Settings):
    """How each encoder is made from the documents alone.

    Attributes:
        pairs: the pretext tasks that encoders train on.
        static: a table of token vectors, random at first.
        scratch: a small transformer, random at first.
        adapted: the general-purpose encoder, trained on.
        learned_sparse: a vocabulary head on the general-purpose encoder's body.
        projection: of the general-purpose encoder's token vectors, for late interaction.
        multitask: the general-purpose encoder, trained on several tasks at once.
    """

    pairs: PairTasks = DEFAULT_PAIR_TASKS
    static: StaticSettings = StaticSettings()
    scratch: ScratchSettings = ScratchSettings()
    adapted: AdaptedSettings = AdaptedSettings()
    learned_sparse: LearnedSparseSettings = LearnedSparseSettings()
    projection: ProjectionSettings = ProjectionSettings()
    multitask: MultitaskSettings = MultitaskSettings()


def make_encoder(
    role: str,
    corpus: Corpus,
    pretrained: EncoderSettings,
    settings: MakingSettings,
    seed: int,
    checkpoints: Path | None = None,
) -> TextEncoder:
    """The network that plays a role in models.

    Args:
        role: "pretrained", the general-purpose encoder as it is; "static" and "scratch", a table of token vectors and
            a small transformer, both from random initialisation; "adapted", the general-purpose one, trained on;
            "learned_sparse", its body with a vocabulary head; "late_interaction", its token vectors, projected;
            "sentences", itself, a sentence at a time; "multitask", itself, trained on with a head a task.
        corpus: the documents.
        pretrained: the general-purpose encoder.
        settings: how the others are made.
        seed: of their initial weights and of what they are shown.
        checkpoints: a folder of this encoder's own, by which a training that was killed goes on; None for none.

    Raises:
        InputError: there is no such role, or what it takes is missing.
    """
    if role not in ROLES:
        raise InputError(f"no encoder plays the role {role!r}; choose one of {', '.join(ROLES)}")
    documents, tasks = corpus.documents, settings.pairs
    if role == "static":
        return train_static(documents, settings.static, seed, tasks, checkpoints)
    if role == "scratch":
        return train_scratch(documents, settings.scratch, seed, tasks, checkpoints)
    if role == "adapted":
        return train_adapted(documents, pretrained, settings.adapted, seed, tasks, checkpoints)
    if role == "multitask":
        return train_multitask(documents, DenseEncoder(pretrained), settings.multitask, seed, tasks, checkpoints)
    if role == "learned_sparse":
        return train_learned_sparse(documents, DenseEncoder(pretrained), settings.learned_sparse, seed, tasks)
    if role == "late_interaction":
        return projected_encoder(corpus.contents, pretrained, settings.projection)
    if role == "sentences":
        if pretrained.source == "static":
            raise InputError("sentences are encoded by a general-purpose encoder; choose encoder=minilm")
        return SentenceEncoder(pretrained)
    return DenseEncoder(pretrained)


def source_role(role: str, pretrained: EncoderSettings) -> str:
    """The role that an encoder is made for: with encoder=static, the one from scratch plays "pretrained", too."""
    return "static" if role == "pretrained" and pretrained.source == "static" else role


def training_digest(role: str, corpus: Corpus, pretrained: EncoderSettings, settings: MakingSettings, seed: int) -> str:
    """Identifies a training by all that decides about it. Hexadecimal, 32 characters."""
    decisive = settings.model_dump_json(include={"pairs", role})
    key = hashlib.sha256("\0".join([role, str(seed), pretrained.identity(), decisive]).encode())
    for text in corpus.contents:
        key.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return key.hexdigest()[:32]
