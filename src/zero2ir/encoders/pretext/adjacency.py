"""Adjacency: a text should retrieve the following one."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from zero2ir.data.records import Document
from zero2ir.encoders.pretext.base import DocumentTask, TextPair, split_sentences
from zero2ir.errors import InputError


class Adjacency(DocumentTask):
    """Pairs of neighbouring passages of a document, or of neighbouring documents of an ordered collection.

    Attributes:
        unit: "documents" (e.g. chapters, threads, sections) or "passages".
        sentences: maximum sentences per passage; fewer in short documents.
        ordered: whether the order of the documents is meaningful; set by the pipeline from the collection's manifest.

    Source: next sentence prediction, Devlin et al., NAACL 2019, arXiv 1810.04805, section 3.1, with in-batch negatives;
        neighbouring passages as in Neelakantan et al. 2022, arXiv 2201.10005, section 2.1.
    """

    unit: Literal["documents", "passages"] = "passages"
    sentences: Annotated[int, Field(ge=1)] = 3
    ordered: bool = False

    def check(self, documents: Sequence[Document]) -> None:
        if self.unit == "documents" and not self.ordered:
            raise InputError(
                "pairs.adjacency: the collection does not say that its documents are in a meaningful order; "
                "set dataset.ordered=true if they are, or use unit: passages"
            )
        if self.unit == "documents" and len(documents) < 2:
            raise InputError("pairs.adjacency: a single document has no next one; use unit: passages")
        if self.unit == "passages" and all(len(split_sentences(document.text)) < 2 for document in documents):
            raise InputError(
                "pairs.adjacency: every document is a single sentence, so no passage has a neighbour; "
                "remove adjacency, or use unit: documents if their order is meaningful"
            )

    def pairs(self, documents: Sequence[Document], rng: np.random.Generator) -> Iterator[TextPair]:
        if self.unit == "passages":
            yield from super().pairs(documents, rng)
            return
        for number in rng.permutation(max(0, len(documents) - 1)):
            yield documents[number].content, documents[number + 1].content

    def pair(self, document: Document, rng: np.random.Generator) -> TextPair | None:
        pieces = split_sentences(document.text)
        if len(pieces) < 2:
            return None
        length = min(self.sentences, len(pieces) // 2)
        start = int(rng.integers(len(pieces) - 2 * length + 1))
        middle = start + length
        return " ".join(pieces[start:middle]), " ".join(pieces[middle : middle + length])
