"""Reads arrays and checks them first: a saved model may come from somebody else, and a file may be damaged.

A layout names an array's types, as numpy does, and its shape, with None for any length. Files are checked against it
before memory is taken. Numbers are finite.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zero2ir.errors import InputError, one_line
from zero2ir.io.values import shown

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

BLOCK_BYTES = 1 << 24  # of an array that are checked at once

Layout = tuple[str, tuple[int | None, ...]]  # types, separated by "|", and shape
INTEGERS = "int32|int64"
SAFETENSORS_TYPES = {
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
}


def read_array(path: Path, layout: Layout) -> np.ndarray:
    """Reads a ``.npy`` file; raises an InputError for a damaged file, another layout, or values that are not finite."""
    try:
        mapped: Any = np.load(path, mmap_mode="r", allow_pickle=False)  # the stated size is within the file
        _check_layout(str(path), mapped.dtype.name, mapped.shape, layout)
        return _finite(str(path), np.array(mapped))
    except InputError:
        raise
    except Exception as error:  # numpy parses the header as Python and raises what that raises
        raise _damaged(path, error) from None


def map_array(path: Path, layout: Layout, limits: tuple[int, int | None] | None = None) -> np.ndarray:
    """Maps a ``.npy`` file into memory, read-only, after checking it as ``read_array`` does, a block at a time.

    Args:
        path: the file.
        layout: see above.
        limits: the least value, and the first one that is too large, None for no such one; None for no limits.
    """
    try:
        _check_blocks(path, layout, limits)
        return np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)
    except InputError:
        raise
    except Exception as error:  # as above
        raise _damaged(path, error) from None


def _check_blocks(path: Path, layout: Layout, limits: tuple[int, int | None] | None) -> None:
    """Checks a file by a map of its own, so that its pages do not stay in memory."""
    mapped: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    _check_layout(str(path), mapped.dtype.name, mapped.shape, layout)
    rows = max(1, BLOCK_BYTES * len(mapped) // max(1, mapped.nbytes))
    for start in range(0, len(mapped), rows):
        block = _finite(str(path), np.asarray(mapped[start : start + rows]))
        if limits is not None:
            check_range(str(path), block, limits[1], limits[0])


def read_tensors(path: Path, layouts: Mapping[str, Layout]) -> dict[str, np.ndarray]:
    """Reads the tensors of a ``.safetensors`` file by name; raises an InputError as ``read_array``, or for other names.

    The names of ``layouts`` that end in "?" may be missing.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            names = set(file.keys())
            expected = {name.removesuffix("?"): layout for name, layout in layouts.items()}
            required = {name for name in layouts if not name.endswith("?")}
            if not required <= names <= expected.keys():
                raise InputError(
                    f"{path}: holds {shown(sorted(names))} instead of {', '.join(sorted(expected))}; "
                    "it was altered; create or get it again"
                )
            for name in names:
                part = file.get_slice(name)
                kind = SAFETENSORS_TYPES.get(part.get_dtype(), part.get_dtype())
                _check_layout(f"{path}: {name}", kind, part.get_shape(), expected[name])
            return {name: _finite(f"{path}: {name}", file.get_tensor(name)) for name in sorted(names)}
    except (OSError, SafetensorError) as error:
        raise _damaged(path, error) from None


def csr_layouts(kinds: str, n_rows: int, prefix: str = "") -> dict[str, Layout]:
    """Returns the layouts of the parts of a sparse matrix with values of some types, by name."""
    names = f"{prefix}data", f"{prefix}indices", f"{prefix}indptr"
    return dict(zip(names, [(kinds, (None,)), (INTEGERS, (None,)), (INTEGERS, (n_rows + 1,))], strict=True))


def csr_of(where: str, tensors: Mapping[str, np.ndarray], shape: tuple[int, int], prefix: str = "") -> "csr_matrix":
    """Returns the sparse matrix of these parts.

    Raises:
        InputError: an index is out of range, or the pointers do not rise from 0 to the number of values.
    """
    from scipy.sparse import csr_matrix

    data, indices, pointers = (tensors[name] for name in csr_layouts("", shape[0], prefix))
    ends = pointers[0] == 0 and pointers[-1] == len(data) == len(indices)
    if not ends or (np.diff(pointers) < 0).any():
        raise InputError(
            f"{where}: {prefix}indptr does not divide the values into {shape[0]} rows; create or get it again"
        )
    check_range(f"{where}: {prefix}indices", indices, shape[1])
    return csr_matrix((data, indices, pointers), shape=shape)


def check_range(where: str, numbers: np.ndarray, limit: int | None, least: int = 0) -> None:
    """Raises an InputError unless all numbers are at least ``least`` and below the limit, if there is one."""
    if numbers.size and not (least <= numbers.min() and (limit is None or numbers.max() < limit)):
        most = "any" if limit is None else limit - 1
        raise InputError(
            f"{where}: numbers from {numbers.min()} to {numbers.max()}, not {least} to {most}; create or get it again"
        )


def _check_layout(where: str, kind: str, shape: Any, layout: Layout) -> None:
    kinds, expected = layout
    same = len(shape) == len(expected) and all(b in (None, a) for a, b in zip(shape, expected, strict=True))
    if kind not in kinds.split("|") or not same:
        lengths = " x ".join("any" if length is None else str(length) for length in expected)
        raise InputError(
            f"{where}: {kind} of {' x '.join(map(str, shape)) or 'one value'} instead of {kinds} of {lengths}; "
            "it was altered or belongs to other documents; create or get it again"
        )


def _finite(where: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"{where}: a value is infinite or not a number; create or get it again")
    return array


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: missing or damaged ({one_line(error)[:200]}); create or get it again")
