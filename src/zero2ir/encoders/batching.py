"""What several threads want done with a network or a matrix, done at once."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from threading import Event, Lock, RLock
from typing import Generic, TypeVar

BATCH_LOCK = RLock()  # a tokenizer serves one thread at a time, and a network takes all cores anyway
RequestT = TypeVar("RequestT")
ResultT = TypeVar("ResultT")


class MicroBatcher(Generic[RequestT, ResultT]):
    """Works for one thread at a time; whose turn it is does what all who wait have asked for, in one batch.

    A query alone hardly fills a network, so that a searcher under load answers more requests a second; nobody waits for
    others to come. Where a batch fails, everybody's items are done alone, and fail alone.

    Args:
        work: on items, such as texts to encode; a row an item.
        take: some rows, by their numbers.
        turns: held while it works.
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
        self._taken = False  # whether it is somebody's turn
        self._changing = Lock()

    def __call__(self, items: Sequence[RequestT]) -> ResultT:
        """The rows of these items."""
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
        """Answers all who wait, and calls the first of those who came meanwhile."""
        with self._turns:
            with self._changing:
                asked, self._waiting = self._waiting, []
            try:
                self._answer(asked)
            finally:
                for one in asked:
                    one.rows.cancel()  # of those that an interrupt left without an answer
                    one.called.set()
                with self._changing:
                    self._taken = bool(self._waiting)
                    if self._waiting:
                        self._waiting[0].called.set()

    def _answer(self, asked: Sequence["_PendingRequest[RequestT, ResultT]"]) -> None:
        if len(asked) > 1:
            try:
                rows = self._work([item for one in asked for item in one.items])
            except Exception:  # one of them spoils it for all
                rows = None
            if rows is not None:
                start = 0
                for one in asked:
                    one.rows.set_result(self._take(rows, range(start, start + len(one.items))))
                    start += len(one.items)
                return
        for one in asked:
            try:
                one.rows.set_result(self._work(one.items))
            except Exception as error:
                one.rows.set_exception(error)


class _PendingRequest(Generic[RequestT, ResultT]):
    """What a thread asked for; it is called when it is answered, or when it is its turn."""

    def __init__(self, items: Sequence[RequestT]) -> None:
        self.items = items
        self.rows: Future[ResultT] = Future()
        self.called = Event()
