"""Threads that run beside a block."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread


@contextmanager
def repeated(run: Callable[[], None], seconds: float) -> Iterator[None]:
    """Calls ``run`` in a thread again and again, after a pause each time, until the block ends."""
    ended = Event()

    def repeat() -> None:
        while not ended.wait(seconds):
            run()

    thread = Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
