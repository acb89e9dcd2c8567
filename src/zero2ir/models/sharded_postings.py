"""Counts of terms in shards, ranges of the documents, which are mapped into memory; the statistics are those of all.

A shard counts its own terms, in alphabetical order; ``terms.npy`` has their numbers in the vocabulary of all shards.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from scipy.sparse import csc_matrix, csr_matrix

from zero2ir.encoders.dense import save_embeddings
from zero2ir.errors import InputError
from zero2ir.io.arrays import INTEGERS, map_array
from zero2ir.io.files import read_json, write_json
from zero2ir.models.postings import Postings, saved_parts

OWN_TERMS = "terms.json"  # of a shard that is not joined yet
TERMS, LENGTHS = "terms.npy", "lengths.npy"
BY_DOCUMENT, BY_TERM = "by_document", "by_term"
PARTS = ("data", "indices", "indptr")
MOST = 1 << 31  # of a count, which is int32


class Compressed(NamedTuple):
    """The arrays of a sparse matrix, as in scipy."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray

    def entries(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the other coordinates, and the values, of a row or column."""
        place = slice(*self.indptr[row : row + 2])
        return self.indices[place], self.data[place]

    @classmethod
    def mapped(cls, folder: Path, name: str, n_rows: int, n_columns: int) -> Self:
        """Maps a checked matrix into memory; raises an InputError for a damaged file."""
        data, indices, indptr = (folder / f"{name}.{part}.npy" for part in PARTS)
        pointers = map_array(indptr, (INTEGERS, (n_rows + 1,)), (0, None))
        if pointers[0] or (np.diff(pointers) < 0).any():
            raise InputError(f"{indptr}: does not divide the values into {n_rows} rows; create or get it again")
        number = int(pointers[-1])
        return cls(
            map_array(data, ("int32", (number,)), (1, MOST)),
            map_array(indices, (INTEGERS, (number,)), (0, n_columns)),
            pointers,
        )


class PostingsShard(NamedTuple):
    """The counts of a range of documents.

    Attributes:
        terms: (n_own,) int32, rising numbers of its terms.
        lengths: (n_rows,) int64, of its documents, in tokens.
        by_document: counts of its terms, numbered from 0, by its documents.
        by_term: the same by its terms.
    """

    terms: np.ndarray
    lengths: np.ndarray
    by_document: Compressed
    by_term: Compressed

    @classmethod
    def mapped(cls, folder: Path, terms: np.ndarray) -> Self:
        """Maps a shard into memory; raises an InputError for a damaged file."""
        lengths = map_array(folder / LENGTHS, ("int64", (None,)), (0, None))
        sizes = len(lengths), len(terms)
        by_document = Compressed.mapped(folder, BY_DOCUMENT, *sizes)
        return cls(terms, lengths, by_document, Compressed.mapped(folder, BY_TERM, *reversed(sizes)))

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        save_embeddings(folder / TERMS, self.terms)
        save_embeddings(folder / LENGTHS, self.lengths)
        _save_counts(folder, BY_DOCUMENT, self.by_document)
        _save_counts(folder, BY_TERM, self.by_term)


class ShardedPostings(Postings):
    """Terms of numbered documents, in shards.

    Args:
        vocabulary: number of each term, in alphabetical order.
        shards: in the order of the documents.

    Attributes:
        frequencies: (n_terms,) int64, in how many documents each term is.
        lengths: (n_documents,) int64, in tokens.
    """

    def __init__(self, vocabulary: dict[str, int], shards: Sequence[PostingsShard]) -> None:
        self.vocabulary = vocabulary
        self.shards = list(shards)
        self.frequencies = np.zeros(len(vocabulary), dtype=np.int64)
        for shard in self.shards:
            self.frequencies[shard.terms] += np.diff(shard.by_term.indptr)
        self.lengths = np.concatenate([shard.lengths for shard in self.shards])
        self._starts = np.cumsum([0, *(len(shard.lengths) for shard in self.shards)])

    @classmethod
    def joined(cls, folders: Sequence[Path]) -> Self:
        """Maps shards into memory that ``write_postings`` wrote."""
        vocabulary = dict.fromkeys(sorted({term for folder in folders for term in read_json(folder / OWN_TERMS)}))
        numbers = {term: number for number, term in enumerate(vocabulary)}
        shards = []
        for folder in folders:
            own = np.array([numbers[term] for term in read_json(folder / OWN_TERMS)], dtype=np.int32)
            shards.append(PostingsShard.mapped(folder, own))
        return cls(numbers, shards)

    @property
    def n_documents(self) -> int:
        return len(self.lengths)

    def documents_of(self, term: int) -> tuple[np.ndarray, np.ndarray]:
        found = [(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32))]
        for start, shard in zip(self._starts, self.shards, strict=False):
            place = int(np.searchsorted(shard.terms, term))
            if place < len(shard.terms) and shard.terms[place] == term:
                rows, counts = shard.by_term.entries(place)
                found.append((rows + start, counts))
        numbers, values = zip(*found, strict=True)
        return np.concatenate(numbers), np.concatenate(values)

    def terms_of(self, document: int) -> tuple[np.ndarray, np.ndarray]:
        place = int(np.searchsorted(self._starts, document, side="right")) - 1
        own, counts = self.shards[place].by_document.entries(int(document - self._starts[place]))
        return self.shards[place].terms[own], counts

    def merged(self) -> Postings:
        """Returns itself; shards stay as they are."""
        return self

    def changed(self, kept: np.ndarray, added: Sequence[Sequence[str]]) -> Postings:
        raise InputError("sparse: the documents of shards cannot change; index them again")

    def save(self, folder: Path) -> None:
        """Writes the shards to folders named by their places; the vocabulary is not written."""
        for place, shard in enumerate(self.shards):
            shard.save(folder / shard_name(place))

    @classmethod
    def load(cls, folder: Path, vocabulary: dict[str, int], n_documents: int) -> Self:
        """Maps saved shards into memory; raises an InputError for a damaged file or another number of documents."""
        shards = []
        for place in range(sum(1 for _ in folder.iterdir())):
            part = folder / shard_name(place)
            terms = map_array(part / TERMS, ("int32", (None,)), (0, len(vocabulary)))
            if (np.diff(terms) <= 0).any():
                raise InputError(f"{part / TERMS}: the numbers do not rise; create or get it again")
            shards.append(PostingsShard.mapped(part, terms))
        if sum(len(shard.lengths) for shard in shards) != n_documents:
            raise InputError(f"{folder}: the shards do not hold {n_documents} documents; create or get it again")
        return cls(vocabulary, shards)


def shard_name(place: int) -> str:
    """Returns the name of a shard's folder, by its place in the collection."""
    return f"{place:05d}"


def write_postings(folder: Path, postings: Postings) -> None:
    """Writes the counts of a shard's documents, of which none came later."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / OWN_TERMS, postings.terms)
    save_embeddings(folder / LENGTHS, postings.lengths)
    _save_counts(folder, BY_DOCUMENT, postings.first.by_row)
    _save_counts(folder, BY_TERM, postings.first.by_term)


def _save_counts(folder: Path, name: str, counts: Compressed | csr_matrix | csc_matrix) -> None:
    for part, values in saved_parts(counts).items():
        save_embeddings(folder / f"{name}.{part}.npy", values)
