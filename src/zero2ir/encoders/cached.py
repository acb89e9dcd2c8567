"""Reuse of encoded queries and documents."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy.sparse import vstack

from zero2ir.encoders.base import TextEncoder
from zero2ir.encoders.tokens import Tokens

ENCODING_CHUNK = 8  # documents per lock acquisition


class CachedQueryEncoder:
    """An encoder that encodes a fixed set of queries once, and knows no other ones.

    Attributes:
        encoder: the one that encoded them.
    """

    def __init__(self, encoder: TextEncoder, queries: Sequence[str]) -> None:
        texts = list(dict.fromkeys(queries))
        self.encoder = encoder
        self._place = {text: number for number, text in enumerate(texts)}
        self._rows = encoder.encode_queries(texts)

    def encode_queries(self, texts: Sequence[str]) -> Any:
        """Returns a copy of the cached rows."""
        return take_rows(self._rows, [self._place[text] for text in texts])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.encoder, name)  # delegates everything else


def take_rows(rows: Any, numbers: Sequence[int] | np.ndarray) -> Any:
    """Copies some rows of encoded texts of any kind."""
    chosen = np.asarray(numbers, dtype=np.int64)
    return rows.take(chosen) if isinstance(rows, Tokens) else rows[chosen]


def append_documents(rows: Any, numbers: Sequence[int] | np.ndarray, encoder: TextEncoder, texts: Sequence[str]) -> Any:
    """Encodes further documents and appends them to selected rows.

    Args:
        rows: encoded documents, sparse vectors or token vectors.
        numbers: rows to keep.
        encoder: the encoder of ``rows``.
        texts: the documents to append.
    """
    parts = [take_rows(rows, numbers), *encode_in_turns(encoder, texts)]
    return Tokens.joined(parts) if isinstance(rows, Tokens) else vstack(parts, format="csr")


def encode_in_turns(encoder: TextEncoder, texts: Sequence[str]) -> Iterator[Any]:
    """Encodes documents in small chunks, so that searches hardly wait."""
    for start in range(0, len(texts), ENCODING_CHUNK):
        yield encoder.encode(texts[start : start + ENCODING_CHUNK])
        time.sleep(0.001)  # lets waiting threads acquire the lock
