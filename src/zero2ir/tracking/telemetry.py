"""Looks on while something is trained or measured: the machine's load, and what a language model is asked.

MLflow would attach both to an open run. Ours are opened when all is done, so that a kill leaves none behind; therefore
what was seen is kept here and handed over then (``zero2ir.tracking.runs``).
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Annotated, NamedTuple

from pydantic import BaseModel, Field

from zero2ir.io.settings import Settings

SYSTEM_METRIC_PREFIX = "system/"  # MLflow's own prefix: the page "System metrics" of a run shows these


class TelemetrySettings(Settings):
    """What is looked at; a part of conf/tracking.

    Attributes:
        sampling_seconds: between two looks at the machine's load while a system is trained or measured; 0 for none.
        traces: whether every call of a language model is kept as DSPy made it, documents and judged queries included.
    """

    sampling_seconds: Annotated[float, Field(ge=0)] = 5.0
    traces: bool = False


class Figure(NamedTuple):
    """A figure of the machine's load, as MLflow's metrics are made.

    Attributes:
        key: its name.
        value: the figure.
        timestamp: milliseconds since 1970.
        step: the number of the sample.
    """

    key: str
    value: float
    timestamp: int
    step: int


class Telemetry(BaseModel):
    """What was seen.

    Attributes:
        load: figures of the machine by time.
        traces: ids of the calls of a language model.
    """

    load: list[Figure] = Field(default_factory=list)
    traces: set[str] = Field(default_factory=set)

    def sample(self) -> None:
        """Adds the machine's load now, by the names and in the units of MLflow."""
        import psutil

        memory = psutil.virtual_memory()
        figures = {
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / 1e6,
            "system_memory_usage_percentage": 100 * memory.used / memory.total,
        }
        now, step = int(time.time() * 1000), len({figure.step for figure in self.load})
        self.load += [
            Figure(f"{SYSTEM_METRIC_PREFIX}{key}", round(value, 1), now, step) for key, value in figures.items()
        ]


@contextmanager
def record_telemetry(settings: TelemetrySettings) -> Iterator[Telemetry]:
    """Looks on while the block runs."""
    seen = Telemetry()
    with _system(seen, settings.sampling_seconds), _traces(seen) if settings.traces else nullcontext():
        yield seen


@contextmanager
def _system(seen: Telemetry, seconds: float) -> Iterator[None]:
    """Looks at the machine at once, then every so many seconds, and at the end."""
    if not seconds:
        yield
        return
    ended = threading.Event()

    def go_on() -> None:
        while not ended.wait(seconds):
            seen.sample()

    seen.sample()
    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        seen.sample()


@contextmanager
def _traces(seen: Telemetry) -> Iterator[None]:
    """Has MLflow keep what DSPy does, and notes which traces are ours."""
    import mlflow

    mlflow.dspy.autolog(log_traces=True, log_traces_from_compile=True, log_traces_from_eval=True, silent=True)
    try:
        with mlflow.tracing.configure(span_processors=[lambda span: seen.traces.add(span.trace_id)]):
            yield
        mlflow.flush_trace_async_logging()
    finally:
        mlflow.dspy.autolog(disable=True, silent=True)
