"""Loads saved encoders of all kinds."""

from pathlib import Path
from typing import Any

from zero2ir.encoders.base import ENCODERS, WEIGHTS, TextEncoder, read_encoder_state
from zero2ir.encoders.settings import EncoderSettings


def load_encoder(folder: Path) -> TextEncoder:
    """Loads a saved encoder.

    Raises:
        InputError: there is no encoder, or its package or weights are missing or altered.
    """
    state = read_encoder_state(folder)
    weights = folder / WEIGHTS if state["trained"] else None
    return ENCODERS.find(state["kind"]).opened(EncoderSettings(**state["settings"]), weights)


def load_encoded(folder: Path, documents: int) -> tuple[TextEncoder, Any]:
    """Loads an encoder and its encoded documents.

    Raises:
        InputError: the files are missing, damaged, or do not have this number of documents.
    """
    encoder = load_encoder(folder)
    return encoder, encoder.read(folder / encoder.encoded, documents)
