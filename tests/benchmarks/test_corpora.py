"""The benchmark of corpora counts the memory of all processes."""

import sys

import pytest

from benchmarks.corpora import Memory, watched

CHILD = "import time; held = bytearray(60 << 20); time.sleep(4)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}]); print('done')"


def test_memory_is_that_of_all_processes() -> None:
    printed, memory = watched([sys.executable, "-c", PARENT])
    assert printed == ["done"]
    assert 60 < memory.private <= memory.pss <= memory.rss < 200


def test_a_command_that_fails_stops_the_benchmark() -> None:
    with pytest.raises(SystemExit, match="failed"):
        watched([sys.executable, "-c", "raise SystemExit(3)"])
    assert Memory() == (0, 0, 0)
