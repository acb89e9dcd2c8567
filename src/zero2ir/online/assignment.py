"""Deterministic assignment by a hash of user and salt: nothing is stored, and a user always gets the same arm."""

import hashlib
from collections.abc import Sequence

import numpy as np

from zero2ir.errors import InputError


def assign_arm(user: str, salt: str, shares: Sequence[float] = (0.5, 0.5)) -> int:
    """Returns the number of a user's arm; the same user and salt give the same arm in any process.

    Args:
        user: id of the user, not empty.
        salt: salt of the experiment; different salts make experiments independent.
        shares: relative sizes of the arms, above 0; they need not sum to 1.

    Raises:
        InputError: the user is empty, or a share is not above 0.
    """
    if not user:
        raise InputError("user: empty; an experiment needs a user id, so that every user keeps the same arm")
    if not len(shares) or min(shares) <= 0:
        raise InputError(f"shares={list(shares)}: give a number above 0 for each arm")
    borders = np.cumsum(shares) / np.sum(shares)
    return min(int(np.searchsorted(borders, uniform(salt, user), side="right")), len(shares) - 1)


def uniform(*words: str) -> float:
    """Returns a number in [0, 1) that depends only on the words, uniform over words."""
    return _digest(words) / 2**64


def random_generator(*words: str) -> np.random.Generator:
    """Returns a random generator that depends only on the words."""
    return np.random.default_rng(_digest(words))


def _digest(words: Sequence[str]) -> int:
    # with their lengths, so that ("a", "bc") differs from ("ab", "c")
    text = "".join(f"{len(word)}:{word}" for word in words).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")
