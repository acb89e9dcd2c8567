"""meta: when it gains, which queries it uses, and when it falls back."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.config import LibraryConfig, build, compose
from zero2ir.data.auxiliary import AuxiliaryCollection
from zero2ir.data.records import Document, JudgedDocument
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.examples import Example
from zero2ir.errors import InputError
from zero2ir.models.base import Retriever
from zero2ir.models.dense import Dense
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.initialization import Initialization, parameters
from zero2ir.models.smoothed import Smoothed
from zero2ir.models.sparse import Sparse
from zero2ir.strategies.base import TrainingInputs
from zero2ir.strategies.fine_tune import FineTune
from zero2ir.strategies.meta.reweighting import agreement_weights
from zero2ir.strategies.meta.strategy import (
    ADAPTED_CHOICE,
    INITIALIZATION_CHOICE,
    REWEIGHTED_ADAPTED_CHOICE,
    REWEIGHTED_CHOICE,
    TUNED_LEARNING_CHOICE,
    Meta,
    innermost_retriever,
    prefix_initialization,
)
from zero2ir.strategies.meta.tasks import (
    MetaTaskSettings,
    auxiliary_tasks,
    make_meta_tasks,
    meta_task_examples,
    sorted_tasks,
)
from zero2ir.strategies.tuning import TuningSettings
from zero2ir.synthetic.records import SyntheticQuery

DIMENSION, DOCUMENTS = 24, 240
ADAPTER = {"steps": 40, "learning_rate": 0.03, "penalty": 0.001}
OUTER = {"iterations": 25, "learning_rates": [1.0], "steps": [0.5, 1.0]}
TWO_FOLDS = TuningSettings(folds=2)


class Table:
    """An encoder that knows the vectors of some queries, and refuses all others."""

    def __init__(self, vectors: dict[str, np.ndarray]) -> None:
        self.vectors = vectors
        self.asked: list[str] = []
        self.texts: dict[str, np.ndarray] = {}
        self.trained = False

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        return np.stack([self.vectors[text] for text in texts]).astype(np.float32)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([self.texts[text] for text in texts]).astype(np.float32)


class Rotated:
    """Documents in random directions; a query is its document, a little off, after one rotation that all share."""

    def __init__(self) -> None:
        rng = np.random.default_rng(7)
        documents = rng.normal(size=(DOCUMENTS, DIMENSION))
        documents /= np.linalg.norm(documents, axis=1, keepdims=True)
        rotation = np.linalg.qr(rng.normal(size=(DIMENSION, DIMENSION)))[0]
        queries = documents @ rotation + rng.normal(0, 0.05, documents.shape)
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        self.encoder = Table({f"query {number}": row for number, row in enumerate(queries)})
        listed = [Document(f"d{number}", "", f"document {number}") for number in range(DOCUMENTS)]
        self.corpus = Corpus(listed, {"static": self.encoder}, {"static": documents.astype(np.float32)})

    def model(self) -> Dense:
        return Dense("static", adapter=ADAPTER).index(self.corpus)

    def inputs(self, judged: int, seed: int = 0) -> TrainingInputs:
        """Judgments of the first queries; synthetic ones for documents from 100 on; 60 to 100 are for the test."""
        rows = [JudgedDocument(f"q{n}", f"query {n}", f"d{n}", 1) for n in range(judged)]
        written = [synthetic(f"query {n}", f"d{n}") for n in range(100, DOCUMENTS)]
        return TrainingInputs(self.corpus, rows, written, TWO_FOLDS, seed)

    def test(self, retriever: Retriever) -> float:
        """Mean reciprocal rank of the test queries' documents."""
        numbers = retriever.search([f"query {n}" for n in range(60, 100)], DOCUMENTS).numbers
        return float(np.mean([1 / (1 + row.tolist().index(n)) for n, row in enumerate(numbers, 60)]))


