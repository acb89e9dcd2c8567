"""Titles: a document's title should retrieve its text."""

import numpy as np

from zero2ir.data.records import Document
from zero2ir.encoders.pretext.base import DocumentTask, TextPair


class Title(DocumentTask):
    """A document's title and its text, if it has both."""

    def pair(self, document: Document, rng: np.random.Generator) -> TextPair | None:
        return (document.title, document.text) if document.title and document.text else None
