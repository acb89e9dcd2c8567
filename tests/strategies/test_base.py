"""The strategies: what they choose, what they refuse, and which queries they use."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import numpy as np
import pytest

from zero2ir.data.digest import content_digest
from zero2ir.data.records import Document, JudgedDocument
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.examples import Example
from zero2ir.errors import InputError
from zero2ir.models.base import Retriever
from zero2ir.models.capabilities import Learnable, learn, settings
from zero2ir.models.dense import Dense
from zero2ir.models.feedback import PseudoRelevanceFeedback
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.initialization import Initialization, interpolate, parameters
from zero2ir.models.ranking import Candidates, Ranking, top_k
from zero2ir.models.sparse import Sparse
from zero2ir.strategies.base import FitResult, Strategy, TrainingInputs
from zero2ir.strategies.fine_tune import LEARNED_CHOICE, TUNED_CHOICE, FineTune, measure_settings, strengths
from zero2ir.strategies.fixed_prompt import SYNTHETIC_CHOICE, FixedPrompt
from zero2ir.strategies.meta.strategy import Meta
from zero2ir.strategies.prior import suite
from zero2ir.strategies.stacked import Stacked
from zero2ir.strategies.tuning import TuningSettings
from zero2ir.strategies.zero_shot import ZeroShot
from zero2ir.synthetic.records import SyntheticQuery

ADAPTER = {"steps": 40, "learning_rate": 0.02, "penalty": 0.001}
QUICK = {"epochs": 10, "batch_size": 10, "learning_rate": 0.05}
TWO_FOLDS = TuningSettings(folds=2)
LAST = 1 / math.log2(61)  # nDCG@100 of the last of 60 documents


def judgments(corpus: Corpus, words: slice = slice(8), number: int = 8) -> list[JudgedDocument]:
    """Known-item queries in a document's own words, each with a second document that is judged not relevant."""
    rows = []
    for place, document in enumerate(corpus.documents[:number]):
        query, other = " ".join(document.text.split()[words]), corpus.documents[place + 20]
        rows.append(JudgedDocument(f"q{place}", query, document.doc_id, 1))
        rows.append(JudgedDocument(f"q{place}", query, other.doc_id, 0))
    return rows


def synthetic(corpus: Corpus, shift: int, rejected: str = "") -> list[SyntheticQuery]:
    """A query in each document's own words; with a shift, it is given to another document."""
    rows = []
    for place, document in enumerate(corpus.documents):
        query = " ".join(document.text.split()[3:14])
        target = corpus.documents[(place + shift) % len(corpus.documents)]
        known = SyntheticQuery(
            f"s{place}", query, target.doc_id, [], rejected, "judgments", "", [], [], 1, -1.0, 1.0, "", "", 0
        )
        rows.append(known)
    return rows


@pytest.fixture(scope="module")
def corpus(docstrings: list[Document], tiny_encoder: DenseEncoder) -> Corpus:
    return Corpus(docstrings, {"static": tiny_encoder})


def dense(learning: str = "adapter") -> Dense:
    return Dense("static", learning, ADAPTER, QUICK)  # type: ignore[arg-type]


