"""Records the load of the machine and the calls of the language model during training and evaluation.

MLflow would attach both to an open run. Our runs start at the end, so that a killed process leaves no unfinished run;
then ``zero2ir.tracking.runs`` logs the records.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Annotated, NamedTuple

from pydantic import BaseModel, Field

from zero2ir.io.settings import Settings
from zero2ir.io.threads import repeated

SYSTEM_METRIC_PREFIX = "system/"  # MLflow's own prefix: the page "System metrics" of a run shows these


class TelemetrySettings(Settings):
    """Which telemetry is recorded; a part of conf/tracking.

    Attributes:
        sampling_seconds: seconds between two samples of the machine's load; 0 records none.
        traces: whether MLflow keeps every call of the language model, with its documents and judged queries.
    """

    sampling_seconds: Annotated[float, Field(ge=0)] = 5.0
    traces: bool = False


class Figure(NamedTuple):
    """One sample of the machine's load, in the form of an MLflow metric."""

    key: str
    value: float
    timestamp: int  # milliseconds since 1970
    step: int  # number of the sample


class Telemetry(BaseModel):
    """Samples of the machine's load in order of time, and trace ids of the language model's calls."""

    load: list[Figure] = Field(default_factory=list)
    traces: set[str] = Field(default_factory=set)

    def sample(self) -> None:
        """Adds a sample of the machine's load, with the names and units of MLflow."""
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
    """Records telemetry while the block runs."""
    telemetry = Telemetry()
    with _system(telemetry, settings.sampling_seconds), _traces(telemetry) if settings.traces else nullcontext():
        yield telemetry


@contextmanager
def _system(telemetry: Telemetry, seconds: float) -> Iterator[None]:
    """Samples the load at the start, every ``seconds`` seconds, and at the end."""
    if not seconds:
        yield
        return
    telemetry.sample()
    try:
        with repeated(telemetry.sample, seconds):
            yield
    finally:
        telemetry.sample()


@contextmanager
def _traces(telemetry: Telemetry) -> Iterator[None]:
    """Lets MLflow trace DSPy, and records the ids of our traces."""
    import mlflow

    mlflow.dspy.autolog(log_traces=True, log_traces_from_compile=True, log_traces_from_eval=True, silent=True)
    try:
        with mlflow.tracing.configure(span_processors=[lambda span: telemetry.traces.add(span.trace_id)]):
            yield
        mlflow.flush_trace_async_logging()
    finally:
        mlflow.dspy.autolog(disable=True, silent=True)
