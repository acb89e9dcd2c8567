"""A connection to Ray: to somebody's cluster, or to one that this process starts for itself."""

import importlib.util
import logging
import os
import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from zero2ir.errors import InputError, one_line

LOCAL = "local"  # the address of a cluster that this process starts, and that ends with it
# Ray reads these when it is imported: only this process may use its cluster, which listens on the loopback interface.
OWN_CLUSTER = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}
OBJECT_STORE_BYTES = 100 << 20  # of a cluster of our own: what tasks exchange is small
CONNECT_SECONDS = 10.0


@contextmanager
def ray_cluster(address: str | None = None, cores: int | None = None, *, show_output: bool = False) -> Iterator[bool]:
    """Connects to a Ray cluster for the block; yields whether this process started it. See ``connect_to_ray``."""
    is_own = connect_to_ray(address, cores, show_output=show_output)
    import ray

    try:
        yield is_own
    finally:
        ray.shutdown()


def connect_to_ray(address: str | None = None, cores: int | None = None, *, show_output: bool = False) -> bool:
    """Connects to a Ray cluster, unless this process is connected already; returns whether it started one.

    Args:
        address: of the cluster; None for that of ``RAY_ADDRESS``, or else for one on this machine that only this
            process may use.
        cores: of a cluster of our own; None for those of the machine.
        show_output: whether this process prints what its tasks print.

    Raises:
        InputError: Ray is not installed, or the cluster does not answer.
    """
    require_ray()
    if "ray" in sys.modules and sys.modules["ray"].is_initialized():
        return False
    where = address or os.environ.get("RAY_ADDRESS") or LOCAL
    own: dict[str, Any] = {}
    if where == LOCAL:
        os.environ.update(OWN_CLUSTER, RAY_AUTH_TOKEN=secrets.token_hex(32))
        own = {"num_cpus": cores, "object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False}
    else:
        _check_answers(where)
    import ray

    for is_last in (False, True):  # Ray waits 30 s for its own start; on a busy machine the second one is quicker
        try:
            ray.init(where, log_to_driver=show_output, logging_level=logging.ERROR, **own)
            break
        except Exception as error:  # of many types
            ray.shutdown()
            if where != LOCAL:
                raise _no_answer(where, error) from None
            if is_last:
                reason = one_line(error)[:200]
                raise InputError(f"Ray: did not start ({reason}); repeat it, or use the executor local") from None
    return where == LOCAL


def require_ray() -> None:
    """Raises an InputError if Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise InputError("executor ray: Ray is not installed; pip install 'zero2ir[ray]', or use the executor local")


def _check_answers(address: str) -> None:
    """Raises an InputError if nothing listens at a cluster's address, which Ray itself tries for very long."""
    try:
        parts = urlsplit(address if "://" in address else f"ray://{address}")
        if parts.hostname and parts.port:
            socket.create_connection((parts.hostname, parts.port), CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise _no_answer(address, error) from None


def _no_answer(address: str, error: Exception) -> InputError:
    return InputError(f"--address {address}: no Ray cluster answers ({one_line(error)[:200]}); ray status")
