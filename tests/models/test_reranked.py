"""Reranked: what the reranker says moves the first documents, by weight, and nothing else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from zero2ir.data.records import Document, JudgedDocument
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.examples import Example
from zero2ir.errors import InputError
from zero2ir.models.base import Reranker, load_retriever, parts, with_parts
from zero2ir.models.capabilities import learn, settings, with_corpus, with_settings
from zero2ir.models.cross_encoder import CrossEncoder
from zero2ir.models.dense import Dense
from zero2ir.models.reranked import Reranked
from zero2ir.models.sparse import Sparse
from zero2ir.strategies.base import TrainingInputs
from zero2ir.strategies.fine_tune import FineTune
from zero2ir.strategies.tuning import TuningSettings

QUERY = "apple pear plum fig"
TEXTS = ["apple pear plum fig", "apple pear plum", "apple pear", "apple", "nothing"]  # BM25 keeps this order


class Fixed(Reranker):
    """Gives each text the score that it was told."""

    kind = "fixed"

    def __init__(self, scores: dict[str, Any]) -> None:
        self.scores = scores
        self.asked: list[str] = []

    def index(self, corpus: Corpus) -> Self:
        return self

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        self.asked += [text for texts in candidates for text in texts]
        return [np.array([self.scores[text] for text in texts], dtype=np.float32) for texts in candidates]


class Shortest(Fixed):
    """Takes the shortest text for the best: wrong, and sure of it."""

    def __init__(self) -> None:
        super().__init__({})

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        return [np.array([-len(text) for text in texts], dtype=np.float32) for texts in candidates]


def corpus_of(texts: Sequence[str]) -> Corpus:
    return Corpus([Document(str(number), "", text) for number, text in enumerate(texts)])


def reranked(scores: Sequence[float], depth: int, weight: float) -> Reranked:
    return Reranked(Sparse(), Fixed(dict(zip(TEXTS, scores, strict=False))), depth, weight).index(corpus_of(TEXTS))


def order(model: Reranked, k: int = 5) -> list[int]:
    ranking = model.search([QUERY], k)
    kept = ranking.scores[0][ranking.numbers[0] >= 0]
    assert (np.diff(kept) <= 0).all()
    return [int(number) for number in ranking.numbers[0] if number >= 0]


def test_at_full_weight_the_order_is_the_rerankers_and_what_follows_stays() -> None:
    assert order(reranked([1, 2, 3, 4, 5], 3, 1.0)) == [2, 1, 0, 3]


def test_at_no_weight_the_order_is_the_retrievers_and_nobody_is_asked() -> None:
    model = reranked([1, 2, 3, 4, 5], 3, 0.0)
    plain = Sparse().index(corpus_of(TEXTS)).search([QUERY], 5)
    np.testing.assert_array_equal(model.search([QUERY], 5).scores, plain.scores)
    assert model.reranker.asked == []  # type: ignore[attr-defined]


def test_only_the_first_candidates_are_asked_about_whatever_k_is() -> None:
    for k in (1, 5):
        model = reranked([1, 2, 3, 4, 5], 2, 0.5)
        model.search([QUERY], k)
        assert model.reranker.asked == TEXTS[:2]  # type: ignore[attr-defined]


def test_a_mixture_by_hand() -> None:
    model = reranked([0, 0, 0, 0, 0], 3, 0.25)
    own, opinion = np.array([5.0, 3.0, 1.0]), np.array([0.0, 0.0, 9.0], dtype=np.float32)
    deviation = np.sqrt(8 / 3)  # of 5, 3, 1; of 0, 0, 9 it is sqrt(18)
    expected = 0.75 * own + 0.25 * (3 + deviation * np.array([-3, -3, 6]) / np.sqrt(18))  # 3 is the mean of 5, 3, 1
    np.testing.assert_allclose(model._mixed(own, opinion), expected, rtol=1e-6)


def test_a_candidate_that_was_not_scored_keeps_its_score() -> None:
    model = reranked([0, 0, 0, 0, 0], 3, 1.0)
    own, opinion = np.array([4.0, 2.0, 0.0]), np.array([1.0, np.nan, 3.0], dtype=np.float32)
    mixed = model._mixed(own, opinion)
    assert mixed[1] == pytest.approx(2.0)
    assert mixed[2] > mixed[1] > mixed[0]  # the two others have changed places around it
    np.testing.assert_allclose(mixed, [0.0, 2.0, 4.0], atol=1e-6)


@pytest.mark.parametrize("tie", [0.1, 3.0])  # the mean of tenths is none exactly
def test_where_the_retrievers_scores_tie_the_reranker_is_heard(tie: float) -> None:
    model = reranked([0, 0, 0, 0, 0], 3, 0.5)
    opinion = np.array([1.0, 3.0, 2.0], dtype=np.float32)
    assert np.argsort(model._mixed(np.full(3, tie), opinion)).tolist() == [0, 2, 1]
    among_others = np.array([tie, tie, tie, 9.0])
    mixed = model._mixed(among_others, np.array([1.0, 3.0, 2.0, np.nan], dtype=np.float32))
    assert np.argsort(mixed).tolist() == [0, 2, 1, 3]


@pytest.mark.parametrize("weight", [0.5, 1.0])
def test_scores_stay_on_the_retrievers_scale(weight: float) -> None:
    plain = Sparse().index(corpus_of(TEXTS)).search([QUERY], 4)
    model = reranked([1, 2, 3, 4, 5], 5, weight)
    ranking = model.search([QUERY], 4)
    assert ranking.scores[0].mean() == pytest.approx(plain.scores[0].mean(), rel=1e-5)
    assert ranking.mean.tolist() == plain.mean.tolist()
    (scores,) = model.score([QUERY], [[TEXTS[number] for number in ranking.numbers[0]]])
    np.testing.assert_allclose(scores, ranking.scores[0], rtol=1e-5)
    if weight == 1.0:
        assert ranking.scores[0].std() == pytest.approx(plain.scores[0].std(), rel=1e-5)


def test_where_none_or_one_was_scored_the_order_stays() -> None:
    nan = float("nan")
    for scores in ([nan] * 5, [nan, nan, 9.0, nan, nan]):
        assert order(reranked(scores, 4, 1.0)) == [0, 1, 2, 3]


def test_equal_opinions_leave_the_order() -> None:
    assert order(reranked([7, 7, 7, 7, 7], 4, 0.9)) == [0, 1, 2, 3]


def test_given_texts_are_scored_by_the_same_mixture() -> None:
    (scores,) = reranked([1, 2, 3, 4, 5], 2, 1.0).score([QUERY], [TEXTS[:3]])
    assert list(np.argsort(-scores)) == [2, 1, 0]


@pytest.mark.parametrize("wrong", [{"depth": 0}, {"weight": 1.1}, {"weight": -0.1}])
def test_settings_out_of_range_are_rejected(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"^Reranked.{next(iter(wrong))}: Input should be "):
        Reranked(Sparse(), Shortest(), **wrong)  # type: ignore[arg-type]


def test_its_parts_are_tuned_and_the_reranker_is_kept() -> None:
    model = reranked([1, 2, 3, 4, 5], 3, 0.5)
    (part,) = parts(model)
    changed = with_parts(model, [with_settings(part, {"k1": 2.0, "b": 0.0})])
    assert changed.reranker is model.reranker
    assert settings(changed.retriever) == {"k1": 2.0, "b": 0.0}
    assert changed.settings() == {"weight": 0.5}


def test_it_needs_what_both_need() -> None:
    assert Reranked(Dense("static"), CrossEncoder("pretrained")).needs() == {"static", "pretrained"}


# Switched off where it would do harm.


def judgments(corpus: Corpus) -> list[JudgedDocument]:
    """Queries in a document's own words, which BM25 answers well."""
    documents = corpus.documents[:20:2]
    return [
        JudgedDocument(f"q{place}", " ".join(document.text.split()[:8]), document.doc_id, 1)
        for place, document in enumerate(documents)
    ]


