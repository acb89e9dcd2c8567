"""A few seconds of the soak: what it counts is there, and a growing memory is seen."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.soak import Load, growth, soak
from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.models.sparse import Sparse
from zero2ir.program.program import Program


def test_seconds_of_the_soak_keep_every_promise(string_methods: list[dict[str, str]], tmp_path: Path) -> None:
    documents = [Document(row["doc_id"], "", row["text"]) for row in string_methods]
    Program(Sparse().index(Corpus(documents)), documents, None, {"model": "sparse"}).save(tmp_path / "program")
    queries = ["cut a sentence into words", "spaces before and after", "upper case"]
    _, *outcomes = soak(tmp_path, queries, Load(5.0, clients=4, rate=10.0, reload_seconds=2.0), seed=0)
    for one in outcomes:  # all but the memory, which grows in the first seconds
        assert (one.kept, one.notes) == (one.tried, one.notes)
        assert one.tried


@pytest.mark.parametrize("slope", [0.0, 2.0])
def test_the_growth_is_that_of_the_last_half(slope: float) -> None:
    seconds = np.arange(3600)
    noise = np.random.default_rng(0).normal(0, 1, len(seconds))
    found = growth(
        [*(300 + 100 * np.minimum(seconds, 1800) / 1800 + slope * np.maximum(seconds - 1800, 0) / 1800 + noise)]
    )
    assert found.low < slope < found.high
    assert found.mean == pytest.approx(slope, abs=0.2)
