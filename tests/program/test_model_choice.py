"""model=auto: which candidate it takes, and what it says of the others."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from zero2ir.config import LibraryConfig, compose
from zero2ir.data.digest import content_digest
from zero2ir.data.records import Document, JudgedDocument
from zero2ir.encoders.base import TextEncoder
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.errors import InputError
from zero2ir.models.auto import Auto
from zero2ir.models.dense import Dense
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.ranking import Candidates, Ranking
from zero2ir.models.rewritten import Rewritten
from zero2ir.models.sparse import Sparse
from zero2ir.program import model_choice
from zero2ir.program.model_choice import choose_model, index_model, measured_values
from zero2ir.program.training import train_program
from zero2ir.strategies import base
from zero2ir.strategies.base import TrainingInputs
from zero2ir.strategies.fine_tune import FineTune
from zero2ir.strategies.prior import MODEL_TYPES, Suite, suite
from zero2ir.strategies.zero_shot import ZeroShot

Rows = list[tuple[str, str, int]]


class Counted(Dense):
    """Notes how many documents it indexes."""

    kind = "counted"
    indexed: ClassVar[list[int]] = []

    def index(self, corpus: Corpus) -> "Counted":
        self.indexed.append(len(corpus.documents))
        return super().index(corpus)


class Reversed(Sparse):
    """The worst documents of BM25 first."""

    kind = "reversed"

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        ranking = super().search(queries, len(self.corpus.documents), candidates)
        return ranking._replace(numbers=ranking.numbers[:, ::-1], scores=-ranking.scores[:, ::-1]).cut(k)


@pytest.fixture(scope="module")
def inputs(string_methods: list[dict[str, str]], string_judgments: Rows, tiny_encoder: TextEncoder) -> TrainingInputs:
    documents = [Document(row["doc_id"], "", row["text"]) for row in string_methods]
    corpus = Corpus(documents, {"static": tiny_encoder})
    return TrainingInputs(corpus, [JudgedDocument(row[0], *row) for row in string_judgments])


def auto(**limits: Any) -> Auto:
    hybrid = Hybrid([Sparse(), Dense("static")], [0.4, 0.6])
    return Auto({"hybrid": hybrid, "sparse": Sparse(), "static": Dense("static")}, **limits)


def test_without_judgments_the_suite_decides(inputs: TrainingInputs) -> None:
    choice = choose_model(auto(), replace(inputs, judgments=()))
    assert (choice.name, choice.queries) == ("hybrid", 0)
    assert isinstance(choice.retriever, Hybrid)
    by_name = {one.name: one for one in choice.candidates}
    prior = suite().model_type_prior(list(by_name))
    assert [one.difference for one in choice.candidates] == pytest.approx(prior.mean)
    assert all(one.measured is None and one.in_suite for one in choice.candidates)


def test_many_judgments_decide_against_the_suite(inputs: TrainingInputs) -> None:
    worse = Auto({"hybrid": Reversed(), "sparse": Sparse()})
    assert choose_model(worse, replace(inputs, judgments=())).name == "hybrid"
    assert choose_model(worse, replace(inputs, judgments=inputs.judgments[:1])).name == "hybrid"
    beginnings = {one.doc_id: " ".join(one.text.split()[:8]) for one in inputs.corpus.documents}
    many = [JudgedDocument(query, query, doc_id, 1) for doc_id, query in beginnings.items()]
    choice = choose_model(worse, replace(inputs, judgments=many))
    assert choice.name == "sparse"
    best, other = choice.candidates
    assert (best.name, best.difference, best.ci_low, best.ci_high) == ("sparse", 0, 0, 0)
    assert other.ci_low < other.difference < 0
    assert best.measured > other.measured
    assert best.probability_best + other.probability_best == pytest.approx(1)
    assert best.probability_best > 0.7
    assert best.expected_loss < other.expected_loss


def test_what_is_trained_is_the_chosen_model_alone(inputs: TrainingInputs) -> None:
    chosen = train_program(auto(), FineTune(), inputs, {"model": "auto"})
    name = chosen.program.about["model_choice"]["model"]
    alone = train_program(auto().candidates[name], FineTune(), inputs, {"model": name})
    assert type(chosen.program.retriever) is type(alone.program.retriever)
    assert chosen.program(query="upper case").toDict() == alone.program(query="upper case").toDict()
    assert chosen.fitted.report["model_choice"] == chosen.program.about["model_choice"]
    assert {key: value for key, value in chosen.fitted.report.items() if key != "model_choice"} == alone.fitted.report


def test_another_model_has_no_choice(inputs: TrainingInputs) -> None:
    assert index_model(Sparse(), inputs).report == {}
    assert "model_choice" not in train_program(Sparse(), ZeroShot(), inputs, {}).program.about


def test_every_candidate_states_its_cost(inputs: TrainingInputs) -> None:
    rows = {one.name: one for one in choose_model(auto(), inputs).candidates}
    assert all(0 < one.milliseconds_per_query < 1000 for one in rows.values())
    dimension = inputs.corpus.encoded("static").shape[1]
    assert 4 * dimension <= rows["static"].bytes_per_document < 4 * dimension + 100
    assert rows["hybrid"].bytes_per_document > rows["sparse"].bytes_per_document
    assert rows["static"].megabytes > rows["sparse"].megabytes  # the encoder's weights


def test_weights_that_a_program_does_not_save_count_as_memory(inputs: TrainingInputs) -> None:
    minilm = DenseEncoder(compose("library", LibraryConfig, []).encoder)
    corpus = Corpus(inputs.corpus.documents[:20], {"pretrained": minilm})
    (row,) = choose_model(Auto({"dense": Dense()}), TrainingInputs(corpus, [])).candidates
    assert 90 < row.megabytes < 95  # 22.7 million parameters of four bytes


def test_what_exceeds_a_limit_is_not_chosen(inputs: TrainingInputs) -> None:
    sizes = {one.name: one.megabytes for one in choose_model(auto(), inputs).candidates}
    choice = choose_model(auto(memory_mb=sizes["sparse"] * 1.01), inputs)
    assert choice.name == "sparse"
    best, *others = choice.candidates
    assert (best.probability_best, best.expected_loss) == (1, 0)
    assert all(one.probability_best is None and one.expected_loss is None for one in others)
    assert set(choice.gain_of_judging.values()) == {0}
    assert choose_model(auto(latency_ms=10_000), inputs).name == choose_model(auto(), inputs).name


def test_a_limit_that_nobody_meets_is_refused_with_the_cheapest(inputs: TrainingInputs) -> None:
    with pytest.raises(InputError, match=r"sparse is the smallest with 0\.0\d+ MB \(limit 0.0001\); raise the limits$"):
        choose_model(auto(memory_mb=0.0001), inputs)
    with pytest.raises(InputError, match=r"is the fastest with [\d.]+ ms a query \(limit 1e-06\)"):
        choose_model(auto(latency_ms=1e-6), inputs)


def test_what_is_too_large_on_a_sample_is_not_indexed(inputs: TrainingInputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_choice, "reference_sample", lambda n: np.arange(0, n, 4))
    candidates = {"sparse": Sparse(), "static": Counted("static")}
    size = choose_model(Auto({"sparse": Sparse()}), inputs).candidates[0].megabytes
    choice = choose_model(Auto(candidates, memory_mb=2 * size), inputs)
    assert choice.name == "sparse"
    documents = len(inputs.corpus.documents)
    assert Counted.indexed == [len(range(0, documents, 4))]
    too_large = choice.candidates[1]
    assert (too_large.milliseconds_per_query, too_large.measured) == (None, None)
    assert too_large.bytes_per_document > 4 * inputs.corpus.encoded("static").shape[1]
    assert choose_model(Auto(candidates, memory_mb=100), inputs).candidates[1].measured is not None
    assert Counted.indexed[-1] == documents


def test_a_language_model_is_used_if_it_may(inputs: TrainingInputs, script_lm) -> None:
    language_model, script = script_lm(lambda messages: "split")
    corpus = Corpus(inputs.corpus.documents, language_model=language_model)
    asking = {"sparse": Sparse(), "rewritten": Rewritten(Sparse())}
    few = replace(inputs, corpus=corpus)
    assert [one.name for one in choose_model(Auto(asking, language_model=False), few).candidates] == ["sparse"]
    assert [one.name for one in choose_model(Auto(asking), inputs).candidates] == ["sparse"]  # there is none
    assert not script.requests
    choice = choose_model(Auto(asking), few)
    assert {one.name: one.in_suite for one in choice.candidates} == {"sparse": True, "rewritten": False}
    assert script.requests
    with pytest.raises(InputError, match="none works without a language model"):
        Auto({"rewritten": Rewritten(Sparse())})


def test_the_collection_itself_does_not_speak_for_itself(
    inputs: TrainingInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = suite().model_dump()
    rows = known["families"][MODEL_TYPES]["collections"]
    rows["here"] = rows["suite/med"]
    known["documents"]["here"] = content_digest(inputs.corpus.documents)
    told = Suite.model_validate(known)
    without = choose_model(auto(), inputs)
    for module in (model_choice, base):
        monkeypatch.setattr(module, "suite", lambda: told)
    again = choose_model(auto(), inputs)
    assert [one.difference for one in again.candidates] == [one.difference for one in without.candidates]


def test_candidates_and_own_documents_are_respected(inputs: TrainingInputs) -> None:
    retriever = Sparse().index(inputs.corpus)
    pools = {
        query_id: [row.doc_id for row in inputs.judgments if row.query_id == query_id] for query_id in inputs.queries
    }
    assert (measured_values(retriever, replace(inputs, candidates=pools)) >= measured_values(retriever, inputs)).all()
    cut = list(inputs.queries)[1]
    without = measured_values(retriever, replace(inputs, own_documents={cut: "split"}))
    assert without[1] == 0 < measured_values(retriever, inputs)[1]


def test_further_judgments_are_worth_less_the_more_there_are(inputs: TrainingInputs) -> None:
    unlabelled = ["upper case", "join lines", "find a substring", "pad with zeros"]
    few, many = (
        choose_model(auto(), replace(inputs, judgments=rows, unlabelled_queries=unlabelled))
        for rows in ((), inputs.judgments)
    )
    assert list(few.gain_of_judging) == [10, 20, 50]
    assert list(few.gain_of_judging.values()) == sorted(few.gain_of_judging.values())
    assert 0 < few.gain_of_judging[50] < 0.2
    assert len(many.queries_to_judge) == 3
    assert set(many.queries_to_judge) <= set(unlabelled)
    assert not choose_model(auto(), inputs).queries_to_judge


def test_the_same_inputs_give_the_same_table(inputs: TrainingInputs) -> None:
    tables = [
        [replace(row, milliseconds_per_query=0) for row in choose_model(auto(), inputs).candidates] for _ in range(2)
    ]
    assert tables[0] == tables[1]
