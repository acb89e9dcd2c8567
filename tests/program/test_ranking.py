"""Runs of a program."""

import numpy as np
import pytest

from zero2ir.data.records import Document, JudgedDocument, Query
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.models.ranking import Ranking
from zero2ir.models.sparse import Sparse
from zero2ir.program.ranking import as_run, rank_queries, translated_query_run
from zero2ir.program.training import train_program
from zero2ir.strategies.base import TrainingInputs
from zero2ir.strategies.zero_shot import ZeroShot

Rows = list[tuple[str, str, int]]


@pytest.fixture(scope="module")
def inputs(string_methods: list[dict[str, str]], string_judgments: Rows) -> TrainingInputs:
    documents = [Document(row["doc_id"], "", row["text"]) for row in string_methods]
    return TrainingInputs(Corpus(documents), [JudgedDocument(row[0], *row) for row in string_judgments])


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
    program.confidence = None
    assert rank_queries(program, [Query("a", "words")], depth=3)[1] == {}


def test_run_has_ids_for_numbers_and_no_infinity() -> None:
    ranking = Ranking(
        np.array([[1, 0], [0, -1]]), np.array([[2.0, 1.0], [3.0, -np.inf]], dtype=np.float32), *np.ones((2, 2))
    )
    run = as_run(ranking, ["p", "q"], [Document("x", "", ""), Document("y", "", "")])
    assert [list(row) for row in run.doc_ids] == [["y", "x"], ["x", ""]]
    assert np.isfinite(run.scores).all()


def test_the_ceiling_is_bm25_with_the_translations() -> None:
    documents = [Document("a", "", "Luther was born in Eisleben"), Document("b", "", "oxygen is an element of the air")]
    queries = [Query("q1", "¿Qué es el oxígeno?", translation="What is oxygen?")]
    assert translated_query_run(documents, queries, 2).doc_ids[0][0] == "b"
    assert translated_query_run(documents, [queries[0]._replace(translation="born in?")], 2).doc_ids[0][0] == "a"
    with pytest.raises(InputError, match=r"1 queries have no translation, e\.g\. q1; set dataset\.parallel=true"):
        translated_query_run(documents, [Query("q1", "¿Qué?")], 2)
