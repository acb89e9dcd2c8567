"""The steps that stages and library share: train, calibrate, rank."""

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zero2ir.data.records import Document, JudgedDocument, Query
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.models.base import Candidates, Ranking, Retriever
from zero2ir.models.rewritten import Rewritten
from zero2ir.models.sparse import Sparse
from zero2ir.program.confidence import Confidence
from zero2ir.program.training import (
    as_run,
    calibrate,
    code_revision,
    fit_policy,
    lm_cost,
    peak_memory_mb,
    rank_out_of_fold,
    rank_queries,
    timed,
    train_program,
    translated_query_run,
)
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


def calibrated(retriever: Retriever, inputs: TrainingInputs) -> Confidence | None:
    return calibrate(retriever, inputs, rank_out_of_fold(retriever, inputs))


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
        confidence = calibrated(retriever, TrainingInputs(inputs.corpus, judgments))
        assert confidence is not None
        stated.append(confidence.probabilities(ranking)[:, 1:].mean())
    assert stated[1] < stated[0]


def test_confidence_knows_what_was_asked_but_not_among_candidates(inputs: TrainingInputs) -> None:
    retriever = Sparse().index(inputs.corpus)
    told = replace(inputs, unlabelled_queries=[document.text for document in inputs.corpus.documents])
    assert calibrated(retriever, told) != calibrated(retriever, inputs)
    pools = {query_id: [document.doc_id for document in inputs.corpus.documents[:4]] for query_id in inputs.queries}
    among = replace(inputs, candidates=pools)
    assert calibrated(retriever, replace(told, candidates=pools)) == calibrated(retriever, among)


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
    learned, plain = (fit_policy(one.program, one.out_of_fold, 0.2, None) for one in trained)
    assert learned.confidence == plain.confidence is not None
    assert learned.policy == plain.policy is not None


def test_too_few_judgments_give_no_confidence(inputs: TrainingInputs) -> None:
    retriever = Sparse().index(inputs.corpus)
    assert calibrated(retriever, TrainingInputs(inputs.corpus, inputs.judgments[:1])) is None
    assert calibrated(retriever, TrainingInputs(inputs.corpus, ())) is None


def test_rank_gives_every_query_its_documents_and_confidence(inputs: TrainingInputs) -> None:
    program = train_program(Sparse(), ZeroShot(), inputs, {}).program
    queries = [Query("a", "list of words"), Query("b", "zzz qqq"), Query("c", "upper case")]
    run, stated = rank_queries(program, queries, depth=4)
    assert list(run.query_ids) == list(stated) == ["a", "b", "c"]
    for query, row in zip(queries, run.doc_ids, strict=True):
        answer = program(query=query.text, k=4)
        assert [doc_id for doc_id in row if doc_id] == answer.docids
        assert stated[query.query_id] == pytest.approx(answer.confidence)
    assert stated["b"] == 0.0  # nothing found


def test_rank_of_a_program_without_confidence(inputs: TrainingInputs) -> None:
    program = train_program(Sparse(), ZeroShot(), TrainingInputs(inputs.corpus, ()), {}).program
    assert rank_queries(program, [Query("a", "words")], depth=3)[1] == {}


def test_run_has_ids_for_numbers_and_no_infinity() -> None:
    ranking = Ranking(
        np.array([[1, 0], [0, -1]]), np.array([[2.0, 1.0], [3.0, -np.inf]], dtype=np.float32), *np.ones((2, 2))
    )
    run = as_run(ranking, ["p", "q"], [Document("x", "", ""), Document("y", "", "")])
    assert [list(row) for row in run.doc_ids] == [["y", "x"], ["x", ""]]
    assert np.isfinite(run.scores).all()


def test_timed_and_memory() -> None:
    result, seconds = timed(lambda: sum(range(1000)))
    assert (result, seconds >= 0) == (499500, True)
    held = np.ones(64 << 17)  # 64 MiB
    assert held.nbytes / (1 << 20) <= peak_memory_mb() < 1 << 20


def test_revision_tells_of_changes_to_the_code_only(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
        return subprocess.run(
            ["git", *identity, *words], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout.strip()

    assert code_revision(tmp_path) == "unknown"
    git("init", "-q")
    assert code_revision(tmp_path) == "unknown"  # no commit yet
    for folder in ("src", "conf"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a").write_text("1")
    git("add", ".")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "HEAD")
    (tmp_path / "results.txt").write_text("not code")
    assert code_revision(tmp_path) == commit
    (tmp_path / "conf" / "a").write_text("2")
    assert code_revision(tmp_path) == f"{commit}+changes"


def test_rank_and_calibrate_with_candidates(inputs: TrainingInputs) -> None:
    program = train_program(Sparse(), ZeroShot(), inputs, {}).program
    queries = [Query("a", "list of words"), Query("b", "upper case")]
    run, _ = rank_queries(program, queries, 4, {"a": ["strip", "split"], "b": ["zfill"], "c": ["join"]})
    assert [sorted(filter(None, row)) for row in run.doc_ids] == [["split", "strip"], ["zfill"]]
    assert run.doc_ids[0][0] == "split"
    own = {row.query_id: [row.doc_id] for row in inputs.judgments}  # one relevant document each: always right
    retriever = Sparse().index(inputs.corpus)
    easy, hard = calibrated(retriever, replace(inputs, candidates=own)), calibrated(retriever, inputs)
    assert easy is not None
    assert easy != hard


def test_the_ceiling_is_bm25_with_the_translations() -> None:
    documents = [Document("a", "", "Luther was born in Eisleben"), Document("b", "", "oxygen is an element of the air")]
    queries = [Query("q1", "¿Qué es el oxígeno?", translation="What is oxygen?")]
    assert translated_query_run(documents, queries, 2).doc_ids[0][0] == "b"
    assert translated_query_run(documents, [queries[0]._replace(translation="born in?")], 2).doc_ids[0][0] == "a"
    with pytest.raises(InputError, match=r"1 have no translation, e\.g\. q1; set dataset\.parallel=true"):
        translated_query_run(documents, [Query("q1", "¿Qué?")], 2)
