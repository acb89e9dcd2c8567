"""Writing is killed in the middle: no answered query is lost, and the end is the same."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.lm.factory import open_lm
from zero2ir.lm.settings import LMSettings
from zero2ir.lm.usage import Usage
from zero2ir.synthetic.queries import write_queries
from zero2ir.synthetic.records import SyntheticQuery
from zero2ir.synthetic.settings import SyntheticSettings

SETTINGS = SyntheticSettings(documents=6, demonstrations=2, document_words=24, styles={"question": 1, "claim": 1})
ANSWERED = 3  # when it is killed
DEADLINE = 120.0  # seconds


def write(documents: Sequence[Document], cache: Path) -> tuple[list[SyntheticQuery], Usage]:
    with open_lm(LMSettings(name="smollm2", context=1024), cache, seed=0) as language_model:
        rows, _ = write_queries(Corpus(documents), [], language_model, SETTINGS, seed=0)
        return rows, language_model.usage


def answers(cache: Path) -> int:
    """How many answers are kept by now."""
    found = 0
    for path in cache.glob("*/cache.db"):
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
                found += database.execute("SELECT count(*) FROM Cache").fetchone()[0]
        except sqlite3.OperationalError:  # the table is being made
            continue
    return found


@pytest.mark.slow
def test_a_killed_writer_loses_no_answer(docstrings: list[Document], tmp_path: Path) -> None:
    documents, killed = docstrings[:10], tmp_path / "killed"
    program = f"import test_resume; test_resume.write({documents!r}, test_resume.Path({str(killed)!r}))"
    program = f"from zero2ir.data.records import Document; {program}"
    with subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parent) as process:
        deadline = time.monotonic() + DEADLINE
        while answers(killed) < ANSWERED and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert process.poll() is None, "it ended before it could be killed"
        process.kill()
    kept = answers(killed)
    assert ANSWERED <= kept < 12
    rows, usage = write(documents, killed)
    whole, of_whole = write(documents, tmp_path / "whole")
    assert rows == whole
    assert {row.style for row in rows} == {"question", "claim"}
    assert (usage.cached, usage.calls) == (kept, of_whole.calls - kept)
    assert of_whole.cached == 0
