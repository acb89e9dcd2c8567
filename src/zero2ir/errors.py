"""The exceptions that people are meant to read, and how they are shown."""

import os
import sys
from collections.abc import Callable
from typing import Any

TRACEBACK_VARIABLE = "ZERO2IR_TRACEBACK"


class InputError(ValueError):
    """Bad input: one line that says what is wrong, where (file, line or key) and what to do."""


class StorageError(InputError):
    """A file of one's own that cannot be used just now: no space, no right, or somebody else has it."""


def one_line_errors(run: Callable[[], Any]) -> None:
    """Calls ``run``; what it raises ends the process with one line, or with its traceback where that is asked for."""
    try:
        run()
    except KeyboardInterrupt:
        print("interrupted; nothing half-written was left behind", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        known = isinstance(error, InputError) or type(error).__module__.startswith(("hydra", "omegaconf"))
        hint = "" if known else f" ({type(error).__name__}; {TRACEBACK_VARIABLE}=1 shows where)"
        print(f"error: {one_line(error)}{hint}", file=sys.stderr)
        sys.exit(1)


def one_line(error: BaseException) -> str:
    """An error's message in one line; its type where it has none."""
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(line for line in lines if line and not line.startswith("full_key")) or type(error).__name__
