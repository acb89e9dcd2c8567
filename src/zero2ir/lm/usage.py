"""What the language model cost."""

import threading
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Usage:
    """Counts over the life of one language model; safe to fill from many threads.

    Attributes:
        calls: requests that a model answered.
        cached: requests that the disk or memory cache answered; they add nothing to the figures below.
        prompt_tokens: tokens read, those that the server's prompt cache spared included.
        completion_tokens: tokens written.
        seconds: time inside requests, summed over threads.
        cost: US dollars; None as soon as one call has no known price.
        failures: inputs without a usable answer.
        retries: second requests after an answer that could not be parsed.
        repaired: answers that were put right, e.g. an order that left something out.
    """

    calls: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    cost: float | None = 0.0
    failures: int = 0
    retries: int = 0
    repaired: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def add_call(self, prompt_tokens: int, completion_tokens: int, cost: float | None) -> None:
        """Counts one request that a model answered."""
        with self._lock:
            self.calls += 1
            self.prompt_tokens += prompt_tokens
            self.completion_tokens += completion_tokens
            self.cost = None if self.cost is None or cost is None else self.cost + cost

    def add(
        self, *, cached: int = 0, failures: int = 0, retries: int = 0, repaired: int = 0, seconds: float = 0.0
    ) -> None:
        """Adds to the counters named."""
        with self._lock:
            self.cached += cached
            self.failures += failures
            self.retries += retries
            self.repaired += repaired
            self.seconds += seconds

    def as_dict(self) -> dict[str, Any]:
        """The figures as plain values, for JSON and MLflow."""
        with self._lock:
            return {name: getattr(self, name) for name in self.__dataclass_fields__ if not name.startswith("_")}