def synthetic(query: str, doc_id: str) -> SyntheticQuery:
    return SyntheticQuery(query, query, doc_id, [], "", "judgments", "", [], [], 1, -1.0, 1.0, "", "", 0)


@pytest.fixture
def rotated() -> Rotated:
    return Rotated()


@pytest.fixture(scope="module")
def corpus(docstrings: list[Document], tiny_encoder: DenseEncoder) -> Corpus:
    return Corpus(docstrings, {"static": tiny_encoder})


def judgments(corpus: Corpus, number: int = 4) -> list[JudgedDocument]:
    return [
        JudgedDocument(f"q{n}", " ".join(one.text.split()[:6]), one.doc_id, 1)
        for n, one in enumerate(corpus.documents[:number])
    ]


# Reptile and ANIL


@pytest.mark.parametrize("form", ["reptile", "anil"])
def test_a_meta_learned_start_needs_fewer_examples(rotated: Rotated, form: str) -> None:
    model = rotated.model()
    fitted = Meta(form, outer_loop=OUTER).fit(model, rotated.inputs(6))  # type: ignore[arg-type]
    assert fitted.chosen in (ADAPTED_CHOICE, INITIALIZATION_CHOICE)
    with_practice = rotated.test(fitted.retriever)
    without = [rotated.test(FineTune().fit(model, rotated.inputs(n)).retriever) for n in (6, 40)]
    assert without[0] < without[1] < with_practice
    assert fitted.report["meta"]["norms"]["map"] > 0.5
    assert fitted.report["gain_over_fine_tune"] > 0
    assert fitted.values.shape == (6,)
    assert fitted.labels == 6


def test_another_learning_rate_than_that_of_fine_tune_has_its_own_name(rotated: Rotated) -> None:
    """Stacking recognises a fallback by the name of the choice."""
    stays = {"iterations": 1, "rate": 1e-9, "learning_rates": [3.0], "steps": [1.0]}
    inputs = rotated.inputs(40)
    fitted = Meta(outer_loop=stays).fit(rotated.model(), inputs)
    assert fitted.chosen == TUNED_LEARNING_CHOICE != FineTune().fit(rotated.model(), inputs).chosen


def test_each_parameter_can_have_a_learning_rate_of_its_own(rotated: Rotated) -> None:
    fitted = Meta(outer_loop={**OUTER, "iterations": 3, "learned_rates": True}).fit(rotated.model(), rotated.inputs(6))
    tried = fitted.report["meta"]["evaluated"]
    assert [row["learned_rates"] for row in tried] == [False] * 7 + [True] * 2
    assert tried[-1]["nDCG@100"] not in (tried[-3]["nDCG@100"], tried[0]["nDCG@100"])
    assert fitted.report["meta"]["chosen"] in tried


@pytest.mark.parametrize("form", ["reptile", "anil", "reweight"])
def test_the_same_seed_gives_the_same(form: str) -> None:
    one, same, other = (
        Meta(form, outer_loop={**OUTER, "iterations": 3}).fit(rotated.model(), rotated.inputs(6, seed))  # type: ignore[arg-type]
        for rotated, seed in ((Rotated(), 3), (Rotated(), 3), (Rotated(), 4))
    )
    assert (one.chosen, one.reason, one.report) == (same.chosen, same.reason, same.report)
    for name, value in parameters(one.retriever).items():
        assert value.tobytes() == parameters(same.retriever)[name].tobytes()
    assert form == "reweight" or one.report["meta"] != other.report["meta"]


@pytest.mark.parametrize("form", ["reptile", "anil", "reweight"])
def test_training_searches_only_with_judged_and_synthetic_queries(rotated: Rotated, form: str) -> None:
    inputs = rotated.inputs(6)
    Meta(form, outer_loop={**OUTER, "iterations": 3}).fit(rotated.model(), inputs)  # type: ignore[arg-type]
    written = {row.query for row in inputs.synthetic}
    assert set(rotated.encoder.asked) <= written | set(inputs.queries.values())
    if form != "reweight":
        encoded = [text for text in rotated.encoder.asked if text in written]
        assert len(encoded) == len(set(encoded))  # once, however often they are learned from


