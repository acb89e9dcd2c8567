"""The strategy prompt on models that use a language model: what it finds, its cost, and that nothing leaks."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from dspy.clients.cache import Cache
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.records import Document, JudgedDocument
from zero2ir.encoders.corpus import Corpus
from zero2ir.lm.factory import LanguageModel, MeteredLM
from zero2ir.lm.settings import LMSettings
from zero2ir.lm.usage import Usage
from zero2ir.models.base import Retriever, load_retriever
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.listwise import Listwise
from zero2ir.models.pointwise import Pointwise
from zero2ir.models.prompted import PartPrompt, leakage_free_retrievers, prompted_parts, with_prompts
from zero2ir.models.ranking import Candidates, Ranking, top_k
from zero2ir.models.reranked import Reranked
from zero2ir.models.rewritten import Rewritten
from zero2ir.models.sparse import Sparse
from zero2ir.program.training import train_program
from zero2ir.strategies.base import TrainingInputs
from zero2ir.strategies.fine_tune import FineTune, measure_settings
from zero2ir.strategies.prompt_search.candidates import PartCandidate, PromptCandidate
from zero2ir.strategies.prompt_search.optimizers import Bootstrap, Copro, Mipro
from zero2ir.strategies.prompt_search.part_pool import PART_POOLS, style_of
from zero2ir.strategies.prompt_search.part_search import PartSettings
from zero2ir.strategies.prompt_search.pool import PromptPool
from zero2ir.strategies.prompt_search.proposals import PartTask, Proposer, WritingTask
from zero2ir.strategies.prompt_search.strategy import NO_CHEAP_MODEL, PromptSearch
from zero2ir.synthetic.records import SyntheticQuery

GOOD, BAD = "Is it any good?", "Is it any bad?"
SMALL = PartSettings(candidates=(3, 2), queries=(4, 12))
DEPTH = 5


class Unsure(Retriever):
    """Ranks the right document second to fourth."""

    kind = "unsure"

    def __init__(self, right: Mapping[str, int]) -> None:
        self.right = right

    def index(self, corpus: Corpus) -> Self:
        self.corpus = corpus
        return self

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        scores = np.zeros((len(queries), len(self.corpus.documents)), dtype=np.float32)
        for row, query in zip(scores, queries, strict=True):
            number = self.right[query]
            row[(number + np.arange(1, 2 + number % 3)) % len(row)] = 2
            row[number] = 1
        return top_k(scores, k, candidates=candidates)

    def score(self, *args: Any) -> list[np.ndarray]:
        raise NotImplementedError


class Given(Proposer):
    """Proposes instructions, with as many demonstrations."""

    origin = "pool"

    def __init__(self, *instructions: str, number: int = 0) -> None:
        self.instructions = instructions
        self.number = number

    def propose(self, task: WritingTask) -> list[PromptCandidate]:
        raise AssertionError("nothing is to be written")

    def propose_for_part(self, task: PartTask) -> list[PartCandidate]:
        shown = tuple(task.part.draw_demonstrations(task.examples, self.number, np.random.default_rng(0)))
        prompts = [PartPrompt(text, shown, optimized=True) for text in self.instructions]
        return [PartCandidate(task.fixed.part, "question", prompt, self.origin) for prompt in prompts]


class Bench:
    """Ten judged and twenty synthetic queries, and a language model that judges well when it is asked well."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.requests: list[list[str]] = []
        self.text = {
            f"{' '.join(document.text.split()[2:8])} {number}": document
            for number, document in enumerate(documents[:30])
        }
        judgments = [
            JudgedDocument(f"q{number}", query, document.doc_id, 1)
            for number, (query, document) in enumerate(list(self.text.items())[:10])
        ]
        written = [
            SyntheticQuery(f"s{query}", query, document.doc_id, [], "", "title", "", [], [], 1, 0.0, 1.0, "", "", 0)
            for query, document in list(self.text.items())[10:]
        ]
        self.corpus = Corpus(documents)
        self.inputs = TrainingInputs(self.corpus, judgments, written)

    def answer(self, messages: Sequence[str]) -> str:
        self.requests.append(list(messages))
        if "\nDocument: " not in messages[-1]:  # an optimizer asks for an instruction
            keys = messages[0].rpartition("keys ")[2].rstrip(".").split(", ")
            return json.dumps(dict.fromkeys(keys, GOOD)) if "JSON object with the keys" in messages[0] else GOOD
        query, document = messages[-1].removeprefix("Query: ").split("\nDocument: ")
        right = " ".join(self.text[query].content.split()).startswith(document[:60])
        if messages[0].startswith(GOOD):
            return json.dumps({"grade": 3 * right})
        return json.dumps({"grade": 3 * (not right) if messages[0].startswith(BAD) else 1})

    def model(self) -> Reranked:
        right = {query: self.corpus.number_of[document.doc_id] for query, document in self.text.items()}
        return Reranked(Unsure(right), Pointwise(), DEPTH, 1.0, [1.0]).index(self.corpus)


