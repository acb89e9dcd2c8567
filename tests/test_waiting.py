"""Threads of torch and numpy sleep while they wait for each other, unless the user says otherwise."""

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


@pytest.mark.parametrize(("given", "timeout"), [({}, "4"), ({"OPENBLAS_THREAD_TIMEOUT": "20"}, "20")])
def test_numpy_finds_how_long_its_threads_wait(given: dict[str, str], timeout: str) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    code = """
import os, sys
known = []
sys.addaudithook(lambda event, args: event == "import" and args[0] == "numpy" and known.append(dict(os.environ)))
import zero2ir, numpy
print(known[0]["OPENBLAS_THREAD_TIMEOUT"])
"""
    command = [sys.executable, "-c", code]
    shown = subprocess.run(command, env=plain | given, capture_output=True, text=True, check=True).stdout
    assert shown.split() == [timeout]
