"""What terminals show: progress bars, and texts that cannot control them."""

import os
import sys
import unicodedata
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")
_DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}  # embeddings, overrides and isolates


def is_interactive() -> bool:
    """Returns whether standard error is a terminal and the process does not run in CI."""
    return sys.stderr.isatty() and not os.environ.get("CI")


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterable[T]:
    """Yields ``items`` and shows a progress bar if the terminal is interactive."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(items, description, total=total, console=console, disable=not is_interactive(), transient=True)


def printable(text: str) -> str:
    """Returns the text with "�" instead of what controls a terminal or the direction of text; keeps \\n and \\t."""
    text = text.replace("\r\n", "\n")
    return "".join("�" if _controls(one) and one not in "\n\t" else one for one in text)


def _controls(letter: str) -> bool:
    is_separator = unicodedata.category(letter) in ("Cc", "Zl", "Zp")
    return is_separator or unicodedata.bidirectional(letter) in _DIRECTIONS
