"""Opens listening sockets and compares secrets, for all local pages and services."""

import secrets
import socket

from zero2ir.errors import InputError

HOST = "127.0.0.1"
LOOPBACK_NAMES = (HOST, "localhost")


def listen(port: int, host: str = HOST) -> socket.socket:
    """Opens a listening socket, by default on the loopback interface; port 0 selects any free port.

    Raises:
        InputError: the port cannot be opened.
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # lets asyncio set TCP_NODELAY
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen()  # reserves the port; early clients wait in the backlog
    except (OSError, OverflowError) as error:
        bound.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"port {port}: cannot be opened ({reason}); choose another one with --port") from error
    return bound


def equal_secrets(candidate: str, secret: str) -> bool:
    """Compares two secrets in constant time."""
    return secrets.compare_digest(candidate.encode(), secret.encode())
