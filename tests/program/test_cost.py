"""Seconds and memory."""

import numpy as np

from zero2ir.program.cost import peak_memory_mb, timed


def test_timed_and_memory() -> None:
    result, seconds = timed(lambda: sum(range(1000)))
    assert (result, seconds >= 0) == (499500, True)
    held = np.ones(64 << 17)  # 64 MiB
    assert held.nbytes / (1 << 20) <= peak_memory_mb() < 1 << 20
