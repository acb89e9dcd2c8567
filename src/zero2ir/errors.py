"""Exceptions whose messages are written for users, and how they are shown."""

import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

TRACEBACK_VARIABLE = "ZERO2IR_TRACEBACK"


LONGEST_MESSAGE = 1500  # characters; a longer message, e.g. one that quotes a huge field, is cut in the middle


class InputError(ValueError):
    """Raised for invalid input; the message is one line: what is wrong, where (file, line or key), what to do."""

    def __init__(self, message: str = "") -> None:
        super().__init__(as_line(message))


class DataWarning(UserWarning):
    """Warns of data that were given and are not used, or not as they stand; the message is one line."""

    def __init__(self, message: str = "") -> None:
        super().__init__(as_line(message))


class StorageError(InputError):
    """Raised when a file or database cannot be used: no permission, not reachable, or locked by another process."""


class StorageFullError(StorageError):
    """Raised when a file or database has reached its maximum size, or the disk is full."""


def one_line_errors(run: Callable[[], Any]) -> None:
    """Calls ``run``; an exception ends the process with one line, or with its traceback if ZERO2IR_TRACEBACK is set.

    A ``DataWarning`` is one line on stderr, too. Standard output shows "?" for characters that it cannot encode. If its
    reader closes it, as ``head`` does, the process ends silently with status 1.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        with _one_line_warnings():
            run()
        _flush_output()
    except KeyboardInterrupt:
        print("interrupted; no incomplete files were left", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if isinstance(error, BrokenPipeError):
            _flush_output()
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        known = isinstance(error, InputError) or type(error).__module__.startswith(("hydra", "omegaconf"))
        hint = "" if known else f" ({type(error).__name__}; {TRACEBACK_VARIABLE}=1 shows where)"
        print(f"error: {one_line(error)}{hint}", file=sys.stderr)
        sys.exit(1)


@contextmanager
def _one_line_warnings() -> Iterator[None]:
    """Prints each ``DataWarning`` as one line; other warnings stay as they are."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **options: Any) -> None:
            if issubclass(category, DataWarning):
                print(f"warning: {message}", file=sys.stderr)
            else:
                usual(message, category, *place, **options)

        warnings.showwarning = show  # type: ignore[assignment]  # its places are passed on
        warnings.simplefilter("always", DataWarning)
        yield


def _flush_output() -> None:
    """Flushes standard output, because Python would print errors at its exit; ends the process if nobody reads it."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            sys.exit(1)
        raise InputError(f"standard output: cannot be written ({error.strerror})") from None


def one_line(error: BaseException) -> str:
    """Returns an error's message as ``as_line`` does, or its type if it has no message."""
    return as_line(str(error)) or type(error).__name__


def as_line(message: str) -> str:
    """Returns a message in one line of printable characters and of limited length."""
    lines = [line.strip() for line in message.splitlines()]
    line = escaped(" ".join(one for one in lines if one and not one.startswith("full_key")))
    half = LONGEST_MESSAGE // 2
    return line if len(line) <= LONGEST_MESSAGE else f"{line[:half]} … {line[-half:]}"


def escaped(text: str) -> str:
    """Returns the text with escapes instead of characters that cannot be printed, such as line ends."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
