"""Progress bars for people; silence for machines."""

import os
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterable[T]:
    """Yields ``items`` under a progress bar; draws nothing in CI or where standard error is no terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    quiet = bool(os.environ.get("CI")) or not console.is_terminal
    return track(items, description, total=total, console=console, disable=quiet, transient=True)
