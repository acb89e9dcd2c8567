"""Sentence encoders: a dense encoder applied to single sentences."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zero2ir.data.words import join_words, split_words
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.inference import InferenceNetwork
from zero2ir.encoders.precision import DocumentPrecision
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.encoders.tokens import INT8_STEPS, TokenEncoder, Tokens

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

SENTENCE_END = re.compile(r"(?<=[.!?؟۔।॥])\s+|\n\s*\n|(?<=[。！？])\s*(?=\S)")
MIN_SENTENCE_WORDS = 4  # shorter pieces are joined to the previous one
MAX_SENTENCE_WORDS = 64  # longer pieces are split
MAX_JOINED_WORDS = MAX_SENTENCE_WORDS + MIN_SENTENCE_WORDS - 1  # words of a joined piece
MAX_SENTENCES = 256  # pieces per text; further text is ignored


class SentenceEncoder(TokenEncoder):
    """Encodes each sentence of a document separately, and a query as a whole.

    A single vector averages a text's topics, and dense encoders truncate long texts; sentence vectors avoid both.

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
        return self.dense.model

    @property
    def precision(self) -> DocumentPrecision:
        return self.dense.precision

    def encode(self, texts: Sequence[str]) -> Tokens:
        """Encodes documents to int8 vectors, one per sentence and at least one per text."""
        pieces = [split_document_sentences(text) for text in texts]
        place = {piece: number for number, piece in enumerate(dict.fromkeys(one for row in pieces for one in row))}
        steps = np.rint(self.dense.encode(list(place)) * INT8_STEPS).astype(np.int8)
        return Tokens.concatenate([steps[[place[piece] for piece in row]] for row in pieces], steps)

    def encode_queries(self, texts: Sequence[str]) -> Tokens:
        """Encodes queries to float32 vectors, one per query; none for a query without tokens."""
        vectors = self.dense.encode_queries(texts)
        return Tokens.concatenate([row[None] if row.any() else row[None][:0] for row in vectors], vectors)

    def n_bytes(self) -> int:
        return self.dense.n_bytes()

    def vocabulary(self) -> tuple[Mapping[str, int], int]:
        return self.dense.vocabulary()

    def write_weights(self, folder: Path) -> None:
        self.dense.write_weights(folder)

    def digest(self) -> str:
        limits = f"{MIN_SENTENCE_WORDS} {MAX_SENTENCE_WORDS} {MAX_JOINED_WORDS} {MAX_SENTENCES}"
        return hashlib.sha256(f"{self.dense.digest()} {SENTENCE_END.pattern} {limits}".encode()).hexdigest()[:16]

    @classmethod
    def opened(cls, settings: EncoderSettings, weights: Path | None) -> "SentenceEncoder":
        encoder = cls(settings, None)
        encoder.dense = DenseEncoder.opened(settings, weights)
        encoder.trained = encoder.dense.trained
        return encoder


def split_document_sentences(text: str) -> list[str]:
    """Splits a text after its first line, after sentence-final punctuation, and at blank lines.

    Returns:
        1 to ``MAX_SENTENCES`` pieces of at most ``MAX_SENTENCE_WORDS`` words, or ``MAX_JOINED_WORDS`` with appended
        pieces of fewer than ``MIN_SENTENCE_WORDS`` words.
    """
    first, _, rest = text.partition("\n")
    joined: list[str] = []
    for piece in [first, *SENTENCE_END.split(rest)]:
        words = split_words(piece)
        if joined and len(words) < MIN_SENTENCE_WORDS and len(split_words(joined[-1])) + len(words) <= MAX_JOINED_WORDS:
            joined[-1] = f"{joined[-1]} {piece}".strip()
        else:
            starts = range(0, max(1, len(words)), MAX_SENTENCE_WORDS)
            joined += [join_words(words[at : at + MAX_SENTENCE_WORDS]) for at in starts]
        if len(joined) >= MAX_SENTENCES:
            break
    return joined[:MAX_SENTENCES]
