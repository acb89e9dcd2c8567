"""Shows progress bars in interactive terminals."""

import os
import sys
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def is_interactive() -> bool:
    """Returns whether standard error is a terminal and the process does not run in CI."""
    return sys.stderr.isatty() and not os.environ.get("CI")


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterable[T]:
    """Yields ``items`` and shows a progress bar if the terminal is interactive."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(items, description, total=total, console=console, disable=not is_interactive(), transient=True)