def test_judged_queries_are_measured_out_of_fold(rotated: Rotated) -> None:
    learned: list[set[str]] = []

    class Watched(Dense):
        def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
            learned.append({example.query for example in examples})
            return super().learn(examples, seed)

    inputs = rotated.inputs(6)
    judged = set(inputs.queries.values())
    Meta(outer_loop={**OUTER, "iterations": 3}).fit(Watched("static", adapter=ADAPTER).index(rotated.corpus), inputs)
    from_judgments = [queries for queries in learned if queries & judged]
    assert all(queries <= judged for queries in from_judgments)  # practice has none of them
    assert judged not in from_judgments[:-1]  # all of them only in the end


def test_without_synthetic_queries_pretext_queries_make_the_tasks(corpus: Corpus) -> None:
    inputs = TrainingInputs(corpus, judgments(corpus), tuning=TWO_FOLDS)
    fitted = Meta(outer_loop={**OUTER, "iterations": 3}).fit(Dense("static", adapter=ADAPTER).index(corpus), inputs)
    sources = fitted.report["meta"]["examples"]
    assert sources["synthetic"] == 0
    assert sources["pretext"] >= 60
    assert fitted.report["meta"]["tasks"] >= 2


@pytest.mark.parametrize("form", ["reptile", "anil", "reweight"])
@pytest.mark.parametrize("build", [Sparse, lambda: Dense("static", "encoder", fit={"epochs": 1})])
def test_a_model_without_parameters_falls_back_to_fine_tune(corpus: Corpus, form: str, build: Any) -> None:
    few = Corpus(corpus.documents[:30], corpus.encoders)
    inputs = TrainingInputs(few, judgments(few), tuning=TWO_FOLDS)
    fitted = Meta(form, tasks={"documents": 20}).fit(build().index(few), inputs)  # type: ignore[arg-type]
    if form == "reweight" and build is not Sparse:  # a network can learn from weighted examples
        assert "weights" in fitted.report["meta"]
        return
    simple = FineTune().fit(build().index(few), inputs)
    assert fitted.chosen == simple.chosen
    assert fitted.reason.endswith(f"; {simple.reason}")
    why = "no gradients to compare examples" if form == "reweight" else "no parameters to initialize"
    assert why in fitted.reason
    assert fitted.report["meta"]["algorithm"] == form
    np.testing.assert_array_equal(
        fitted.retriever.search(["open a file"], 30).numbers, simple.retriever.search(["open a file"], 30).numbers
    )


def test_the_reason_names_too_few_documents_for_tasks(corpus: Corpus) -> None:
    few = Corpus(corpus.documents[:5], corpus.encoders)
    fitted = Meta().fit(Dense("static").index(few), TrainingInputs(few, judgments(few, 2)))
    assert fitted.reason.startswith("the documents have too few queries for tasks; ")


def test_misleading_tasks_fall_back_to_fine_tune(rotated: Rotated) -> None:
    inputs = rotated.inputs(6)
    shuffled = [
        row._replace(doc_id=other.doc_id) for row, other in zip(inputs.synthetic, inputs.synthetic[7:], strict=False)
    ]
    misled = TrainingInputs(rotated.corpus, inputs.judgments, shuffled, TWO_FOLDS)
    simple, fitted = FineTune().fit(rotated.model(), misled), Meta(outer_loop=OUTER).fit(rotated.model(), misled)
    assert (fitted.chosen, fitted.values.tolist()) == (simple.chosen, simple.values.tolist())
    assert "no other initialization" in fitted.reason or "the judgments show no gain" in fitted.reason


def test_meta_needs_judgments(corpus: Corpus) -> None:
    with pytest.raises(InputError, match="strategy=meta needs judgments; add some"):
        Meta().fit(Sparse().index(corpus), TrainingInputs(corpus, []))