@pytest.fixture
def bench(docstrings: list[Document], script_lm: Callable[..., Any]) -> Bench:
    made = Bench(docstrings)
    _, script = script_lm(made.answer)
    usage, answers = Usage(), Cache(False, True, "", disk_size_limit_bytes=0)
    client = MeteredLM("script/1", usage, seed=0, answers=answers, engine=script, temperature=0.0)
    made.corpus.language_model = LanguageModel(LMSettings(name="script"), usage=usage, connect=lambda: client)
    return made


def test_the_best_prompt_of_a_part_is_found_and_used(bench: Bench) -> None:
    trained = train_program(bench.model(), PromptSearch([Given(BAD, GOOD)], parts=SMALL), bench.inputs, {})
    fitted = trained.fitted
    assert fitted.chosen.startswith("uses optimized prompts (reranker); ")
    assert isinstance(fitted.retriever, Reranked)
    assert prompted_parts(fitted.retriever)["reranker"].prompt == PartPrompt(GOOD, (), optimized=True)
    fixed, bad, good = fitted.report["prompts"]
    assert [one["part"] for one in (fixed, bad, good)] == ["reranker"] * 3
    assert [one["chosen"] for one in (fixed, bad, good)] == [False, False, True]
    assert [(one["rung"], one["queries"]) for one in (fixed, bad, good)] == [(2, 12), (1, 4), (2, 12)]
    assert good["judged"] == {"mean": 1.0, "ci_low": 1.0, "ci_high": 1.0, "n": 10}
    assert good["synthetic"] == 1.0
    assert bad["judged"]["n"] == 4
    assert good["expected_gain"] > 0 > bad["expected_gain"]
    assert fitted.report["prompt_choice"]["reranker/observed_gain"] > 0.2
    assert NO_CHEAP_MODEL in fitted.reason
    assert good["digest"] in fitted.reason
    assert json.loads(json.dumps(fitted.report)) == fitted.report


def test_an_optimized_prompt_is_saved_with_the_model(bench: Bench, tmp_path: Path) -> None:
    prompt = PartPrompt(GOOD, ({"query": "a query", "document": "a text", "relevant": True},), optimized=True)
    model = with_prompts(Reranked(Sparse(), Pointwise(), DEPTH).index(bench.corpus), {"reranker": prompt})
    query = list(bench.text)[5]
    model.save(tmp_path)
    loaded = load_retriever(tmp_path, bench.corpus)
    assert prompted_parts(loaded)["reranker"].prompt == prompt
    np.testing.assert_array_equal(loaded.search([query], 9).numbers, model.search([query], 9).numbers)
    assert any(GOOD in request[0] for request in bench.requests)


