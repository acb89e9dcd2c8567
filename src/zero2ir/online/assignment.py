"""Who sees what: by a hash of the user and a salt, so that nothing is stored and the same user sees the same."""

import hashlib
from collections.abc import Sequence

import numpy as np

from zero2ir.errors import InputError


def assign_arm(user: str, salt: str, shares: Sequence[float] = (0.5, 0.5)) -> int:
    """The number of the arm that a user is in; the same user and salt, the same arm, in any process.

    Args:
        user: who asks, not empty.
        salt: of the experiment, so that experiments are independent of each other.
        shares: of the arms, above 0; they are divided by their sum.

    Raises:
        InputError: the user is empty, or a share is not above 0.
    """
    if not user:
        raise InputError("user: empty; an experiment needs to know who asks, so that everybody keeps their arm")
    if not len(shares) or min(shares) <= 0:
        raise InputError(f"shares={list(shares)}: give one above 0 for each arm")
    borders = np.cumsum(shares) / np.sum(shares)
    return min(int(np.searchsorted(borders, uniform(salt, user), side="right")), len(shares) - 1)


def uniform(*words: str) -> float:
    """A number in [0, 1) that follows from the words alone, uniform over words."""
    return int.from_bytes(_digest(words)[:8], "big") / 2**64


def random_generator(*words: str) -> np.random.Generator:
    """A source of chance that follows from the words alone."""
    return np.random.default_rng(int.from_bytes(_digest(words)[:8], "big"))


def _digest(words: Sequence[str]) -> bytes:
    """Of the words with their lengths, so that ("a", "bc") is not ("ab", "c")."""
    return hashlib.sha256("".join(f"{len(word)}:{word}" for word in words).encode("utf-8", "surrogatepass")).digest()
