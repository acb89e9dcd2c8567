"""Progress bars for people; silence for machines."""

import os
import sys
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def is_interactive() -> bool:
    """Whether a person looks on: not in CI, and not where standard error is no terminal."""
    return sys.stderr.isatty() and not os.environ.get("CI")


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterable[T]:
    """Yields ``items`` under a progress bar; draws nothing where nobody looks on."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(items, description, total=total, console=console, disable=not is_interactive(), transient=True)
