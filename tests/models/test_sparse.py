"""BM25 against a calculation by hand, and the bytes of its index."""

import math
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import bm25s
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from zero2ir.data.pydocs.documents import read_pydocs
from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.models import postings
from zero2ir.models.base import load_retriever
from zero2ir.models.capabilities import learn
from zero2ir.models.ranking import Ranking
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


@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.2, 0.75), (0.0, 1.0)])
def test_scores_are_those_of_bm25s_to_the_last_bit(k1: float, b: float) -> None:
    documents = [Document(*row) for row in read_pydocs()[0]]
    sparse = Sparse(k1, b).index(Corpus(documents))
    tokens = sparse.tokens([document.content for document in documents])
    expected = bm25s.BM25(k1=k1, b=b, method="lucene")
    expected.index(tokens, show_progress=False)
    queries = [document.title for document in documents[::40]]
    ranking = sparse.search(queries, len(documents))
    for row, terms in enumerate(sparse.tokens(queries)):
        scores = expected.get_scores(terms) if terms else np.zeros(len(documents), dtype=np.float32)
        found = np.zeros_like(scores)
        kept = ranking.numbers[row] >= 0
        found[ranking.numbers[row][kept]] = ranking.scores[row][kept]
        np.testing.assert_array_equal(found, scores)


WORDS = ["apple", "banana", "cherry", "date", "fig", "grape"]
TEXT_LISTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), max_size=5)


@given(data=st.data())
def test_documents_come_and_go_as_if_indexed_at_once(data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr(postings, "STALE_SHARE", data.draw(st.sampled_from([0.5, 100.0])))
        texts = data.draw(TEXT_LISTS) or [""]
        sparse = Sparse(feedback_terms=2, language="en").index(corpus_of(texts))
        for _ in range(data.draw(st.integers(1, 4))):
            kept = sorted(data.draw(st.sets(st.integers(0, len(texts) - 1))))
            texts = [*(texts[number] for number in kept), *data.draw(TEXT_LISTS)] or [""]
            old, before = sparse, sparse.search(WORDS, 9)
            sparse = old.with_corpus(corpus_of(texts), np.array(kept, dtype=np.int64))
            assert_same(old.search(WORDS, 9), before)
        expected = Sparse(feedback_terms=2, language="en").index(corpus_of(texts))
        sparse.save(Path(folder))
        near = np.array([[0, len(texts) - 1]] * len(WORDS))
        for one in (sparse, load_retriever(Path(folder), corpus_of(texts))):
            assert_same(one.search([*WORDS, "fig apple fig"], 9), expected.search([*WORDS, "fig apple fig"], 9))
            moved = (model.search_with_feedback(WORDS, near, 0.5, 9) for model in (one, expected))
            assert_same(*moved)
            assert_same(*(next(iter(model.sweep(WORDS, 9)))[1] for model in (one, expected)))
            for row, other in zip(one.score(WORDS, [WORDS] * 6), expected.score(WORDS, [WORDS] * 6), strict=True):
                np.testing.assert_array_equal(row, other)


def corpus_of(texts: list[str]) -> Corpus:
    return Corpus([Document(f"d{number}", "", text) for number, text in enumerate(texts)], language="en")


def assert_same(one: Ranking, other: Ranking) -> None:
    for values, expected in zip(one, other, strict=True):
        np.testing.assert_array_equal(values, expected)


def test_an_addition_leaves_the_first_block_as_it_is() -> None:
    texts = [f"apple banana number{number}" for number in range(50)]
    sparse = Sparse(language="en").index(corpus_of(texts))
    more = sparse.with_corpus(corpus_of([*texts, "a zydeco apple"]), np.arange(50))
    assert more.postings.first is sparse.postings.first
    assert more.search(["zydeco"], 3).numbers.tolist() == [[50, -1, -1]]
    less = more.with_corpus(corpus_of([*texts[1:], "a zydeco apple"]), np.arange(1, 51))
    assert less.postings.first is sparse.postings.first
    assert less.search(["number0", "number1"], 1).numbers.tolist() == [[-1], [0]]


SAVE = """
import sys; from pathlib import Path
from zero2ir.data.pydocs.documents import read_pydocs
from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.models.capabilities import learn
from zero2ir.models.ranking import Ranking
from zero2ir.models.sparse import Sparse
Sparse().index(Corpus([Document(*row) for row in read_pydocs()[0][:300]])).save(Path(sys.argv[1]))
"""


def test_the_saved_bytes_do_not_depend_on_the_process(tmp_path: Path) -> None:
    documents = [Document(*row) for row in read_pydocs()[0][:300]]
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", SAVE, str(tmp_path / seed)], check=True, env=environment)
    for name in ("model.json", "counts.safetensors"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    counts = load_file(tmp_path / "1" / "counts.safetensors")
    assert set(counts) == {"data", "indices", "indptr"}
    assert len(counts["data"]) > 1000
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


def test_queries_are_scored_a_block_at_a_time(docstrings: list[Document], monkeypatch: pytest.MonkeyPatch) -> None:
    retriever = Sparse().index(Corpus(docstrings))
    queries = [document.content[:60] for document in docstrings[:7]]
    near = retriever.search(queries, 3).numbers

    def found() -> list[Ranking]:
        return [retriever.search(queries, 5), retriever.search_with_feedback(queries, near, 0.5, 5)]

    expected = found()
    monkeypatch.setattr("zero2ir.models.ranking.MAX_BLOCK_SCORES", 3 * len(docstrings))
    for one, other in zip(found(), expected, strict=True):
        assert_same(one, other)


def test_documents_are_counted_a_block_at_a_time(
    docstrings: list[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for block in (len(docstrings), 7):
        monkeypatch.setattr("zero2ir.models.sparse.BLOCK", block)
        Sparse().index(Corpus(docstrings)).save(tmp_path / str(block))
    one, other = (sorted((tmp_path / name).iterdir()) for name in (str(len(docstrings)), "7"))
    assert [path.name for path in one] == [path.name for path in other]
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]
