"""An answer within the deadline, from whoever can give one, and the reasons why others did not."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from zero2ir.lm.limits import current_limits
from zero2ir.program.fallback import (
    CircuitBreaker,
    FallbackChain,
    FallbackResult,
    FallbackSettings,
    NoAnswerError,
    SkippedProgram,
)

QUICK = FallbackSettings(deadline=0.4, max_failures=3, reset_seconds=30.0, max_concurrency=2, min_confidence=0.5)


def fails() -> float:
    raise ConnectionError("http://secret.example refused 'a private query'")


def hangs() -> float:
    time.sleep(1.5)
    return 1.0


def says(confidence: float) -> Callable[[], float]:
    return lambda: confidence


def served(*works: Callable[[], float], chain: FallbackChain | None = None) -> FallbackResult[float]:
    chain = chain or FallbackChain(["rich", "middling", "simple"][: len(works)], QUICK)
    return chain.serve(works, lambda result: result)


def test_the_first_that_answers_serves() -> None:
    assert served(says(0.9), fails) == FallbackResult(0.9, "rich", ())
    assert served(fails, says(0.8), fails) == FallbackResult(
        0.8, "middling", (SkippedProgram("rich", "error", "ConnectionError"),)
    )


def test_the_reasons_hold_no_text_of_an_error() -> None:
    with pytest.raises(NoAnswerError) as refused:
        served(fails, fails)
    assert str(refused.value) == "no answer: rich: error, simple: error".replace("simple", "middling")
    assert "secret" not in str(refused.value.steps)


def test_what_hangs_is_left_in_time_and_the_next_has_time_left() -> None:
    start = time.monotonic()
    answer = served(hangs, hangs, says(0.1))
    assert answer == FallbackResult(
        0.1, "simple", (SkippedProgram("rich", "time-out"), SkippedProgram("middling", "time-out"))
    )
    assert time.monotonic() - start < QUICK.deadline
    start = time.monotonic()
    with pytest.raises(NoAnswerError, match="time-out, middling: time-out"):
        served(hangs, hangs)
    assert QUICK.deadline <= time.monotonic() - start < QUICK.deadline + 0.2


@pytest.mark.parametrize(
    ("sure", "expected"),
    [
        ((0.5, 0.9), FallbackResult(0.5, "rich", ())),  # sure enough
        ((0.4, 0.45), FallbackResult(0.45, "middling", (SkippedProgram("rich", "unsure"),))),
        ((0.4, 0.3), FallbackResult(0.4, "rich", ())),  # the surer one
        ((0.4, 0.4), FallbackResult(0.4, "rich", ())),
    ],
)
def test_the_surer_answer_is_given_where_the_first_is_unsure(
    sure: tuple[float, float], expected: FallbackResult[float]
) -> None:
    assert served(*map(says, sure)) == expected


def test_an_unsure_answer_is_better_than_none() -> None:
    assert served(says(0.2), fails) == FallbackResult(
        0.2, "rich", (SkippedProgram("middling", "error", "ConnectionError"),)
    )


def test_a_result_without_a_confidence_serves_unless_another_has_stated_one() -> None:
    assert FallbackChain(["a", "b"], QUICK).serve([says(1.0), fails], lambda _: None) == FallbackResult(1.0, "a", ())
    chain = FallbackChain(["a", "b"], QUICK)
    assert chain.serve([says(0.1), says(9.0)], lambda result: None if result > 1 else result) == FallbackResult(
        0.1, "a", ()
    )


def test_a_result_without_a_confidence_does_not_end_it_once_one_was_stated() -> None:
    stated = {1.0: 0.4, 2.0: None, 3.0: 0.95}
    chain = FallbackChain(["a", "b", "c"], QUICK)
    served = chain.serve([says(1.0), says(2.0), says(3.0)], stated.get)
    assert (served.result, served.served_by) == (3.0, "c")
    stated[3.0] = 0.1
    assert FallbackChain(["a", "b", "c"], QUICK).serve([says(1.0), says(2.0), says(3.0)], stated.get).served_by == "a"


def test_failures_open_the_circuit_and_one_request_tries_it_after_the_rest() -> None:
    now = [0.0]
    breaker = CircuitBreaker(failures=2, reset_seconds=10.0, clock=lambda: now[0])
    for succeeded in (False, True, False):
        assert breaker.allows()
        breaker.record_outcome(succeeded)
    assert not breaker.is_open  # never two in a row
    breaker.record_outcome(False)
    assert breaker.is_open
    assert not breaker.allows()
    now[0] = 10.0
    assert [breaker.allows() for _ in range(3)] == [True, False, False]  # half-open
    breaker.record_outcome(False)
    now[0] = 19.0
    assert not breaker.allows()
    now[0] = 20.0
    assert breaker.allows()
    breaker.record_outcome(True)
    assert [breaker.allows() for _ in range(3)] == [True, True, True]


def test_an_open_circuit_answers_at_once_and_the_last_program_is_always_asked() -> None:
    chain = FallbackChain(["rich", "simple"], QUICK)
    reasons = [served(fails, says(0.9), chain=chain).steps[0].reason for _ in range(5)]
    assert reasons == ["error", "error", "error", "circuit open", "circuit open"]
    for _ in range(5):
        with pytest.raises(NoAnswerError, match="simple: error"):
            served(fails, fails, chain=chain)


def test_no_more_requests_than_workers_wait_for_a_program_that_hangs() -> None:
    chain = FallbackChain(["rich", "simple"], QUICK.model_copy(update={"max_failures": 100}))
    free, started = threading.Event(), []

    def waits() -> float:
        started.append(None)
        free.wait(10)
        return 1.0

    steps = [served(waits, says(0.9), chain=chain).steps[0].reason for _ in range(4)]
    assert steps == ["time-out", "time-out", "busy", "busy"]
    assert len(started) == 2
    free.set()
    while chain._free["rich"]._value < QUICK.max_concurrency:
        time.sleep(0.01)
    assert served(waits, says(0.9), chain=chain) == FallbackResult(1.0, "rich", ())


def slow() -> float:
    time.sleep(0.05)
    return 0.9


def test_a_short_deadline_of_one_caller_does_not_open_the_circuit_for_others() -> None:
    chain = FallbackChain(["rich", "simple"], QUICK)
    for _ in range(2 * QUICK.max_failures):
        with pytest.raises(NoAnswerError):
            chain.serve([slow, slow], lambda result: result, 0.001)
    assert served(slow, says(0.8), chain=chain) == FallbackResult(0.9, "rich", ())


def test_a_slow_program_opens_its_circuit_whatever_its_callers_deadlines_are() -> None:
    chain = FallbackChain(["rich", "simple"], QUICK)

    def too_slow() -> float:
        time.sleep(QUICK.deadline)
        return 0.9

    for _ in range(QUICK.max_failures):
        chain.serve([too_slow, says(0.9)], lambda result: result, 0.02)
        while chain._free["rich"]._value < QUICK.max_concurrency:  # until it has finished
            time.sleep(0.01)
    assert chain.breakers["rich"].is_open


def test_a_burst_waits_for_its_turn() -> None:
    chain = FallbackChain(["rich"], QUICK)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: served(slow, chain=chain), range(8)))
    assert answers == [FallbackResult(0.9, "rich", ())] * 8


def test_waiting_for_others_does_not_open_the_circuit() -> None:
    chain = FallbackChain(["rich", "simple"], QUICK)
    with ThreadPoolExecutor(40) as pool:
        list(pool.map(lambda _: served(slow, says(0.9), chain=chain), range(40)))
    assert not chain.breakers["rich"].is_open


def test_a_request_may_want_its_answer_sooner_and_never_later() -> None:
    chain = FallbackChain(["rich"], QUICK)
    for deadline, most in ((0.1, 0.3), (60.0, 0.7)):
        start = time.monotonic()
        with pytest.raises(NoAnswerError):
            chain.serve([hangs], lambda result: result, deadline)
        assert time.monotonic() - start < most


def test_language_models_are_told_that_somebody_waits() -> None:
    seen: list[object] = []
    FallbackChain(["rich"], QUICK).serve([lambda: seen.append(current_limits()) or 1.0], lambda result: result)
    assert seen == [(QUICK.deadline, QUICK.max_unusable_share)]
    assert current_limits() is None
