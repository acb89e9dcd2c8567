"""Answers within a deadline: a chain of programs, the simplest last."""

import contextvars
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock, Semaphore, Thread
from typing import Annotated, Generic, Literal, NamedTuple, TypeVar

from pydantic import Field

from zero2ir.io.settings import Settings
from zero2ir.lm.limits import Limits, lm_limits

Reason = Literal["error", "time-out", "circuit open", "busy", "unsure"]
Result = TypeVar("Result")
Clock = Callable[[], float]
ALMOST = 0.9  # a time-out after this share of a program's time is its own, though it waited a moment for its turn


class FallbackSettings(Settings):
    """When to fall back to the next program of a chain.

    Attributes:
        deadline: seconds per request.
        deadline_share: share of the remaining time that a program may take, except the last one.
        max_failures: consecutive errors and time-outs that open a program's circuit breaker.
        reset_seconds: seconds until an open circuit breaker lets one request through.
        max_concurrency: concurrent requests per program, including timed-out ones that still run; further requests
            wait within their deadlines.
        max_unusable_share: maximum share of unusable answers of the language model in a request; above it, the request
            is an error.
        min_confidence: answers with less confidence are compared with the next program's, and the most confident one
            is returned; 0 disables this.
    """

    deadline: Annotated[float, Field(gt=0)] = 2.0
    deadline_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    max_failures: Annotated[int, Field(ge=1)] = 5
    reset_seconds: Annotated[float, Field(gt=0)] = 10.0
    max_concurrency: Annotated[int, Field(ge=1)] = 8
    max_unusable_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.0


class AnsweringSettings(Settings):
    """Policy and fallback of a program.

    Attributes:
        risk: maximum risk that the first document of a plain answer is wrong; None to answer every query.
        max_risk: the same of an answer with a warning; None for twice ``risk``.
        fallback: when to fall back to a simpler program.
    """

    risk: Annotated[float, Field(ge=0, le=1)] | None = None
    max_risk: Annotated[float, Field(ge=0, le=1)] | None = None
    fallback: FallbackSettings = FallbackSettings()


class SkippedProgram(NamedTuple):
    """A program of the chain that did not serve the request."""

    program: str
    reason: Reason
    detail: str = ""  # class of the error, without its message, which may contain a query or an address


class FallbackResult(NamedTuple, Generic[Result]):
    """A result, the program that served it, and the programs skipped before."""

    result: Result
    served_by: str
    steps: tuple[SkippedProgram, ...]


class NoAnswerError(RuntimeError):
    """Raised if no program of the chain answers within the deadline; ``steps`` gives the reasons."""

    def __init__(self, steps: Sequence[SkippedProgram]) -> None:
        super().__init__("no answer: " + ", ".join(f"{step.program}: {step.reason}" for step in steps))
        self.steps = tuple(steps)


@dataclass
class CircuitBreaker:
    """Blocks requests to a failing program: closed, open, or half-open while one request tries it.

    Source: Nygard, Release It!, second edition, 2018, section 5.2.
    """

    failures: int
    reset_seconds: float
    clock: Clock = time.monotonic
    consecutive_failures: int = 0
    retry_at: float = 0.0  # clock time of the next trial
    _lock: Lock = field(default_factory=Lock, repr=False)

    @property
    def is_open(self) -> bool:
        """Whether requests are blocked."""
        return self.consecutive_failures >= self.failures

    def allows(self) -> bool:
        """Admits a request; an open breaker admits one request every ``reset_seconds``."""
        with self._lock:
            if not self.is_open:
                return True
            if self.clock() < self.retry_at:
                return False
            self.retry_at = self.clock() + self.reset_seconds  # blocks other requests during the trial
            return True

    def record_outcome(self, succeeded: bool) -> None:
        """Records the outcome of an admitted request."""
        with self._lock:
            self.consecutive_failures = 0 if succeeded else self.consecutive_failures + 1
            self.retry_at = self.clock() + self.reset_seconds


