"""Stores synthetic queries: a Parquet file with prompts, counts and cost beside it."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from zero2ir.errors import InputError
from zero2ir.io import paths
from zero2ir.io.files import write_json
from zero2ir.io.parquet import read_records, write_records
from zero2ir.io.settings import read_state
from zero2ir.synthetic.records import SyntheticQuery
from zero2ir.synthetic.settings import SyntheticSettings


class _Provenance(BaseModel):
    """What is read of ``provenance.json``; no settings if no queries were written."""

    settings: SyntheticSettings | None = None


def write_synthetic(
    rows: Sequence[SyntheticQuery], provenance: Mapping[str, Any], cost: Mapping[str, Any], folder: Path
) -> None:
    """Writes ``queries.parquet``, ``provenance.json`` (settings, prompts, counts), ``cost.json`` (time, LM usage)."""
    write_records(rows, SyntheticQuery, folder / "queries.parquet")
    write_json(folder / "provenance.json", provenance)
    write_json(folder / paths.COST_FILE, cost)


def read_synthetic(folder: Path) -> list[SyntheticQuery]:
    """Reads all synthetic queries, including rejected ones.

    Raises:
        InputError: there are none.
    """
    path = folder / "queries.parquet"
    if not path.is_file():
        raise InputError(f"{path}: missing; run the stage pretrain-synthetic first")
    rows = read_records(path, SyntheticQuery)
    return [row._replace(log_likelihood=_one_nan(row.log_likelihood), grade=_one_nan(row.grade)) for row in rows]


def read_settings(folder: Path) -> SyntheticSettings:
    """Reads the settings that the synthetic queries in a folder were written with.

    Raises:
        InputError: there are no synthetic queries, or the file is damaged.
    """
    provenance = read_state(folder / "provenance.json", _Provenance)
    if provenance.settings is None:
        raise InputError(
            f"{folder}: contains no synthetic queries, but this strategy needs them; "
            "add it to strategies in params.yaml, and run the stage pretrain-synthetic again"
        )
    return provenance.settings


def _one_nan(value: float) -> float:
    """Replaces any NaN by ``math.nan``, so that equal rows compare as equal in Python."""
    return math.nan if math.isnan(value) else value
