"""Translated: who is asked, what is searched with, and what ten pairs teach."""

from pathlib import Path

import numpy as np
import pytest

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example
from zero2ir.errors import InputError
from zero2ir.models.base import load_retriever
from zero2ir.models.prompted import PartPrompt, search_without_leakage, with_prompts
from zero2ir.models.ranking import NO_DOCUMENT
from zero2ir.models.sparse import Sparse
from zero2ir.models.translated import Translated, TranslationFields, parallel_demonstrations, weighted_translations

ENGLISH = {
    "¿Dónde nació Lutero?": "Where was Luther born?",
    "¿Quién descubrió el oxígeno?": "Who discovered oxygen?",
    "¿Cuántos puntos dejó escapar la defensa?": "How many points did the defence give up?",
}
QUERIES = list(ENGLISH)
TEXTS = [
    "Luther was born in the town of Eisleben, where his father was a miner.",
    "Oxygen was discovered by Priestley, and independently by Scheele.",
    "The defence gave up three hundred points over the whole season.",
]


def answer(messages) -> str:
    return ENGLISH.get(messages[-1].partition(": ")[2], "")


@pytest.fixture
def asked(script_lm):
    language_model, script = script_lm(answer)
    documents = [Document(f"d{number}", "", text) for number, text in enumerate(TEXTS)]
    return Corpus(documents, language_model=language_model), script


def examples(*places: int) -> list[Example]:
    return [Example(QUERIES[place], place, translation=ENGLISH[QUERIES[place]]) for place in places]


def test_it_finds_in_one_language_what_is_asked_in_another(asked) -> None:
    corpus, script = asked
    found = Translated(Sparse()).index(corpus).search([*QUERIES, QUERIES[0]], 3)
    assert list(found.numbers[:, 0]) == [0, 1, 2, 0]
    assert len(script.requests) == 3  # equal queries are one question
    assert script.requests[0][0] == "Translate the query into English."
    expected = Sparse().index(corpus).search(list(ENGLISH.values()), 3)
    np.testing.assert_array_equal(found.scores[:3], expected.scores)


def test_a_query_in_the_documents_language_is_searched_as_it_is(asked) -> None:
    corpus, script = asked
    query = "Where was Luther born, and what was his father?"
    assert Translated(Sparse()).index(corpus).translate([query, ""]) == [[(query, 1.0)], [("", 1.0)]]
    assert not script.requests


def test_a_query_without_an_answer_is_searched_as_it_is(script_lm) -> None:
    language_model, _ = script_lm(lambda messages: "")
    corpus = Corpus([Document("d", "", TEXTS[0])], language_model=language_model)
    assert Translated(Sparse()).index(corpus).translate(QUERIES[:1]) == [[(QUERIES[0], 1.0)]]
    assert language_model.usage.failures == 1


def test_it_learns_by_showing_the_pairs(asked, tmp_path: Path) -> None:
    corpus, script = asked
    translated = Translated(Sparse(), demonstrations=2).index(corpus)
    learned = translated.learn(examples(0, 1, 2), seed=0)
    assert learned is not None
    assert translated.prompt.demos == ()
    assert translated.requires_learning()
    assert len(learned.prompt.demos) == 2
    assert {row["query"]: row["translation"] for row in learned.prompt.demos}.items() <= ENGLISH.items()
    assert not script.requests  # what was translated is not translated again
    learned.search(QUERIES[:1], 1)
    assert script.requests[-1][0] == "Translate Spanish into English."
    assert script.requests[-1][1:-1:2] == [f"Spanish: {row['query']}" for row in learned.prompt.demos]
    learned.save(tmp_path)
    loaded = load_retriever(tmp_path, corpus)
    assert isinstance(loaded, Translated)
    assert (loaded.prompt, loaded.language) == (learned.prompt, "en")
    assert loaded.translate(QUERIES) == learned.translate(QUERIES)


def test_without_pairs_there_is_nothing_to_show(asked) -> None:
    corpus, _ = asked
    assert Translated(Sparse()).index(corpus).learn([Example(QUERIES[0], 0)], seed=0) is None
    assert Translated(Sparse(), demonstrations=0).index(corpus).learn(examples(0, 1), seed=0) is None


