"""BM25 against a calculation by hand, and the bytes of its index."""

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from zero2ir.data.pydocs.documents import read_pydocs
from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.models.base import load_retriever
from zero2ir.models.capabilities import learn
from zero2ir.models.sparse import Sparse, tokenize

TEXTS = ["apples, bananas and an apple", "the banana; a cherry", "Cherry cherry DATE fig"]  # 3, 2 and 4 words
CORPUS = Corpus([Document(f"d{number}", "", text) for number, text in enumerate(TEXTS)])


def bm25(frequency: int, documents: int, length: int, k1: float, b: float) -> float:
    """Lucene's BM25 of one term in three documents of three words on average."""
    idf = math.log(1 + (3 - documents + 0.5) / (documents + 0.5))
    return idf * frequency / (frequency + k1 * (1 - b + b * length / 3))


def test_words_are_stemmed_and_stop_words_go() -> None:
    assert tokenize(TEXTS) == [["appl", "banana", "appl"], ["banana", "cherri"], ["cherri", "cherri", "date", "fig"]]
    assert tokenize(["", "the", "x"]) == [[], [], []]
    assert tokenize([]) == []


@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.2, 0.75), (2.0, 0.0), (0.0, 1.0)])
def test_scores_are_lucenes(k1: float, b: float) -> None:
    expected = {
        "apple": {0: bm25(2, 1, 3, k1, b)},
        "banana": {0: bm25(1, 2, 3, k1, b), 1: bm25(1, 2, 2, k1, b)},
        "cherries": {1: bm25(1, 2, 2, k1, b), 2: bm25(2, 2, 4, k1, b)},
        "date date": {2: 2 * bm25(1, 1, 4, k1, b)},
        "apple fig unknown": {0: bm25(2, 1, 3, k1, b), 2: bm25(1, 1, 4, k1, b)},
        "unknown": {},
    }
    sparse = Sparse(k1, b).index(CORPUS)
    numbers, scores, *_ = sparse.search(list(expected), 3)
    for row, found in enumerate(expected.values()):
        assert {int(n): float(s) for n, s in zip(numbers[row], scores[row], strict=True) if n >= 0} == pytest.approx(
            found, rel=1e-5
        )
    scored = sparse.score(list(expected), [TEXTS] * len(expected))
    for values, found in zip(scored, expected.values(), strict=True):
        assert values.tolist() == pytest.approx([found.get(number, 0.0) for number in range(3)], rel=1e-5)


def test_a_new_text_is_scored_with_the_collections_statistics() -> None:
    (scores,) = Sparse(0.9, 0.4).index(CORPUS).score(["apple zebra"], [["an apple and a zebra", "zebra"]])
    assert scores.tolist() == pytest.approx([bm25(1, 1, 2, 0.9, 0.4), 0.0])  # no document has a zebra


def test_only_the_given_alternatives_other_than_the_present_are_offered() -> None:
    sparse = Sparse(0.9, 0.4, alternatives=[[0.9, 0.4], [1.2, 0.75]])
    assert sparse.alternative_settings() == [{"k1": 1.2, "b": 0.75}]
    assert sparse.index(CORPUS).with_settings({"k1": 1.2, "b": 0.75}).alternative_settings() == [{"k1": 0.9, "b": 0.4}]


def test_it_learns_nothing_and_needs_no_encoder() -> None:
    assert learn(Sparse().index(CORPUS), [], seed=0) is None
    assert Sparse().needs() == set()


SAVE = """
import sys; from pathlib import Path
from zero2ir.data.pydocs.documents import read_pydocs
from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.models.capabilities import learn
from zero2ir.models.sparse import Sparse
Sparse().index(Corpus([Document(*row) for row in read_pydocs()[0][:300]])).save(Path(sys.argv[1]))
"""


def test_the_saved_bytes_do_not_depend_on_the_process(tmp_path: Path) -> None:
    documents = [Document(*row) for row in read_pydocs()[0][:300]]
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", SAVE, str(tmp_path / seed)], check=True, env=environment)
    for name in ("model.json", "weights.safetensors"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    weights = load_file(tmp_path / "1" / "weights.safetensors")
    assert set(weights) == {f"{part}{name}" for part in ("", "counts.") for name in ("data", "indices", "indptr")}
    assert len(weights["data"]) > 1000
    assert load_retriever(tmp_path / "1", Corpus(documents)).search(["open a file"], 3).numbers[0, 0] >= 0


def test_a_collection_without_a_single_term_finds_nothing(tmp_path: Path) -> None:
    nothing = Corpus([Document("d0", "", ""), Document("d1", "", "the")])
    sparse = Sparse().index(nothing)
    sparse.save(tmp_path)
    for one in (sparse, load_retriever(tmp_path, nothing)):
        assert (one.search(["the", "apple"], 2).numbers == -1).all()
        assert not np.concatenate(one.score(["the", "apple"], [["the", "apple"]] * 2)).any()


@pytest.mark.parametrize("wrong", [{"k1": float("nan")}, {"k1": -1.0}, {"b": 1.5}, {"alternatives": [(1.2, -1.0)]}])
def test_settings_out_of_range_are_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"^Sparse.{next(iter(wrong))}.*: Input should be "):
        Sparse(**wrong)
    with pytest.raises(InputError, match=f"^Sparse.{next(iter(wrong))}.*: Input should be "):
        Sparse().with_params(**wrong)
