"""Documents, with what was computed about them once and is shared by all models."""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zero2ir.data.records import Document
from zero2ir.encoders.base import TextEncoder, embed
from zero2ir.encoders.cached import CachedQueryEncoder, take_rows
from zero2ir.errors import InputError

if TYPE_CHECKING:
    from zero2ir.lm.factory import LanguageModel


class Corpus:
    """Documents, the encoders that are at hand, and the documents' embeddings by each of them.

    Attributes:
        documents: a document's number is its place in this sequence.
        encoders: by the role that models ask for, e.g. "pretrained", "static".
        language_model: for the models that ask one; None where there is none.
    """

    def __init__(
        self,
        documents: Sequence[Document],
        encoders: Mapping[str, TextEncoder] | None = None,
        encoded: Mapping[str, Any] | None = None,
        cache: Path | None = None,
        language_model: "LanguageModel | None" = None,
    ) -> None:
        """Stores what is given; documents are encoded at the first use, once, where they are not given encoded.

        Args:
            documents: at least one.
            encoders: role to encoder.
            encoded: role to the encoded documents, where they were encoded before.
            cache: a folder that keeps encoded documents between processes.
            language_model: open, for the models that ask one.
        """
        self.documents = documents
        self.encoders = dict(encoders or {})
        self.language_model = language_model
        self._encoded = dict(encoded or {})
        self._cache = cache

    @cached_property
    def contents(self) -> list[str]:
        """Title and text of each document."""
        return [document.content for document in self.documents]

    @cached_property
    def number_of(self) -> dict[str, int]:
        """A document's number by its id."""
        return {document.doc_id: number for number, document in enumerate(self.documents)}

    def with_encoders(self, encoders: Mapping[str, TextEncoder]) -> "Corpus":
        """The same documents with these encoders, too."""
        other = copy(self)
        other.encoders = {**encoders, **self.encoders}
        return other

    def numbers_of(self, doc_ids: Iterable[str]) -> np.ndarray:
        """(n,) int64 the numbers of the documents with these ids."""
        return np.array([self.number_of[doc_id] for doc_id in doc_ids], dtype=np.int64)

    def encoder(self, role: str) -> Any:
        """The encoder that plays ``role``.

        Raises:
            InputError: there is none.
        """
        if role not in self.encoders:
            have = ", ".join(sorted(self.encoders)) or "none"
            raise InputError(f"the model needs the encoder {role!r}, but there is {have}; run pretrain-synthetic first")
        return self.encoders[role]

    def encoded(self, role: str) -> Any:
        """The documents as the encoder that plays ``role`` encodes them, a row a document."""
        if role not in self._encoded:
            self._encoded[role] = embed(self.encoder(role), self.contents, self._cache)
        return self._encoded[role]

    def cached_subset(self, numbers: Sequence[int], queries: Sequence[str], roles: Sequence[str]) -> "Corpus":
        """Some of the documents, for learning from the same queries many times: no text is encoded after this.

        Args:
            numbers: of the documents, in the order that they shall have.
            queries: all that will be searched with.
            roles: the encoders that are asked for.
        """
        encoders: dict[str, Any] = {role: CachedQueryEncoder(self.encoder(role), queries) for role in roles}
        encoded = {role: take_rows(self.encoded(role), numbers) for role in roles}
        return Corpus([self.documents[number] for number in numbers], encoders, encoded)

    def require_language_model(self, who: str = "the model") -> "LanguageModel":
        """The language model.

        Args:
            who: needs it, for the message.

        Raises:
            InputError: there is none, or it is lm=none.
        """
        if self.language_model is None or not self.language_model.available:
            raise InputError(f"{who} needs a language model, and there is none; choose one, e.g. lm=smollm2")
        return self.language_model