def test_learning_does_not_change_an_optimized_prompt(bench: Bench) -> None:
    examples = bench.inputs.judged_examples(list(bench.inputs.queries))
    chosen = PartPrompt(GOOD, optimized=True)
    for part in (Pointwise(), Listwise()):
        assert part.index(bench.corpus).learn(examples, 0) is not None
        assert part.with_prompt(chosen).learn(examples, 0) is None
    rewritten = Rewritten(Sparse()).index(bench.corpus)
    assert rewritten.learn(examples, 0) is not None
    assert rewritten.with_prompt(chosen).learn(examples, 0) is None


def test_a_search_costs_no_more_than_it_says(bench: Bench) -> None:
    usage = bench.corpus.require_language_model().usage
    model = bench.model()
    simple = FineTune().fit(model, bench.inputs)
    before = usage.calls
    fitted = PromptSearch([Given(BAD, GOOD)], parts=SMALL).fit_guarded(model, bench.inputs, simple)
    calls = [one["lm_calls"] for one in fitted.report["prompts"]]
    assert calls[1:] == [4 * DEPTH, 12 * DEPTH]
    assert calls[0] <= 12 * DEPTH  # fine_tune has asked the judged queries before
    assert usage.calls - before == sum(calls)


def test_the_defaults_cost_what_they_say() -> None:
    first, last = PartSettings().rungs
    queries = first.size * first.candidates + (last.size - first.size) * last.candidates
    assert queries == 80
    assert "80 queries" in str(PartSettings.__doc__)


def test_without_a_better_prompt_the_result_is_that_of_fine_tune(bench: Bench) -> None:
    model = bench.model()
    simple = FineTune().fit(model, bench.inputs)
    fitted = PromptSearch([Given(BAD)], parts=SMALL).fit(model, bench.inputs)
    assert fitted.chosen == simple.chosen
    assert fitted.reason.startswith("the reranker's prompt stays among 2; ")
    assert [one["chosen"] for one in fitted.report["prompts"]] == [True, False]
    np.testing.assert_array_equal(fitted.values, simple.values)


def test_a_proposer_for_query_writing_alone_is_reported(bench: Bench) -> None:
    fitted = PromptSearch([Bootstrap(), Given(GOOD)], parts=SMALL).fit(bench.model(), bench.inputs)
    notes = fitted.report["proposals"]["reranker"]
    assert notes["bootstrap"] == "bootstrap proposes prompts for writing queries only"
    assert notes["pool"] == 1


@pytest.mark.parametrize("optimizer", [Copro(breadth=3), Mipro(candidates=2, trials=3)], ids=["copro", "mipro"])
def test_dspy_proposes_instructions_for_a_part_by_the_ranking(bench: Bench, optimizer: Copro | Mipro) -> None:
    fitted = PromptSearch([optimizer], parts=SMALL).fit(bench.model(), bench.inputs)
    notes = fitted.report["proposals"]["reranker"]
    assert notes[optimizer.origin] >= 1
    assert notes["lm_calls"] > 0
    assert isinstance(fitted.retriever, Reranked)
    assert prompted_parts(fitted.retriever)["reranker"].prompt == PartPrompt(GOOD, (), optimized=True)
    assert [one["origin"] for one in fitted.report["prompts"] if one["chosen"]] == [optimizer.origin]


def test_no_prompt_for_a_judged_query_shows_it(bench: Bench) -> None:
    PromptSearch([Given(GOOD, number=8)], parts=SMALL).fit(bench.model(), bench.inputs)
    told = [request for request in bench.requests if GOOD in request[0] and len(request) > 2]
    assert told
    for request in told:
        asked, *shown = (text.split("\n")[0] for text in (request[-1], *request[1:-1:2]))
        assert asked not in shown