def test_the_seed_draws_and_orders_the_demonstrations() -> None:
    one, again, other = (
        parallel_demonstrations(examples(0, 1, 2), 3, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    assert one == again != other
    assert sorted(row["query"] for row in one) == sorted(QUERIES)


def test_a_query_is_translated_without_its_own_translation_as_an_example(asked) -> None:
    corpus, script = asked
    learned = Translated(Sparse()).index(corpus).learn(examples(0, 1, 2), seed=0)
    assert learned is not None
    found = search_without_leakage(learned, QUERIES, 1, None, np.full(len(QUERIES), NO_DOCUMENT))
    assert list(found.numbers[:, 0]) == [0, 1, 2]
    for query in QUERIES:
        (request,) = (request for request in script.requests if request[-1].endswith(query))
        assert len(request) == 2 + 2 * 2  # instruction, two pairs, the query
        assert ENGLISH[query] not in " ".join(request)


def test_a_prompt_that_was_chosen_stays(asked) -> None:
    corpus, script = asked
    chosen = PartPrompt("Say {source} in {target}.", optimized=True)
    translated = with_prompts(Translated(Sparse()).index(corpus), {"translator": chosen})
    assert translated.learn(examples(0, 1), seed=0) is None
    assert not translated.requires_learning()
    translated.search(QUERIES[:1], 1)
    assert script.requests[-1][0] == "Say the query in English."


def test_the_prompt_names_the_languages_that_it_knows() -> None:
    assert TranslationFields.between("de", "en") == ("german", "english", "Translate German into English.")
    assert TranslationFields.between("", "es") == ("query", "translation", "Translate the query into Spanish.")
    assert TranslationFields.between("es", "es").text == "query"
    assert TranslationFields.between("de", "en", "{target}, not {source}").instruction == "English, not German"


class Answer:
    def __init__(self, english: str, *logprobs: float) -> None:
        self.english = english
        self.logprobs = {"content": [{"logprob": value} for value in logprobs]} if logprobs else None


def test_several_translations_count_by_their_probability() -> None:
    likely, unlikely = np.log(0.9), np.log(0.1)
    given = [Answer("a", likely, likely), Answer("b", unlikely), Answer("a", likely), Answer(" ")]
    (first, heavy), (second, light) = weighted_translations(given, "english")
    assert (first, second) == ("a", "b")
    assert heavy == pytest.approx(1.8 / 1.9, abs=1e-4)
    assert light == pytest.approx(0.1 / 1.9, abs=1e-4)
    assert weighted_translations([Answer("a"), Answer("b")], "english") == [
        ("a", 0.5),
        ("b", 0.5),
    ]  # a model that tells no probabilities
    assert weighted_translations([Answer("")], "english") == []


def test_several_translations_find_what_any_of_them_finds(script_lm) -> None:
    drafts = iter(["Where was Luther born?", "Who discovered oxygen?"] * 3)
    language_model, script = script_lm(lambda messages: next(drafts))
    corpus = Corpus([Document(f"d{n}", "", text) for n, text in enumerate(TEXTS)], language_model=language_model)
    several = Translated(Sparse(), translations=2).index(corpus)
    found = several.search(QUERIES[:1], 3)
    assert set(found.numbers[0]) == {0, 1, -1}
    assert len(script.requests) == 2
    scores = several.score(QUERIES[:1], [TEXTS])[0]
    assert scores.shape == (3,)
    assert min(scores[:2]) > scores[2]


def test_no_language_model_names_what_would_serve(asked) -> None:
    corpus, _ = asked
    with pytest.raises(InputError, match=r"into English .* lm=gemma3 .*zero2ir.gemma3..*model=surface"):
        Translated(Sparse()).index(Corpus(corpus.documents))


@pytest.mark.parametrize(
    "wrong", [{"translations": 0}, {"demonstrations": -1}, {"temperature": 0.0}, {"alternatives": [0]}, {"depth": 0}]
)
def test_settings_out_of_range_are_rejected(wrong) -> None:
    with pytest.raises(InputError, match=f"^Translated.{next(iter(wrong))}.*: Input should be greater than "):
        Translated(Sparse(), **wrong)
