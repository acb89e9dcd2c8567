"""Documents in an Arrow file, which is mapped into memory: a document is read when it is asked for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from zero2ir.data.records import Document
from zero2ir.errors import InputError, one_line
from zero2ir.io.files import finished_file

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_DOCUMENTS, BATCH_CHARACTERS = 1 << 13, 1 << 24  # of a batch of the file, whichever is reached first
PRIME = np.uint64(0x100000001B3)


class StoredDocuments(Sequence[Document]):
    """A range of the documents of a file that ``write_documents`` wrote.

    Args:
        path: the file.
        first: number of the first document.
        end: number after the last one; None for all documents from the first on.
    """

    def __init__(self, path: Path, first: int = 0, end: int | None = None) -> None:
        self.path = path
        self._batches = _open(path)
        self._starts = np.cumsum([0, *(batch.num_rows for batch in self._batches)])
        self.first = first
        self.end = int(self._starts[-1]) if end is None else end

    def part(self, first: int, end: int) -> "StoredDocuments":
        """Returns the documents with numbers from ``first`` to below ``end``."""
        return StoredDocuments(self.path, self.first + first, self.first + end)

    def __len__(self) -> int:
        return self.end - self.first

    @overload
    def __getitem__(self, place: int) -> Document: ...
    @overload
    def __getitem__(self, place: slice) -> list[Document]: ...
    def __getitem__(self, place: int | slice) -> Document | list[Document]:
        if isinstance(place, slice):
            numbers = range(*place.indices(len(self)))
            if numbers.step == 1:
                return list(self._between(self.first + numbers.start, self.first + numbers.stop))
            return [self[number] for number in numbers]
        batch, row = self._place_of(range(len(self))[place])
        return Document(*(column[row].as_py() for column in batch.columns))

    def __iter__(self) -> Iterator[Document]:
        return self._between(self.first, self.end)

    def _between(self, first: int, end: int) -> Iterator[Document]:
        for start, batch in zip(self._starts[:-1].tolist(), self._batches, strict=True):
            if start < end and start + batch.num_rows > first:
                low, high = max(first - start, 0), min(end - start, batch.num_rows)
                columns = [column.slice(low, high - low).to_pylist() for column in batch.columns]
                yield from map(Document, *columns)

    def _place_of(self, number: int) -> tuple[Any, int]:
        at = self.first + int(number)
        place = int(np.searchsorted(self._starts, at, side="right")) - 1
        return self._batches[place], at - int(self._starts[place])

    def id_of(self, number: int) -> str:
        """Returns a document's id without its text."""
        batch, row = self._place_of(number)
        return str(batch.column(0)[row].as_py())

    @cached_property
    def numbers(self) -> "DocumentNumbers":
        """The documents' numbers by id."""
        return DocumentNumbers(self)

    def ids(self) -> Iterator["pa.StringArray"]:
        """Yields the ids, some at a time."""
        for start, batch in zip(self._starts[:-1].tolist(), self._batches, strict=True):
            low, high = max(self.first - start, 0), min(self.end - start, batch.num_rows)
            if low < high:
                yield batch.column(0).slice(low, high - low)


