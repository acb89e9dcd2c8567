"""The documents that a pooled draw judges are those that the label page asks a person about."""

from collections.abc import Mapping
from pathlib import Path

import pytest

import zero2ir
from zero2ir.data.judgments import draw_judgments
from zero2ir.data.records import CandidateDocument, Collection, Document, Judgment, Query
from zero2ir.data.settings import JudgmentBudget
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.making import MakingSettings
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.encoders.static import StaticSettings
from zero2ir.encoders.training import FitSettings
from zero2ir.io import paths
from zero2ir.labelling.annotators import Simulated, label_all
from zero2ir.labelling.pooling import JudgmentPool, committee_members
from zero2ir.models.base import Retriever
from zero2ir.models.dense import Dense
from zero2ir.models.sparse import Sparse

QUERIES = [
    Query("a", "open a file and read its lines"),
    Query("b", "sort a list of numbers"),
    Query("c", "parse the arguments of a command"),
]
SMALL = MakingSettings(static=StaticSettings(dimension=16, fit=FitSettings(epochs=1, batch_size=16)))


@pytest.fixture(scope="module")
def members(docstrings: list[Document], tiny_encoder: DenseEncoder) -> Mapping[str, Retriever]:
    corpus = Corpus(docstrings, {"static": tiny_encoder}, language="en")
    return {"sparse": Sparse().index(corpus), "dense": Dense("static").index(corpus)}


def collection(docstrings: list[Document], candidates: list[CandidateDocument] | None = None) -> Collection:
    qrels = [Judgment(query.query_id, docstrings[place].doc_id, 1) for place, query in enumerate(QUERIES)]
    return Collection(docstrings, QUERIES, qrels, {"deep_judgments": True}, candidates)


def test_members_give_their_next_document_in_turn(docstrings: list[Document], members: Mapping[str, Retriever]) -> None:
    pool = JudgmentPool(collection(docstrings), {}, lambda: members)(QUERIES[0])
    rankings = [member.search([QUERIES[0].text], 60).numbers[0].tolist() for member in members.values()]
    turns = [docstrings[ranking[rank]].doc_id for rank in range(60) for ranking in rankings if ranking[rank] >= 0]
    assert pool == list(dict.fromkeys(turns))
    assert len(pool) == 60  # every document, since the dense member ranks all


def test_a_query_s_own_document_is_not_judged(docstrings: list[Document], members: Mapping[str, Retriever]) -> None:
    whole = JudgmentPool(collection(docstrings), {}, lambda: members)(QUERIES[1])
    own = {"b": whole[0], "c": whole[1]}
    pool = JudgmentPool(collection(docstrings), own, lambda: members)(QUERIES[1])
    assert sorted(pool) == sorted(whole[1:])


def test_only_candidates_are_judged(docstrings: list[Document], members: Mapping[str, Retriever]) -> None:
    candidates = [CandidateDocument("b", document.doc_id) for document in docstrings[5:17]]
    pool = JudgmentPool(collection(docstrings, candidates), {"b": docstrings[6].doc_id}, lambda: members)
    assert set(pool(QUERIES[1])) == {row.doc_id for row in candidates} - {docstrings[6].doc_id}
    assert pool(QUERIES[0]) == []


def test_a_translated_query_is_ranked_by_its_translation(
    docstrings: list[Document], members: Mapping[str, Retriever]
) -> None:
    pool = JudgmentPool(collection(docstrings), {}, lambda: members)
    asked = QUERIES[0]._replace(text="abrir un archivo", translation=QUERIES[0].text)
    assert pool(asked) == pool(QUERIES[0])


def test_a_draw_from_the_qrels_needs_no_committee(docstrings: list[Document]) -> None:
    def members() -> Mapping[str, Retriever]:
        raise AssertionError("a committee is made")

    pool = JudgmentPool(collection(docstrings), {}, members)
    assert draw_judgments(collection(docstrings), JudgmentBudget(queries=2, judging="relevant"), 0, pool)
    assert draw_judgments(collection(docstrings), JudgmentBudget(queries=0), 0, pool) == []
    with pytest.raises(AssertionError, match="a committee is made"):
        draw_judgments(collection(docstrings), JudgmentBudget(queries=1), 0, pool)


def test_a_pooled_draw_judges_what_a_person_is_asked_about(
    docstrings: list[Document],
    tiny_transformer_settings: EncoderSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same committee, the same documents, the same grades as on the label page."""
    monkeypatch.chdir(tmp_path)
    asked = collection(docstrings)
    models = {"sparse": Sparse(), "dense": Dense("pretrained"), "static": Dense("static")}
    corpus = Corpus(docstrings, language="en")
    pool = JudgmentPool(
        asked, {}, lambda: committee_members(models, corpus, tiny_transformer_settings, SMALL, tmp_path / "committee")
    )
    drawn = draw_judgments(asked, JudgmentBudget(queries=3), 0, pool)
    labelling = zero2ir.api.label(
        [document._asdict() for document in docstrings],
        [(query.query_id, query.text) for query in QUERIES],
        tmp_path / "annotations.jsonl",
        model="sparse",
        encoder="hub",
        settings=[
            f"encoder.model={tiny_transformer_settings.model}",
            "encoder.max_tokens=64",
            "labelling.budget=3",
            "labelling.batches=[3]",
            *(
                f"pretraining.static.{key}"
                for key in ("dimension=16", "fit.epochs=1", "fit.batch_size=16", "fit.scale=20")
            ),
            "pretraining.static.fit.learning_rate=0.00002",
        ],
    )
    label_all(labelling, Simulated(asked.judgments))
    assert {row[:4] for row in labelling.judgments()} == {row[:4] for row in drawn}
    assert len(drawn) == 15
    folders = {path.parent.name for path in (tmp_path / "committee").glob(f"*/{paths.DIGEST_FILE}")}
    assert folders == {"pretrained", "static-seed0"}
