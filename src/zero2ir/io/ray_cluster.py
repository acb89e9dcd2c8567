"""A connection to Ray: to somebody's cluster, or to one that this process starts for itself."""

import importlib.util
import logging
import os
import secrets
import sys
from typing import Any

from zero2ir.errors import InputError, one_line

LOCAL = "local"  # the address of a cluster that this process starts, and that ends with it
# Ray reads these when it is imported: only this process may use its cluster, which listens on the loopback interface.
OWN_CLUSTER = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}
OBJECT_STORE_BYTES = 100 << 20  # of a cluster of our own


def require_ray() -> None:
    """Raises an InputError if Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise InputError("executor ray: Ray is not installed; pip install 'zero2ir[ray]', or use the executor local")


def connected_ray(cores: int) -> Any:
    """Returns Ray, connected to the cluster of ``RAY_ADDRESS``, or else to one with so many cores on this machine.

    Raises:
        InputError: Ray is not installed, or the cluster does not answer.
    """
    require_ray()
    if "ray" in sys.modules and sys.modules["ray"].is_initialized():
        return sys.modules["ray"]
    where = os.environ.get("RAY_ADDRESS") or LOCAL
    own: dict[str, Any] = {}
    if where == LOCAL:
        os.environ.update(OWN_CLUSTER, RAY_AUTH_TOKEN=secrets.token_hex(32))
        own = {"num_cpus": cores, "object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False}
    import ray

    try:
        ray.init(where, log_to_driver=False, logging_level=logging.ERROR, **own)
    except Exception as error:  # Ray raises that itself if a busy machine needs more than 30 s to start it
        reason = one_line(error)[:200]
        if where == LOCAL:
            raise InputError(f"Ray: did not start ({reason}); repeat the command, or use the executor local") from None
        raise InputError(f"RAY_ADDRESS={where}: no Ray cluster answers ({reason}); ray status") from None
    return ray
