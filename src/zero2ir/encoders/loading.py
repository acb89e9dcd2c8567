"""Opens saved encoders, of every kind."""

from pathlib import Path
from typing import Any

from zero2ir.encoders.base import ENCODERS, WEIGHTS, TextEncoder, read_encoder_state
from zero2ir.encoders.settings import EncoderSettings


def load_encoder(folder: Path) -> TextEncoder:
    """Opens what an encoder's ``save`` wrote.

    Raises:
        InputError: there is none, or the package or the weights that it points to are missing or altered.
    """
    state = read_encoder_state(folder)
    weights = folder / WEIGHTS if state["trained"] else None
    return ENCODERS.find(state["kind"]).opened(EncoderSettings(**state["settings"]), weights)


def load_encoded(folder: Path, documents: int) -> tuple[TextEncoder, Any]:
    """Reads an encoder with so many documents that it encoded.

    Raises:
        InputError: they are not there, damaged, or of other documents.
    """
    encoder = load_encoder(folder)
    return encoder, encoder.read(folder / encoder.encoded, documents)