@given(shown=st.lists(st.integers(0, 5), max_size=6), asked=st.lists(st.integers(0, 5), max_size=8))
def test_every_query_is_measured_once_and_by_a_prompt_without_it(shown: list[int], asked: list[int]) -> None:
    corpus = Corpus([Document("d", "", "text")])
    prompt = PartPrompt("Write.", tuple({"query": str(number), "passage": "text"} for number in shown))
    model = with_prompts(Hybrid([Sparse(), Rewritten(Sparse())]).index(corpus), {"1.rewriter": prompt})
    measured = leakage_free_retrievers(model, [str(number) for number in asked])
    assert sorted(place for _, places in measured for place in places) == list(range(len(asked)))
    for retriever, places in measured:
        left = {row["query"] for row in prompted_parts(retriever)["1.rewriter"].prompt.demos}
        assert not left & {str(asked[place]) for place in places}
        assert {str(number) for number in shown} - left <= {str(asked[place]) for place in places}


def test_each_setting_is_measured_on_every_query_in_order(bench: Bench) -> None:
    rows = [{"query": list(bench.text)[n], "document": "x", "relevant": True} for n in (2, 5)]
    shows = with_prompts(bench.model(), {"reranker": PartPrompt(GOOD, tuple(rows))})
    plain = with_prompts(bench.model(), {"reranker": PartPrompt(GOOD)})
    ids = list(bench.inputs.queries)
    for one, other in zip(
        measure_settings(shows, bench.inputs, ids), measure_settings(plain, bench.inputs, ids), strict=True
    ):
        assert one.settings == other.settings
        np.testing.assert_array_equal(one.values, other.values)  # this language model does not look at demonstrations


@pytest.mark.parametrize("part", [Pointwise(), Listwise(), Rewritten(Sparse())], ids=lambda part: part.kind)
def test_the_pool_draws_by_seed_within_the_part_s_budget(part: Any, bench: Bench) -> None:
    part.index(bench.corpus)
    examples = bench.inputs.judged_examples(list(bench.inputs.queries))
    fixed = PartCandidate("part", style_of(part.task, part.instruction), part.prompt)

    def pool(seed: int) -> list[PartCandidate]:
        language_model = bench.corpus.require_language_model()
        task = PartTask(part, fixed, examples, 9, seed, [], lambda prompt, query_id: 0.0, language_model)
        return PromptPool().propose_for_part(task)

    found = pool(0)
    assert [one.digest for one in found] == [one.digest for one in pool(0)] != [one.digest for one in pool(1)]
    assert len({one.digest for one in [fixed, *found]}) == len(found) + 1 > 4
    for one in found:
        assert len(one.prompt.demos) <= part.demonstrations
        assert one.prompt.instruction in PART_POOLS[part.task][one.style].instructions
        assert one.prompt.optimized
        assert all(row["query"] for row in one.prompt.demos)
    assert {one.style for one in found} == set(PART_POOLS[part.task])


def test_a_rewriter_uses_the_chosen_instruction(docstrings: list[Document], script_lm: Any) -> None:
    language_model, script = script_lm(lambda messages: "terms")
    corpus = Corpus(docstrings, language_model=language_model)
    wording = PART_POOLS["rewrite"]["several"]
    prompt = PartPrompt(wording.instructions[0], wording.demo_queries[:2])
    rewritten = with_prompts(Rewritten(Sparse(), repeat=1).index(corpus), {"rewriter": prompt})
    assert rewritten.rewrite(["open a file"]) == ["open a file terms"]
    (request,) = script.requests
    assert request[0] == wording.instructions[0]
    assert request[1] == "Query: why does sourdough bread rise without added yeast?"
    assert request[2] == "What makes sourdough rise; sourdough starter wild yeast bacteria"


@pytest.mark.parametrize(
    "senseless",
    [{"candidates": [2, 4], "queries": [5, 9]}, {"candidates": [4], "queries": [5, 9]}, {"queries": [9, 9]}],
)
def test_invalid_search_settings_are_refused(senseless: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="give as many falling numbers of candidates as rising"):
        PromptSearch(parts=senseless)
