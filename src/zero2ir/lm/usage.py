"""Counts the requests, tokens, time and cost of a language model."""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Usage:
    """Usage counters of one language model; thread-safe.

    Attributes:
        calls: number of requests answered by the model.
        cached: number of requests answered from the cache; they do not count below.
        prompt_tokens: number of tokens read, including those served by the server's prompt cache.
        completion_tokens: number of tokens written.
        seconds: time spent in requests, summed over threads.
        cost: US dollars; None if the price of any call is unknown.
        failures: number of inputs without a usable answer.
        retries: number of second requests after an answer that could not be parsed.
        repaired: number of corrected answers, e.g. an ordering that lacked an item.
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
    _inputs: int = field(default=0, init=False, repr=False, compare=False)
    _reasons: Counter[str] = field(default_factory=Counter, init=False, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def add_call(self, prompt_tokens: int, completion_tokens: int, cost: float | None) -> None:
        """Counts one request answered by the model."""
        with self._lock:
            self.calls += 1
            self.prompt_tokens += prompt_tokens
            self.completion_tokens += completion_tokens
            self.cost = None if self.cost is None or cost is None else self.cost + cost

    def add(self, **amounts: float) -> None:
        """Adds to the counters of these names."""
        with self._lock:
            for name, amount in amounts.items():
                setattr(self, name, getattr(self, name) + amount)

    def add_inputs(self, number: int, reasons: Sequence[str]) -> None:
        """Counts inputs, with a reason for each one without a usable answer."""
        with self._lock:
            self._inputs += number
            self._reasons.update(reasons)

    def unusable(self) -> tuple[int, int, str]:
        """Returns the number of inputs without a usable answer, the number of all, and the most frequent reason."""
        with self._lock:
            return self._reasons.total(), self._inputs, max(self._reasons, key=self._reasons.__getitem__, default="")

    def as_dict(self) -> dict[str, Any]:
        """Returns the counters as plain values, for JSON and MLflow."""
        with self._lock:
            return {name: getattr(self, name) for name in self.__dataclass_fields__ if not name.startswith("_")}
