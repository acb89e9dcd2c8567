"""What every page and service of ours has in common: where it listens, and how secrets are compared."""

import secrets
import socket

from zero2ir.errors import InputError

HOST = "127.0.0.1"
LOOPBACK_NAMES = (HOST, "localhost")


def listen(port: int, host: str = HOST) -> socket.socket:
    """A listening socket, on the loopback interface unless another address is given; port 0 is any free one.

    Raises:
        InputError: the port cannot be had.
    """
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen()  # from here on nobody else gets it, and whoever asks waits
    except (OSError, OverflowError) as error:
        bound.close()
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(f"port {port}: cannot be had ({why}); give another one with --port") from error
    return bound


def equal_secrets(candidate: str, wanted: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell how much of them is."""
    return secrets.compare_digest(candidate.encode(), wanted.encode())
