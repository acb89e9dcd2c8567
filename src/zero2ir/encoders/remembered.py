"""Queries that are encoded once, for whoever learns from them many times."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from zero2ir.encoders.base import TextEncoder
from zero2ir.encoders.tokens import Tokens


class RememberedQueries:
    """An encoder that encodes some queries at once and no other query ever.

    Args:
        encoder: any.
        queries: all that will be asked for.
    """

    def __init__(self, encoder: TextEncoder, queries: Sequence[str]) -> None:
        texts = list(dict.fromkeys(queries))
        self._encoder = encoder
        self._place = {text: number for number, text in enumerate(texts)}
        self._rows = encoder.encode_queries(texts)

    def encode_queries(self, texts: Sequence[str]) -> Any:
        """A copy of the remembered rows."""
        return take(self._rows, [self._place[text] for text in texts])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)  # in all else it is the encoder


def take(rows: Any, numbers: Sequence[int]) -> Any:
    """Some rows of encoded texts of any kind, copied."""
    chosen = np.asarray(numbers, dtype=np.int64)
    return rows.take(chosen) if isinstance(rows, Tokens) else rows[chosen]
