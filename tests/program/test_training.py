"""Training: fit, calibrate, program."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from zero2ir.data.records import Document, JudgedDocument, Query
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.models.base import Retriever
from zero2ir.models.dense import Dense
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.ranking import Candidates, Ranking
from zero2ir.models.rewritten import Rewritten
from zero2ir.models.sparse import Sparse
from zero2ir.program.confidence import Confidence
from zero2ir.program.confidence_prior import confidence_prior
from zero2ir.program.cost import lm_cost
from zero2ir.program.ranking import rank_queries
from zero2ir.program.training import calibrate, train_program
from zero2ir.strategies.base import FitResult, Need, TrainingInputs
from zero2ir.strategies.fine_tune import FineTune
from zero2ir.strategies.zero_shot import ZeroShot

Rows = list[tuple[str, str, int]]


@pytest.fixture(scope="module")
def inputs(string_methods: list[dict[str, str]], string_judgments: Rows) -> TrainingInputs:
    documents = [Document(row["doc_id"], "", row["text"]) for row in string_methods]
    return TrainingInputs(Corpus(documents), [JudgedDocument(row[0], *row) for row in string_judgments])


@pytest.mark.parametrize(("strategy", "labels"), [(ZeroShot(), 0), (FineTune(), 10)])
def test_training_states_its_cost(inputs: TrainingInputs, strategy: ZeroShot | FineTune, labels: int) -> None:
    trained = train_program(Sparse(), strategy, inputs, {"model": "sparse"})
    assert trained.cost.keys() == {"train_seconds", "peak_memory_mb", "labels", "index_seconds"}
    assert trained.cost["labels"] == labels
    assert 0 <= trained.cost["train_seconds"] < 60
    assert trained.program.about["chosen"] == trained.fitted.chosen
    assert trained.program.confidence is not None


def test_a_program_states_the_precision_of_its_documents(
    inputs: TrainingInputs, tiny_transformer: DenseEncoder, tiny_encoder: DenseEncoder
) -> None:
    encoder = DenseEncoder(
        tiny_transformer.settings.model_copy(update={"precision": "bfloat16"}), tiny_transformer.model
    )
    corpus = Corpus(inputs.corpus.documents, {"pretrained": encoder, "static": tiny_encoder})
    model = Hybrid([Dense(), Dense("static")])
    trained = train_program(model, ZeroShot(), replace(inputs, corpus=corpus), {})
    assert trained.program.about["precision"] == {"pretrained": "bfloat16", "static": "float32"}


def test_what_the_language_model_took_is_part_of_the_cost(inputs: TrainingInputs, script_lm) -> None:
    language_model, script = script_lm(lambda messages: "split")
    corpus = Corpus(inputs.corpus.documents, language_model=language_model)
    trained = train_program(Rewritten(Sparse()), ZeroShot(), replace(inputs, corpus=corpus), {})
    assert trained.cost["lm_calls"] == len(script.requests) == len(inputs.queries)  # for calibration
    assert (trained.cost["lm_failures"], trained.cost["lm_prompt_tokens"]) == (0, len(inputs.queries))
    assert "lm_cost" not in trained.cost  # nobody knows its price
    assert trained.program.language_model is language_model
    assert lm_cost(language_model, "search_lm_")["search_lm_calls"] == len(script.requests)
    assert lm_cost(None) == {}


def test_confidence_takes_judged_documents_of_both_kinds(inputs: TrainingInputs) -> None:
    poor = [
        JudgedDocument(row.query_id, row.query, document.doc_id, 0)
        for row in inputs.judgments
        for document in inputs.corpus.documents
        if document.doc_id != row.doc_id
    ]
    retriever = Sparse().index(inputs.corpus)
    ranking = retriever.search(list(inputs.queries.values()), 5)
    stated = []
    for judgments in (inputs.judgments, [*inputs.judgments, *poor]):
        confidence = calibrate(retriever, TrainingInputs(inputs.corpus, judgments))
        stated.append(confidence.probabilities(ranking)[:, 1:].mean())
    assert stated[1] < stated[0]


class Learned(Sparse):
    """BM25 that must not be asked what it learned from."""

    learned: frozenset[str] = frozenset()

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        assert not self.learned & set(queries)
        return super().search(queries, k, candidates)


class LearnsByHeart:
    needs = frozenset[Need]()

    def fit(self, model: Retriever, inputs: TrainingInputs) -> FitResult:
        def learner(query_ids: Sequence[str]) -> Retriever:
            learned = Learned().index(inputs.corpus)
            learned.learned = frozenset(inputs.queries[query_id] for query_id in query_ids)
            return learned

        return FitResult(learner(list(inputs.queries)), "by heart", "so", learner=learner)


def test_each_judged_query_tells_of_what_did_not_learn_from_it(inputs: TrainingInputs) -> None:
    trained = [train_program(Sparse(), strategy, inputs, {}) for strategy in (LearnsByHeart(), ZeroShot())]
    learned, plain = (one.program.confidence for one in trained)
    assert learned == plain is not None


def test_fewer_judgments_leave_the_level_open(inputs: TrainingInputs) -> None:
    retriever = Sparse().index(inputs.corpus)
    nothing, one, all_ = (
        calibrate(retriever, TrainingInputs(inputs.corpus, inputs.judgments[:number])) for number in (0, 1, None)
    )
    assert nothing == Confidence.prior("sparse")
    assert nothing.deviation > one.deviation > all_.deviation


def test_the_prior_does_not_contain_the_collection_at_hand(inputs: TrainingInputs) -> None:
    retriever = Sparse().index(inputs.corpus)
    name = next(iter(confidence_prior().documents))
    at_hand = TrainingInputs(inputs.corpus, (), name=name)
    assert calibrate(retriever, at_hand) == Confidence.prior("sparse", {name}) != Confidence.prior("sparse")


def test_rank_and_calibrate_with_candidates(inputs: TrainingInputs) -> None:
    program = train_program(Sparse(), ZeroShot(), inputs, {}).program
    queries = [Query("a", "list of words"), Query("b", "upper case")]
    run, _ = rank_queries(program, queries, 4, {"a": ["strip", "split"], "b": ["zfill"], "c": ["join"]})
    assert [sorted(filter(None, row)) for row in run.doc_ids] == [["split", "strip"], ["zfill"]]
    assert run.doc_ids[0][0] == "split"
    own = {row.query_id: [row.doc_id] for row in inputs.judgments}  # one relevant document each: always right
    retriever = Sparse().index(inputs.corpus)
    easy, hard = calibrate(retriever, replace(inputs, candidates=own)), calibrate(retriever, inputs)
    assert easy != hard
