"""Counts of terms in documents, by document and by term, which take in documents that come and go.

Documents that come later are in a second, small block, and removed ones stay in their block without a number, so that a
change costs what it changes. Once an eighth of the first block has changed, both are merged.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.sparse import csc_matrix, csr_matrix, vstack

GONE = -1  # in place of the number of a removed document
STALE_SHARE = 1 / 8  # of the first block: added and removed documents, before the blocks are merged


class Block(NamedTuple):
    """Counts of terms, (n_rows, n_terms) of an unsigned type, and lengths of rows; later terms have no column."""

    by_row: csr_matrix
    by_term: csc_matrix
    lengths: np.ndarray

    @classmethod
    def of(cls, counts: csr_matrix) -> Self:
        return cls(counts, counts.tocsc(), np.asarray(counts.sum(axis=1), dtype=np.int64).ravel())

    def rows(self, term: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the rows that have a term, and its counts there."""
        if term >= self.by_term.shape[1]:
            return self.by_term.indices[:0], self.by_term.data[:0]
        entries = slice(*self.by_term.indptr[term : term + 2])
        return self.by_term.indices[entries], self.by_term.data[entries]


class Postings:
    """Terms of numbered documents.

    Args:
        vocabulary: number of each term, in the order of the numbers; a term may have lost its last document.
        first: most documents.
        later: those that came later; their rows are numbered after those of ``first``.
        rows: (n_documents,) int64, the row of each document.
        frequencies: (n_terms,) int64, in how many documents each term is.

    Attributes:
        lengths: (n_documents,) int64, in tokens.
    """

    def __init__(
        self, vocabulary: dict[str, int], first: Block, later: Block, rows: np.ndarray, frequencies: np.ndarray
    ) -> None:
        self.vocabulary = vocabulary
        self.first = first
        self.later = later
        self.rows = rows
        self.frequencies = frequencies
        self._numbers = np.full(first.by_row.shape[0] + later.by_row.shape[0], GONE, dtype=np.int64)
        self._numbers[rows] = np.arange(len(rows))
        self.lengths = np.concatenate([first.lengths, later.lengths])[rows]

    @classmethod
    def of_blocks(cls, blocks: Iterable[Sequence[Sequence[str]]]) -> Self:
        """Counts the terms of tokenized documents, a block at a time, because lists of tokens take much memory."""
        vocabulary: dict[str, int] = {}
        parts = []
        for texts in blocks:
            _extend(vocabulary, texts)
            parts.append(_counts(texts, vocabulary))
        for part in parts:
            part.resize(part.shape[0], len(vocabulary))
        counts = vstack(parts, format="csr")
        parts.clear()  # before the copy by term: a million documents are gigabytes
        return cls.of_counts(*_in_order(counts, vocabulary, sorted(vocabulary)))

    @classmethod
    def of_counts(cls, vocabulary: dict[str, int], counts: csr_matrix) -> Self:
        """Takes (n_documents, n_terms) integer counts, of terms in alphabetical order."""
        counts.data = _small(counts.data)
        frequencies = np.bincount(counts.indices, minlength=len(vocabulary))
        rows = np.arange(counts.shape[0])
        return cls(vocabulary, Block.of(counts), Block.of(counts[:0]), rows, frequencies)

    def changed(self, kept: np.ndarray, added: Sequence[Sequence[str]]) -> "Postings":
        """Returns the postings of the documents with numbers ``kept``, then of tokenized new ones."""
        vocabulary = self.vocabulary.copy()
        _extend(vocabulary, added)
        new = _counts(added, vocabulary)
        before = self.later.by_row.copy()
        before.resize(before.shape[0], len(vocabulary))
        later = Block.of(vstack([before, new], format="csr"))
        n_rows = len(self._numbers)
        rows = np.concatenate([self.rows[kept], np.arange(n_rows, n_rows + len(added))])
        frequencies = np.zeros(len(vocabulary), dtype=np.int64)
        frequencies[: len(self.frequencies)] = self.frequencies
        frequencies += np.bincount(new.indices, minlength=len(vocabulary))
        gone = np.ones(len(self.rows), dtype=bool)
        gone[kept] = False
        for number in np.flatnonzero(gone).tolist():
            frequencies[self.terms_of(number)[0]] -= 1
        changed = Postings(vocabulary, self.first, later, rows, frequencies)
        stale = n_rows + len(added) - len(rows) + later.by_row.shape[0]
        return changed.merged() if stale > STALE_SHARE * self.first.by_row.shape[0] else changed

    def merged(self) -> "Postings":
        """Returns the same documents in a single block, with terms in alphabetical order."""
        if len(self.rows) == self.first.by_row.shape[0] == len(self._numbers):
            return self
        first = self.first.by_row.copy()
        first.resize(first.shape[0], len(self.vocabulary))
        counts = vstack([first, self.later.by_row], format="csr")[self.rows]
        terms = sorted(self.terms[number] for number in np.flatnonzero(self.frequencies).tolist())
        return Postings.of_counts(*_in_order(counts, self.vocabulary, terms))

    @property
    def n_documents(self) -> int:
        return len(self.rows)

    @cached_property
    def terms(self) -> list[str]:
        """The terms in the order of their numbers."""
        return list(self.vocabulary)

    @cached_property
    def mean_length(self) -> float:
        """In tokens."""
        return float(self.lengths.sum()) / max(1, self.n_documents)

    def numbers_of(self, tokens: Iterable[str]) -> list[int]:
        """Returns the numbers of those tokens that are in a document, also of repeated ones."""
        known = (self.vocabulary.get(token) for token in tokens)
        return [number for number in known if number is not None and self.frequencies[number]]

    def rarity(self, term: int) -> float:
        """Returns the inverse document frequency of BM25."""
        documents = self.frequencies[term]
        return float(np.log(1 + (self.n_documents - documents + 0.5) / (documents + 0.5)))

    def documents_of(self, term: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the numbers of the documents that have a term, and its counts there."""
        (rows, counts), (more, further) = self.first.rows(term), self.later.rows(term)
        numbers = self._numbers[np.concatenate([rows, more + self.first.by_row.shape[0]])]
        left = numbers != GONE
        return numbers[left], np.concatenate([counts, further])[left]

    def terms_of(self, document: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the numbers of a document's terms, each one once, and their counts."""
        row, n_first = int(self.rows[document]), self.first.by_row.shape[0]
        counts, row = (self.first.by_row, row) if row < n_first else (self.later.by_row, row - n_first)
        entries = slice(*counts.indptr[row : row + 2])
        return counts.indices[entries], counts.data[entries]


def saved_parts(counts: Any) -> dict[str, np.ndarray]:
    """Returns the arrays of a sparse matrix of counts by their names in scipy, the counts as int32, to be saved."""
    return {"data": counts.data.astype(np.int32, copy=False), "indices": counts.indices, "indptr": counts.indptr}


def _extend(vocabulary: dict[str, int], texts: Iterable[Sequence[str]]) -> None:
    """Numbers the terms of tokenized documents that have no number yet."""
    for text in texts:
        for token in text:
            vocabulary.setdefault(token, len(vocabulary))


def _in_order(
    counts: csr_matrix, vocabulary: dict[str, int], terms: Sequence[str]
) -> tuple[dict[str, int], csr_matrix]:
    """Returns the vocabulary and the counts of ``terms``, all that occur, in their order; alters ``counts``."""
    places = np.zeros(len(vocabulary), dtype=np.int32)
    places[[vocabulary[term] for term in terms]] = np.arange(len(terms))
    np.take(places, counts.indices, out=counts.indices, mode="clip")  # without "clip", numpy makes a copy
    ordered = csr_matrix((counts.data, counts.indices, counts.indptr), shape=(counts.shape[0], len(terms)))
    ordered.sort_indices()
    return {term: number for number, term in enumerate(terms)}, ordered


def _counts(texts: Sequence[Sequence[str]], vocabulary: dict[str, int]) -> csr_matrix:
    """Returns (n_documents, n_terms) counts of the terms of tokenized documents."""
    pointers = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int64)
    flat = np.fromiter((vocabulary[one] for text in texts for one in text), dtype=np.int32, count=int(pointers[-1]))
    ones = np.ones(len(flat), dtype=np.int32)
    counts = csr_matrix((ones, flat, pointers), shape=(len(texts), len(vocabulary)))
    counts.sum_duplicates()
    counts.data = _small(counts.data)
    return counts


def _small(counts: np.ndarray) -> np.ndarray:
    """Returns positive counts in the smallest unsigned type that holds them: one byte for nearly all collections."""
    return counts.astype(np.min_scalar_type(int(counts.max(initial=0))), copy=False)
