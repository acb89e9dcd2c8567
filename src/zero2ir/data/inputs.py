"""Documents as people give them to the library."""

from collections.abc import Mapping, Sequence
from typing import Any

from zero2ir.data.records import Document
from zero2ir.errors import InputError

Documents = Sequence[str | Mapping[str, Any]]


def as_documents(documents: Documents) -> list[Document]:
    """Turns what people have into documents.

    Raises:
        InputError: none at all, a missing key, or an id that comes twice; names the place in the sequence.
    """
    if isinstance(documents, str):
        raise InputError("documents: one string is no sequence of documents; give a list")
    made: list[Document] = []
    seen: dict[str, int] = {}
    for number, given in enumerate(documents):
        document = _document(given, number)
        if document.doc_id in seen:
            first = seen[document.doc_id]
            raise InputError(
                f"documents[{number}]: the id {document.doc_id!r} is that of documents[{first}]; change one"
            )
        seen[document.doc_id] = number
        made.append(document)
    if not made:
        raise InputError("documents: none given; give at least one")
    return made


def _document(given: str | Mapping[str, Any], number: int) -> Document:
    if isinstance(given, str):
        return Document(str(number), "", given)
    if not isinstance(given, Mapping):
        raise InputError(f"documents[{number}]: neither a string nor a mapping with doc_id, text, maybe title")
    for key in ("doc_id", "text"):
        if key not in given:
            raise InputError(f"documents[{number}]: no key {key!r}; a document has doc_id, text, maybe title")
        if given[key] is None:
            raise InputError(f"documents[{number}]: {key} is None; give one, or leave the document out")
    return Document(str(given["doc_id"]), str(given.get("title") or ""), str(given["text"]))
