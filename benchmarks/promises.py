"""Tries what zero2ir promises, and records how often each promise held; ``make promises`` calls it.

    python -m benchmarks.promises                               # every part at full size: hours
    python -m benchmarks.promises kills poisoned --scale 0.1    # two parts, a tenth of their trials, nothing recorded

A part that ran at full size replaces its entry in docs/results/promises.json, which the documentation shows. Exits with
status 1 if a promise was broken.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from pydantic import AwareDatetime

from benchmarks import (
    altered_programs,
    attacks,
    binary_files,
    hostile_inputs,
    kills,
    language_model_faults,
    machine_faults,
    network,
    poisoned,
    soak,
)
from benchmarks.outcomes import Outcome
from zero2ir.io.files import finished_file
from zero2ir.io.settings import NonNegativeInt, Settings, read_state
from zero2ir.tracking.provenance import code_revision, describe_runtime

RECORD = Path("docs/results/promises.json")


class Part(NamedTuple):
    """Trials that belong together: what runs them, given their number and a seed, and their number at full size."""

    run: Callable[[int, int], Sequence[Outcome]]
    number: int


PARTS: dict[str, Part] = {
    "kills": Part(kills.run, 100),
    "machine": Part(machine_faults.run, 40),
    "inputs": Part(hostile_inputs.run, hostile_inputs.NUMBER),
    "programs": Part(altered_programs.run, altered_programs.NUMBER),
    "binary_files": Part(binary_files.run, binary_files.NUMBER),
    "network": Part(network.run, 1),
    "soak": Part(soak.run, 3600),  # seconds
    "attacks": Part(attacks.run, attacks.ROUNDS),
    "language_models": Part(language_model_faults.run, language_model_faults.NUMBER),
    "poisoned": Part(poisoned.run, 200),
}


class Trials(Settings):
    """One run of a part, and where it ran.

    Attributes:
        outcomes: what came out.
        seed: of what the trials draw.
        seconds: it took.
        date: when it ended.
        revision: commit of the code.
        system: operating system of the machine.
        processor: of the machine.
        python: version.
    """

    outcomes: list[Outcome]
    seed: NonNegativeInt
    seconds: NonNegativeInt
    date: AwareDatetime
    revision: str
    system: str
    processor: str
    python: str


class Record(Settings):
    """The last run of every part."""

    parts: dict[str, Trials]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of what the trials draw (default: 0)")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of trials; below 1 nothing is recorded")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; parts are {', '.join(PARTS)}")
    broken = 0
    for name in given.parts or PARTS:
        trials = tried(PARTS[name], given.seed, given.scale)
        print(f"{name}, {trials.seconds} s", *(f"  {one.line()}" for one in trials.outcomes), sep="\n", flush=True)
        broken += sum(one.kept < one.tried for one in trials.outcomes)
        if given.scale >= 1:
            record(RECORD, name, trials)
    sys.exit(f"error: {broken} promises were broken" if broken else 0)


def tried(part: Part, seed: int, scale: float) -> Trials:
    """Runs a part."""
    begun = time.monotonic()
    outcomes = part.run(max(1, round(part.number * scale)), seed)
    runtime = describe_runtime()
    return Trials(
        outcomes=list(outcomes),
        seed=seed,
        seconds=round(time.monotonic() - begun),
        date=datetime.now(UTC).replace(microsecond=0),
        revision=code_revision()[:12],
        system=runtime["system"],
        processor=runtime["processor"],
        python=runtime["python"],
    )


def record(path: Path, name: str, trials: Trials) -> None:
    """Puts the run of a part in the place of its last one."""
    parts = read_state(path, Record).parts if path.exists() else {}
    known = {one: parts[one] for one in PARTS if one in parts} | {name: trials}
    with finished_file(path) as new:
        new.write(Record(parts=known).model_dump_json(indent=1) + "\n")


if __name__ == "__main__":
    main()
