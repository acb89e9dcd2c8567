"""Ray is an extra, and nobody else's cluster is taken by chance."""

import importlib.util
import socket
import subprocess
import sys

import pytest

from zero2ir.errors import InputError
from zero2ir.io.ray_cluster import connect_to_ray, require_ray

CLUSTER = """
import os
from zero2ir.io.ray_cluster import connect_to_ray, ray_cluster
with ray_cluster(cores=1) as is_own:
    import ray
    assert is_own
    token = os.environ["RAY_AUTH_TOKEN"]
    assert not connect_to_ray(cores=2)
    assert os.environ["RAY_AUTH_TOKEN"] == token
    assert ray.cluster_resources()["CPU"] == 1
    print(ray.util.get_node_ip_address(), os.environ["RAY_USAGE_STATS_ENABLED"])
"""


def test_without_ray_a_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'zero2ir\[ray\]'"):
        require_ray()


def test_an_address_where_nothing_listens_is_refused_at_once() -> None:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        with pytest.raises(InputError, match=rf"--address {address}: no Ray cluster answers .*; ray status"):
            connect_to_ray(address)


@pytest.mark.slow
def test_a_cluster_of_our_own_listens_on_the_loopback_interface() -> None:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    done = subprocess.run([sys.executable, "-c", CLUSTER], stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    assert done.stdout.split() == ["127.0.0.1", "0"]
