"""Texts that several threads want encoded, encoded at once."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Lock, RLock
from typing import Generic, TypeVar

TURNS = RLock()  # a tokenizer serves one thread at a time, and a network takes all cores anyway
Rows = TypeVar("Rows")


class Together(Generic[Rows]):
    """Encodes one thread at a time; who has its turn encodes what all who wait have asked for, in one batch.

    A text alone hardly fills a network, so that a searcher under load answers more requests a second; nobody waits for
    others to come. Where a batch fails, everybody's texts are encoded alone, and fail alone.

    Args:
        encode: texts; a row a text.
        take: some rows, by their numbers.
    """

    def __init__(self, encode: Callable[[Sequence[str]], Rows], take: Callable[[Rows, Sequence[int]], Rows]) -> None:
        self._encode = encode
        self._take = take
        self._waiting: dict[Future[Rows], Sequence[str]] = {}
        self._changing = Lock()

    def __call__(self, texts: Sequence[str]) -> Rows:
        """The rows of these texts."""
        own: Future[Rows] = Future()
        with self._changing:
            self._waiting[own] = texts
        with TURNS:
            if not own.done():
                with self._changing:
                    asked = {own: texts} | self._waiting
                    self._waiting.clear()
                self._answer(asked)
        return own.result()

    def _answer(self, asked: dict["Future[Rows]", Sequence[str]]) -> None:
        if len(asked) > 1:
            try:
                rows = self._encode([text for texts in asked.values() for text in texts])
            except Exception:  # one of them spoils it for all
                rows = None
            if rows is not None:
                start = 0
                for outcome, texts in asked.items():
                    outcome.set_result(self._take(rows, range(start, start + len(texts))))
                    start += len(texts)
                return
        for outcome, texts in asked.items():
            try:
                outcome.set_result(self._encode(texts))
            except Exception as error:
                outcome.set_exception(error)
