"""The nearest other documents of each document, kept up as documents come and go."""

import numpy as np

from zero2ir.models.ranking import row_blocks
from zero2ir.models.vector_index import ExactIndex

BLOCK_ROWS = 1 << 12  # documents per batch of the search
ROUNDING = 1e-3  # of similarities from 0 to 1 in half precision


def neighbours_of(index: ExactIndex, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Finds the nearest other documents of each document.

    Args:
        index: of the documents' unit vectors.
        most: number of neighbours.

    Returns:
        (n_documents, most) int32 numbers, the nearest first, and (n_documents, most) float16 cosines, at least 0; both
        padded with the document itself and cosine 0.
    """
    near, similarities = _alone(len(index.vectors), most)
    _search(near, similarities, np.arange(len(index.vectors)), index)
    return near, similarities


def changed_neighbours(
    near: np.ndarray, similarities: np.ndarray, kept: np.ndarray, index: ExactIndex
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the neighbours in changed documents; searches those of new documents and of those that lost one.

    A kept document gets a new neighbour where that is nearer than its last one; with a graph only if it is among the
    documents nearest to the new one.

    Args:
        near: the result of ``neighbours_of`` before the change.
        similarities: likewise.
        kept: (n_kept,) the former numbers of the first documents.
        index: of all documents after the change; the new ones are the last.
    """
    n_kept, most = len(kept), near.shape[1]
    changed, cosines = _alone(len(index.vectors), most)
    place = np.full(len(near), -1, dtype=np.int32)
    place[kept] = np.arange(n_kept)
    changed[:n_kept], cosines[:n_kept] = place[near[kept]], similarities[kept]
    poorer = np.flatnonzero((changed[:n_kept] < 0).any(axis=1))
    _search(changed, cosines, np.concatenate([poorer, np.arange(n_kept, len(changed))]), index)
    least = cosines[:, -1].astype(np.float32) - ROUNDING
    least[poorer], least[n_kept:] = np.inf, np.inf  # found already
    gained: dict[int, list[int]] = {}
    for number, rows in enumerate(index.at_least(index.vectors[n_kept:], least), n_kept):
        for row in rows.tolist():
            gained.setdefault(row, []).append(number)
    for row, numbers in gained.items():
        own = np.union1d(changed[row], numbers)
        _set(changed, cosines, row, *_ranked(own, index.vectors[own] @ index.vectors[[row]][0]))
    return changed, cosines


def _alone(n_documents: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns documents without neighbours."""
    near = np.repeat(np.arange(n_documents, dtype=np.int32)[:, None], most, axis=1)
    return near, np.zeros((n_documents, most), dtype=np.float16)


def _search(near: np.ndarray, similarities: np.ndarray, rows: np.ndarray, index: ExactIndex) -> None:
    """Finds the neighbours of some documents."""
    for block in row_blocks(len(rows), BLOCK_ROWS):
        ranking = index.search(index.vectors[rows[block]], near.shape[1] + 1)
        for row, numbers, scores in zip(rows[block], ranking.numbers, ranking.scores, strict=True):
            _set(near, similarities, row, numbers, scores)


def _ranked(numbers: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort((numbers, -scores))
    return numbers[order], scores[order]


def _set(near: np.ndarray, similarities: np.ndarray, row: int, numbers: np.ndarray, scores: np.ndarray) -> None:
    """Writes a document's neighbours, the first of ranked numbers that are not itself."""
    most = near.shape[1]
    kept = np.flatnonzero((numbers != row) & (numbers >= 0) & (scores > 0))[:most]
    near[row], similarities[row] = row, 0
    near[row, : len(kept)] = numbers[kept]
    similarities[row, : len(kept)] = scores[kept]
