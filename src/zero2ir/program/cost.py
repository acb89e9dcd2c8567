"""Costs: seconds, memory and use of the language model."""

import resource
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zero2ir.lm.factory import LanguageModel


def peak_memory_mb() -> float:
    """Returns the peak memory of this process, in MiB."""
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10  # ru_maxrss is bytes on macOS, KiB elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Returns the result of ``work`` and its duration in seconds."""
    start = time.perf_counter()
    result = work()
    return result, round(time.perf_counter() - start, 2)


def lm_cost(language_model: "LanguageModel | None", prefix: str = "lm_") -> dict[str, Any]:
    """Returns a language model's usage so far, without unknown prices; empty without a model."""
    if language_model is None or not language_model.available:
        return {}
    figures = language_model.usage.as_dict()
    return {f"{prefix}{name}": value for name, value in figures.items() if value is not None}
