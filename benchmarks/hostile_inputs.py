"""Hostile inputs of every kind: a part of ``make promises``, which runs the same trials as the tests, only more.

python -m benchmarks.promises inputs --scale 0.1 --seed 7
"""

from collections.abc import Sequence

from benchmarks.hostile.answers import ANSWERS
from benchmarks.hostile.arguments import ARGUMENTS
from benchmarks.hostile.configuration import CONFIGURATION
from benchmarks.hostile.contract import SECONDS, Kind, Trials, trials
from benchmarks.hostile.programs import PROGRAM_FILES
from benchmarks.hostile.readers import FILES, FOLDERS_OF_DOCUMENTS
from benchmarks.hostile.requests import LABEL_PAGE, SERVER
from benchmarks.outcomes import Outcome

KINDS = (FOLDERS_OF_DOCUMENTS, FILES, PROGRAM_FILES, SERVER, LABEL_PAGE, ANSWERS, CONFIGURATION, ARGUMENTS)
NUMBER = sum(kind.number for kind in KINDS)
SHOWN = 3  # findings that the record quotes


def run(number: int, seed: int) -> Sequence[Outcome]:
    """Tries ``number`` inputs, of each kind its share."""
    return [outcome(kind, trials(kind, max(1, round(number * kind.number / NUMBER)), seed), seed) for kind in KINDS]


def outcome(kind: Kind, found: Trials, seed: int) -> Outcome:
    """Describes the trials of a kind."""
    return Outcome(
        promise=kind.promise,
        trial=f"{kind.name} drawn by Hypothesis, seed {seed}; each has {SECONDS} s",
        tried=found.tried,
        kept=max(0, found.tried - len(found.broken)),
        notes="; ".join(found.broken[:SHOWN]),
    )
