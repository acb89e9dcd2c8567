"""Signatures of saved programs, by a key that those who save and those who load them share.

HMAC-SHA256 (RFC 2104) over the digest of ``program.json``, which covers the SHA-256 of every other file.
"""

import hmac
import os

from zero2ir.errors import InputError

KEY_VARIABLE = "ZERO2IR_SIGNING_KEY"
MIN_CHARACTERS = 32  # as many as a key of 128 bits in hexadecimal


def signing_key(key: str | None = None) -> str | None:
    """Returns the key as it is given, or else that in the environment; None without one.

    Raises:
        InputError: the key is too short.
    """
    key = os.environ.get(KEY_VARIABLE) if key is None else key
    if key is not None and len(key) < MIN_CHARACTERS:
        raise InputError(
            f"{KEY_VARIABLE}: {len(key)} characters are too few for a key; "
            f"use {MIN_CHARACTERS} or more, such as those of `openssl rand -hex 32`"
        )
    return key


def signature(digest: str, key: str) -> str:
    """Returns the signature of a program with this digest, in hexadecimal."""
    return hmac.new(key.encode(), digest.encode(), "sha256").hexdigest()


def check_signature(path: str, digest: str, found: str | None, key: str | None) -> None:
    """Checks the signature that ``path`` holds; without a key, every program passes.

    Raises:
        InputError: there is a key, and no signature or one by another key.
    """
    if key is None:
        return
    if found is None:
        raise InputError(f"{path}: not signed, but {KEY_VARIABLE} is set; get it from somebody who signs with your key")
    if not hmac.compare_digest(found.encode(), signature(digest, key).encode()):
        raise InputError(f"{path}: not signed with the key in {KEY_VARIABLE}; get it from somebody who has your key")
