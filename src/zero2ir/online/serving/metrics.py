"""Prometheus metrics of a service: counts and times, no queries."""

from dataclasses import dataclass, field
from typing import Any

import dspy
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from zero2ir.online.serving.service import SearchService

LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass
class Metrics:
    """Metrics of one service since it was opened."""

    service: SearchService
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        options: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter("zero2ir_requests", "Requests", ["path", "status"], **options)
        self.seconds = Histogram(
            "zero2ir_request_seconds", "Duration of a request", ["path"], buckets=LATENCY_BUCKETS, **options
        )
        self.answers = Counter("zero2ir_answers", "Answers by program", ["served_by", "decision"], **options)
        self.steps = Counter("zero2ir_skipped_programs", "Skipped programs", ["program", "reason"], **options)
        self.unanswered = Counter("zero2ir_unanswered", "Searches without an answer", **options)
        self.feedback = Counter("zero2ir_feedback", "Recorded feedback events", ["kind"], **options)
        documents = Gauge("zero2ir_documents", "Documents in the collection", **options)
        documents.set_function(lambda: len(self.service.program.documents))
        failures = Gauge("zero2ir_lm_failures", "Unusable answers of the language model", **options)
        failures.set_function(lambda: lm_failures(self.service))

    def answered(self, answer: dspy.Prediction) -> None:
        """Counts an answer and the programs that were skipped for it."""
        served_by = answer.get("served_by") or self.service.program.name
        self.answers.labels(served_by, answer.get("decision") or "answer").inc()
        self.count_skipped(answer.get("steps") or [])

    def count_skipped(self, steps: list[dict[str, str]]) -> None:
        """Counts skipped programs."""
        for step in steps:
            self.steps.labels(step["program"], step["reason"]).inc()

    def text(self) -> bytes:
        """Returns the metrics in Prometheus' text format."""
        chain = self.service.program.chain
        lines = b""
        if chain is not None:
            rows = "".join(
                f'zero2ir_circuit_open{{program="{name}"}} {int(one.is_open)}\n' for name, one in chain.breakers.items()
            )
            lines = f"# TYPE zero2ir_circuit_open gauge\n{rows}".encode()
        return generate_latest(self.registry) + lines


def lm_failures(service: SearchService) -> int:
    """Returns the number of unusable answers of the program's language model."""
    language_model = service.program.language_model
    return 0 if language_model is None else language_model.usage.failures
