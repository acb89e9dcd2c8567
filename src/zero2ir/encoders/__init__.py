"""Encoders, from text to rows that can be searched: one module a kind."""

from pathlib import Path
from typing import Any

from zero2ir.encoders.base import WEIGHTS, TextEncoder, device, embed, read_encoder_state, readable, save_encoded
from zero2ir.encoders.cached import RememberedQueries, followed, take
from zero2ir.encoders.dense import DenseEncoder, load_embeddings, save_embeddings
from zero2ir.encoders.multitask import MultitaskEncoder
from zero2ir.encoders.sentences import SentenceEncoder
from zero2ir.encoders.settings import EncoderSettings, check_available, package_folder
from zero2ir.encoders.sparse import SparseEncoder
from zero2ir.encoders.tokens import TokenEncoder, Tokens

ENCODERS: dict[str, type[TextEncoder]] = {
    encoder.kind: encoder for encoder in (DenseEncoder, SparseEncoder, TokenEncoder, SentenceEncoder, MultitaskEncoder)
}

__all__ = [
    "ENCODERS",
    "DenseEncoder",
    "EncoderSettings",
    "MultitaskEncoder",
    "RememberedQueries",
    "SentenceEncoder",
    "SparseEncoder",
    "TextEncoder",
    "TokenEncoder",
    "Tokens",
    "check_available",
    "device",
    "embed",
    "followed",
    "load_embeddings",
    "load_encoded",
    "load_encoder",
    "package_folder",
    "readable",
    "save_embeddings",
    "save_encoded",
    "take",
]


def load_encoder(folder: Path) -> TextEncoder:
    """Opens what an encoder's ``save`` wrote.

    Raises:
        InputError: there is none, or the package or the weights that it points to are missing or altered.
    """
    state = read_encoder_state(folder)
    weights = folder / WEIGHTS if state["trained"] else None
    return ENCODERS[state["kind"]].opened(EncoderSettings(**state["settings"]), weights)


def load_encoded(folder: Path, documents: int) -> tuple[TextEncoder, Any]:
    """Reads an encoder with so many documents that it encoded.

    Raises:
        InputError: they are not there, damaged, or of other documents.
    """
    encoder = load_encoder(folder)
    return encoder, encoder.read(folder / encoder.encoded, documents)
