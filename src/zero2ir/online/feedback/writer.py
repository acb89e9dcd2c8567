"""Writes feedback events in a thread of its own, so that no search waits for the disk or for another process's lock."""

import logging
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from threading import Condition, Thread
from typing import NamedTuple

from zero2ir.errors import InputError, StorageError
from zero2ir.online.feedback.store import FeedbackEvent, FeedbackStore

LOG = logging.getLogger("zero2ir.online.serving")

RETRY_SECONDS = 0.2  # pause after a failed attempt
CLOSING_ATTEMPTS = 5


class _Entry(NamedTuple):
    """Events that are written together, and who waits for it; nobody waits for impressions."""

    events: Sequence[FeedbackEvent]
    waiter: "Future[bool] | None" = None


class FeedbackWriter:
    """A queue of events in front of a store; one transaction writes all that wait.

    If the store cannot be written, whoever waits gets the error at once, and impressions stay in the queue until it can
    be written again. Impressions that do not fit into the queue are lost; they are counted and logged.

    Args:
        store: the store.
        max_waiting: maximum number of events in the queue.

    Attributes:
        waiting: number of events in the queue.
        lost: number of impressions lost so far.
    """

    def __init__(self, store: FeedbackStore, max_waiting: int) -> None:
        self.store = store
        self.max_waiting = max_waiting
        self.waiting = self.lost = 0
        self._entries: deque[_Entry] = deque()
        self._closing = False
        self._changed = Condition()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def write(self, event: FeedbackEvent) -> "Future[bool]":
        """Queues an event; the result is whether it is new, or a StorageError.

        Raises:
            InputError: the event is invalid.
            StorageError: the queue is full.
        """
        self.store.check([event])
        waiter: Future[bool] = Future()
        if not self._queued(_Entry([event], waiter)):
            raise StorageError(f"{self.store.shown}: {self.waiting} events wait to be written")
        return waiter

    def write_impressions(self, events: Sequence[FeedbackEvent]) -> None:
        """Queues impressions and returns at once; those that can never be stored are lost."""
        try:
            self.store.check(events)
        except InputError as error:
            self._lose(len(events), str(error))
            return
        if not self._queued(_Entry(events)):
            self._lose(len(events), f"{self.waiting} events wait to be written")

    def flush(self, seconds: float) -> bool:
        """Waits until the queue is empty; returns False if that takes longer than ``seconds``."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._entries, seconds)

    def close(self) -> None:
        """Writes what waits, with a few attempts, and ends the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def _queued(self, entry: _Entry) -> bool:
        with self._changed:
            fits = not self._closing and self.waiting + len(entry.events) <= self.max_waiting
            if fits:
                self._entries.append(entry)
                self.waiting += len(entry.events)
                self._changed.notify_all()
            return fits

    def _run(self) -> None:
        failures = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._entries or self._closing)
                taken, closing = list(self._entries), self._closing
            if not taken:
                return
            error = self._error(
                [one for one in taken if one.waiter is None or one.waiter.set_running_or_notify_cancel()]
            )
            kept = [one for one in taken if one.waiter is None] if error else []
            number = sum(len(one.events) for one in kept)
            if kept and not failures:
                LOG.error("%d impressions are not recorded yet: %s", number, error)
            failures = failures + 1 if kept else 0
            if failures >= CLOSING_ATTEMPTS and closing:
                self._lose(number, "the server stops")
                kept = []
            with self._changed:
                self._entries = deque([*kept, *list(self._entries)[len(taken) :]])
                self.waiting = sum(len(one.events) for one in self._entries)
                self._changed.notify_all()
                if kept:
                    self._changed.wait_for(lambda: self._closing, RETRY_SECONDS)

    def _error(self, entries: Sequence[_Entry]) -> StorageError | None:
        """Writes the entries and tells who waits for them; returns the error if the store cannot be written."""
        try:
            numbers = self.store.record_groups([entry.events for entry in entries])
        except Exception as error:
            for entry in entries:
                if entry.waiter is not None:
                    entry.waiter.set_exception(error)
            if isinstance(error, StorageError):
                return error
            self._lose(sum(len(entry.events) for entry in entries if entry.waiter is None), type(error).__name__)
            return None
        for entry, number in zip(entries, numbers, strict=True):
            if entry.waiter is not None:
                entry.waiter.set_result(bool(number))
        return None

    def _lose(self, number: int, reason: str) -> None:
        self.lost += number
        LOG.error("%d impressions are lost (%d so far): %s", number, self.lost, reason)
