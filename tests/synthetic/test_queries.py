"""Synthetic queries from an LM that follows a script."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from dspy.lm15 import Message, Request, Response, TextPart, Usage

from zero2ir.data.records import Document, JudgedDocument
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.errors import InputError
from zero2ir.io.files import sha256
from zero2ir.lm import usage as lm_usage
from zero2ir.lm.adapter import bare_line
from zero2ir.lm.factory import LanguageModel, MeteredLM
from zero2ir.lm.likelihood import log_likelihood
from zero2ir.lm.settings import LMSettings
from zero2ir.models.dense import Dense
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.sparse import Sparse
from zero2ir.synthetic.queries import HYBRID_WEIGHTS, empty_drafts, round_trip_ranks, write_queries
from zero2ir.synthetic.records import SyntheticQuery
from zero2ir.synthetic.settings import SyntheticSettings
from zero2ir.synthetic.store import read_settings, read_synthetic, write_synthetic
from zero2ir.writing.filters import FilterInputs, objections
from zero2ir.writing.passages import passages
from zero2ir.writing.settings import MIN_DOCUMENT_WORDS
from zero2ir.writing.styles import EXCERPTS, STYLES

SETTINGS = SyntheticSettings(documents=20, demonstrations=3, document_words=40, negatives=3, negatives_from=(1, 20))


@dataclass
class Script:
    """Answers with some words of the document that it is asked about, or as the script says."""

    answers: dict[str, str] = field(default_factory=dict)  # by a word of the document
    requests: list[list[tuple[str, str]]] = field(default_factory=list)
    seen: Callable[[Request], None] = lambda request: None

    def complete(self, request: Request) -> Response:
        messages = [(message.role, message.text or "") for message in request.messages]
        self.requests.append(messages)
        self.seen(request)
        document = messages[-1][1].removeprefix("Document: ")
        text = next((answer for word, answer in self.answers.items() if word in document), None)
        if text is None:
            text = " ".join(document.split()[2:16:2])
        return Response(
            id=None,
            model=request.model,
            message=Message.assistant([TextPart(text)]),
            finish_reason="stop",
            usage=Usage(input_tokens=1, output_tokens=1, total_tokens=2),
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> "Script":
        return self  # a copied client shares the script, so that every request is seen


def scripted(script: Script) -> LanguageModel:
    usage = lm_usage.Usage()
    client = MeteredLM("script/1", usage, seed=0, engine=script, cache=False, temperature=0.0)
    return LanguageModel(LMSettings(name="script"), usage=usage, connect=lambda: client)


@pytest.fixture(scope="module")
def corpus(docstrings: list[Document]) -> Corpus:
    return Corpus([*docstrings, Document("short", "", "too short")])


@pytest.fixture(scope="module")
def judgments(corpus: Corpus) -> list[JudgedDocument]:
    """Five queries, each with a very relevant, a relevant and an irrelevant document."""
    return [
        JudgedDocument(f"q{query}", f"judged query number {query}", corpus.documents[3 * query + grade].doc_id, grade)
        for query in range(5)
        for grade in (1, 0, 2)
    ]


def write(
    corpus: Corpus,
    judgments: list[JudgedDocument],
    script: Script | None = None,
    settings: SyntheticSettings = SETTINGS,
    seed: int = 0,
) -> tuple[list[SyntheticQuery], dict[str, Any]]:
    return write_queries(corpus, judgments, scripted(script or Script()), settings, seed)


def test_every_row_has_its_provenance(corpus: Corpus, judgments: list[JudgedDocument]) -> None:
    rows, provenance = write(corpus, judgments, seed=7)
    assert len(rows) == 20
    assert len({row.query_id for row in rows}) == len({row.doc_id for row in rows}) == 20
    prompt = provenance["prompts"]["judgments"]
    for row in rows:
        assert (row.lm, row.seed, row.prompt, row.style) == ("script", 7, prompt["digest"], "judgments")
        assert row.passage in passages(corpus.documents[corpus.number_of[row.doc_id]], 40)
        assert row.query == bare_line(" ".join(row.passage.split()[2:16:2]), "query") or row.rejected
        assert row.doc_id not in row.negatives
        assert len(set(row.negatives)) == len(row.negatives) == len(row.margins) <= 3
        assert set(row.negatives) <= set(corpus.number_of)
        assert row.rejected == (row.objections[0] if row.objections else "")
        assert math.isnan(row.log_likelihood)
        assert math.isnan(row.grade)
    assert provenance["lm"] == "script"
    assert prompt["instruction"] == "Write the search query that this document answers."
    counts = provenance["counts"]
    assert counts["written"] == 20
    assert counts["accepted"] == sum(not row.rejected for row in rows) > 10
    assert sum(count for name, count in counts.items() if name != "written") == 20


def test_each_style_has_its_own_prompt_and_its_number_of_queries(
    corpus: Corpus, judgments: list[JudgedDocument]
) -> None:
    script = Script()
    styles = {"title": 1, "judgments": 2, "question": 0, "claim": 3}
    rows, provenance = write(corpus, judgments, script, SETTINGS.model_copy(update={"styles": styles, "documents": 5}))
    assert [row.style for row in rows] == ["title"] * 5 + ["judgments"] * 10 + ["claim"] * 15
    assert set(provenance["prompts"]) == {"title", "judgments", "claim"}
    assert len({row.doc_id for row in rows}) == 5
    for style in ("title", "claim"):
        shown = [(one["document"], one["query"]) for one in provenance["prompts"][style]["demonstrations"]]
        assert len(shown) == 3
        assert set(shown) <= set(zip(EXCERPTS, STYLES[style].queries, strict=True))
    assert len({prompt["digest"] for prompt in provenance["prompts"].values()}) == 3
    before = ["\0".join(text for _, text in messages[:-1]) for messages in script.requests]
    assert sum(one != other for one, other in pairwise(before)) == 2  # all requests of a style follow each other


@pytest.mark.parametrize("style", sorted(set(STYLES) - {"judgments"}))
def test_every_style_has_good_demonstrations(style: str) -> None:
    queries = STYLES[style].queries
    figures = np.ones(len(queries))
    checks = tuple(name for name in SyntheticSettings().filters if name != "copied")
    texts = (queries, EXCERPTS, EXCERPTS, [style] * len(queries), figures, figures, figures)
    assert objections(FilterInputs(*texts), SETTINGS.model_copy(update={"filters": checks})) == [[]] * len(EXCERPTS)
    mined = Sparse().index(Corpus([Document(str(n), "", text) for n, text in enumerate(EXCERPTS)]))
    assert mined.search(queries, 1).numbers[:, 0].tolist() == list(range(len(EXCERPTS)))
    assert all(len(one.split()) >= MIN_DOCUMENT_WORDS for one in EXCERPTS)


def test_another_query_for_a_passage_is_sampled_and_one_for_another_passage_is_not(docstrings: list[Document]) -> None:
    long = Document("long", "", " ".join(f"This is sentence number {n} of a long text." for n in range(20)))
    settings = SETTINGS.model_copy(update={"styles": {"claim": 3}, "document_words": 40})
    drafts = empty_drafts([docstrings[0]._replace(text="A short text."), long], "claim", settings, seed=0)
    assert [draft.repeat for draft in drafts] == [0, 0, 1, 0, 2, 0]
    assert len({draft.passage for draft in drafts if draft.document is long}) == 3
    kinds = []
    script = Script(seen=lambda request: kinds.append((request.config.temperature or 0.0) > 0))
    corpus = Corpus([*docstrings[:3], long])
    write(corpus, [], script, settings.model_copy(update={"documents": 9}))
    again = [max(0, 3 - len(passages(document, 40))) for document in corpus.documents]
    assert sum(kinds) == sum(again) > 0


def test_judged_and_very_short_documents_get_no_queries(corpus: Corpus, judgments: list[JudgedDocument]) -> None:
    rows, _ = write(corpus, judgments, settings=SETTINGS.model_copy(update={"documents": 1000}))
    judged = {row.doc_id for row in judgments}
    long_enough = {
        document.doc_id for document in corpus.documents if len(document.content.split()) >= MIN_DOCUMENT_WORDS
    }
    assert {row.doc_id for row in rows} == long_enough - judged


def test_demonstrations_are_the_most_relevant_judged_documents(corpus: Corpus, judgments: list[JudgedDocument]) -> None:
    script = Script()
    _, provenance = write(corpus, judgments, script)
    best = {row.query: row.doc_id for row in judgments if row.relevance == 2}
    shown = [(one["document"], one["query"]) for one in provenance["prompts"]["judgments"]["demonstrations"]]
    assert len(set(shown)) == 3
    for passage, query in shown:
        assert passage in passages(corpus.documents[corpus.number_of[best[query]]], 40)
    for messages in script.requests:  # and these are what the LM saw
        assert [text for role, text in messages if role == "assistant"] == [query for _, query in shown]
        assert len(messages) == 2 * 3 + 1


def test_without_a_relevant_judgment_there_are_no_demonstrations(
    corpus: Corpus, judgments: list[JudgedDocument]
) -> None:
    for none in ([], [row for row in judgments if row.relevance == 0]):
        script = Script()
        rows, provenance = write(corpus, none, script)
        assert provenance["prompts"]["judgments"]["demonstrations"] == []
        assert {len(messages) for messages in script.requests} == {1}
        assert len(rows) == 20


def test_the_round_trip_rank_is_bm25s(corpus: Corpus, docstrings: list[Document]) -> None:
    sparse = Sparse().index(corpus)
    queries = ["open a file", docstrings[5].text, "", "zydeco"]
    ranking = sparse.search(queries, 30).numbers
    wanted = [corpus.documents[ranking[0, 2]], docstrings[5], docstrings[0], docstrings[0]]
    assert round_trip_ranks(sparse, corpus, queries, wanted, 30) == [3, 1, 0, 0]
    assert round_trip_ranks(sparse, corpus, queries[:1], wanted[:1], 2) == [0]
    assert round_trip_ranks(sparse, corpus, [], [], 10) == []


def test_unusable_answers_become_rejected_rows(corpus: Corpus, judgments: list[JudgedDocument]) -> None:
    plain, _ = write(corpus, judgments)
    first_words = [" ".join(row.passage.split()[:4]) for row in plain]
    answers = ["", "Query: judged query NUMBER 1", "zydeco gumbo", "zydeco gumbo", "w " * 41]
    script = Script(dict(zip(first_words, answers, strict=False)))
    settings = SETTINGS.model_copy(update={"filters": tuple(name for name in SETTINGS.filters if name != "substring")})
    rows, provenance = write(corpus, judgments, script, settings)
    reasons = ["empty", "copied", "round_trip", "duplicate", "too_long"]
    assert [row.rejected for row in rows[:5]] == reasons
    assert [row.query for row in rows[:4]] == ["", "judged query NUMBER 1", "zydeco gumbo", "zydeco gumbo"]
    assert rows[3].objections == ["duplicate", "near_duplicate", "round_trip"]
    assert rows[0].negatives == []
    assert all(row.round_trip_rank > 0 for row in rows if not row.rejected)
    assert [row.doc_id for row in rows] == [row.doc_id for row in plain]
    for reason in reasons:
        assert provenance["counts"][f"rejected: {reason}"] == sum(row.rejected == reason for row in rows)


def test_the_lm_grades_if_the_filter_needs_grades(
    corpus: Corpus, judgments: list[JudgedDocument], script_lm: Callable[..., Any]
) -> None:
    def answer(messages: Sequence[str]) -> str:
        if "Query:" in messages[-1]:
            return json.dumps({"grade": 3 if "a" in messages[-1].split()[1] else 1})
        return " ".join(messages[-1].split()[3:16:2])

    language_model, script = script_lm(answer)
    settings = SETTINGS.model_copy(update={"filters": ("grade",)})
    rows, _ = write_queries(corpus, judgments, language_model, settings, seed=0)
    assert {row.grade for row in rows} == {1.0, 0.3333}
    for row in rows:
        assert row.rejected == ("" if "a" in row.query.split()[0] else "grade")
    (asked, *_) = [messages for messages in script.requests if "Query:" in messages[-1]]
    assert [text for text in asked if "grade" in text and text.startswith("{")] == ['{"grade": 3}', '{"grade": 0}'] * 3


def test_the_likelihood_filter_needs_log_probabilities(corpus: Corpus, judgments: list[JudgedDocument]) -> None:
    settings = SETTINGS.model_copy(update={"filters": ("likelihood",)})
    with pytest.raises(
        InputError, match="lm=script returns no log-probabilities, but the filter likelihood needs them"
    ):
        write(corpus, judgments, settings=settings)


def test_the_likelihood_is_the_mean_over_the_tokens() -> None:
    tokens = {"content": [{"token": "a", "logprob": -1.0}, {"token": "b", "logprob": -0.5}]}
    assert log_likelihood(SimpleNamespace(query="a b", logprobs=tokens)) == -0.75
    for nothing in (SimpleNamespace(query="a b"), SimpleNamespace(logprobs=None), SimpleNamespace(logprobs={})):
        assert math.isnan(log_likelihood(nothing))
    nan = SimpleNamespace(query="a", logprobs={"content": [{"logprob": math.nan}]})
    assert math.isnan(log_likelihood(nan))


def test_the_teacher_supplies_negatives_and_margins(
    docstrings: list[Document], judgments: list[JudgedDocument], tiny_encoder: DenseEncoder
) -> None:
    hybrid = SETTINGS.model_copy(update={"negatives_by": "hybrid"})
    with pytest.raises(InputError, match="needs the encoder 'pretrained', which is missing; use negatives_by=sparse"):
        write(Corpus(docstrings), judgments, settings=hybrid)
    corpus = Corpus(docstrings, {"pretrained": tiny_encoder})
    rows, _ = write(corpus, judgments, settings=hybrid)
    teacher = Hybrid([Sparse(), Dense("pretrained")], weights=HYBRID_WEIGHTS).index(corpus)
    assert any(row.negatives for row in rows)
    for row in rows:
        texts = [corpus.contents[corpus.number_of[doc_id]] for doc_id in (row.doc_id, *row.negatives)]
        own, *others = teacher.score([row.query], [texts])[0].tolist()
        assert row.margins == pytest.approx([own - other for other in others], abs=1e-3)
    assert [row.query for row in rows] == [row.query for row in write(Corpus(docstrings), judgments)[0]]


def test_failed_answers_are_requested_again_and_counted_and_most_of_them_end_the_run(
    corpus: Corpus, judgments: list[JudgedDocument]
) -> None:
    language_model = scripted(Script({"": ""}))  # never says a word
    with pytest.raises(InputError, match=r"lm=script: 20 of 20 answers are unusable \(The LM returned an empty"):
        write_queries(corpus, judgments, language_model, SETTINGS, seed=0)
    usage = language_model.usage
    assert (usage.calls, usage.retries, usage.failures) == (40, 20, 20)


def test_equal_seeds_give_equal_queries(corpus: Corpus, judgments: list[JudgedDocument]) -> None:
    one, same, other = (write(corpus, judgments, seed=seed) for seed in (0, 0, 1))
    assert one == same
    assert {row.doc_id for row in one[0]} != {row.doc_id for row in other[0]}
    shown = [provenance["prompts"]["judgments"]["demonstrations"] for _, provenance in (one, other)]
    assert shown[0] != shown[1]


def test_without_an_lm_nothing_is_written(corpus: Corpus, judgments: list[JudgedDocument]) -> None:
    none = LanguageModel(LMSettings(name="none", provider="none"))
    with pytest.raises(InputError, match="lm=none; choose another with lm=smollm2"):
        write_queries(corpus, judgments, none, SETTINGS, seed=0)


def test_rows_and_provenance_are_stored_and_read_back(
    corpus: Corpus, judgments: list[JudgedDocument], tmp_path: Path
) -> None:
    rows, provenance = write(corpus, judgments)
    for name in ("one", "other"):
        write_synthetic(rows, provenance, {"calls": 20}, tmp_path / name)
    assert read_synthetic(tmp_path / "one") == rows
    assert read_settings(tmp_path / "one") == SETTINGS
    for name in ("queries.parquet", "provenance.json", "cost.json"):
        assert sha256(tmp_path / "one" / name) == sha256(tmp_path / "other" / name)
    with pytest.raises(InputError, match=r"queries\.parquet: missing; run the stage pretrain-synthetic first"):
        read_synthetic(tmp_path / "nowhere")
    write_synthetic([], {"reason": "no strategy wants them"}, {}, tmp_path / "none")
    with pytest.raises(InputError, match="contains no synthetic queries, but this strategy needs them; add it to"):
        read_settings(tmp_path / "none")
