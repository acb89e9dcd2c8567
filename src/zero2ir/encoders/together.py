"""Texts that several threads want encoded, encoded at once."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Event, Lock, RLock
from typing import Generic, TypeVar

TURNS = RLock()  # a tokenizer serves one thread at a time, and a network takes all cores anyway
Rows = TypeVar("Rows")


class Together(Generic[Rows]):
    """Encodes for one thread at a time; whose turn it is encodes what all who wait have asked for, in one batch.

    A text alone hardly fills a network, so that a searcher under load answers more requests a second; nobody waits for
    others to come. Where a batch fails, everybody's texts are encoded alone, and fail alone.

    Args:
        encode: texts; a row a text.
        take: some rows, by their numbers.
    """

    def __init__(self, encode: Callable[[Sequence[str]], Rows], take: Callable[[Rows, Sequence[int]], Rows]) -> None:
        self._encode = encode
        self._take = take
        self._waiting: list[_Asked[Rows]] = []
        self._taken = False  # whether it is somebody's turn
        self._changing = Lock()

    def __call__(self, texts: Sequence[str]) -> Rows:
        """The rows of these texts."""
        own = _Asked[Rows](texts)
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
        with TURNS:
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

    def _answer(self, asked: Sequence["_Asked[Rows]"]) -> None:
        if len(asked) > 1:
            try:
                rows = self._encode([text for one in asked for text in one.texts])
            except Exception:  # one of them spoils it for all
                rows = None
            if rows is not None:
                start = 0
                for one in asked:
                    one.rows.set_result(self._take(rows, range(start, start + len(one.texts))))
                    start += len(one.texts)
                return
        for one in asked:
            try:
                one.rows.set_result(self._encode(one.texts))
            except Exception as error:
                one.rows.set_exception(error)


class _Asked(Generic[Rows]):
    """What a thread asked for; it is called when it is answered, or when it is its turn."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self.rows: Future[Rows] = Future()
        self.called = Event()
