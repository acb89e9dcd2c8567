"""Altered programs of every family, and signed ones: a part of ``make promises``.

The alterations are those of the tests, drawn from another seed and more of them. Whoever alters a program computes its
digests again; only who has the key can sign it again.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from benchmarks.hostile.programs import EXTRA, FAMILIES, KEY, renew_digests, saved
from benchmarks.hostile.readers import lay
from benchmarks.outcomes import Outcome
from zero2ir.errors import InputError
from zero2ir.program.program import PROGRAM_FILE, load_program

TEST = "tests/program/test_altered_programs.py"
PER_FAMILY = 50
NUMBER = 28 * PER_FAMILY  # of the families of the test
SHOWN = 3


def run(number: int, seed: int) -> Sequence[Outcome]:
    """Tries ``number`` alterations of programs of all families, and as many of signed ones."""
    return [_of_families(max(1, number * PER_FAMILY // NUMBER), seed), _of_signed(number, seed)]


def _of_families(each: int, seed: int) -> Outcome:
    with tempfile.TemporaryDirectory() as place:
        record = Path(place, "record.xml")
        words = [sys.executable, "-m", "pytest", "-n", "0", "-q", f"--junitxml={record}", TEST]
        own = dict(os.environ) | {"ZERO2IR_ALTERATIONS": str(each), "ZERO2IR_ALTERATION_SEED": str(seed)}
        subprocess.run(words, env=own, stdout=subprocess.DEVNULL, check=False)
        cases = list(ElementTree.parse(record).iter("testcase"))
    stated = [{one.get("name"): int(one.get("value") or 0) for one in case.iter("property")} for case in cases]
    failed = [
        case.get("name", "") for case in cases if case.find("failure") is not None or case.find("error") is not None
    ]
    tried = sum(one.get("tried", 1) for one in stated)
    wrong = sum(one.get("wrong", 0) for one in stated)
    return Outcome(
        promise="An altered program of any family runs no code, and is refused in one line or gives finite answers",
        trial=f"values, arrays, graphs, tables, networks and bytes altered, digests computed again, seed {seed}",
        tried=tried,
        kept=tried - max(wrong, len(failed)),
        notes="; ".join(failed[:SHOWN]) or f"{sum('tried' in one for one in stated)} families",
    )


def _of_signed(number: int, seed: int) -> Outcome:
    """Changes single bytes of every file, takes each file away, and adds others."""
    rng, passed, tried = np.random.default_rng(seed), [], 0
    with tempfile.TemporaryDirectory() as place:
        for family in FAMILIES:
            files = saved(family)
            names = sorted(set(files) - {PROGRAM_FILE})
            changes = [(name, None) for name in files] + [(name, b"x") for name in EXTRA if name != "retriever"]
            for _ in range(max(1, number // len(FAMILIES) - len(changes))):
                name = names[int(rng.integers(len(names)))]
                content = bytearray(files[name] or b"\0")
                content[int(rng.integers(len(content)))] ^= int(rng.integers(1, 256))
                changes.append((name, bytes(content)))
            for name, content in changes:
                folder = Path(place, "program")
                lay({**files, name: b"" if content is None else content}, folder)
                if content is None:
                    (folder / name).unlink()
                if rng.random() < 0.5:
                    renew_digests(folder)
                tried += 1
                try:
                    load_program(folder, key=KEY)
                    passed.append(f"{family}: {name}")
                except InputError:
                    pass
                shutil.rmtree(folder)
    return Outcome(
        promise="With the key, a program with one changed byte, one file less or one more is refused",
        trial=f"bytes of signed programs changed, files removed and added, digests computed again or not, seed {seed}",
        tried=tried,
        kept=tried - len(passed),
        notes="; ".join(passed[:SHOWN]),
    )