class FallbackChain:
    """A chain of programs with circuit breakers; ``names`` are unique, the most complex program is first."""

    def __init__(self, names: Sequence[str], settings: FallbackSettings, clock: Clock = time.monotonic) -> None:
        self.names = list(names)
        self.settings = settings
        self.breakers = {name: CircuitBreaker(settings.max_failures, settings.reset_seconds, clock) for name in names}
        self._free = {name: Semaphore(settings.max_concurrency) for name in names}
        self._clock = clock

    def serve(
        self,
        works: Sequence[Callable[[], Result]],
        confidence: Callable[[Result], float | None],
        deadline: float | None = None,
    ) -> FallbackResult[Result]:
        """Calls programs in order until one answers with enough confidence.

        Args:
            works: one call per program; after a time-out, it continues in its thread and its result is dropped.
            confidence: returns a result's confidence or None; a result without one serves, unless an earlier one is
                unsure.
            deadline: seconds, at most the settings' deadline, which is the default.

        Raises:
            NoAnswerError: no program answered in time.
        """
        latest = self._clock() + self.settings.deadline
        shorter = 0.0 if deadline is None else max(0.0, self.settings.deadline - deadline)
        steps: list[SkippedProgram] = []
        unsure: list[tuple[float, str, Result]] = []
        for place, (name, work) in enumerate(zip(self.names, works, strict=True)):
            last = place == len(works) - 1
            share = 1.0 if last else self.settings.deadline_share
            full = (latest - self._clock()) * share
            try:
                result = self._ask(name, work, full - shorter * share, full, last)
            except _SkippedError as skipped:
                steps.append(SkippedProgram(name, skipped.reason, skipped.detail))
                continue
            probability = confidence(result)
            enough = not unsure if probability is None else probability >= self.settings.min_confidence
            if enough or (last and not unsure):
                return FallbackResult(result, name, tuple(steps))
            unsure.append((-1.0 if probability is None else probability, name, result))
            if not last:
                steps.append(SkippedProgram(name, "unsure"))
        if not unsure:
            raise NoAnswerError(steps)
        _, best, result = max(unsure, key=lambda one: one[0])  # the first of ties
        return FallbackResult(result, best, tuple(step for step in steps if step.program != best))

    def _ask(self, name: str, work: Callable[[], Result], seconds: float, full: float, last: bool) -> Result:
        """Calls one program; the last one even if its circuit is open.

        Args:
            name: name of the program.
            work: the call.
            seconds: seconds until the caller gives up; waiting for a free place counts.
            full: seconds without the caller's own deadline. If the caller gives up earlier, the circuit breaker counts
                whether the program succeeds within this time, so that no caller can open it for others.
            last: whether it is the last program of the chain.
        """
        breaker, free = self.breakers[name], self._free[name]
        asked = self._clock()
        if seconds <= 0:
            raise _SkippedError("time-out")
        if not breaker.allows() and not last:
            raise _SkippedError("circuit open")
        if not free.acquire(timeout=seconds):
            raise _SkippedError("busy")
        started = self._clock()
        left = max(0.0, seconds - (started - asked))
        with lm_limits(Limits(self.settings.deadline, self.settings.max_unusable_share)):
            outcome = _start(work, free)
        try:
            result = outcome.result(left)
        except Exception as error:
            if outcome.done() and outcome.exception() is error:  # the program's, be it a TimeoutError
                breaker.record_outcome(False)
                raise _SkippedError("error", type(error).__name__) from error
            if left >= ALMOST * full:
                breaker.record_outcome(False)
            else:
                outcome.add_done_callback(
                    lambda done: breaker.record_outcome(done.exception() is None and self._clock() - started <= full)
                )
            raise _SkippedError("time-out") from None
        breaker.record_outcome(True)
        return result


@dataclass(eq=False)
class _SkippedError(Exception):
    reason: Reason
    detail: str = ""


def _start(work: Callable[[], Result], free: Semaphore) -> "Future[Result]":
    """Runs ``work`` in a daemon thread, which releases ``free`` at its end."""
    outcome: Future[Result] = Future()
    context = contextvars.copy_context()  # the caller's dspy.context and MLflow trace

    def run() -> None:
        try:
            outcome.set_result(context.run(work))
        except BaseException as error:
            outcome.set_exception(error)
        finally:
            free.release()

    Thread(target=run, daemon=True).start()
    return outcome
