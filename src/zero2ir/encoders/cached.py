"""Texts that are encoded once: queries for whoever learns from them many times, documents that stay as they are."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import issparse, vstack

from zero2ir.encoders.base import TextEncoder
from zero2ir.encoders.tokens import Tokens

ENCODING_CHUNK = 8  # documents that are encoded before others have their turn


class CachedQueryEncoder:
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
        return take_rows(self._rows, [self._place[text] for text in texts])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)  # in all else it is the encoder


def take_rows(rows: Any, numbers: Sequence[int] | np.ndarray) -> Any:
    """Some rows of encoded texts of any kind, copied."""
    chosen = np.asarray(numbers, dtype=np.int64)
    return rows.take(chosen) if isinstance(rows, Tokens) else rows[chosen]


def append_documents(rows: Any, numbers: Sequence[int] | np.ndarray, encoder: TextEncoder, texts: Sequence[str]) -> Any:
    """Some rows of encoded documents, and after them further documents, which alone are encoded.

    A few at a time, so that searches by the same network do not wait for all of them.

    Args:
        rows: of the encoded documents.
        numbers: of those that are kept.
        encoder: that encoded them.
        texts: of the further documents.
    """
    parts = [take_rows(rows, numbers)]
    for start in range(0, len(texts), ENCODING_CHUNK):
        parts.append(encoder.encode(texts[start : start + ENCODING_CHUNK]))
        time.sleep(0.001)  # a lock that is taken again at once is seldom given to who waits for it
    if isinstance(rows, Tokens):
        joined = [part.vectors[part.starts[n] : part.starts[n + 1]] for part in parts for n in range(len(part.lengths))]
        return Tokens.concatenate(joined, rows.vectors)
    return vstack(parts, format="csr") if issparse(rows) else np.concatenate(parts)
