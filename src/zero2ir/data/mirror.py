"""Copies a mirror of source files to the ir_datasets home: ``python -m zero2ir.data.mirror <folder>``."""

import argparse
import os
import shutil
from pathlib import Path

from zero2ir.errors import InputError
from zero2ir.io.files import files_below, finished_file, sha256


def copy_mirror(mirror: Path) -> None:
    """Copies missing and changed files to the ir_datasets home (IR_DATASETS_HOME or ~/.ir_datasets).

    Args:
        mirror: a folder with the home's layout and only source files, e.g. ``beir/scifact/source.zip``.

    Raises:
        InputError: ``mirror`` is not a folder or contains no file.
    """
    if not mirror.is_dir():
        raise InputError(f"{mirror}: folder not found; set MIRROR=<folder with a mirror of the source files>")
    sources = files_below(mirror)
    if not sources:
        raise InputError(f"{mirror}: the folder is empty; set MIRROR=<folder with a mirror of the source files>")
    home = Path(os.environ.get("IR_DATASETS_HOME", Path.home() / ".ir_datasets"))
    for source in sources:
        name = source.relative_to(mirror)
        if _same(source, home / name):
            print(f"{name}: up to date")
            continue
        with source.open("rb") as reader, finished_file(home / name, "wb") as writer:
            shutil.copyfileobj(reader, writer)
        print(f"{name}: copied, {source.stat().st_size:,} bytes")


def _same(source: Path, target: Path) -> bool:
    if not target.is_file() or source.stat().st_size != target.stat().st_size:
        return False
    return sha256(source) == sha256(target)


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description="Copy a mirror of source files to the ir_datasets home.")
    parser.add_argument("folder", type=Path, help="folder with the mirror")
    try:
        copy_mirror(parser.parse_args().folder)
    except InputError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