def test_an_unknown_algorithm_is_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match="algorithm='maml'; choose one of reptile, anil, reweight"):
        Meta("maml")  # type: ignore[arg-type]


def test_meta_learning_skips_wrappers(corpus: Corpus) -> None:
    hybrid = Hybrid([Sparse(), Dense("static", adapter=ADAPTER)], learning="weights")
    model = Smoothed(hybrid, "static").index(corpus)
    inner, prefix = innermost_retriever(model)
    assert (inner, prefix) == (hybrid, "0.")
    learned = hybrid.learn([Example("open a file", 7)], seed=0)
    assert learned is not None
    whole = model.with_initialization(prefix_initialization(Initialization(parameters(learned)), prefix))
    for name, value in parameters(learned).items():
        np.testing.assert_allclose(parameters(whole)[f"0.{name}"], value, atol=2e-3)  # a weight of 0 has no logarithm


def test_fusion_weights_can_be_meta_learned(rotated: Rotated) -> None:
    good, bad = rotated.model(), rotated.model()
    learned = good.learn(rotated.inputs(60).synthetic_examples(), seed=0)
    assert learned is not None
    hybrid = Hybrid([bad, good], learning="weights", penalty=0.01).index(rotated.corpus)
    hybrid = hybrid.with_initialization(
        Initialization({**parameters(hybrid), "1.map": parameters(learned)["map"]}),
    )
    fitted = Meta("anil", outer_loop={**OUTER, "iterations": 5}).fit(hybrid, rotated.inputs(6))
    norms = fitted.report["meta"]["norms"]
    assert set(norms) == {"0.map", "1.map", "weights"}
    assert norms["weights"] > 0.1


# Tasks of other collections


def elsewhere(rotated: Rotated, number: int = 12) -> AuxiliaryCollection:
    """Another collection whose queries are turned as those of this one are."""
    rotated.encoder.vectors |= {f"there {n}": rotated.encoder.vectors[f"query {n}"] for n in range(100, 200)}
    documents = [Document(f"e{n}", "", f"there {n} text") for n in range(100, 200)]
    rotated.encoder.texts = {f"there {n} text": rotated.corpus.encoded("static")[n] for n in range(100, 200)}
    judged = [JudgedDocument(f"e{n}", f"there {n}", f"e{n}", 1) for n in range(100, 100 + number)]
    return AuxiliaryCollection("there", documents, judged, {"licence": "CC0-1.0"})


def test_tasks_of_another_collection_change_the_initialization(rotated: Rotated) -> None:
    alone = rotated.inputs(6)
    both = replace(alone, auxiliary_collections=[elsewhere(rotated)])
    few = {"iterations": 3}
    without, fitted = (Meta(outer_loop={**OUTER, **few}).fit(rotated.model(), one) for one in (alone, both))
    there = fitted.report["meta"]["auxiliary_collections"]["there"]
    assert (there["tasks"], there["examples"], there["licence"]) == (1, 12, "CC0-1.0")
    assert (without.report["meta"]["auxiliary_tasks"], fitted.report["meta"]["auxiliary_tasks"]) == (0, 1)
    assert fitted.report["meta"]["moves"] != without.report["meta"]["moves"]
    assert fitted.report["meta"]["held_out_tasks"] == without.report["meta"]["held_out_tasks"]


def test_tasks_of_another_collection_do_not_use_the_candidates(rotated: Rotated) -> None:
    inputs = replace(rotated.inputs(6), auxiliary_collections=[elsewhere(rotated, 20)])
    pools = {f"e{n}": [f"d{n}"] for n in range(100, 120)}  # of queries that are called like those over there
    tasks, _ = auxiliary_tasks(replace(inputs, candidates=pools), ["static"], MetaTaskSettings())
    assert [task.examples for task in tasks] == [
        task.examples for task in auxiliary_tasks(inputs, ["static"], MetaTaskSettings())[0]
    ]


