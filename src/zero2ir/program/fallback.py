"""An answer within a deadline, whatever it depends on: programs one after the other, the simplest last."""

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


class FallbackSettings(Settings):
    """When the next program of a chain is asked.

    Attributes:
        deadline: seconds that a request may take.
        deadline_share: of the time that is left, what a program may take that another one stands behind.
        max_failures: errors and time-outs in a row after which a program is not asked any more ...
        reset_seconds: ... for so many seconds; then one request tries it.
        max_concurrency: requests that a program may work on at once, those among them that nobody waits for any more.
        max_unusable_share: the share of a language model's answers to one request above which the request counts as an
            error.
        min_confidence: an answer that is less sure is compared with the next program's, and the surer one given; 0
            compares none.
    """

    deadline: Annotated[float, Field(gt=0)] = 2.0
    deadline_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    max_failures: Annotated[int, Field(ge=1)] = 5
    reset_seconds: Annotated[float, Field(gt=0)] = 10.0
    max_concurrency: Annotated[int, Field(ge=1)] = 8
    max_unusable_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.0


class AnsweringSettings(Settings):
    """How a program answers people.

    Attributes:
        risk: the share of wrong first documents that plain answers may have; None where every answer is given.
        max_risk: the same of all answers, those with a warning among them; None for twice ``risk``.
        fallback: when a simpler program answers.
    """

    risk: Annotated[float, Field(ge=0, le=1)] | None = None
    max_risk: Annotated[float, Field(ge=0, le=1)] | None = None
    fallback: FallbackSettings = FallbackSettings()


class SkippedProgram(NamedTuple):
    """A program that was asked, or passed over, before the one that served.

    Attributes:
        program: its name.
        reason: why it did not serve.
        detail: the kind of the error; never its text, which may hold a query or an address.
    """

    program: str
    reason: Reason
    detail: str = ""


class FallbackResult(NamedTuple, Generic[Result]):
    """An answer, who gave it, and why not the ones before."""

    result: Result
    served_by: str
    steps: tuple[SkippedProgram, ...]


class NoAnswerError(RuntimeError):
    """No program of the chain answered within the deadline; ``steps`` says why each did not."""

    def __init__(self, steps: Sequence[SkippedProgram]) -> None:
        super().__init__("no answer: " + ", ".join(f"{step.program}: {step.reason}" for step in steps))
        self.steps = tuple(steps)


@dataclass
class CircuitBreaker:
    """Keeps requests from a program that fails: closed, open, and half-open while one request tries it.

    Source: Nygard, Release It!, second edition, 2018, section 5.2.
    """

    failures: int
    reset_seconds: float
    clock: Clock = time.monotonic
    consecutive_failures: int = 0
    retry_at: float = 0.0  # when it may be tried
    _lock: Lock = field(default_factory=Lock, repr=False)

    @property
    def is_open(self) -> bool:
        """Whether the program is passed over."""
        return self.consecutive_failures >= self.failures

    def allows(self) -> bool:
        """Whether a request may ask the program; of those that come after its rest, one."""
        with self._lock:
            if not self.is_open:
                return True
            if self.clock() < self.retry_at:
                return False
            self.retry_at = self.clock() + self.reset_seconds  # the others wait for what this one finds
            return True

    def record_outcome(self, succeeded: bool) -> None:
        """What became of a request that was admitted."""
        with self._lock:
            self.consecutive_failures = 0 if succeeded else self.consecutive_failures + 1
            self.retry_at = self.clock() + self.reset_seconds


class FallbackChain:
    """Programs by name, and what is known of how they do.

    Args:
        names: of the programs, the richest first; each once.
        settings: when the next one is asked.
        clock: seconds that only grow.
    """

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
        """Asks one program after the other until one answers, and is sure enough.

        Args:
            works: asks each program; what takes too long goes on in a thread of its own, and nobody looks at it.
            confidence: that a result states; None where it states none: it serves, unless another one has stated some.
            deadline: seconds; the settings' where None, or where it is longer.

        Raises:
            NoAnswerError: none did in time.
        """
        end = self._clock() + min(deadline or self.settings.deadline, self.settings.deadline)
        steps: list[SkippedProgram] = []
        unsure: list[tuple[float, str, Result]] = []
        for place, (name, work) in enumerate(zip(self.names, works, strict=True)):
            last = place == len(works) - 1
            left = end - self._clock()
            try:
                result = self._ask(name, work, left if last else left * self.settings.deadline_share, last)
            except _SkippedError as passed:
                steps.append(SkippedProgram(name, passed.reason, passed.detail))
                continue
            sure = confidence(result)
            enough = not unsure if sure is None else sure >= self.settings.min_confidence
            if enough or (last and not unsure):
                return FallbackResult(result, name, tuple(steps))
            unsure.append((-1.0 if sure is None else sure, name, result))  # of what is known, the surer one
            if not last:
                steps.append(SkippedProgram(name, "unsure"))
        if not unsure:
            raise NoAnswerError(steps)
        _, best, result = max(unsure, key=lambda one: one[0])  # of equals the richest
        return FallbackResult(result, best, tuple(step for step in steps if step.program != best))

    def _ask(self, name: str, work: Callable[[], Result], seconds: float, last: bool) -> Result:
        """Asks one program; nobody stands behind the last one, so that it is asked in any case."""
        breaker, free = self.breakers[name], self._free[name]
        if seconds <= 0:
            raise _SkippedError("time-out")
        if not breaker.allows() and not last:
            raise _SkippedError("circuit open")
        if not free.acquire(blocking=False):
            raise _SkippedError("busy")
        succeeded = False
        try:
            with lm_limits(Limits(self.settings.deadline, self.settings.max_unusable_share)):
                outcome = _start(work, free)
            result = outcome.result(seconds)
            succeeded = True
            return result
        except TimeoutError:
            raise _SkippedError("time-out") from None
        except Exception as error:
            raise _SkippedError("error", type(error).__name__) from error
        finally:
            breaker.record_outcome(succeeded)


class _SkippedError(Exception):
    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason)
        self.reason: Reason = reason
        self.detail = detail


def _start(work: Callable[[], Result], free: Semaphore) -> "Future[Result]":
    """Work that goes on in a thread which no end of the process waits for; the place is free when it has ended."""
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
