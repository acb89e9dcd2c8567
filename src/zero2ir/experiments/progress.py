"""Shows how far all conditions of an experiment are: a table in a terminal, and a line for each task that ended."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

from zero2ir.io.terminal import is_interactive

if TYPE_CHECKING:
    from rich.table import Table

WAITING, SUBMITTED, FINISHED, FAILED = STATES = ("waiting", "submitted", "finished", "failed")


class Progress:
    """The states of all tasks by condition; thread-safe.

    Args:
        conditions: names of the conditions.
    """

    def __init__(self, conditions: Sequence[str]) -> None:
        self._start = time.perf_counter()
        self._lock = Lock()
        self._tasks: dict[str, dict[str, str]] = {name: {} for name in conditions}

    def move(self, condition: str, task: str, state: str) -> None:
        """Notes the new state of a task."""
        with self._lock:
            self._tasks[condition][task] = state

    def say(self, name: str, what: str) -> None:
        """Prints a line with the seconds since the start."""
        print(f"{time.perf_counter() - self._start:7.0f} s  {name}: {what}", flush=True)

    def table(self) -> "Table":
        """Returns the number of tasks of each condition in each state."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table("condition", *STATES, box=box.SIMPLE_HEAD)
        with self._lock:
            for name, tasks in self._tasks.items():
                numbers = Counter(tasks.values())
                table.add_row(Text(name), *(str(numbers[state]) for state in STATES))
        return table

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Keeps the table below the printed lines while the block runs, if the terminal is interactive."""
        if not is_interactive():
            yield
            return
        from rich.console import Console
        from rich.live import Live

        with Live(console=Console(stderr=True), get_renderable=self.table, refresh_per_second=1):
            yield