def nickname(place: int) -> str:
    """Two words that no document has, and that differ from document to document."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    return f"{letters[place]}{letters[(7 * place + 3) % 26]}zz gumbo"


def same_search(one: Retriever, other: Retriever) -> bool:
    rankings = [model.search(["open a file", "sort a list"], 20) for model in (one, other)]
    return bool((rankings[0].numbers == rankings[1].numbers).all())


class Scripted(Learnable, Retriever):
    """Finds the relevant document of a query last, or first once it has learned; ``unlearn`` the other way round."""

    kind = "scripted"

    def __init__(self, qrels: Mapping[str, int], unlearn: bool = False, learned_from: Sequence[str] = ()) -> None:
        self.qrels = qrels
        self.unlearn = unlearn
        self.learned_from = learned_from

    def index(self, corpus: Corpus) -> Self:
        self.n_documents = len(corpus.documents)
        return self

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        scores = np.zeros((len(queries), self.n_documents), dtype=np.float32)
        sign = 1 if bool(self.learned_from) != self.unlearn else -1
        for row, query in zip(scores, queries, strict=True):
            row[self.qrels[query]] = sign
        return top_k(scores, k, candidates=candidates)

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        raise NotImplementedError

    def learn(self, examples: Sequence[Example], seed: int) -> Self:
        copy = type(self)(self.qrels, self.unlearn, [example.query for example in examples])
        copy.n_documents = self.n_documents
        return copy


def scripted(inputs: TrainingInputs, unlearn: bool) -> Scripted:
    number = inputs.corpus.number_of
    return Scripted({row.query: number[row.doc_id] for row in inputs.judgments if row.relevance}, unlearn)


def test_zero_shot_trains_nothing_and_needs_no_judgment(corpus: Corpus) -> None:
    fitted = ZeroShot().fit(dense().index(corpus), TrainingInputs(corpus, []))
    assert same_search(fitted.retriever, dense().index(corpus))
    assert (fitted.chosen, fitted.labels, len(fitted.values)) == ("zero_shot", 0, 0)


def test_fine_tune_needs_judgments(corpus: Corpus) -> None:
    with pytest.raises(InputError, match="needs judgments; add some, or use strategy=zero_shot"):
        FineTune().fit(Sparse().index(corpus), TrainingInputs(corpus, [], synthetic(corpus, 0)))


def test_without_judgments_synthetic_queries_are_used(corpus: Corpus) -> None:
    rows = synthetic(corpus, 0)
    fitted = FixedPrompt().fit(dense().index(corpus), TrainingInputs(corpus, [], rows))
    assert (fitted.chosen, fitted.labels, len(fitted.values)) == (SYNTHETIC_CHOICE, 0, 0)
    assert fitted.reason == f"there are no judgments to check {len(rows)} synthetic queries"
    assert not same_search(fitted.retriever, dense().index(corpus))
    nothing = FixedPrompt().fit(Sparse().index(corpus), TrainingInputs(corpus, [], rows))  # BM25 learns nothing
    assert nothing.chosen == "zero_shot"


@pytest.mark.parametrize("rejected", [None, "duplicate"])
def test_fixed_prompt_needs_accepted_synthetic_queries(corpus: Corpus, rejected: str | None) -> None:
    rows = [] if rejected is None else synthetic(corpus, 0, rejected)
    with pytest.raises(InputError, match="needs synthetic queries; run with an LM"):
        FixedPrompt().fit(Sparse().index(corpus), TrainingInputs(corpus, judgments(corpus), rows))


def test_fine_tune_learns_from_all_judgments_in_the_end(corpus: Corpus) -> None:
    inputs = TrainingInputs(corpus, judgments(corpus))
    fitted = FineTune().fit(scripted(inputs, unlearn=False).index(corpus), inputs)
    assert fitted.chosen == LEARNED_CHOICE
    assert isinstance(fitted.retriever, Scripted)
    assert set(fitted.retriever.learned_from) == set(inputs.queries.values())
    assert fitted.values.tolist() == [1.0] * 8
    assert fitted.labels == 16
    assert fitted.report["default"] == pytest.approx(LAST, abs=1e-4)
    (decision,) = fitted.report["decisions"]
    assert (decision["subject"], decision["best"], decision["used"]) == ("learning", {"strength": 1.0}, True)
    assert decision["observed"] == pytest.approx(1 - LAST, abs=1e-4)
    assert fitted.reason.startswith("learning: strength 1, used, an expected gain of +0.")
    assert fitted.reason.endswith(f"]: no prior, {1 - LAST:+.3f} on 8 judged queries")


def test_a_model_that_has_to_learn_first_falls_back_to_what_it_learned(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = TrainingInputs(corpus, judgments(corpus))
    monkeypatch.setattr("zero2ir.strategies.fine_tune.requires_learning", lambda retriever: True)
    fitted = FineTune().fit(scripted(inputs, unlearn=True).index(corpus), inputs)
    assert fitted.chosen == LEARNED_CHOICE
    assert isinstance(fitted.retriever, Scripted)
    assert set(fitted.retriever.learned_from) == set(inputs.queries.values())
    assert fitted.reason == "there are no alternatives"
    nothing = FineTune().fit(Sparse().index(corpus), inputs)  # BM25 learns nothing
    assert nothing.chosen == "zero_shot"


def test_fine_tune_keeps_the_default_if_learning_loses(corpus: Corpus) -> None:
    inputs = TrainingInputs(corpus, judgments(corpus))
    fitted = FineTune().fit(scripted(inputs, unlearn=True).index(corpus), inputs)
    assert fitted.chosen == "zero_shot"
    assert fitted.reason.startswith("learning: strength 1, not used, an expected gain of -0.")
    assert isinstance(fitted.retriever, Scripted)
    assert not fitted.retriever.learned_from
    assert fitted.report["expected_gain"] == 0


def test_fine_tune_finds_the_best_weight(corpus: Corpus) -> None:
    class Backwards(Sparse):
        """Ranks what matches upside down."""

        def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
            scores = np.stack([-self._row(query) for query in queries])
            return top_k(scores, k, candidates=candidates)

        def _row(self, query: str) -> np.ndarray:
            numbers, values = (part[0] for part in super().search([query], self.n_documents)[:2])
            row = np.zeros(self.n_documents, dtype=np.float32)
            row[numbers[numbers >= 0]] = values[numbers >= 0]
            return row

    inputs = TrainingInputs(corpus, judgments(corpus))
    fitted = FineTune().fit(Hybrid([Sparse(), Backwards()], [0.0, 1.0], steps=2, min_weight=0.0).index(corpus), inputs)
    assert fitted.chosen == TUNED_CHOICE
    assert fitted.report["settings"]["weights"] in ([1.0, 0.0], [0.5, 0.5])
    assert settings(fitted.retriever)["weights"] == fitted.report["settings"]["weights"]
    assert fitted.values.mean() > 0.9


def test_settings_that_the_suite_knows_have_its_prior(corpus: Corpus) -> None:
    model = Sparse(0.9, 0.4, alternatives=[(1.2, 0.75), (0.6, 0.2)]).index(corpus)
    (known,) = FineTune().fit(model, TrainingInputs(corpus, judgments(corpus))).report["decisions"]
    collections = len(suite().families["sparse"].collections)
    assert (known["subject"], known["queries"], known["collections"]) == ("settings of sparse", 8, collections)
    assert known["prior"] != 0
    assert known["low"] < known["expected_gain"] < known["high"]
    (named,) = FineTune().fit(model, TrainingInputs(corpus, judgments(corpus), name="suite/med")).report["decisions"]
    assert named["collections"] == collections - 1
    other = TuningSettings(measure="nDCG@10")  # which the suite was not measured by
    (generic,) = FineTune().fit(model, TrainingInputs(corpus, judgments(corpus), tuning=other)).report["decisions"]
    assert (generic["prior"], generic["collections"]) == (0, 0)


def test_a_collection_of_the_suite_is_recognised_by_its_documents(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(suite().documents, "suite/med", content_digest(corpus.documents))
    model = Sparse(alternatives=[(1.2, 0.75)]).index(corpus)
    (decision,) = FineTune().fit(model, TrainingInputs(corpus, judgments(corpus))).report["decisions"]
    assert decision["collections"] == len(suite().families["sparse"].collections) - 1


def test_what_is_wrapped_is_tuned_first_and_what_is_fused_is_not(corpus: Corpus) -> None:
    tunable = [Sparse(alternatives=[(1.2, 0.75)]), Sparse(alternatives=[(0.6, 0.2)])]
    model = PseudoRelevanceFeedback(Hybrid(tunable, steps=4), alternatives=[(5, 0.0)]).index(corpus)
    fitted = FineTune().fit(model, TrainingInputs(corpus, judgments(corpus)))
    subjects = [one["subject"] for one in fitted.report["decisions"]]
    assert subjects == ["settings of hybrid", "settings of feedback"]
    assert fitted.report["settings"]["parts"][0]["parts"] == [settings(one) for one in tunable]


@pytest.mark.parametrize(("share", "steps"), [(0.25, 1), (0.5, 2), (1.0, 4)])
def test_less_than_all_of_what_was_learned_lies_on_the_line_to_it(corpus: Corpus, share: float, steps: int) -> None:
    base = Hybrid([Sparse(), dense()]).index(corpus)
    learned = learn(base, TrainingInputs(corpus, judgments(corpus)).judged_examples(["q0", "q1"]), seed=0)
    assert learned is not None
    partly = interpolate(base, learned, share)
    np.testing.assert_allclose(4 * parameters(partly)["1.map"], steps * parameters(learned)["1.map"], rtol=1e-5)
    assert partly.retrievers[1].initialization == Initialization()  # where it would learn from next


def test_networks_are_used_whole(corpus: Corpus) -> None:
    assert strengths(Hybrid([Sparse(), dense()]).index(corpus)) == (0.25, 0.5, 1.0)
    assert strengths(Hybrid([Sparse(), dense("encoder")]).index(corpus)) == (1.0,)


@pytest.mark.parametrize("build", [Sparse, dense, lambda: dense("encoder")], ids=["sparse", "adapter", "encoder"])
def test_fixed_prompt_falls_back_if_the_synthetic_queries_are_garbage(
    corpus: Corpus, build: Callable[[], Retriever]
) -> None:
    judged = judgments(corpus, slice(3, 15, 4))
    inputs = TrainingInputs(corpus, judged, synthetic(corpus, shift=31), TWO_FOLDS)
    simple, fitted = FineTune().fit(build().index(corpus), inputs), FixedPrompt().fit(build().index(corpus), inputs)
    assert same_search(fitted.retriever, simple.retriever)
    assert (fitted.chosen, fitted.values.tolist()) == (simple.chosen, simple.values.tolist())
    if build is Sparse:
        assert fitted.reason.startswith("this model cannot learn from examples; ")
    else:
        assert fitted.reason.startswith("a loss is expected by 60 synthetic queries: nDCG@100 0.")


def test_fixed_prompt_learns_from_good_synthetic_queries(corpus: Corpus) -> None:
    written = [row._replace(query=f"about {nickname(n)}") for n, row in enumerate(synthetic(corpus, 0)[:20])]
    judged = [
        JudgedDocument(f"q{n}", f"{nickname(n)} please", document.doc_id, 1)
        for n, document in enumerate(corpus.documents[:8])
    ]
    fitted = FixedPrompt().fit(dense("encoder").index(corpus), TrainingInputs(corpus, judged, written, TWO_FOLDS))
    assert fitted.chosen == SYNTHETIC_CHOICE
    assert fitted.reason.startswith("no loss is expected by 20 synthetic queries: nDCG@100 ")
    assert fitted.values.mean() > 0.5
    assert not same_search(fitted.retriever, dense().index(corpus))
    assert (fitted.report["examples"], fitted.labels) == (20, 8)
    assert fitted.report["gain_of_synthetic"] > 0


Event = tuple[str, frozenset[str], frozenset[str]]


def spy(events: list[Event], learning: str) -> Dense:
    """A dense model that writes down which queries it learns from, and which it searches after learning from what."""

    class Spy(Dense):
        learned_from: frozenset[str] = frozenset()

        def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
            events.append(("search", frozenset(queries), self.learned_from))
            return super().search(queries, k, candidates)

        def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
            queries = frozenset(example.query for example in examples)
            events.append(("learn", queries, self.learned_from))
            learned = super().learn(examples, seed)
            if learned is not None:
                learned.learned_from = queries
            return learned

    return Spy("static", learning, ADAPTER, {**QUICK, "epochs": 1})  # type: ignore[arg-type]


@pytest.mark.parametrize("learning", ["adapter", "encoder"])
def test_a_learner_is_measured_out_of_fold(corpus: Corpus, learning: str) -> None:
    inputs = TrainingInputs(corpus, judgments(corpus), tuning=TuningSettings(folds=3), seed=5)
    events: list[Event] = []
    FineTune().fit(spy(events, learning).index(corpus), inputs)
    every = frozenset(inputs.queries.values())
    measured = [(queries, learned) for kind, queries, learned in events if kind == "search" and learned]
    assert len(measured) == 3 * (3 if learning == "adapter" else 1)  # at each strength
    assert frozenset().union(*(queries for queries, _ in measured)) == every  # each query is held out once
    assert sum(len(queries) for queries, _ in measured) == len(every) * len(measured) / 3
    for queries, learned in measured:
        assert not queries & learned
        assert queries | learned == every


def test_training_searches_only_with_judged_and_accepted_synthetic_queries(corpus: Corpus) -> None:
    accepted, dropped = synthetic(corpus, 0)[:30], synthetic(corpus, 0, "round trip")[30:]
    inputs = TrainingInputs(corpus, judgments(corpus), accepted + dropped)
    events: list[Event] = []
    FixedPrompt().fit(spy(events, "adapter").index(corpus), inputs)
    judged = frozenset(inputs.queries.values())
    written = frozenset(row.query for row in accepted)
    for kind, queries, _ in events:
        assert queries <= (judged if kind == "search" else judged | written)
    assert ("learn", written, frozenset()) in events


def test_documents_judged_irrelevant_are_negatives(corpus: Corpus) -> None:
    inputs = TrainingInputs(corpus, judgments(corpus), tuning=TuningSettings(negatives=3, negatives_from=(1, 50)))
    numbers = corpus.number_of
    examples = inputs.judged_examples(["q0", "q3"])
    assert [example.query for example in examples] == [inputs.queries["q0"], inputs.queries["q3"]]
    for example, place in zip(examples, (0, 3), strict=True):
        assert example.positive == numbers[corpus.documents[place].doc_id]
        assert example.negatives[0] == numbers[corpus.documents[place + 20].doc_id]
        assert len(example.negatives) == 4
        assert example.positive not in example.negatives
        assert example.negatives.count(example.negatives[0]) == 1
    assert examples == TrainingInputs(corpus, judgments(corpus), tuning=inputs.tuning).judged_examples(["q3", "q0"])
    graded = [row._replace(relevance=row.relevance * 2) for row in inputs.judgments]
    assert {example.weight for example in TrainingInputs(corpus, graded).judged_examples(["q0"])} == {2.0}


@pytest.mark.parametrize("number", [1, 2])
def test_one_or_two_judged_queries_keep_the_default(corpus: Corpus, number: int) -> None:
    inputs = TrainingInputs(corpus, judgments(corpus, number=number))
    fitted = FineTune().fit(Hybrid([Sparse(), dense("adapter")]).index(corpus), inputs)
    assert len(fitted.values) == number
    if number == 1:
        assert fitted.chosen == "zero_shot"


def without_relevant(corpus: Corpus, number: int) -> list[JudgedDocument]:
    """Queries of which every judged document is not relevant."""
    return [
        JudgedDocument(f"none{place}", f"file list string {place}", corpus.documents[place + shift].doc_id, 0)
        for place in range(number)
        for shift in range(5)
    ]


def test_queries_without_a_relevant_document_are_no_measurements(corpus: Corpus) -> None:
    rows = judgments(corpus, slice(3, 15, 4))
    plain, mixed = TrainingInputs(corpus, rows), TrainingInputs(corpus, [*without_relevant(corpus, 4), *rows])
    model = Hybrid([Sparse(), Sparse(k1=0.1)]).index(corpus)  # learns nothing
    one, other = FineTune().fit(model, plain), FineTune().fit(model, mixed)
    np.testing.assert_array_equal(one.values, other.values)
    assert (one.chosen, one.report) == (other.chosen, other.report)
    assert (one.labels, other.labels) == (16, 36)  # what people judged
    assert one.reason == other.reason
    assert one.reason.endswith("on 8 judged queries")


def test_learning_is_measured_on_the_queries_with_a_relevant_document(corpus: Corpus) -> None:
    inputs = TrainingInputs(corpus, [*without_relevant(corpus, 6), *judgments(corpus, number=3)])
    fitted = FineTune().fit(scripted(inputs, unlearn=False).index(corpus), inputs)
    assert fitted.chosen == LEARNED_CHOICE
    assert fitted.values.tolist() == [1.0] * 3
    assert isinstance(fitted.retriever, Scripted)
    assert set(fitted.retriever.learned_from) == {inputs.queries[f"q{place}"] for place in range(3)}


def test_one_relevant_document_among_many_judged_is_too_few_to_learn_from(corpus: Corpus) -> None:
    inputs = TrainingInputs(corpus, [*without_relevant(corpus, 6), *judgments(corpus, number=1)])
    fitted = FineTune().fit(scripted(inputs, unlearn=False).index(corpus), inputs)
    assert (fitted.chosen, fitted.values.tolist()) == ("zero_shot", [LAST])


@pytest.mark.parametrize("strategy", [FineTune(), Meta(), Meta("reweight"), Stacked({"a": FixedPrompt(), "b": Meta()})])
def test_judgments_without_a_relevant_document_keep_the_model(corpus: Corpus, strategy: Strategy) -> None:
    inputs = TrainingInputs(corpus, without_relevant(corpus, 5), synthetic(corpus, 0))
    fitted = strategy.fit(Hybrid([Sparse(), dense()]).index(corpus), inputs)
    assert (fitted.chosen, fitted.labels, len(fitted.values)) == ("zero_shot", 25, 0)
    assert same_search(fitted.retriever, Hybrid([Sparse(), dense()]).index(corpus))


def test_synthetic_queries_are_used_where_no_judgment_can_check_them(corpus: Corpus) -> None:
    inputs = TrainingInputs(corpus, without_relevant(corpus, 5), synthetic(corpus, 0))
    fitted = FixedPrompt().fit(dense().index(corpus), inputs)
    assert fitted.chosen == SYNTHETIC_CHOICE
    assert fitted.reason == "no judged query has a relevant document to check 60 synthetic queries"


@pytest.mark.parametrize("strategy", [FineTune(), FixedPrompt()])
def test_the_same_seed_fits_the_same(corpus: Corpus, strategy: FineTune | FixedPrompt) -> None:
    def fit() -> FitResult:
        inputs = TrainingInputs(corpus, judgments(corpus), synthetic(corpus, 0)[:20], TWO_FOLDS, seed=2)
        return strategy.fit(Hybrid([Sparse(), dense("encoder")], steps=2).index(corpus), inputs)

    one, other = fit(), fit()
    assert (one.chosen, one.reason, one.report) == (other.chosen, other.reason, other.report)
    np.testing.assert_array_equal(one.values, other.values)
    for first, second in zip(*(fitted.retriever.search(["open a file"], 60) for fitted in (one, other)), strict=True):
        np.testing.assert_array_equal(first, second)


def test_fitting_ranks_the_candidates_and_learns_from_them(corpus: Corpus) -> None:
    """In the collection the relevant document comes last; among the candidates it is all there is beside one other."""
    rows = judgments(corpus)
    candidates = {row.query_id: [row.doc_id] for row in rows if row.relevance}
    inputs = TrainingInputs(corpus, rows, candidates=candidates)
    model = Scripted({row.query: corpus.number_of[row.doc_id] for row in rows if row.relevance}).index(corpus)
    assert FineTune().fit(model, inputs).values.tolist() == [1.0] * 8
    assert FineTune().fit(model, TrainingInputs(corpus, rows)).values.max() == 1.0  # once it has learned
    whole = measure_settings(model, TrainingInputs(corpus, rows), ["q3"])
    among = measure_settings(model, inputs, ["q3"])
    assert [one.values.tolist() for one in (*whole, *among)] == [[LAST], [1.0]]


def test_negatives_are_candidates(corpus: Corpus) -> None:
    rows = judgments(corpus)
    ids = [document.doc_id for document in corpus.documents]
    pool = {f"q{place}": [ids[place], ids[place + 20], *ids[40:55]] for place in range(8)}
    examples = TrainingInputs(corpus, rows, candidates=pool).judged_examples(["q1", "q2"])
    for example, place in zip(examples, (1, 2), strict=True):
        assert example.negatives[0] == place + 20  # judged not relevant
        assert len(example.negatives) == 5
        assert set(example.negatives[1:]) <= set(range(40, 55))
    elsewhere = TrainingInputs(corpus, rows).judged_examples(["q1", "q2"])
    assert any(set(example.negatives[1:]) - set(range(40, 55)) for example in elsewhere)
