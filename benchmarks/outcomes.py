"""What a trial of a promise gave, as ``benchmarks/promises.py`` records it."""

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from pydantic import Field

from zero2ir.io.settings import NonNegativeInt, Settings


class Outcome(Settings):
    """The trials of one promise.

    Attributes:
        promise: what users may rely on, in one sentence.
        trial: how it was tried, in one sentence.
        tried: how often.
        kept: how often the promise held.
        notes: figures and findings of the trials.
        cells: figures by the head of their column; outcomes with the same heads stand in one table.
    """

    promise: str
    trial: str
    tried: NonNegativeInt
    kept: NonNegativeInt
    notes: str = ""
    cells: dict[str, str] = Field(default_factory=dict)

    def line(self) -> str:
        """For the terminal."""
        told = "; ".join([*filter(None, [self.notes]), *map(": ".join, self.cells.items())])
        return f"{self.kept} of {self.tried}  {self.promise}" + (f"  ({told})" if told else "")


class Tally:
    """How often each promise was tried, and the trials that broke it."""

    def __init__(self) -> None:
        self.tried, self.broken = Counter[str](), defaultdict[str, list[str]](list)

    def add(self, promise: str, kept: bool, trial: object) -> None:
        """Counts a trial, which is told of if the promise was not kept."""
        self.tried[promise] += 1
        if not kept:
            self.broken[promise].append(str(trial))

    def outcome(self, promise: str, trial: str, notes: str = "", cells: Mapping[str, str] | None = None) -> Outcome:
        """Returns the trials of a promise; ``trial`` says how it was tried."""
        tried, broken = self.tried[promise], self.broken[promise]
        failed = [f"broken: {'; '.join(broken[:3])}{' …' * (len(broken) > 3)}"] if broken else []
        told = "; ".join(filter(None, [*failed, notes]))
        kept = tried - len(broken)
        return Outcome(promise=promise, trial=trial, tried=tried, kept=kept, notes=told, cells=dict(cells or {}))


def run_alone(
    description: str | None,
    run: Callable[[int, int], Sequence[Outcome]],
    name: str,
    number: int,
    meaning: str,
    drawn: str,
) -> None:
    """Runs one part as the command line says, prints what came out, and exits with 1 if a promise was broken.

    Args:
        description: of the command.
        run: the part, see ``benchmarks/promises.py``.
        name: of the argument, or the option, of how many trials there are.
        number: its default.
        meaning: of the number.
        drawn: what depends on the seed.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    optional = {} if name.startswith("--") else {"nargs": "?"}
    parser.add_argument(name, type=int, default=number, help=f"{meaning} (default: {number})", **optional)
    parser.add_argument("--seed", type=int, default=0, help=f"{drawn} (default: 0)")
    given = vars(parser.parse_args())
    outcomes = run(given[name.removeprefix("--")], given["seed"])
    print(*(one.line() for one in outcomes), sep="\n", flush=True)
    sys.exit(any(one.kept < one.tried for one in outcomes))


def to_stderr(text: str) -> None:
    """Tells about a trial that has ended."""
    print(text, file=sys.stderr, flush=True)
