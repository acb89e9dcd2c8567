"""distil: what a student takes over from its teacher, on which queries, and when it refuses."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from zero2ir.config import LibraryConfig, build, compose
from zero2ir.data.records import Document, JudgedDocument
from zero2ir.encoders.base import TextEncoder
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.distillation import TaughtQuery
from zero2ir.errors import InputError
from zero2ir.models.base import Retriever
from zero2ir.models.capabilities import distil
from zero2ir.models.cross_encoder import CrossEncoder
from zero2ir.models.dense import Dense
from zero2ir.models.late_interaction import LateInteraction
from zero2ir.models.multitask import Multitask
from zero2ir.models.ranking import Candidates, Ranking, top_k
from zero2ir.models.reranked import Reranked
from zero2ir.models.sparse import Sparse
from zero2ir.program.program import Program
from zero2ir.program.saved import SavedProgram
from zero2ir.strategies.base import TrainingInputs
from zero2ir.strategies.distil import DISTILLED_CHOICE, LEARNS_NOTHING, Distil, learning_queries
from zero2ir.strategies.tuning import TuningSettings

DIMENSION, DOCUMENTS, JUDGED = 24, 240, 8
ADAPTER = {"steps": 120, "learning_rate": 0.03, "penalty": 0.001}
FIT = {"batch_size": 28, "learning_rate": 0.01}  # eight queries of six documents a step


class Rotation:
    """An encoder whose queries are all turned by one rotation; a query is "query" and the number of its document."""

    trained = False

    def __init__(self) -> None:
        rng = np.random.default_rng(7)
        rows = rng.normal(size=(DOCUMENTS, DIMENSION))
        self.documents = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        self.turn = np.linalg.qr(rng.normal(size=(DIMENSION, DIMENSION)))[0].astype(np.float32)

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        return self.documents[[int(text.split()[1]) for text in texts]] @ self.turn

    @property
    def corpus(self) -> Corpus:
        listed = [Document(f"d{number}", "", f"document {number}") for number in range(DOCUMENTS)]
        return Corpus(listed, {"static": self}, {"static": self.documents})  # type: ignore[dict-item]


class Turns(Retriever):
    """A teacher that knows the rotation, or with ``sign`` -1 ranks the wrong way round."""

    kind = "turns"

    def __init__(self, sign: float = 1.0) -> None:
        self.sign = sign

    def index(self, corpus: Corpus) -> Self:
        self.corpus = corpus
        return self

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        encoder = self.corpus.encoder("static")
        scores = encoder.encode_queries(queries) @ encoder.turn.T @ encoder.documents.T
        return top_k(self.sign * scores, k, candidates=candidates)

    def score(self, *args: Any) -> list[np.ndarray]:
        raise NotImplementedError


@pytest.fixture
def inputs() -> TrainingInputs:
    """Judgments of the first queries; those from 100 on are unlabelled, 60 to 100 are for the test."""
    judgments = [JudgedDocument(f"q{n}", f"query {n}", f"d{n}", 1) for n in range(JUDGED)]
    unlabelled = [f"query {n}" for n in range(100, DOCUMENTS)]
    return TrainingInputs(Rotation().corpus, judgments, tuning=TuningSettings(folds=2), unlabelled_queries=unlabelled)


def student(inputs: TrainingInputs) -> Dense:
    return Dense("static", adapter=ADAPTER, adaptation=None).index(inputs.corpus)


def test_a_student_becomes_nearly_as_good_as_its_teacher(inputs: TrainingInputs) -> None:
    queries, right = [f"query {n}" for n in range(60, 100)], np.arange(60, 100)
    model = student(inputs)
    fitted = Distil(Turns(), queries=100, candidates=20, temperature=0.3).fit(model, inputs)
    assert fitted.chosen == DISTILLED_CHOICE, fitted.reason
    assert fitted.report["queries"] == {"unlabelled": 100, "synthetic": 0, "pretext": 0}
    before, after = (np.mean(one.search(queries, 1).numbers[:, 0] == right) for one in (model, fitted.retriever))
    assert before < 0.1
    assert after > 0.9
    assert model.map is None  # a copy has learned
    again = Distil(Turns(), queries=100, candidates=20, temperature=0.3).fit(model, inputs)
    np.testing.assert_array_equal(again.retriever.map, fitted.retriever.map)  # type: ignore[attr-defined]


def test_a_teacher_that_ranks_worse_is_refused(inputs: TrainingInputs) -> None:
    model = student(inputs)
    fitted = Distil(Turns(-1.0)).fit(model, inputs)
    assert fitted.chosen != DISTILLED_CHOICE
    assert fitted.reason.startswith("the teacher is not expected to rank better than the student: an expected gain of ")
    assert fitted.report["teacher"]["chosen"] == "zero_shot"


def test_an_equal_teacher_is_refused(inputs: TrainingInputs) -> None:
    fitted = Distil(student(inputs)).fit(student(inputs), inputs)
    assert fitted.reason.startswith("the teacher is not expected to rank better")


def test_a_model_without_a_network_learns_nothing(inputs: TrainingInputs) -> None:
    fitted = Distil(Turns()).fit(Sparse().index(inputs.corpus), inputs)
    assert fitted.reason.startswith(LEARNS_NOTHING)


def test_judgments_are_needed(inputs: TrainingInputs) -> None:
    with pytest.raises(InputError, match="strategy=distil needs judgments"):
        Distil(Turns()).fit(student(inputs), replace(inputs, judgments=[]))


def test_a_teacher_that_learned_is_measured_out_of_fold(inputs: TrainingInputs) -> None:
    """It learns the judged queries by heart, which helps no other query."""
    by_heart = Dense("static", adapter={**ADAPTER, "steps": 300}, adaptation=None)
    fitted = Distil(by_heart, queries=50, candidates=20).fit(student(inputs), inputs)
    assert fitted.chosen != DISTILLED_CHOICE


# Queries to learn from


def test_no_judged_query_is_learned_from(inputs: TrainingInputs) -> None:
    known = list(inputs.queries.values())
    queries, sources = learning_queries(replace(inputs, unlabelled_queries=[*known, "query 200"]), 3)
    assert queries[0] == "query 200"
    assert not set(queries) & set(known)
    assert sources == {"unlabelled": 1, "synthetic": 0, "pretext": len(queries) - 1}


def test_without_other_queries_pretext_queries_serve_and_the_reason_says_so(
    docstrings: list[Document], tiny_encoders: dict[str, TextEncoder]
) -> None:
    corpus = Corpus(docstrings, tiny_encoders)
    rows = [JudgedDocument(f"q{n}", " ".join(one.text.split()[2:7]), one.doc_id, 1) for n, one in enumerate(docstrings)]
    inputs = TrainingInputs(corpus, rows[::6], tuning=TuningSettings(folds=2))
    queries, sources = learning_queries(inputs, 40)
    assert sources == {"unlabelled": 0, "synthetic": 0, "pretext": 40}
    assert all(any(query in one.content or query == one.title for one in docstrings) for query in queries)
    model = Dense("static", "encoder", fit=FIT).index(corpus)
    fitted = Distil(Sparse(), queries=40, candidates=10).fit(model, inputs)
    assert fitted.chosen == DISTILLED_CHOICE, fitted.reason
    assert "by 40 pretext queries (there are no unlabelled or synthetic ones)" in fitted.reason


# Students


STUDENTS: dict[str, Callable[[], Retriever]] = {
    "dense adapter": lambda: Dense("static", adapter=ADAPTER),
    "dense encoder": lambda: Dense("static", "encoder", fit=FIT),
    "transformer": lambda: Dense("pretrained", "encoder", fit=FIT),
    "multitask": lambda: Multitask(learning="encoder", adapter=ADAPTER),
    "late interaction adapter": lambda: LateInteraction(adapter=ADAPTER),
    "late interaction encoder": lambda: LateInteraction(learning="encoder", fit=FIT),
    "cross-encoder": lambda: Reranked(
        Sparse(), CrossEncoder(max_tokens=48, fit={"learning_rate": 0.01}), depth=60, weight=1.0
    ),
}


@pytest.fixture(scope="module")
def lessons(docstrings: list[Document], tiny_encoders: dict[str, TextEncoder]) -> tuple[Corpus, list[TaughtQuery]]:
    corpus = Corpus(docstrings, tiny_encoders)
    inputs = TrainingInputs(corpus, [])
    teacher = Dense("pretrained", adaptation=None).index(corpus)
    queries, _ = learning_queries(inputs, 24)
    return corpus, Distil(teacher, candidates=6).lessons(teacher, queries, inputs)


def divergence(model: Retriever, corpus: Corpus, taught: Sequence[TaughtQuery]) -> float:
    """The mean KL divergence from the teacher, of scores in the scale that fits best."""
    texts = [[corpus.contents[number] for number in one.documents] for one in taught]
    scores = model.score([one.query for one in taught], texts)
    return min(
        float(np.mean([_divergence(one.logits, scale * row) for one, row in zip(taught, scores, strict=True)]))
        for scale in (1.0, 5.0, 20.0)
    )


def _divergence(teacher: Sequence[float], own: np.ndarray) -> float:
    target = softmax(teacher)
    return float(target @ (np.log(target) - log_softmax(own.astype(float))))


@pytest.mark.parametrize("name", STUDENTS)
def test_every_student_moves_toward_its_teacher(lessons: tuple[Corpus, list[TaughtQuery]], name: str) -> None:
    corpus, taught = lessons
    model = STUDENTS[name]().index(corpus)
    learned, again = (distil(model, taught * 8, 0.1, seed=3) for _ in range(2))
    assert learned is not None
    assert again is not None
    assert divergence(learned, corpus, taught) < 0.8 * divergence(model, corpus, taught)
    texts = [corpus.contents[:5]]
    np.testing.assert_array_equal(learned.score(["open a file"], texts)[0], again.score(["open a file"], texts)[0])


def test_lessons_are_the_teacher_s_standardised_scores(lessons: tuple[Corpus, list[TaughtQuery]]) -> None:
    corpus, taught = lessons
    ranking = Dense("pretrained", adaptation=None).index(corpus).search([one.query for one in taught], 6)
    assert [one.documents for one in taught] == [tuple(row) for row in ranking.numbers.tolist()]
    logits = np.array([one.logits for one in taught])
    np.testing.assert_allclose(logits.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(logits.std(axis=1), 1.0, atol=1e-6)
    assert (np.diff(logits, axis=1) <= 0).all()


# Teachers


def test_a_folder_of_a_cross_encoder_teaches(
    docstrings: list[Document], tiny_encoders: dict[str, TextEncoder], cross_encoder_folder: Path
) -> None:
    choices = ["model=static", "strategy=distil", "model@strategy.teacher=reranker"]
    where = f"strategy.teacher.reranker.weights={cross_encoder_folder}"
    config = compose("library", LibraryConfig, [*choices, where, "strategy.teacher.weight=1.0"])
    strategy = build(config.strategy, "strategy")
    assert isinstance(strategy, Distil)
    assert isinstance(strategy.teacher, Reranked)
    assert {"pretrained", "static"} <= strategy.roles
    corpus = Corpus(docstrings, tiny_encoders)
    inputs = TrainingInputs(corpus, [])
    teacher = strategy.teacher.clone().index(corpus)
    queries = ["open a file", "sort a list", "remove white space"]
    taught = Distil(teacher, candidates=10).lessons(teacher, queries, inputs)
    network = CrossEncoder(weights=str(cross_encoder_folder), max_tokens=128).index(corpus)
    for one in taught:
        (scores,) = network.score([one.query], [[corpus.contents[number] for number in one.documents]])
        assert (np.diff(scores) <= 0).all()  # its order
    learned = strategy.teach(Dense("static", "encoder", fit=FIT).index(corpus), teacher, queries, inputs)
    assert learned is not None


def test_a_saved_program_teaches(inputs: TrainingInputs, docstrings: list[Document], tmp_path: Path) -> None:
    corpus = Corpus(docstrings)
    teacher = Sparse().index(corpus)
    Program(teacher, docstrings).save(tmp_path / "program")
    config = compose(
        "library",
        LibraryConfig,
        ["strategy=distil", "model@strategy.teacher=saved", f"strategy.teacher.folder={tmp_path / 'program'}"],
    )
    strategy = build(config.strategy, "strategy")
    assert strategy.roles == frozenset()
    opened = strategy.teacher.clone().index(corpus)
    queries = ["open a file", "sort a list"]
    np.testing.assert_array_equal(opened.search(queries, 5).numbers, teacher.search(queries, 5).numbers)
    np.testing.assert_array_equal(opened.score(["a"], [["a b", "c"]])[0], teacher.score(["a"], [["a b", "c"]])[0])
    Program(opened, docstrings).save(tmp_path / "again")  # as what it is
    with pytest.raises(InputError, match="program: the program has other documents; train it on these"):
        strategy.fit(student(inputs), inputs)


def test_a_wrong_path_of_a_teacher_is_one_line_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        SavedProgram(str(tmp_path / "nowhere"))
    assert "\n" not in str(refused.value)
    assert str(tmp_path / "nowhere") in str(refused.value)
    with pytest.raises(InputError, match=r"strategy\.teacher\.folder: has no default; set it"):
        compose("library", LibraryConfig, ["strategy=distil", "model@strategy.teacher=saved"])
