"""Copies a mirror of source files to where ir_datasets looks: ``python -m zero2ir.data.mirror <folder>``."""

import argparse
import os
import shutil
from pathlib import Path

from zero2ir.errors import InputError
from zero2ir.io.files import files_below, finished_file, sha256


def copy_mirror(mirror: Path) -> None:
    """Copies what is missing or differs below the ir_datasets home (IR_DATASETS_HOME or ~/.ir_datasets).

    Args:
        mirror: a folder laid out like the home, with the source files only, e.g. ``beir/scifact/source.zip``.

    Raises:
        InputError: ``mirror`` is no folder, or has no file.
    """
    if not mirror.is_dir():
        raise InputError(f"{mirror}: no such folder; set MIRROR=<folder with a mirror of the source files>")
    sources = files_below(mirror)
    if not sources:
        raise InputError(f"{mirror}: no files in it; set MIRROR=<folder with a mirror of the source files>")
    home = Path(os.environ.get("IR_DATASETS_HOME", Path.home() / ".ir_datasets"))
    for source in sources:
        name = source.relative_to(mirror)
        if _same(source, home / name):
            print(f"{name}: already there")
            continue
        with source.open("rb") as reader, finished_file(home / name, "wb") as writer:
            shutil.copyfileobj(reader, writer)
        print(f"{name}: copied, {source.stat().st_size:,} bytes")


def _same(source: Path, target: Path) -> bool:
    if not target.is_file() or source.stat().st_size != target.stat().st_size:
        return False
    return sha256(source) == sha256(target)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Copy a mirror of source files to the ir_datasets home.")
    parser.add_argument("folder", type=Path, help="the mirror")
    try:
        copy_mirror(parser.parse_args().folder)
    except InputError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
