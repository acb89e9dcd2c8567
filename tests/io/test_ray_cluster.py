"""Ray is an extra, and nobody else's cluster is taken by chance."""

import importlib.util
import subprocess
import sys

import pytest

from zero2ir.errors import InputError
from zero2ir.io.ray_cluster import require_ray

CLUSTER = """
import os
from zero2ir.io.ray_cluster import connected_ray
ray = connected_ray(1)
assert connected_ray(1) is ray
assert ray.cluster_resources()["CPU"] == 1
print(ray.util.get_node_ip_address(), os.environ["RAY_USAGE_STATS_ENABLED"])
"""


def test_without_ray_a_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'zero2ir\[ray\]'"):
        require_ray()


@pytest.mark.slow
def test_a_cluster_of_our_own_listens_on_the_loopback_interface() -> None:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    done = subprocess.run([sys.executable, "-c", CLUSTER], stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    assert done.stdout.split() == ["127.0.0.1", "0"]
