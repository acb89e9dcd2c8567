"""Stores records (named tuples) as Parquet, one column per field; the same records give the same bytes."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from zero2ir.errors import InputError
from zero2ir.io.files import finished_file

# What a file may stand for; compression makes a file of texts up to twenty times smaller, repeated values one bit each.
MAX_BYTES, MAX_BYTES_PER_BYTE = 2**28, 1000  # the larger one counts, also below
MAX_ROWS, MAX_ROWS_PER_BYTE = 10**6, 10

RowT = TypeVar("RowT", bound=tuple[Any, ...])


def write_records(records: Iterable[tuple[Any, ...]], kind: type, path: Path) -> None:
    """Writes records whose fields are str, int, float, bool, lists of str or float, or tuples of str.

    Args:
        records: the records; their order is kept.
        kind: the class of the records; its annotations define the columns.
        path: the file, written atomically.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        str: pa.string(),
        int: pa.int64(),
        float: pa.float64(),
        bool: pa.bool_(),
        list[str]: pa.list_(pa.string()),
        tuple[str, ...]: pa.list_(pa.string()),
        list[float]: pa.list_(pa.float64()),
    }
    schema = pa.schema([(name, types[annotation]) for name, annotation in kind.__annotations__.items()])
    columns = list(zip(*records, strict=True)) or [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    with finished_file(path, "wb") as file:
        table = pa.Table.from_arrays(arrays, schema=schema)
        pq.write_table(table, file, compression="zstd", write_page_checksum=True)


def read_records(path: Path, kind: type[RowT]) -> list[RowT]:
    """Reads the file that ``write_records`` wrote; equal texts of a column share memory.

    Raises:
        InputError: the file is missing or damaged, its columns are not those of ``kind`` (the last ones may be missing
            if they have defaults), or what it stores needs far more memory than files of its size do.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    expected = list(kind.__annotations__)
    try:
        with pq.ParquetFile(path) as file:
            metadata = file.metadata
        names = metadata.schema.to_arrow_schema().names
        added = expected[len(names) :]  # since the file was written; they have their defaults
        if names + added != expected or not {*added} <= {*getattr(kind, "_field_defaults", {})}:
            raise InputError(
                f"{path}: the columns are {', '.join(names)} instead of {', '.join(expected)}; create the file again"
            )
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        size = path.stat().st_size
        # Not the sizes of columns: Arrow ends the process where those are damaged.
        _require_plausible(path, size, sum(group.total_byte_size for group in groups), metadata.num_rows)
        leaves = [metadata.schema.column(number) for number in range(metadata.num_columns)]
        texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        with pq.ParquetFile(path, read_dictionary=texts, page_checksum_verification=True) as file:
            table = file.read()  # ``read_table`` would import pandas
        _require_plausible(path, size, sum(_text_bytes(chunk) for column in table.columns for chunk in column.chunks))
        columns = [[value for chunk in column.chunks for value in _values(chunk)] for column in table.columns]
    except InputError:
        raise
    except (OSError, ValueError, pa.ArrowException) as error:  # ValueError: damaged text that is not UTF-8
        raise InputError(f"{path}: cannot be read ({str(error).splitlines()[0]}); create the file again") from None
    for place, annotation in enumerate(kind.__annotations__.values()):
        if annotation == tuple[str, ...]:
            columns[place] = list(map(tuple, columns[place]))
    return [kind(*row) for row in zip(*columns, strict=True)]


def _require_plausible(path: Path, size: int, content: int, rows: int = 0) -> None:
    """Raises an error for a small file that stands for very many bytes or rows."""
    if content > max(MAX_BYTES, MAX_BYTES_PER_BYTE * size) or rows > max(MAX_ROWS, MAX_ROWS_PER_BYTE * size):
        raise InputError(
            f"{path}: {size:,} bytes stand for {content:,} bytes and {rows:,} rows, too many to be true; "
            "create the file again"
        )


def _text_bytes(array: Any) -> int:
    """Returns the bytes of all texts of an array, each as often as it occurs."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_list(array.type):
        return _text_bytes(array.flatten())
    if not pa.types.is_dictionary(array.type):
        return 0
    return pc.sum(pc.binary_length(array.dictionary).take(array.indices)).as_py() or 0


def _values(array: Any) -> list[Any]:
    """Returns an array as a list, in which equal texts are one object."""
    import pyarrow as pa

    if pa.types.is_dictionary(array.type):
        texts = array.dictionary.to_pylist()
        return [None if at is None else texts[at] for at in array.indices.to_pylist()]
    if pa.types.is_list(array.type) and pa.types.is_dictionary(array.type.value_type):
        values, lengths = iter(_values(array.flatten())), array.value_lengths().to_pylist()
        return [None if length is None else list(islice(values, length)) for length in lengths]
    return list(array.to_pylist())
