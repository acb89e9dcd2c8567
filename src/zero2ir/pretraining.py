"""Makes the networks that models ask for, from the documents alone."""

from pydantic import BaseModel, ConfigDict

from zero2ir.corpus import Corpus
from zero2ir.encoders import DenseEncoder, EncoderSettings, SentenceEncoder, TextEncoder
from zero2ir.errors import InputError
from zero2ir.masked_language_model import LearnedSparseSettings, train_learned_sparse
from zero2ir.projection import ProjectionSettings, projected_encoder
from zero2ir.static import StaticSettings, train_static
from zero2ir.synthetic.settings import SyntheticSettings

ROLES = ("pretrained", "static", "learned_sparse", "late_interaction", "sentences")


class PretrainingSettings(BaseModel):
    """The schema of ``conf/pretraining/*.yaml``: what is made from the documents alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    synthetic: SyntheticSettings
    static: StaticSettings
    learned_sparse: LearnedSparseSettings
    projection: ProjectionSettings


def make_encoder(
    role: str, corpus: Corpus, pretrained: EncoderSettings, settings: PretrainingSettings, seed: int
) -> TextEncoder:
    """The network that plays a role in models.

    Args:
        role: "pretrained", the general-purpose encoder as it is; "static", one from random initialisation;
            "learned_sparse", the general-purpose one's body with a vocabulary head; "late_interaction", its token
            vectors, projected; "sentences", itself, a sentence at a time.
        corpus: the documents.
        pretrained: the general-purpose encoder.
        settings: how the others are made.
        seed: of their initial weights and of what they are shown.

    Raises:
        InputError: there is no such role.
    """
    if role not in ROLES:
        raise InputError(f"no encoder plays the role {role!r}; choose one of {', '.join(ROLES)}")
    if role == "static":
        return train_static(corpus.documents, settings.static, seed)
    if role == "learned_sparse":
        return train_learned_sparse(corpus.documents, DenseEncoder(pretrained), settings.learned_sparse, seed)
    if role == "late_interaction":
        return projected_encoder(corpus.contents, pretrained, settings.projection)
    if role == "sentences":
        if pretrained.source == "static":
            raise InputError("sentences are encoded by a general-purpose encoder; choose encoder=minilm")
        return SentenceEncoder(pretrained)
    return DenseEncoder(pretrained)


def made_as(role: str, pretrained: EncoderSettings) -> str:
    """The role that an encoder is made for: with encoder=static, the one from scratch plays "pretrained", too."""
    return "static" if role == "pretrained" and pretrained.source == "static" else role
