"""Stores records (named tuples) as Parquet, one column per field; the same records give the same bytes."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from zero2ir.errors import InputError
from zero2ir.io.files import finished_file

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
    """Reads the file that ``write_records`` wrote.

    Raises:
        InputError: the file is missing or damaged, or its columns are not those of ``kind``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:  # ``read_table`` would import pandas
            table = file.read()
        columns = [column.to_pylist() for column in table.columns]
    except (OSError, ValueError, pa.ArrowException) as error:  # ValueError: damaged text that is not UTF-8
        raise InputError(f"{path}: cannot be read ({str(error).splitlines()[0]}); create the file again") from None
    expected = list(kind.__annotations__)
    if table.column_names != expected:
        raise InputError(
            f"{path}: the columns are {', '.join(table.column_names)} instead of {', '.join(expected)}; "
            "create the file again"
        )
    for place, annotation in enumerate(kind.__annotations__.values()):
        if annotation == tuple[str, ...]:
            columns[place] = list(map(tuple, columns[place]))
    return [kind(*row) for row in zip(*columns, strict=True)]
