"""Looks on while something is trained or measured: the machine's load, and what a language model is asked.

MLflow would attach both to an open run. Ours are opened when all is done, so that a kill leaves none behind; therefore
what was seen is kept here and handed over then (``zero2ir.tracking.runs``).
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from mlflow.entities import Metric

SYSTEM_METRIC_PREFIX = "system/"  # MLflow's own prefix: the page "System metrics" of a run shows these


class TelemetrySettings(BaseModel):
    """What is looked at; a part of conf/tracking.

    Attributes:
        sampling_seconds: between two looks at the machine's load while a system is trained or measured; 0 for none.
        traces: whether every call of a language model is kept as DSPy made it, documents and judged queries included.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sampling_seconds: Annotated[float, Field(ge=0)] = 5.0
    traces: bool = False


class Telemetry:
    """What was seen: figures of the machine by time, and the ids of the traces."""

    def __init__(self) -> None:
        self.load: list[Metric] = []
        self.traces: set[str] = set()

    def sample(self, monitor: Any) -> None:
        """Adds the machine's load now."""
        from mlflow.entities import Metric

        monitor.collect_metrics()
        now, step = int(time.time() * 1000), len({metric.step for metric in self.load})
        self.load += [
            Metric(f"{SYSTEM_METRIC_PREFIX}{name}", value, now, step)
            for name, value in monitor.aggregate_metrics().items()
        ]
        monitor.clear_metrics()


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
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor

    monitor, ended = CPUMonitor(), threading.Event()

    def go_on() -> None:
        while not ended.wait(seconds):
            seen.sample(monitor)

    seen.sample(monitor)
    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        seen.sample(monitor)


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
