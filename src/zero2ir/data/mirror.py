"""Copies a mirror of source files to the ir_datasets home: ``python -m zero2ir.data.mirror <folder>``."""

import argparse
import filecmp
import os
import shutil
from pathlib import Path

from zero2ir.errors import InputError
from zero2ir.io.files import files_below, finished_file


def copy_mirror(mirror: Path) -> None:
    """Copies missing and changed files to the ir_datasets home (IR_DATASETS_HOME or ~/.ir_datasets).

    Args:
        mirror: a folder with the home's layout and only source files, e.g. ``beir/scifact/source.zip``.

    Raises:
        InputError: ``mirror`` is not a folder or contains no file.
    """
    sources = files_below(mirror)
    if not sources:
        reason = "the folder is empty" if mirror.is_dir() else "folder not found"
        raise InputError(f"{mirror}: {reason}; set MIRROR=<folder with a mirror of the source files>")
    home = Path(os.environ.get("IR_DATASETS_HOME", Path.home() / ".ir_datasets"))
    for source in sources:
        name = source.relative_to(mirror)
        target = home / name
        if target.is_file() and filecmp.cmp(source, target, shallow=False):
            print(f"{name}: up to date")
            continue
        with source.open("rb") as reader, finished_file(target, "wb") as writer:
            shutil.copyfileobj(reader, writer)
        print(f"{name}: copied, {source.stat().st_size:,} bytes")


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
