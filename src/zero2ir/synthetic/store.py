"""Synthetic queries on disk: a Parquet file, and beside it the prompt and the counts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zero2ir.errors import InputError
from zero2ir.files import finished_file, write_json
from zero2ir.synthetic.queries import SyntheticQuery


def write_synthetic(rows: Sequence[SyntheticQuery], provenance: Mapping[str, Any], folder: Path) -> None:
    """Writes ``queries.parquet`` and ``provenance.json``; the same rows give the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {str: pa.string(), int: pa.int64(), list[str]: pa.list_(pa.string())}
    schema = pa.schema([(name, kinds[kind]) for name, kind in SyntheticQuery.__annotations__.items()])
    table = pa.Table.from_pylist([row._asdict() for row in rows], schema=schema)
    with finished_file(folder / "queries.parquet", "wb") as file:
        pq.write_table(table, file, compression="zstd")
    write_json(folder / "provenance.json", provenance)


def read_synthetic(folder: Path) -> list[SyntheticQuery]:
    """Reads every synthetic query, the rejected ones, too.

    Raises:
        InputError: there are none.
    """
    import pyarrow.parquet as pq

    path = folder / "queries.parquet"
    if not path.is_file():
        raise InputError(f"{path}: not there; run the stage pretrain-synthetic first")
    return [SyntheticQuery(**row) for row in pq.read_table(path).to_pylist()]
