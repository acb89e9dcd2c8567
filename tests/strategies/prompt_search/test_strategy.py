"""The strategy prompt: what it chooses, which queries do not count, what it costs, and when it falls back."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pytest
from dspy.clients.cache import Cache

from zero2ir.data.records import Document, JudgedDocument
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.examples import Example
from zero2ir.errors import InputError
from zero2ir.lm.factory import LanguageModel, MeteredLM
from zero2ir.lm.settings import LMSettings
from zero2ir.lm.usage import Usage
from zero2ir.models.base import Retriever
from zero2ir.models.capabilities import Learnable
from zero2ir.models.dense import Dense
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.ranking import Candidates, Ranking, top_k
from zero2ir.models.sparse import Sparse
from zero2ir.strategies.base import TrainingInputs
from zero2ir.strategies.fixed_prompt import SYNTHETIC_CHOICE, FixedPrompt
from zero2ir.strategies.prompt_search.candidates import Demonstration, PromptCandidate
from zero2ir.strategies.prompt_search.proposals import NothingProposed, Proposer, WritingTask
from zero2ir.strategies.prompt_search.strategy import FOUND_PROMPT_CHOICE, PromptSearch, first_dense, proxy_model
from zero2ir.synthetic.queries import write_queries
from zero2ir.synthetic.settings import SyntheticSettings

SETTINGS = SyntheticSettings(
    documents=30, clusters=5, demonstrations=2, document_words=40, negatives=2, negatives_from=(1, 20)
)
GOOD, BAD = "Write something useful.", "Write something harmful."
MARKS = {GOOD: "useful", BAD: "harmful"}
HALVING: dict[str, Any] = {"candidates": [3, 2], "shares": [0.2, 0.5]}


class Pupil(Learnable, Retriever):
    """Ranks the relevant document of a query below some others; first or last once it learned from useful or harmful
    queries."""

    kind = "pupil"

    def __init__(self, qrels: Mapping[str, int], value: float = 0.5, learned_from: Sequence[str] = ()) -> None:
        self.qrels = qrels
        self.value = value
        self.learned_from = learned_from

    def index(self, corpus: Corpus) -> Self:
        self.n_documents = len(corpus.documents)
        return self

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        scores = np.zeros((len(queries), self.n_documents), dtype=np.float32)
        for row, query in zip(scores, queries, strict=True):
            row[(self.qrels[query] + np.arange(1, 3 + len(query) % 4)) % self.n_documents] = 1
            row[self.qrels[query]] = self.value
        return top_k(scores, k, candidates=candidates)

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        raise NotImplementedError

    def learn(self, examples: Sequence[Example], seed: int) -> Self:
        queries = [example.query for example in examples]
        value = {"useful": 2.0, "harmful": -1.0}.get(queries[0].split()[-1], 0.5)
        copy = type(self)(self.qrels, value, queries)
        copy.n_documents = self.n_documents
        return copy


class Given(Proposer):
    """Proposes prompts with given instructions, which show the judged queries of some numbers."""

    origin = "pool"

    def __init__(self, *instructions: str, shown: Sequence[int] = (0,)) -> None:
        self.instructions = instructions
        self.shown = shown

    def propose(self, task: WritingTask) -> list[PromptCandidate]:
        pairs: tuple[Demonstration, ...] = tuple(task.pairs[number] for number in self.shown)
        return [PromptCandidate("judgments", text, pairs, 40, origin=self.origin) for text in self.instructions]


class Nobody(Proposer):
    """Has nothing to say."""

    origin = "mipro"

    def propose(self, task: WritingTask) -> list[PromptCandidate]:
        raise NothingProposed("mipro has nothing to say")


def answer(messages: Sequence[str]) -> str:
    """Some words of the document, and the mark of the instruction."""
    words = messages[-1].removeprefix("Document: ").split()
    return " ".join([*words[1:16:2], MARKS.get(messages[0], "")]).strip()


@pytest.fixture
def lm(script_lm: Callable[..., Any]) -> LanguageModel:
    """Follows the script, and keeps its answers as a real one does."""
    _, script = script_lm(answer)
    usage = Usage()
    answers = Cache(False, True, "", disk_size_limit_bytes=0)
    client = MeteredLM("script/1", usage, seed=0, answers=answers, engine=script, temperature=0.0)
    return LanguageModel(LMSettings(name="script"), usage=usage, connect=lambda: client)


@pytest.fixture
def inputs(docstrings: list[Document], tiny_encoder: DenseEncoder, lm: LanguageModel) -> TrainingInputs:
    corpus = Corpus(docstrings, {"static": tiny_encoder}, language_model=lm)
    judgments = [
        JudgedDocument(f"q{place}", f"{' '.join(document.text.split()[2:9:2])} please", document.doc_id, 1)
        for place, document in enumerate(docstrings[:8])
    ]
    rows, _ = write_queries(corpus, judgments, lm, SETTINGS, 0)
    return TrainingInputs(corpus, judgments, rows, synthetic_settings=SETTINGS)


def pupil(inputs: TrainingInputs) -> Pupil:
    number = inputs.corpus.number_of
    rows = [*inputs.judgments, *inputs.synthetic]
    return Pupil({row.query: number[row.doc_id] for row in rows}).index(inputs.corpus)


def with_lm(inputs: TrainingInputs, language_model: LanguageModel | None) -> TrainingInputs:
    corpus = Corpus(inputs.corpus.documents, inputs.corpus.encoders, language_model=language_model)
    return TrainingInputs(corpus, inputs.judgments, inputs.synthetic, synthetic_settings=inputs.synthetic_settings)


def test_the_best_prompt_is_found_and_writes_the_full_set(inputs: TrainingInputs) -> None:
    fitted = PromptSearch([Given(BAD, GOOD)], **HALVING).fit(pupil(inputs), inputs)
    assert fitted.chosen == FOUND_PROMPT_CHOICE
    assert isinstance(fitted.retriever, Pupil)
    assert {query.split()[-1] for query in fitted.retriever.learned_from} == {"useful"}
    written = {row.doc_id for row in inputs.synthetic}
    assert 15 < len(fitted.retriever.learned_from) <= len(written)  # all documents, not only those of the search
    fixed, bad, good = fitted.report["prompts"]
    assert [one["chosen"] for one in (fixed, bad, good)] == [False, False, True]
    assert [(one["rung"], one["documents"]) for one in (fixed, bad, good)] == [(2, 15), (1, 6), (2, 15)]
    assert good["expected_gain"] > 0 > bad["expected_gain"]
    assert good["judged"]["mean"] == 1.0
    assert good["judged"]["n"] == 7  # of eight it was shown one
    assert fixed["judged"]["n"] == 6
    assert good["synthetic"] == 1.0
    assert fitted.report["prompt_choice"]["observed_gain"] > 0.3
    assert good["digest"] in fitted.reason
    assert json.loads(json.dumps(fitted.report)) == fitted.report


def test_without_a_better_prompt_the_result_is_that_of_fixed_prompt(inputs: TrainingInputs) -> None:
    model = Dense("static", "adapter", {"steps": 10, "learning_rate": 0.01}).index(inputs.corpus)
    usual = FixedPrompt().fit(model, inputs)
    fitted = PromptSearch([Given(GOOD[:5])], **HALVING).fit(model, inputs)
    assert [one["chosen"] for one in fitted.report["prompts"]] == [True, False]
    assert fitted.chosen == usual.chosen
    assert fitted.reason == f"the fixed prompt stays among 2; {usual.reason}"
    np.testing.assert_array_equal(fitted.values, usual.values)
    assert {key: fitted.report[key] for key in usual.report} == usual.report


def test_queries_shown_in_a_prompt_do_not_count(inputs: TrainingInputs) -> None:
    every = range(len(inputs.queries))
    fitted = PromptSearch([Given(GOOD, shown=every)], **HALVING).fit(pupil(inputs), inputs)
    _, good = fitted.report["prompts"]
    assert good["judged"] is None
    assert good["synthetic"] == 1.0  # which is all that speaks for it
    assert "observed_gain" not in fitted.report["prompt_choice"]


def test_a_survivor_pays_only_for_new_documents(inputs: TrainingInputs, lm: LanguageModel) -> None:
    before = lm.usage.calls
    fitted = PromptSearch([Given(BAD, GOOD)], **HALVING).fit(pupil(inputs), inputs)
    fixed, bad, good = fitted.report["prompts"]
    assert (fixed["lm_calls"], bad["lm_calls"], good["lm_calls"]) == (0, 6, 15)
    assert lm.usage.calls - before == 6 + 30


def test_the_search_with_its_defaults_costs_two_full_sets_of_queries() -> None:
    strategy, full = PromptSearch(), 200
    rungs = strategy._rungs(full)
    cost, written = 0, 0
    for rung in rungs:
        cost += (rung.candidates - 1) * (rung.size - written)  # the fixed prompt's are there
        written = rung.size
    assert cost + full - written <= 2 * full


def test_the_development_queries_are_for_other_documents_than_the_candidates(
    inputs: TrainingInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zero2ir.strategies.prompt_search import strategy as prompt

    made = []

    class Watched(prompt.QueryPromptSearch):
        def search(self, candidates: Sequence[PromptCandidate]) -> Any:
            made.append(self)
            return super().search(candidates)

    monkeypatch.setattr(prompt, "QueryPromptSearch", Watched)
    PromptSearch([Given(GOOD)], **HALVING).fit(pupil(inputs), inputs)
    (search,) = made
    assert len(search.development) > 5
    searched = {document.doc_id for document in search.documents[:15]}
    assert not searched & {row.doc_id for row in search.development}
    assert not any(row.rejected for row in search.development)
    assert {row.doc_id for row in inputs.synthetic} == {document.doc_id for document in search.documents}


def test_a_proposer_without_candidates_is_reported_and_skipped(inputs: TrainingInputs) -> None:
    fitted = PromptSearch([Nobody(), Given(GOOD)], **HALVING).fit(pupil(inputs), inputs)
    assert fitted.chosen == FOUND_PROMPT_CHOICE
    assert fitted.report["proposals"] == {"mipro": "mipro has nothing to say", "pool": 1, "lm_calls": 0}
    alone = PromptSearch([Nobody()], **HALVING).fit(pupil(inputs), inputs)
    assert (alone.chosen, len(alone.report["prompts"])) == (SYNTHETIC_CHOICE, 1)


def test_a_model_that_cannot_learn_needs_no_search(inputs: TrainingInputs, lm: LanguageModel) -> None:
    before = lm.usage.calls
    fitted = PromptSearch().fit(Sparse().index(inputs.corpus), inputs)
    assert fitted.reason.startswith("this model cannot learn from examples; ")
    assert lm.usage.calls == before


def test_no_prompt_is_searched_for_without_a_relevant_document(inputs: TrainingInputs, lm: LanguageModel) -> None:
    before = lm.usage.calls
    rows = [row._replace(relevance=0) for row in inputs.judgments]
    fitted = PromptSearch([Given(GOOD)], **HALVING).fit(pupil(inputs), replace(inputs, judgments=rows))
    assert fitted.chosen == SYNTHETIC_CHOICE
    assert fitted.reason.startswith("no judged query has a relevant document to check ")
    assert lm.usage.calls == before


def test_the_cheap_model_is_the_first_dense_part(inputs: TrainingInputs) -> None:
    static, heavy = Dense("static", "encoder"), Dense("pretrained", "encoder")
    hybrid = Hybrid([Sparse(), Hybrid([Sparse(), static])]).index(inputs.corpus)
    assert proxy_model(hybrid, inputs) is static
    assert first_dense(Hybrid([Sparse(), Sparse()])) is None
    sparse = Sparse().index(inputs.corpus)
    assert proxy_model(sparse, inputs) is sparse
    inputs.corpus.encoders["pretrained"] = inputs.corpus.encoders["static"]
    cheap = proxy_model(Hybrid([Sparse(), heavy]).index(inputs.corpus), inputs)
    assert isinstance(cheap, Dense)
    assert (cheap.encoder, cheap.learning) == ("pretrained", "adapter")


def test_the_same_seed_finds_the_same(inputs: TrainingInputs) -> None:
    def prompts() -> list[dict[str, Any]]:
        model = Hybrid([Sparse(), Dense("static", "adapter")], steps=2).index(inputs.corpus)
        found = PromptSearch(candidates=[4, 2], shares=[0.2, 0.5]).fit(model, inputs).report["prompts"]
        return [{key: one[key] for key in one if key not in ("lm_calls", "seconds")} for one in found]

    assert prompts() == prompts()
    assert len(prompts()) == 4


def test_missing_inputs_are_named(inputs: TrainingInputs) -> None:
    with pytest.raises(InputError, match="strategy=prompt needs a language model; choose one, e"):
        PromptSearch().fit(pupil(inputs), with_lm(inputs, None))
    none = TrainingInputs(inputs.corpus, inputs.judgments)
    with pytest.raises(InputError, match="strategy=prompt needs synthetic queries; "):
        PromptSearch().fit(pupil(inputs), none)
    with pytest.raises(InputError, match="strategy=prompt needs judgments; "):
        PromptSearch().fit(pupil(inputs), TrainingInputs(inputs.corpus, [], inputs.synthetic))


@pytest.mark.parametrize(
    "options",
    [
        {"candidates": [4, 8]},
        {"candidates": [4, 1]},
        {"candidates": []},
        {"shares": [0.2, 0.05]},
        {"shares": [0.2, 1.5]},
        {"shares": [0.1]},
        {"synthetic_deviation": -0.1},
    ],
)
def test_invalid_search_settings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="give as many numbers of candidates, falling"):
        PromptSearch(**options)