def test_tasks_of_another_collection_search_among_its_documents(rotated: Rotated) -> None:
    inputs = replace(rotated.inputs(6), auxiliary_collections=[elsewhere(rotated, 20)])
    tasks, said = auxiliary_tasks(inputs, ["static"], MetaTaskSettings(examples=12, auxiliary_documents=40))
    assert [len(task.examples) for task in tasks] == [12, 8]
    assert said["there"]["tasks"] == 2
    for task in tasks:
        assert len(task.corpus.documents) == 40
        for example in task.examples:
            assert task.corpus.documents[example.positive].doc_id == "e" + example.query.split()[1]
            assert example.positive not in example.negatives


def test_an_encoder_trained_on_this_collection_excludes_auxiliary_tasks(rotated: Rotated) -> None:
    rotated.encoder.trained = True
    inputs = replace(rotated.inputs(6), auxiliary_collections=[elsewhere(rotated)])
    fitted = Meta(outer_loop={**OUTER, "iterations": 2}).fit(rotated.model(), inputs)
    there = fitted.report["meta"]["auxiliary_collections"]["there"]
    assert there["tasks"] == 0
    assert there["refused"] == "the encoder 'static' is trained on this collection and does not transfer to another one"
    plain = Meta(outer_loop={**OUTER, "iterations": 2}).fit(rotated.model(), rotated.inputs(6))
    assert fitted.report["meta"]["moves"] == plain.report["meta"]["moves"]


# Tasks


def test_tasks_are_whole_and_do_not_share_examples(rotated: Rotated) -> None:
    inputs = rotated.inputs(6)
    practice = make_meta_tasks(rotated.model(), inputs, MetaTaskSettings(number=8, documents=180))
    assert practice is not None
    assert (practice.support, practice.sources) == (6, {"synthetic": 140, "pretext": 0})
    assert len(practice.corpus.documents) == 180
    tasks = [*practice.training_tasks, *practice.held_out]
    assert len(practice.held_out) >= 1
    seen = [example.query for task in tasks for example in task]
    assert len(seen) == len(set(seen)) > 100
    assert all(len(task) >= 1.5 * practice.support for task in tasks)
    for example in (example for task in tasks for example in task):
        assert practice.corpus.documents[example.positive].doc_id == "d" + example.query.split()[1]
    same = [practice.corpus.encoded("static")[n] for n in range(180)]
    number_of = rotated.corpus.number_of
    kept = [number_of[document.doc_id] for document in practice.corpus.documents]
    np.testing.assert_array_equal(same, rotated.corpus.encoded("static")[kept])


def test_half_of_each_task_is_its_test(rotated: Rotated) -> None:
    practice = make_meta_tasks(rotated.model(), rotated.inputs(30), MetaTaskSettings(number=4, examples=20))
    assert practice is not None
    assert practice.support == 10
    assert all(len(task) >= 15 for task in practice.held_out)


def test_pretext_queries_are_added_to_too_few_synthetic_ones(corpus: Corpus) -> None:
    written = [synthetic("how do I open a file", corpus.documents[3].doc_id)]
    inputs = TrainingInputs(corpus, judgments(corpus), written)
    alone, sources = meta_task_examples(inputs, 1, 60, np.random.default_rng(0))
    assert (alone, sources) == (inputs.synthetic_examples(), {"synthetic": 1, "pretext": 0})
    joined, sources = meta_task_examples(inputs, 2, 30, np.random.default_rng(0))
    assert joined[0] == alone[0]
    assert sources["pretext"] == len(joined) - 1 >= 30
    for example in joined[1:]:
        assert " ".join(example.query.split()) in " ".join(corpus.contents[example.positive].split())


