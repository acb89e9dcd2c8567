"""Embeddings are computed once, cached by content, and never mixed up."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.errors import InputError


class Counting(DenseEncoder):
    """An encoder that counts how often it works."""

    calls = 0

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.calls += 1
        return super().encode(texts)


@pytest.fixture
def encoder(tiny_encoder: DenseEncoder) -> Counting:
    return Counting(tiny_encoder.settings, tiny_encoder.model)


def test_documents_have_numbers_and_contents() -> None:
    corpus = Corpus([Document("a", "Title", "text"), Document("b", "", "text"), Document("c", "Title", "")])
    assert corpus.contents == ["Title\ntext", "text", "Title"]
    assert corpus.number_of == {"a": 0, "b": 1, "c": 2}


def test_embeddings_are_computed_at_the_first_use_and_once(docstrings: list[Document], encoder: Counting) -> None:
    corpus = Corpus(docstrings, {"static": encoder})
    assert encoder.calls == 0
    vectors = corpus.encoded("static")
    assert corpus.encoded("static") is vectors
    assert encoder.calls == 1
    np.testing.assert_array_equal(vectors, encoder.encode(corpus.contents))


def test_given_embeddings_are_not_computed_again(docstrings: list[Document], encoder: Counting) -> None:
    given = np.eye(60, 16, dtype=np.float32)
    assert Corpus(docstrings, {"static": encoder}, {"static": given}).encoded("static") is given
    assert encoder.calls == 0


def test_the_cache_serves_the_same_texts_and_no_others(
    docstrings: list[Document], encoder: Counting, tmp_path: Path
) -> None:
    first = Corpus(docstrings, {"static": encoder}, cache=tmp_path).encoded("static")
    again = Corpus(docstrings, {"static": encoder}, cache=tmp_path).encoded("static")
    np.testing.assert_array_equal(first, again)
    assert encoder.calls == 1
    others = Corpus(docstrings[::-1], {"static": encoder}, cache=tmp_path).encoded("static")
    np.testing.assert_allclose(others, first[::-1], atol=1e-6)
    assert encoder.calls == 2
    assert len(list(tmp_path.glob("*.npy"))) == 2


def test_the_cache_distinguishes_texts_with_equal_concatenation(encoder: Counting, tmp_path: Path) -> None:
    for texts in (["open file", "sort"], ["open", "file sort"], ["open filesort", ""]):
        corpus = Corpus([Document(str(n), "", text) for n, text in enumerate(texts)], {"s": encoder}, cache=tmp_path)
        np.testing.assert_array_equal(corpus.encoded("s"), encoder.encode(texts))
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(("have", "named"), [({}, "available: none"), ({"static": None}, "available: static")])
def test_a_missing_role_is_an_input_error(have: dict[str, DenseEncoder], named: str) -> None:
    with pytest.raises(InputError, match=f"'pretrained', {named}; run pretrain-synthetic first"):
        Corpus([Document("a", "", "text")], have).encoded("pretrained")
