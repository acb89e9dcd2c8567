"""Dynamic batching of concurrent requests."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from threading import Event, Lock, RLock
from typing import Generic, TypeVar

BATCH_LOCK = RLock()  # tokenizers serve one thread at a time, and networks use all cores
RequestT = TypeVar("RequestT")
ResultT = TypeVar("ResultT")


class MicroBatcher(Generic[RequestT, ResultT]):
    """Processes the waiting requests of all threads in one batch, which raises the throughput under load.

    Requests do not wait for others to arrive. If a batch fails, its requests are processed one by one.

    Args:
        work: processes items, e.g. encodes texts; returns one row per item.
        take: selects rows by number.
        turns: lock to hold while working.
    """

    def __init__(
        self,
        work: Callable[[Sequence[RequestT]], ResultT],
        take: Callable[[ResultT, Sequence[int]], ResultT],
        turns: AbstractContextManager[object] = BATCH_LOCK,
    ) -> None:
        self._work = work
        self._take = take
        self._turns = turns
        self._waiting: list[_PendingRequest[RequestT, ResultT]] = []
        self._taken = False  # whether a thread is working
        self._changing = Lock()

    def __call__(self, items: Sequence[RequestT]) -> ResultT:
        """Returns the rows of these items."""
        own = _PendingRequest[RequestT, ResultT](items)
        with self._changing:
            self._waiting.append(own)
            waits, self._taken = self._taken, True
        if waits:
            own.called.wait()
        if not own.rows.done():
            self._take_turn()
        return own.rows.result()

    def _take_turn(self) -> None:
        """Processes all waiting requests, and wakes the first of those that arrived meanwhile."""
        with self._turns:
            with self._changing:
                batch, self._waiting = self._waiting, []
            try:
                self._answer(batch)
            finally:
                for one in batch:
                    one.rows.cancel()  # no result after an interrupt
                    one.called.set()
                with self._changing:
                    self._taken = bool(self._waiting)
                    if self._waiting:
                        self._waiting[0].called.set()

    def _answer(self, batch: Sequence["_PendingRequest[RequestT, ResultT]"]) -> None:
        if len(batch) > 1:
            try:
                rows = self._work([item for one in batch for item in one.items])
            except Exception:  # one request fails the batch
                rows = None
            if rows is not None:
                start = 0
                for one in batch:
                    one.rows.set_result(self._take(rows, range(start, start + len(one.items))))
                    start += len(one.items)
                return
        for one in batch:
            try:
                one.rows.set_result(self._work(one.items))
            except Exception as error:
                one.rows.set_exception(error)


class _PendingRequest(Generic[RequestT, ResultT]):
    """A thread's request; ``called`` is set when the result is ready, or when the thread shall work."""

    def __init__(self, items: Sequence[RequestT]) -> None:
        self.items = items
        self.rows: Future[ResultT] = Future()
        self.called = Event()
