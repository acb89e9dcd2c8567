"""What holds for every hostile input, and how many inputs of a kind are tried.

An input gives a result that loses nothing silently, or one clear line of refusal: never a traceback, never a wait
without end.
"""

import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from zero2ir.errors import DataWarning, InputError

SECONDS = 20  # an input that takes longer hangs
LONGEST_MESSAGE = 2000  # characters

Check = Callable[[Any], None]


class Broken(AssertionError):
    """The contract was broken."""


class Kind(NamedTuple):
    """A kind of input.

    Attributes:
        name: in the plural.
        promise: what users may rely on, in one sentence.
        cases: draws inputs.
        checking: gives what tries one input, and looks at the end at what all of them left.
        number: of inputs at full size.
    """

    name: str
    promise: str
    cases: st.SearchStrategy[Any]
    checking: Callable[[], AbstractContextManager[Check]]
    number: int


class Trials(NamedTuple):
    """How many inputs were tried, and what was wrong with those that broke the contract."""

    tried: int
    broken: list[str]


class Reply(NamedTuple):
    """A result, or the message of a refusal; and the warnings."""

    value: Any
    refusal: str
    warned: list[str]


def trials(kind: Kind, number: int, number_of_seed: int) -> Trials:
    """Tries inputs of a kind; a seed gives the same ones every time.

    A broken contract ends no trials, and nothing makes the input smaller: each input runs once.
    """
    tried, broken = 0, []
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
    limits = settings(
        max_examples=number, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=checks
    )

    def explained(work: Callable[[], None], what: str) -> None:
        try:
            work()
        except Exception as error:
            broken.append(f"{kind.name}: {type(error).__name__}: {str(error)[:300]} {what}".rstrip())

    def every() -> None:
        with kind.checking() as check:

            @seed(number_of_seed)
            @limits
            @given(kind.cases)
            def run(case: Any) -> None:
                nonlocal tried
                tried += 1
                explained(lambda: check(case), f"of {str(case)[:1000]}")

            run()

    explained(every, "in the end")
    return Trials(tried, broken)


def reply(run: Callable[[], Any]) -> Reply:
    """Runs within the time limit; only an InputError of one readable line may be raised."""
    with warnings.catch_warnings(record=True) as caught, time_limit():
        warnings.simplefilter("always", DataWarning)
        value, refusal = None, ""
        try:
            value = run()
        except InputError as error:
            refusal = str(error) or "\n"
    warned = [str(one.message) for one in caught if issubclass(one.category, DataWarning)]
    for line in filter(None, [refusal, *warned]):
        require_one_line(line)
    return Reply(value, refusal, warned)


def require_one_line(message: str) -> None:
    """Raises Broken unless a message is one printable line of limited length."""
    require(message.isprintable(), f"unprintable: {message!r}")
    require(len(message) <= LONGEST_MESSAGE, f"{len(message)} characters: {message}")


def require(condition: object, message: str) -> None:
    """Raises Broken unless a condition holds."""
    if not condition:
        raise Broken(message)


@contextmanager
def time_limit() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TimeoutError(f"more than {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
