"""Prometheus metrics of a service: counts and times, no queries."""

from dataclasses import dataclass, field
from typing import Any

import dspy
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from zero2ir.online.serving.service import LOG, SearchService

MAX_METHOD = 10  # characters in the log: a client may make one up
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
        self.circuits = Gauge("zero2ir_circuit_open", "1 if a program is being skipped", ["program"], **options)
        documents = Gauge("zero2ir_documents", "Documents in the collection", **options)
        documents.set_function(lambda: len(self.service.program.documents))
        version = Gauge("zero2ir_document_version", "Number of the last change of documents", **options)
        version.set_function(lambda: self.service.version)
        waiting = Gauge("zero2ir_waiting_events", "Feedback events that are not written yet", **options)
        waiting.set_function(lambda: self.service.writer.waiting)
        lost = Gauge("zero2ir_lost_impressions", "Impressions that could not be written", **options)
        lost.set_function(lambda: self.service.writer.lost)
        failures = Gauge("zero2ir_lm_failures", "Unusable answers of the language model", **options)
        failures.set_function(self._lm_failures)

    def record_request(self, scope: Any, status: int, seconds: float) -> None:
        """Counts and logs a request, without its content."""
        route = getattr(scope.get("route"), "path", "other")  # the pattern of the path: ids are private
        self.requests.labels(route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)
        LOG.info("%s %s %d %.1f ms", scope["method"][:MAX_METHOD], route, status, 1000 * seconds)

    def answered(self, answer: dspy.Prediction) -> None:
        """Counts an answer and the programs that were skipped for it."""
        served_by = answer.get("served_by") or self.service.program.name
        self.answers.labels(served_by, answer.get("decision") or "answer").inc()
        self.count_skipped(answer.get("steps") or [])

    def count_skipped(self, steps: list[dict[str, str]]) -> None:
        for step in steps:
            self.steps.labels(step["program"], step["reason"]).inc()

    def text(self) -> bytes:
        """Returns the metrics in Prometheus' text format."""
        self.circuits.clear()  # the program may have been replaced
        if (chain := self.service.program.chain) is not None:
            for name, breaker in chain.breakers.items():
                self.circuits.labels(name).set(breaker.is_open)
        return generate_latest(self.registry)

    def _lm_failures(self) -> int:
        language_model = self.service.program.language_model
        return 0 if language_model is None else language_model.usage.failures
