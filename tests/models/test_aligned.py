"""Aligned: maps between two languages' spaces."""

import numpy as np
import pytest
from scipy.stats import ortho_group

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.examples import Example
from zero2ir.models.aligned import Aligned, AlignmentSettings, align, mutual_nearest
from zero2ir.models.dense_adapter import apply_adapter

METHODS = ["procrustes", "ridge"]


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def spaces() -> tuple[np.ndarray, np.ndarray]:
    """The same hundred texts in two spaces of eight dimensions, one turned against the other."""
    texts = unit(np.random.default_rng(0).normal(size=(100, 8)))
    return texts @ ortho_group.rvs(8, random_state=1), texts


@pytest.mark.parametrize("method", METHODS)
def test_enough_pairs_align_what_they_do_not_hold(method, spaces) -> None:
    queries, documents = spaces
    found = align(queries[:50], documents[:50], AlignmentSettings(method=method, penalty=0.01))
    np.testing.assert_allclose(apply_adapter(queries[50:], found), documents[50:], atol=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_a_pair_moves_no_direction_that_it_does_not_speak_of(method) -> None:
    axes = np.eye(4)
    found = align(axes[:1], axes[1:2], AlignmentSettings(method=method, penalty=1.0))
    np.testing.assert_allclose(apply_adapter(axes[2:], found), axes[2:], atol=1e-6)
    assert apply_adapter(axes[:1], found)[0] @ axes[1] > 0.3


def test_procrustes_keeps_lengths(spaces) -> None:
    found = align(spaces[0][:5], spaces[1][:5], AlignmentSettings())
    turned = np.eye(8) + found
    np.testing.assert_allclose(turned.T @ turned, np.eye(8), atol=1e-5)


def test_mutual_nearest_are_each_others(spaces) -> None:
    _, texts = spaces
    rows, columns = mutual_nearest(texts, texts[::-1])
    assert list(columns) == [99 - row for row in rows]
    assert len(rows) == 100
    assert len(mutual_nearest(texts[:1].repeat(3, axis=0), texts[:2])[0]) == 1


@pytest.fixture
def foreign(docstrings: list[Document], tiny_encoder: DenseEncoder, script_lm):
    """Documents, and a language model that spells every word backwards."""
    language_model, script = script_lm(
        lambda messages: " ".join(word[::-1] for word in messages[-1].partition(": ")[2].split())
    )
    return Corpus(docstrings, {"static": tiny_encoder}, language_model=language_model), script


PAIRS = [Example("nepo elif", 1, translation="open file"), Example("tros tsil", 2, translation="sort list")]


def test_it_moves_queries_to_their_translations(foreign) -> None:
    corpus, script = foreign
    plain = Aligned("static", alignment={"penalty": 0.01}).index(corpus)
    learned = plain.learn(PAIRS, seed=0)
    assert learned is not None
    wanted = plain.encode_queries([pair.translation for pair in PAIRS])
    queries = [pair.query for pair in PAIRS]
    nearness = [(one.encode_queries(queries) * wanted).sum(axis=1) for one in (plain, learned)]
    assert (nearness[1] > nearness[0]).all()
    assert "lm" not in plain.needs()
    assert not script.requests


def test_translated_sentences_are_further_pairs(foreign) -> None:
    corpus, script = foreign
    aligned = Aligned("static", alignment={"sentences": 6, "rounds": 1}).index(corpus)
    assert "lm" in aligned.needs()
    learned = aligned.learn(PAIRS, seed=0)
    alone = Aligned("static").index(corpus).learn(PAIRS, seed=0)
    assert learned is not None
    assert alone is not None
    assert len(script.requests) == 6
    shown = [message.partition(": ")[2] for message in script.requests[0][1:-1:2]]
    assert sorted(shown) == ["open file", "sort list"]  # the pairs are shown the other way round
    assert (learned.map != alone.map).any()


def test_without_translations_it_learns_as_dense_does(foreign) -> None:
    corpus, _ = foreign
    learned = Aligned("static", adapter={"steps": 3}).index(corpus).learn([Example("a query", 1)], seed=0)
    assert learned is not None
    assert learned.kind == "aligned"
    assert learned.map is not None
