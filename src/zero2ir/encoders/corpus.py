"""Documents with encoders and embeddings, shared by all models."""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zero2ir.data.languages import AUTO_LANGUAGE, likely_language
from zero2ir.data.records import Document
from zero2ir.data.stored_documents import StoredContents, StoredDocuments
from zero2ir.encoders.base import TextEncoder, embed
from zero2ir.encoders.cached import CachedQueryEncoder, take_rows
from zero2ir.errors import InputError

if TYPE_CHECKING:
    from zero2ir.lm.factory import LanguageModel


class Corpus:
    """Documents, encoders and the documents' embeddings.

    Attributes:
        documents: the collection; a document's number is its index.
        encoders: by role, e.g. "pretrained", "static".
        language_model: None if there is none.
        queries: texts of unlabelled queries, which show how queries differ from documents.
    """

    queries: Sequence[str] = ()

    def __init__(
        self,
        documents: Sequence[Document],
        encoders: Mapping[str, TextEncoder] | None = None,
        encoded: Mapping[str, Any] | None = None,
        cache: Path | None = None,
        language_model: "LanguageModel | None" = None,
        language: str = AUTO_LANGUAGE,
    ) -> None:
        """Initialises the corpus; documents are encoded on first use, unless ``encoded`` has them.

        Args:
            documents: at least one.
            encoders: encoders by role.
            encoded: encoded documents by role.
            cache: folder that caches encoded documents.
            language_model: the language model, if any.
            language: ISO 639-1 code of the documents' language; "auto" identifies it on first use.
        """
        self.documents = documents
        self.encoders = dict(encoders or {})
        self.language_model = language_model
        self._language = language
        self._encoded = dict(encoded or {})
        self._cache = cache

    @cached_property
    def contents(self) -> Sequence[str]:
        """Title and text of each document."""
        return StoredContents(self.documents) if self.is_stored else self.contents_from(0)

    @property
    def is_stored(self) -> bool:
        """Whether documents are read from disk when they are asked for, and indexes shall be mapped into memory."""
        return isinstance(self.documents, StoredDocuments)

    def contents_from(self, first: int) -> list[str]:
        """Title and text of each document from number ``first`` on."""
        return [document.content for document in self.documents[first:]]

    @cached_property
    def language(self) -> str:
        """ISO 639-1 code of the documents' language."""
        return likely_language(self.contents) if self._language == AUTO_LANGUAGE else self._language

    @cached_property
    def number_of(self) -> Mapping[str, int]:
        """A document's number by its id."""
        if isinstance(self.documents, StoredDocuments):
            return self.documents.numbers
        return {document.doc_id: number for number, document in enumerate(self.documents)}

    def with_encoders(self, encoders: Mapping[str, TextEncoder]) -> "Corpus":
        """Returns a copy with additional encoders."""
        other = copy(self)
        other.encoders = {**encoders, **self.encoders}
        return other

    def with_queries(self, queries: Iterable[str]) -> "Corpus":
        """Returns a copy with these unlabelled queries."""
        other = copy(self)
        other.queries = list(dict.fromkeys(queries))
        return other

    def with_documents(self, documents: Sequence[Document]) -> "Corpus":
        """Returns a copy with other documents of the same language, not yet encoded."""
        other = Corpus(documents, self.encoders, None, self._cache, self.language_model, self.language)
        other.queries = self.queries
        return other

    def numbers_of(self, doc_ids: Iterable[str]) -> np.ndarray:
        """Returns the numbers of documents by id, (n,) int64."""
        return np.array([self.number_of[doc_id] for doc_id in doc_ids], dtype=np.int64)

    def encoder(self, role: str) -> Any:
        """Returns the encoder of a role; raises ``InputError`` if there is none."""
        if role not in self.encoders:
            roles = ", ".join(sorted(self.encoders)) or "none"
            raise InputError(f"the model needs the encoder {role!r}, available: {roles}; run pretrain-synthetic first")
        return self.encoders[role]

    def encoded(self, role: str) -> Any:
        """Returns the documents encoded by the encoder of a role, one row per document."""
        if role not in self._encoded:
            self._encoded[role] = embed(self.encoder(role), self.contents, self._cache)
        return self._encoded[role]

    def cached_subset(self, numbers: Sequence[int], queries: Sequence[str], roles: Sequence[str]) -> "Corpus":
        """Returns some documents, in this order, with cached encodings of all queries, for repeated training."""
        encoders: dict[str, Any] = {role: CachedQueryEncoder(self.encoder(role), queries) for role in roles}
        encoded = {role: take_rows(self.encoded(role), numbers) for role in roles}
        documents = [self.documents[number] for number in numbers]
        return Corpus(documents, encoders, encoded, language=self.language)

    def require_language_model(self, who: str = "the model") -> "LanguageModel":
        """Returns the language model; raises ``InputError`` with the name of the component if there is none."""
        if self.language_model is None or not self.language_model.available:
            raise InputError(f"{who} needs a language model; choose one, e.g. lm=smollm2")
        return self.language_model
