"""Threads of torch sleep while they wait for each other, unless the user says otherwise."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(("given", "policy"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_torch_s_threads_wait_as_the_variable_says(given: dict[str, str], policy: str) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    command = [sys.executable, "-c", "import zero2ir, torch"]
    environment = plain | given | {"OMP_DISPLAY_ENV": "TRUE"}
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr
    assert f"OMP_WAIT_POLICY = '{policy}'" in shown
