"""The strategy hybrid: what it stacks, with which weights, and what gets no weight."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pytest

from zero2ir.data.records import Document, JudgedDocument
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.errors import InputError
from zero2ir.models.base import Retriever
from zero2ir.models.capabilities import settings
from zero2ir.models.dense import Dense
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.ranking import Candidates, Ranking, top_k
from zero2ir.models.sparse import Sparse
from zero2ir.strategies.base import FitResult, Need, Strategy, TrainingInputs
from zero2ir.strategies.fine_tune import FineTune
from zero2ir.strategies.fixed_prompt import FixedPrompt
from zero2ir.strategies.meta.strategy import Meta
from zero2ir.strategies.stacked import Stacked
from zero2ir.strategies.zero_shot import ZeroShot


class Knows(Retriever):
    """Finds the right document of each query that it knows, and ranks by chance otherwise."""

    kind = "knows"

    def __init__(self, corpus: Corpus, known: Mapping[str, int]) -> None:
        self.corpus, self.known = corpus, known

    def index(self, corpus: Corpus) -> Self:
        return self

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        scores = np.stack([np.random.default_rng(len(query)).random(len(self.corpus.documents)) for query in queries])
        for row, query in enumerate(queries):
            if query in self.known:
                scores[row, self.known[query]] = 2.0
        return top_k(scores.astype(np.float32), k, candidates=candidates)

    def score(self, *args: Any) -> list[np.ndarray]:
        raise NotImplementedError


@dataclass(frozen=True)
class Gives:
    """A strategy that ends in a given retriever."""

    make: Callable[[TrainingInputs, Sequence[str]], Retriever]
    chosen: str
    report: Mapping[str, Any]
    needs: frozenset[Need] = frozenset()
    roles: frozenset[str] = frozenset()

    def fit(self, model: Retriever, inputs: TrainingInputs) -> FitResult:
        retriever = self.make(inputs, list(inputs.queries))
        values = np.zeros(len(inputs.queries))
        return FitResult(
            retriever, self.chosen, "so", values, self.report, 1, lambda query_ids: self.make(inputs, query_ids)
        )


@pytest.fixture(scope="module")
def inputs(docstrings: list[Document], tiny_encoder: DenseEncoder) -> TrainingInputs:
    corpus = Corpus(docstrings, {"static": tiny_encoder})
    return TrainingInputs(
        corpus, [JudgedDocument(f"q{n}", f"question {'x' * n}", docstrings[n].doc_id, 1) for n in range(10)]
    )


def stack(*strategies: Strategy) -> Stacked:
    return Stacked({str(number): strategy for number, strategy in enumerate(strategies)})


def knowing(share: Callable[[int, Sequence[str]], bool], chosen: str) -> Gives:
    """Knows the judged queries that ``share`` picks by their place and by those that it may learn from."""

    def make(inputs: TrainingInputs, query_ids: Sequence[str]) -> Knows:
        rows = enumerate(inputs.judgments)
        number_of = inputs.corpus.number_of
        return Knows(inputs.corpus, {row.query: number_of[row.doc_id] for n, row in rows if share(n, query_ids)})

    return Gives(make, chosen, {chosen: "its own", "choice": chosen})


def test_stacking_two_complementary_strategies_gains(inputs: TrainingInputs) -> None:
    first, second = knowing(lambda n, _: n < 5, "first"), knowing(lambda n, _: n >= 5, "second")
    fitted = stack(first, second).fit(Sparse().index(inputs.corpus), inputs)
    assert fitted.chosen == "stacked: 0.5 first and 0.5 second"
    assert isinstance(fitted.retriever, Hybrid)
    assert fitted.values.mean() > 0.9
    assert fitted.report["first"] == "its own"  # such as prompts
    assert fitted.report["strategies"] == [{"chosen": one, "reason": "so"} for one in ("first", "second")]


def test_a_bad_strategy_does_not_harm_a_perfect_one(inputs: TrainingInputs) -> None:
    good, bad = knowing(lambda n, _: True, "good"), Gives(lambda inputs, _: Reversed(inputs.corpus), "bad", {})
    fitted = stack(bad, good).fit(Sparse().index(inputs.corpus), inputs)
    assert settings(fitted.retriever)["weights"][1] >= 0.5
    assert fitted.values.mean() > 0.9


class Reversed(Knows):
    """Ranks the right documents of all judged queries last."""

    def __init__(self, corpus: Corpus) -> None:
        super().__init__(corpus, {})

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        scores = np.tile(np.arange(len(self.corpus.documents), dtype=np.float32), (len(queries), 1))
        return top_k(scores, k, candidates=candidates)


def test_a_memorized_training_set_gets_no_weight(inputs: TrainingInputs) -> None:
    """It knows exactly the queries that it learned from: it is perfect on the judgments, and worthless."""
    by_heart = knowing(lambda n, query_ids: f"q{n}" in query_ids, "by heart")
    fitted = stack(by_heart, by_heart).fit(Sparse().index(inputs.corpus), inputs)
    assert fitted.values.mean() < 0.5
    honest = knowing(lambda n, _: True, "honest")
    mixed = stack(by_heart, honest).fit(Sparse().index(inputs.corpus), inputs)
    assert settings(mixed.retriever)["weights"][1] >= 0.5


def test_the_stack_can_be_retrained_on_some_judgments(inputs: TrainingInputs) -> None:
    learns = knowing(lambda n, query_ids: n < 5 or f"q{n}" in query_ids, "learns")
    fitted = stack(learns, knowing(lambda n, _: n < 5, "knows")).fit(Sparse().index(inputs.corpus), inputs)
    again = fitted.retrained_on(["q7"])
    assert settings(again) == settings(fitted.retriever)
    queries = [inputs.queries[name] for name in ("q7", "q8")]
    right = [inputs.corpus.number_of[row.doc_id] for row in inputs.judgments[7:9]]
    assert (again.search(queries, 1).numbers[:, 0] == right).tolist() == [True, False]
    assert (fitted.retriever.search(queries, 1).numbers[:, 0] == right).all()


def test_if_every_strategy_falls_back_the_baseline_stays(inputs: TrainingInputs) -> None:
    model = Dense("static").index(inputs.corpus)
    simple = FineTune().fit(model, inputs)
    fitted = stack(FineTune(), FineTune()).fit(model, inputs)
    assert fitted.chosen == simple.chosen
    assert fitted.reason.startswith("every strategy falls back to fine_tune")
    assert np.array_equal(fitted.values, simple.values)


def test_it_needs_what_its_strategies_need() -> None:
    class Asks(ZeroShot):
        needs = frozenset[Need]({"lm"})

    assert not stack(ZeroShot(), ZeroShot()).needs
    assert stack(ZeroShot(), Asks(), Meta()).needs == {"lm", "synthetic with lm"}
    with pytest.raises(ValueError, match="strategies: 1; stack two or more"):
        stack(ZeroShot())


def test_fine_tune_runs_once(inputs: TrainingInputs, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = []
    fit = FineTune.fit
    monkeypatch.setattr(FineTune, "fit", lambda self, *given: fitted.append(given) or fit(self, *given))
    stack(Meta(), Meta("anil")).fit(Sparse().index(inputs.corpus), inputs)
    assert len(fitted) == 1


def test_missing_inputs_are_named_before_any_work(inputs: TrainingInputs) -> None:
    with pytest.raises(InputError, match="strategy=fixed_prompt needs synthetic queries"):
        stack(Meta(), FixedPrompt()).fit(Sparse().index(inputs.corpus), inputs)