def wrong_cross_encoder(corpus: Corpus) -> Reranker:
    """A real cross-encoder that was taught what looks irrelevant: short texts of other documents."""
    short = sorted(range(len(corpus.contents)), key=lambda number: len(corpus.contents[number]))
    examples = [
        Example(row.query, short[place], (corpus.number_of[row.doc_id],)) for place, row in enumerate(judgments(corpus))
    ]
    fit = {"epochs": 10, "candidates": 2, "learning_rate": 0.003}
    learned = CrossEncoder(max_tokens=64, fit=fit).index(corpus).learn(examples, seed=0)
    assert learned is not None
    return learned


@pytest.mark.parametrize("make", [lambda corpus: Shortest(), wrong_cross_encoder], ids=["shortest", "cross-encoder"])
def test_a_reranker_that_does_harm_is_switched_off_by_the_fit(
    make, docstrings: list[Document], tiny_transformer: DenseEncoder
) -> None:
    corpus = Corpus(docstrings, {"pretrained": tiny_transformer})
    inputs = TrainingInputs(corpus, judgments(corpus), tuning=TuningSettings(folds=2))
    model = Reranked(Sparse(), make(corpus), 10, weight=0.75)
    plain = Sparse().index(corpus)
    queries = list(inputs.queries.values())
    relevant = np.array([corpus.number_of[row.doc_id] for row in inputs.judgments])

    def found_first(retriever: Sparse | Reranked) -> float:
        return float((retriever.search(queries, 1).numbers[:, 0] == relevant).mean())

    assert found_first(model.index(corpus)) < found_first(plain) - 0.2  # it would do harm
    fitted = FineTune().fit(model, inputs)
    assert settings(fitted.retriever) == {"weight": 0.0}
    np.testing.assert_array_equal(fitted.retriever.search(queries, 10).numbers, plain.search(queries, 10).numbers)


def test_a_saved_one_goes_on_learning_from_the_encoder_of_its_retriever(
    docstrings: list[Document], tiny_transformer: DenseEncoder, tmp_path: Path
) -> None:
    corpus, without_encoders = Corpus(docstrings, {"pretrained": tiny_transformer}), Corpus(docstrings)
    model = Reranked(Dense("pretrained"), CrossEncoder(max_tokens=32, fit={"epochs": 1}), 4).index(corpus)
    model.save(tmp_path)
    examples = [Example("open a file", 9, (1, 2)), Example("gumbo zydeco", 7)]
    loaded = load_retriever(tmp_path, without_encoders)
    changed = with_corpus(loaded, Corpus(docstrings), np.arange(len(docstrings)))
    found = [
        learned.search(["open a file"], 10) for one in (model, loaded, changed) if (learned := learn(one, examples, 0))
    ]
    assert len(found) == 3
    np.testing.assert_array_equal(found[0].scores, found[1].scores)
    np.testing.assert_array_equal(found[0].scores, found[2].scores)
    assert not without_encoders.encoders  # nobody else's


def test_the_depth_is_of_the_candidates() -> None:
    model = reranked([0, 1, 2, 3, 4], depth=2, weight=1.0)
    ranking = model.search([QUERY], 5, [np.array([4, 2, 3])])
    assert isinstance(model.reranker, Fixed)
    assert model.reranker.asked == [TEXTS[2], TEXTS[3]]  # BM25's best two of the three, not of the collection
    assert ranking.numbers.tolist() == [[3, 2, 4, -1, -1]]
