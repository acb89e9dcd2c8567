"""How long somebody who waits for an answer gives a language model, and how much nonsense he takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Limits(NamedTuple):
    """What holds while people wait.

    Attributes:
        seconds: after which a request is given up; it is sent once.
        max_unusable_share: the share of unusable answers above which all of them count as an error.
    """

    seconds: float
    max_unusable_share: float


_LIMITS: ContextVar[Limits | None] = ContextVar("limits", default=None)


@contextmanager
def lm_limits(limits: Limits) -> Iterator[None]:
    """Limits every question to a language model in the block, and in threads with its context."""
    token = _LIMITS.set(limits)
    try:
        yield
    finally:
        _LIMITS.reset(token)


def current_limits() -> Limits | None:
    """Those of the block that this is called in; None where nobody waits."""
    return _LIMITS.get()
