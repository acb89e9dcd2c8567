"""Recognises a collection by its documents."""

import hashlib
from collections.abc import Iterable

from zero2ir.data.records import Document


def content_digest(documents: Iterable[Document]) -> str:
    """Returns the hexadecimal digest of the documents' contents, by which what was learned from them is left out.

    Neither ids nor the order of the documents count, nor how often a document occurs, nor white space.
    """
    contents = {" ".join(document.content.split()) for document in documents}
    parts = sorted(hashlib.sha256(content.encode("utf-8", "surrogatepass")).digest() for content in contents)
    return hashlib.sha256(b"".join(parts)).hexdigest()
