"""What a step costs: seconds, memory, and what the language model took."""

import resource
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zero2ir.lm.factory import LanguageModel


def peak_memory_mb() -> float:
    """The most memory that this process has held so far, in MiB."""
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10  # ru_maxrss is bytes on macOS, KiB elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What ``work`` returns, and the seconds it took."""
    start = time.perf_counter()
    result = work()
    return result, round(time.perf_counter() - start, 2)


def lm_cost(language_model: "LanguageModel | None", prefix: str = "lm_") -> dict[str, Any]:
    """What a language model took so far, as costs; nothing where there is none. An unknown price is left out."""
    if language_model is None or not language_model.available:
        return {}
    figures = language_model.usage.as_dict()
    return {f"{prefix}{name}": value for name, value in figures.items() if value is not None}
