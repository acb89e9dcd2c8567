"""The cross-encoder: what it is shown, that it learns, and what it costs at most."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.examples import Example
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.errors import InputError
from zero2ir.models.base import load_model
from zero2ir.models.cross_encoder import CandidateList, CrossEncoder, CrossEncoderSettings, candidate_lists

CONTENTS = [f"text {number}" for number in range(20)]
EXAMPLES = [
    Example("first", 0, (10, 11)),
    Example("first", 1, (10, 12), weight=2.0),
    Example("second", 2),
    Example("ignored", 3, (13,), weight=0.0),
]


@pytest.fixture(scope="module")
def corpus(docstrings: list[Document], tiny_encoder: DenseEncoder, tiny_transformer: DenseEncoder) -> Corpus:
    return Corpus(docstrings, {"static": tiny_encoder, "pretrained": tiny_transformer})


def lists(**settings: int) -> list[CandidateList]:
    return candidate_lists(EXAMPLES, CONTENTS, CrossEncoderSettings(**settings), np.random.default_rng(0))  # type: ignore[arg-type]


def test_a_query_is_shown_its_relevant_texts_its_negatives_and_others_relevant_ones() -> None:
    rows = {row.query: row for row in lists(candidates=8, epochs=1)}
    assert set(rows) == {"first", "second"}
    first = dict(zip(rows["first"].texts, rows["first"].labels, strict=True))
    assert first == {"text 0": 1.0, "text 1": 2.0, "text 10": 0.0, "text 11": 0.0, "text 12": 0.0, "text 2": 0.0}
    second = dict(zip(rows["second"].texts, rows["second"].labels, strict=True))
    assert second == {"text 2": 1.0, "text 0": 0.0, "text 1": 0.0}


def test_the_budget_holds() -> None:
    assert {len(row.texts) for row in lists(candidates=3, epochs=4) if row.query == "first"} == {3}
    assert all(0.0 in row.labels and max(row.labels) > 0 for row in lists(candidates=2, epochs=4))
    assert len(lists(candidates=8, epochs=4)) == 8
    assert sum(len(row.texts) for row in lists(candidates=8, epochs=4, max_pairs=20)) <= 20


def test_untrained_it_scores_nothing(corpus: Corpus) -> None:
    scores = CrossEncoder().index(corpus).score(["a", "b"], [["x", "y"], []])
    assert [row.shape for row in scores] == [(2,), (0,)]
    assert np.isnan(scores[0]).all()


@pytest.mark.parametrize("loss", ["lambda", "listnet", "ranknet"])
def test_it_learns_to_tell_what_it_was_shown(corpus: Corpus, loss: str, tmp_path: Path) -> None:
    examples = [Example(f"query {number % 4}", number, (number + 10, number + 20)) for number in range(8)]
    fit = {"loss": loss, "epochs": 15, "candidates": 4, "learning_rate": 0.003}
    reranker = CrossEncoder(max_tokens=48, fit=fit).index(corpus)
    learned = reranker.learn(examples, seed=1)
    assert learned is not None
    assert reranker.network is None  # a copy has learned
    queries = [example.query for example in examples]
    texts = [[corpus.contents[number] for number in (one.positive, *one.negatives)] for one in examples]
    scores = learned.score(queries, texts)
    assert np.mean([row.argmax() == 0 for row in scores]) >= 0.75
    again = reranker.learn(examples, seed=1)
    assert again is not None
    np.testing.assert_array_equal(np.concatenate(again.score(queries, texts)), np.concatenate(scores))
    learned.save(tmp_path)
    np.testing.assert_array_equal(
        np.concatenate(load_model(tmp_path, corpus).score(queries, texts)), np.concatenate(scores)
    )


def test_a_score_depends_on_the_first_tokens_alone(corpus: Corpus) -> None:
    learned = CrossEncoder(max_tokens=16, fit={"epochs": 1}).index(corpus).learn([Example("a file", 0, (1,))], seed=0)
    assert learned is not None
    (scores,) = learned.score(["a file"], [["open " * 20, "open " * 20 + "something else"]])
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


def test_nothing_to_learn_from_is_none(corpus: Corpus) -> None:
    reranker = CrossEncoder().index(corpus)
    assert reranker.learn([], seed=0) is None
    assert reranker.learn([Example("alone", 0)], seed=0) is None  # one text has no order


def test_an_encoder_without_a_transformer_is_refused(corpus: Corpus) -> None:
    with pytest.raises(InputError, match="the encoder 'static' is no transformer"):
        CrossEncoder("static").index(corpus).learn([Example("a", 0, (1,))], seed=0)


def test_too_few_tokens_are_rejected() -> None:
    with pytest.raises(InputError, match=r"CrossEncoder\.max_tokens: .* greater than or equal to 8, not 4"):
        CrossEncoder(max_tokens=4)


def test_a_local_folder_reranks_without_training_and_is_saved_with_the_program(
    corpus: Corpus, cross_encoder_folder: Path, tmp_path: Path
) -> None:
    reranker = CrossEncoder(max_tokens=32, weights=str(cross_encoder_folder)).index(Corpus(corpus.documents))
    assert reranker.needs() == set()
    (scores,) = reranker.score(["white space"], [["strip removes it", "sort a list", ""]])
    assert np.isfinite(scores).all()
    assert len(set(scores.tolist())) == 3
    reranker.save(tmp_path / "saved")
    opened = load_model(tmp_path / "saved", corpus)
    (again,) = opened.score(["white space"], [["strip removes it", "sort a list", ""]])  # type: ignore[attr-defined]
    assert again.tolist() == scores.tolist()


def test_a_local_folder_is_trained_further_and_stays_as_it_was(corpus: Corpus, cross_encoder_folder: Path) -> None:
    before = {path: path.read_bytes() for path in cross_encoder_folder.rglob("*") if path.is_file()}
    fit = {"epochs": 2, "candidates": 4, "learning_rate": 0.01}
    reranker = CrossEncoder(max_tokens=32, fit=fit, weights=str(cross_encoder_folder)).index(corpus)
    learned = reranker.learn([Example(f"query {number}", number, (number + 10,)) for number in range(4)], seed=0)
    assert learned is not None
    texts = [["strip removes it", "sort a list"]]
    assert learned.score(["white space"], texts)[0].tolist() != reranker.score(["white space"], texts)[0].tolist()
    assert {path: path.read_bytes() for path in cross_encoder_folder.rglob("*") if path.is_file()} == before


def test_a_folder_without_a_cross_encoder_is_one_line(
    corpus: Corpus, cross_encoder_folder: Path, tiny_transformer_settings: EncoderSettings, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    truncated = tmp_path / "truncated"
    shutil.copytree(cross_encoder_folder, truncated)
    weights = truncated / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("{", encoding="utf-8")
    for place, says in (
        (tmp_path / "absent", "no such folder"),
        ("a-name-of-the-hub", "no such folder"),
        (weights, "no such folder"),
        (tmp_path / "empty", "no sentence-transformers model"),
        (broken, "cannot be loaded"),
        (truncated, "cannot be loaded"),
        (tiny_transformer_settings.model, "holds no cross-encoder with one output"),
    ):
        with pytest.raises(InputError, match=f"{says}.*; correct the reranker's weights") as error:
            CrossEncoder(weights=str(place)).index(corpus)
        assert str(place) in str(error.value)
        assert "\n" not in str(error.value)
