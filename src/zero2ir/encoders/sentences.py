"""Sentence encoders: one vector a sentence, by a dense encoder, so that a text is found by what one sentence says."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zero2ir.encoders.dense import DenseEncoder, read_network
from zero2ir.encoders.inference import InferenceNetwork
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.encoders.tokens import INT8_STEPS, TokenEncoder, Tokens

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n\s*\n")
MIN_SENTENCE_WORDS = 4  # a shorter piece is joined to the one before it
MAX_SENTENCE_WORDS = 64  # a longer one is cut
MAX_JOINED_WORDS = MAX_SENTENCE_WORDS + MIN_SENTENCE_WORDS - 1  # words of a piece that shorter ones were joined to
MAX_SENTENCES = 256  # pieces of a text; the rest of a longer one is not read


class SentenceEncoder(TokenEncoder):
    """Encodes each sentence of a text by itself, and a query as one.

    A whole text's vector is a blend of all that it says, and a dense encoder cuts a long one; here each sentence counts
    alone.

    Attributes:
        settings: of the dense encoder.
        model: its network.
        trained: whether its weights are its own.

    Source: MaxP, Dai and Callan, SIGIR 2019, arXiv 1905.09217, section 3, with sentences for passages.
    """

    kind = "sentences"
    encoded = "sentences.safetensors"

    def __init__(
        self, settings: EncoderSettings, model: "SentenceTransformer | InferenceNetwork | None" = None
    ) -> None:
        self.settings = settings
        self.dense = DenseEncoder(settings, model)
        self.trained = self.dense.trained

    @property
    def model(self) -> Any:
        """The dense encoder's network, for those who train it."""
        return self.dense.model

    def encode(self, texts: Sequence[str]) -> Tokens:
        """Encodes documents: int8, a vector a sentence, at least one a text."""
        pieces = [split_query_sentences(text) for text in texts]
        place = {piece: number for number, piece in enumerate(dict.fromkeys(one for row in pieces for one in row))}
        steps = np.rint(self.dense.encode(list(place)) * INT8_STEPS).astype(np.int8)
        return Tokens.concatenate([steps[[place[piece] for piece in row]] for row in pieces], steps)

    def encode_queries(self, texts: Sequence[str]) -> Tokens:
        """Encodes queries: float32, one vector each; none for a query without a token."""
        vectors = self.dense.encode_queries(texts)
        return Tokens.concatenate([row[None] if row.any() else row[None][:0] for row in vectors], vectors)

    def write_weights(self, folder: Path) -> None:
        self.dense.write_weights(folder)

    def digest(self) -> str:
        splitting = (
            f"{SENTENCE_END.pattern} {MIN_SENTENCE_WORDS} {MAX_SENTENCE_WORDS} {MAX_JOINED_WORDS} {MAX_SENTENCES}"
        )
        return hashlib.sha256(f"{self.dense.digest()} {splitting}".encode()).hexdigest()[:16]

    @classmethod
    def opened(cls, settings: EncoderSettings, weights: Path | None) -> "SentenceEncoder":
        return cls(settings, None if weights is None else read_network(weights))


def split_query_sentences(text: str) -> list[str]:
    """Splits a text after its first line, after full stops, question and exclamation marks, and at blank lines.

    Returns:
        At least one piece of at most ``MAX_SENTENCE_WORDS`` words, or ``MAX_JOINED_WORDS`` with those of fewer than
        ``MIN_SENTENCE_WORDS`` that followed it; at most ``MAX_SENTENCES`` pieces.
    """
    first, _, rest = text.partition("\n")
    joined: list[str] = []
    for piece in [first, *SENTENCE_END.split(rest)]:
        words = piece.split()
        if joined and len(words) < MIN_SENTENCE_WORDS and len(joined[-1].split()) + len(words) <= MAX_JOINED_WORDS:
            joined[-1] = f"{joined[-1]} {piece}".strip()
        else:
            joined += [
                " ".join(words[at : at + MAX_SENTENCE_WORDS]) for at in range(0, max(1, len(words)), MAX_SENTENCE_WORDS)
            ]
        if len(joined) >= MAX_SENTENCES:
            break
    return joined[:MAX_SENTENCES]