class StoredContents(Sequence[str]):
    """Title and text of each of some documents, read when they are asked for."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = documents

    def __len__(self) -> int:
        return len(self._documents)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [document.content for document in self._documents[place]]
        return self._documents[place].content

    def __iter__(self) -> Iterator[str]:
        return (document.content for document in self._documents)


class DocumentNumbers(Mapping[str, int]):
    """The numbers of stored documents by id: 16 bytes a document, instead of a dictionary of strings.

    Ids are found by a hash, and compared.
    """

    def __init__(self, documents: StoredDocuments) -> None:
        self._documents = documents
        hashes = np.concatenate([np.zeros(0, dtype=np.uint64), *map(_hashes, documents.ids())])
        self._order = np.argsort(hashes, kind="stable")
        self._sorted = hashes[self._order]

    def __getitem__(self, doc_id: str) -> int:
        for number in self._alike(doc_id):
            if self._documents.id_of(number) == doc_id:
                return number
        raise KeyError(doc_id)

    def _alike(self, doc_id: str) -> list[int]:
        import pyarrow as pa

        if not isinstance(doc_id, str):
            return []
        try:
            hashed = _hashes(pa.array([doc_id], pa.string()))[0]
        except UnicodeEncodeError:  # a lone surrogate, which no stored id has
            return []
        low, high = np.searchsorted(self._sorted, hashed, "left"), np.searchsorted(self._sorted, hashed, "right")
        return [int(number) for number in self._order[low:high]]

    def __iter__(self) -> Iterator[str]:
        return (doc_id for ids in self._documents.ids() for doc_id in ids.to_pylist())

    def __len__(self) -> int:
        return len(self._documents)

    def repeated(self) -> Iterator[tuple[int, int]]:
        """Yields the numbers of the first document of an id, and of each further one of the same id."""
        ends = np.flatnonzero(np.diff(self._sorted) != 0) + 1
        bounds = np.concatenate([[0], ends, [len(self._sorted)]])
        for place in np.flatnonzero(np.diff(bounds) > 1).tolist():
            first: dict[str, int] = {}
            for number in self._order[bounds[place] : bounds[place + 1]].tolist():
                doc_id = self._documents.id_of(number)
                if doc_id in first:
                    yield first[doc_id], number
                first.setdefault(doc_id, number)


def write_documents(documents: Iterable[Document], path: Path) -> None:
    """Writes documents to a file for ``StoredDocuments``; only some are in memory at once."""
    import pyarrow as pa

    schema = pa.schema([(name, pa.string()) for name in Document._fields])
    rows = iter(documents)
    with finished_file(path, "wb") as file, pa.ipc.new_file(file, schema) as writer:
        while batch := _batch(rows):
            arrays = [pa.array(column, pa.string()) for column in zip(*batch, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def _batch(rows: Iterator[Document]) -> list[Document]:
    batch, length = [], 0
    for document in islice(rows, BATCH_DOCUMENTS):
        batch.append(document)
        length += len(document.title) + len(document.text)
        if length >= BATCH_CHARACTERS:
            break
    return batch


def check_documents(path: Path) -> StoredDocuments:
    """Checks a file that may come from somebody else, without keeping its documents in memory, and returns them.

    Raises:
        InputError: it is damaged, a value is missing or no text, there is no document, or two have the same id.
    """
    import pyarrow as pa

    try:
        with pa.OSFile(str(path)) as file:
            reader = pa.ipc.open_file(file)
            for place in range(reader.num_record_batches):
                batch = reader.get_batch(place)
                batch.validate(full=True)
                named = [(field.name, field.type) for field in batch.schema]
                if named != [(name, pa.string()) for name in Document._fields] or any(
                    column.null_count for column in batch.columns
                ):
                    raise InputError(f"{path}: an id, title or text is missing or no text; get it again")
    except (OSError, ValueError, pa.ArrowException) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: missing or damaged ({one_line(error)[:200]}); create or get it again") from None
    documents = StoredDocuments(path)
    if not len(documents) or next(documents.numbers.repeated(), None) is not None:
        raise InputError(f"{path}: no document, or two of the same id; create or get it again")
    return documents


def _open(path: Path) -> list[Any]:
    """Returns the batches of a file, which is mapped into memory."""
    import pyarrow as pa

    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    return [reader.get_batch(place) for place in range(reader.num_record_batches)]


def _hashes(ids: "pa.StringArray") -> np.ndarray:
    """Returns (n,) uint64: a polynomial of the bytes of each text, with its length."""
    _, offsets, data = ids.buffers()
    ends = np.frombuffer(offsets, np.int32)[ids.offset : ids.offset + len(ids) + 1].astype(np.int64)
    letters = np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]].astype(np.uint64)
    lengths = np.diff(ends)
    places = np.arange(len(letters)) - np.repeat(ends[:-1] - ends[0], lengths)
    powers = np.cumprod(np.full(int(lengths.max(initial=0)), PRIME, dtype=np.uint64))
    sums = np.concatenate(
        [np.zeros(1, np.uint64), np.cumsum((letters + np.uint64(1)) * powers[places], dtype=np.uint64)]
    )
    bounds = ends - ends[0]
    return sums[bounds[1:]] - sums[bounds[:-1]] + lengths.astype(np.uint64)
