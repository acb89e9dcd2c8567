"""The documents of a source, one after another: checked, cut into passages, and stored without being in memory."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from zero2ir.data import irds, local
from zero2ir.data.checks import IssueCounter, check_id
from zero2ir.data.passages import cut_document
from zero2ir.data.records import DataQuality, Document
from zero2ir.data.settings import PassageSettings
from zero2ir.data.stored_documents import StoredDocuments, write_documents
from zero2ir.errors import InputError
from zero2ir.io.files import sha256

FLAWS = ("repeated documents", "empty documents")
ItemT = TypeVar("ItemT")


class DocumentStream(NamedTuple):
    """Documents that can be read more than once.

    Attributes:
        name: of the source, for messages.
        read: returns places and documents, in an order that is always the same.
        digest: returns a hexadecimal digest of the source; equal digests mean equal documents.
    """

    name: str
    read: Callable[[], Iterator[tuple[str, Document]]]
    digest: Callable[[], str]


def open_stream(source: str) -> DocumentStream:
    """Opens a local folder, or an id of ir_datasets, whose documents take part in the digest by the id alone.

    Raises:
        InputError: it is neither.
    """
    folder = Path(source)
    if folder.is_dir():
        return DocumentStream(
            f"folder {folder.resolve().name}",
            lambda: local.stream_documents(folder),
            lambda: _digest_of(folder, local.document_files(folder)),
        )
    if folder.exists() or folder.is_absolute() or source.startswith("."):
        raise InputError(f"{source}: not a folder; give the folder of your documents, or an id of ir_datasets")
    return DocumentStream(
        f"ir_datasets {source}",
        lambda: irds.stream_documents(source),
        lambda: hashlib.sha256(source.encode()).hexdigest(),
    )


def _digest_of(folder: Path, files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256(path)}\n".encode())
    return digest.hexdigest()


def store_documents(
    stream: DocumentStream, path: Path, passages: PassageSettings | None = None
) -> tuple[StoredDocuments, DataQuality]:
    """Stores the documents of a stream as the checks of a collection leave them, or their passages.

    In memory are a batch of documents, and 24 bytes for each one.

    Args:
        stream: the source.
        path: the file.
        passages: how long documents are cut; None keeps them whole.

    Returns:
        The stored documents, and the counts of those that are left out.

    Raises:
        InputError: there are no documents, an id is empty or has white space, or two documents of an id differ.
    """
    issues = IssueCounter()
    write_documents(_checked(stream, issues, passages), path)
    stored = StoredDocuments(path)
    gone = set()
    for first, further in stored.numbers.repeated():
        if stored[first] != stored[further]:
            raise InputError(
                f"{stream.name}: two texts have the document id {stored.id_of(first)!r}; remove or rename one"
            )
        issues.add("repeated documents", stored.id_of(first))
        gone.add(further)
    if gone:
        write_documents((document for number, document in enumerate(stored) if number not in gone), path)
        stored = StoredDocuments(path)
    if not len(stored):
        raise InputError(f"{stream.name}: no document has any text; add documents")
    return stored, issues.quality(FLAWS)


def _checked(stream: DocumentStream, issues: IssueCounter, passages: PassageSettings | None) -> Iterator[Document]:
    for place, document in stream.read():
        check_id(place, document.doc_id)
        if not document.content:
            issues.add("empty documents", place)
        elif passages is None:
            yield document
        else:
            yield from cut_document(document, passages)


def reservoir(items: Iterable[ItemT], size: int, seed: int) -> list[ItemT]:
    """Draws ``size`` items of a stream of unknown length, each with the same probability; all if there are fewer.

    Source: algorithm R, Vitter, ACM TOMS 1985, doi:10.1145/3147.3165.
    """
    rng = np.random.default_rng(seed)
    drawn: list[ItemT] = []
    for place, item in enumerate(items):
        if place < size:
            drawn.append(item)
        elif (at := int(rng.integers(place + 1))) < size:
            drawn[at] = item
    return drawn