@given(st.lists(st.integers(0, 12), max_size=8), st.integers(1, 10))
def test_small_groups_are_joined(sizes: list[int], least: int) -> None:
    groups = [[Example(f"{group} {n}", n) for n in range(size)] for group, size in enumerate(sizes)]
    tasks = sorted_tasks(groups, least, np.random.default_rng(0))
    assert all(len(task) >= least for task in tasks)
    queries = [example.query for task in tasks for example in task]
    assert len(queries) == len(set(queries))
    assert sum(sizes) - len(queries) < least  # what is left over would be no task
    for group in groups:
        if len(group) >= least:
            assert group in tasks


# Reweighting


def test_examples_that_contradict_the_judgments_have_weight_0(rotated: Rotated) -> None:
    judged = [Example("query 0", 0, (1,))]
    rotated.encoder.vectors = {**rotated.encoder.vectors, "again": rotated.encoder.vectors["query 0"]}
    cosines = rotated.model().gradient_cosines([Example("query 0", 0, (1,)), Example("again", 1, (0,))], judged)
    assert cosines[:, 0] == pytest.approx([1, -1], abs=1e-5)
    assert agreement_weights(cosines).tolist() == [2.0, 0.0]


def test_the_closed_form_is_the_gradient() -> None:
    import torch

    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(9, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    examples = [Example("a", 0, (3,)), Example("b", 1, (4,)), Example("c", 2), Example("a", 4)]
    encoder = Table(dict(zip("abc", vectors[6:], strict=True)))
    corpus = Corpus([Document(str(n), "", "") for n in range(6)], {"static": encoder}, {"static": vectors[:6]})
    cosines = Dense("static", adaptation=None).index(corpus).gradient_cosines(examples, examples)
    gradients = []
    for example in examples:
        weights = torch.zeros(5, 5, requires_grad=True)
        query = torch.from_numpy(encoder.vectors[example.query])
        logits = 20.0 * torch.nn.functional.normalize(query + query @ weights, dim=0) @ torch.from_numpy(vectors[:5]).T
        others = [one.positive for one in examples if one.query == example.query and one != example]
        kept = [number for number in range(5) if number not in others]
        torch.nn.functional.cross_entropy(logits[kept], torch.tensor(kept.index(example.positive))).backward()
        gradients.append(weights.grad.numpy().ravel() / np.linalg.norm(weights.grad.numpy()))
    np.testing.assert_allclose(cosines, np.stack(gradients) @ np.stack(gradients).T, atol=1e-4)


def test_the_model_learns_from_examples_that_agree(rotated: Rotated) -> None:
    inputs = rotated.inputs(20)
    half = [row._replace(doc_id=f"d{100 + (n * 7) % 140}") if n % 2 else row for n, row in enumerate(inputs.synthetic)]
    mixed = TrainingInputs(rotated.corpus, inputs.judgments, half, TWO_FOLDS)
    fitted = Meta("reweight").fit(rotated.model(), mixed)
    assert fitted.chosen in (REWEIGHTED_CHOICE, REWEIGHTED_ADAPTED_CHOICE)
    assert 0 < fitted.report["meta"]["weights"]["dropped"] < 140
    alike = rotated.model().learn(mixed.synthetic_examples(), seed=0)
    assert alike is not None
    assert rotated.test(fitted.retriever) > rotated.test(alike)


@hypothesis.example([[0.0, 0.0, 2.4e-12]])
@given(st.lists(st.lists(st.floats(-1, 1), min_size=3, max_size=3), min_size=1, max_size=6))
def test_weights_have_a_mean_of_1_or_are_all_0(rows: list[list[float]]) -> None:
    weights = agreement_weights(np.array(rows))
    assert (weights >= 0).all()
    assert weights.mean() == pytest.approx(1) or not weights.any()


@pytest.mark.parametrize("name", ["meta", "meta_anil", "meta_reweight"])
def test_conf_files_repeat_no_default(name: str) -> None:
    made = build(compose("library", LibraryConfig, [f"strategy={name}"]).strategy, "strategy")
    default = Meta(made.algorithm)
    assert made.outer_loop == default.outer_loop
    assert made.tasks == (default.tasks if name != "meta_reweight" else MetaTaskSettings(documents=300))
