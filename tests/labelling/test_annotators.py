"""Who answers where no person does, and how well two of them agree."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from zero2ir.data.records import Document, Judgment
from zero2ir.encoders.corpus import Corpus
from zero2ir.labelling.annotations import Annotation
from zero2ir.labelling.annotators import LMAnnotator, Simulated, annotator_agreement, graded_by_both, label_all
from zero2ir.labelling.loop import AnnotationItem
from zero2ir.labelling.session import Session

QRELS = [Judgment("q", "a", 2), Judgment("q", "b", 0), Judgment("q", "c", -1)]
ITEMS = [AnnotationItem("q", "text", doc_id) for doc_id in "abcz"]


def test_the_simulated_annotator_answers_from_qrels() -> None:
    assert Simulated(QRELS).grades(ITEMS) == [2, 0, 0, 0]
    assert Simulated(QRELS, unjudged="skipped").grades(ITEMS) == [2, 0, 0, None]
    with pytest.raises(ValueError, match=r"noise=1\.5: must be between 0 and 1"):
        Simulated(QRELS, noise=1.5)


def test_noise_has_the_configured_share_and_is_reproducible() -> None:
    items = [AnnotationItem(f"q{number}", "text", "a") for number in range(2000)]
    qrels = [Judgment(item.query_id, "a", 1) for item in items]
    noisy = Simulated(qrels, noise=0.2, seed=3)
    grades = noisy.grades(items)
    assert Counter(grades)[0] == pytest.approx(400, abs=60)
    assert noisy.grades(items) == grades != Simulated(qrels, noise=0.2, seed=4).grades(items)
    again = noisy.grades([item._replace(repeat=True) for item in items])
    assert again != grades  # nobody errs in the same way twice


def test_a_language_model_grades(script_lm: Callable[..., Any]) -> None:
    def answer(messages: list[str]) -> str:
        return json.dumps({"grade": 2}) if "right" in messages[-1] else "no idea"

    language_model, _ = script_lm(answer)
    corpus = Corpus([Document("a", "", "the right one"), Document("b", "", "another")])
    annotator = LMAnnotator(corpus, language_model)
    assert annotator.name == "lm:script"
    assert annotator.grades([AnnotationItem("q", "text", "a"), AnnotationItem("q", "text", "b")]) == [2, None]


def test_an_annotator_answers_until_the_loop_stops(session: Callable[..., Session]) -> None:
    labelling = session(settings=("labelling.budget=3",)).labelling
    label_all(labelling, Simulated([]))
    assert labelling.next() is None
    assert {row.annotator for row in labelling.answers.rows} == {"simulated"}
    assert labelling.progress.queries == 3


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30))
def test_agreement_is_cohens_kappa(pairs: list[tuple[int, int]]) -> None:
    one, two = zip(*pairs, strict=True)
    found = annotator_agreement(one, two, resamples=50)
    assert found.equal == pytest.approx(np.mean(np.array(one) == np.array(two)))
    if len({*one, *two}) < 2:
        assert np.isnan(found.kappa.mean)
    else:
        assert found.kappa.mean == pytest.approx(cohen_kappa_score(one, two), nan_ok=True)


def test_pairs_that_both_judged_are_compared() -> None:
    rows = [
        Annotation("q", "t", "a", 1, "me"),
        Annotation("q", "t", "a", 2, "you"),
        Annotation("q", "t", "b", 0, "me"),
        Annotation("q", "t", "c", None, "me"),
        Annotation("q", "t", "c", 1, "you"),
        Annotation("q", "t", "a", 0, "me"),
    ]
    assert graded_by_both(rows, "me", "you") == ([0], [2])
