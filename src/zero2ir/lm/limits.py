"""Limits on language model requests while a user waits for the answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Limits(NamedTuple):
    """Limits on the requests of one interactive call."""

    seconds: float  # timeout of a request; requests are not repeated
    max_unusable_share: float  # a higher share of unusable answers is an error


_LIMITS: ContextVar[Limits | None] = ContextVar("limits", default=None)


@contextmanager
def lm_limits(limits: Limits) -> Iterator[None]:
    """Applies the limits to all requests in the block and in threads with its context."""
    token = _LIMITS.set(limits)
    try:
        yield
    finally:
        _LIMITS.reset(token)


def current_limits() -> Limits | None:
    """Returns the limits of the enclosing ``lm_limits`` block; None outside of one."""
    return _LIMITS.get()
