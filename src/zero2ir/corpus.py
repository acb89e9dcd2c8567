"""Documents, with what was computed about them once and is shared by all models."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from zero2ir.collections.records import Document
from zero2ir.encoders import Encoder, embed
from zero2ir.errors import InputError


class Corpus:
    """Documents, the encoders that are at hand, and the documents' embeddings by each of them.

    Attributes:
        documents: a document's number is its place in this sequence.
        encoders: by the role that models ask for: "pretrained" and "static".
    """

    def __init__(
        self,
        documents: Sequence[Document],
        encoders: Mapping[str, Encoder] | None = None,
        embeddings: Mapping[str, np.ndarray] | None = None,
        cache: Path | None = None,
    ) -> None:
        """Stores what is given; embeddings that are not given are computed at the first use, once.

        Args:
            documents: at least one.
            encoders: role to encoder.
            embeddings: role to (n_documents, dimension) unit vectors, where they were computed before.
            cache: a folder that keeps embeddings between processes.
        """
        self.documents = documents
        self.encoders = dict(encoders or {})
        self._embeddings = dict(embeddings or {})
        self._cache = cache

    @cached_property
    def contents(self) -> list[str]:
        """Title and text of each document."""
        return [document.content for document in self.documents]

    @cached_property
    def number_of(self) -> dict[str, int]:
        """A document's number by its id."""
        return {document.doc_id: number for number, document in enumerate(self.documents)}

    def encoder(self, role: str) -> Encoder:
        """The encoder that plays ``role``.

        Raises:
            InputError: there is none.
        """
        if role not in self.encoders:
            have = ", ".join(sorted(self.encoders)) or "none"
            raise InputError(f"the model needs the encoder {role!r}, but there is {have}; run pretrain-synthetic first")
        return self.encoders[role]

    def embeddings(self, role: str) -> np.ndarray:
        """(n_documents, dimension) float32 unit vectors by the encoder that plays ``role``."""
        if role not in self._embeddings:
            self._embeddings[role] = embed(self.encoder(role), self.contents, self._cache)
        return self._embeddings[role]
