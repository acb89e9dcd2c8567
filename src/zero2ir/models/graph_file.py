"""Loads graphs of usearch, which itself follows whatever numbers a file holds, and crashes if they are out of range.

A file of usearch's format 2 holds, in this order, all little-endian:

- the vectors: uint32 rows and bytes of a row, and the rows;
- 64 bytes of head: magic, version (three uint16), types (four bytes), number of vectors, deleted ones, and dimensions
  (three uint64), zeros;
- uint64: number of nodes, edges of a node, edges of a node on the lowest level, highest level, entry node;
- int16: the level of each node;
- the nodes: uint64 key, int16 level, and for each level from 0 to its own a uint32 number of edges and as many uint32
  nodes as it may have.
"""

from pathlib import Path
from typing import Any

import numpy as np

from zero2ir.errors import InputError, one_line
from zero2ir.models.ranking import row_blocks

HEAD = 64  # bytes
VERSION, COUNT = slice(9, 13), slice(17, 25)  # in the head: minor version and patch, and the number of vectors
NODE_HEAD = 10  # bytes of key and level
BLOCK_NODES = 1 << 13  # nodes in memory at once


def load_graph(path: Path, empty: Any, n_vectors: int, mapped: bool = False) -> Any:
    """Loads a graph whose keys are the numbers of its vectors.

    Args:
        path: a file that usearch wrote.
        empty: a graph with the settings of the saved one, into which it is loaded.
        n_vectors: the number of vectors.
        mapped: whether the file is mapped into memory, read-only, instead of copied.

    Raises:
        InputError: the file is missing or damaged, has other settings, or leads to a node that does not exist.
    """
    try:
        fitting = _fits(np.memmap(path, np.uint8, "r"), empty, n_vectors)
    except (OSError, ValueError, IndexError) as error:  # of a file that is too short
        raise InputError(f"{path}: missing or damaged ({one_line(error)[:200]}); create or get it again") from None
    if not fitting:
        raise InputError(f"{path}: not a graph over {n_vectors} vectors with these settings; create or get it again")
    try:
        (empty.view if mapped else empty.load)(str(path))
    except RuntimeError as error:
        raise InputError(f"{path}: usearch cannot load it ({one_line(error)[:200]}); create or get it again") from None
    return empty


def _fits(data: np.ndarray, empty: Any, n_vectors: int) -> bool:
    """Whether the bytes of a file are a graph like ``empty``, over so many vectors, without an edge to nowhere."""
    like = np.frombuffer(empty.save(), np.uint8)  # the same up to numbers of vectors and nodes
    (rows, width), (_, row_bytes) = data[:8].view("<u4").tolist(), like[:8].view("<u4").tolist()
    at = 8 + n_vectors * row_bytes
    head, own_head = data[at : at + HEAD].copy(), like[8 : 8 + HEAD].copy()
    count = head[COUNT].view("<u8").item()
    for one in (head, own_head):
        one[COUNT] = one[VERSION] = 0
    at += HEAD
    nodes, *connectivity, highest, entry = data[at : at + 40].view("<u8").tolist()
    same = connectivity == like[8 + HEAD : 8 + HEAD + 40].view("<u8").tolist()[1:3] and (head == own_head).all()
    if not same or {rows, count, nodes} != {n_vectors} or width != row_bytes or entry >= n_vectors:
        return False
    at += 40
    levels = data[at : at + 2 * nodes].view("<i2").astype(np.int64)
    if levels.min() < 0 or not highest == levels.max() == levels[entry]:
        return False
    spaces = [1 + edges for edges in connectivity]  # of a level: the number of edges, and the edges
    sizes = NODE_HEAD + 4 * (spaces[1] + levels * spaces[0])
    starts = at + 2 * nodes + np.cumsum(sizes) - sizes
    if starts[-1] + sizes[-1] != len(data):
        return False
    for block in row_blocks(nodes, BLOCK_NODES):
        heads = data[starts[block, None] + np.arange(NODE_HEAD)]
        keys, stated = heads[:, :8].copy().view("<u8").ravel(), heads[:, 8:].copy().view("<i2").ravel()
        if (keys != np.arange(nodes)[block]).any() or (stated != levels[block]).any():
            return False
    for level in range(highest + 1):
        places = starts[levels >= level] + NODE_HEAD + (4 * (spaces[1] + (level - 1) * spaces[0]) if level else 0)
        space = spaces[0 if level else 1]
        for block in row_blocks(len(places), BLOCK_NODES):
            lists = data[places[block, None] + np.arange(4 * space)].view("<u4")
            counts, edges = lists[:, :1], lists[:, 1:]
            used = np.arange(space - 1) < counts
            if (counts >= space).any() or (edges[used] >= nodes).any() or (levels[edges[used]] < level).any():
                return False
    return True
