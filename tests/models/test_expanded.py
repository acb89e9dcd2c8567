"""Expanded: what is asked and indexed, what happens without an answer, and what a saved model needs."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.lm.factory import open_lm
from zero2ir.lm.settings import LMSettings
from zero2ir.models.base import load_retriever
from zero2ir.models.capabilities import notes, with_corpus
from zero2ir.models.expanded import EXPANSIONS_FILE, Expanded
from zero2ir.models.hybrid import Hybrid
from zero2ir.models.sparse import Sparse
from zero2ir.models.surface import CharacterNgrams
from zero2ir.writing.styles import EXCERPTS, STYLES

DOCUMENTS = [
    Document("strip", "str.strip", "Return a copy of the string with leading and trailing characters removed."),
    Document("open", "", "Open a file and return a corresponding stream. " * 30),
    Document("sort", "list.sort", ""),
    Document("blank", "", " \n"),
]


def answer(messages) -> str:
    """What people would search with: a word of their own, and the first word of the document."""
    return f"howto {messages[-1].removeprefix('Document: ').split()[0]}"


@pytest.fixture
def asked(script_lm):
    language_model, script = script_lm(answer)
    return Corpus(DOCUMENTS, language_model=language_model, language="en"), script


def test_the_retriever_indexes_each_text_with_its_queries(asked) -> None:
    corpus, script = asked
    expanded = Expanded(Sparse(), queries=2).index(corpus)
    assert expanded.expansions == [("howto str.strip",) * 2, ("howto Open",) * 2, ("howto list.sort",) * 2, ()]
    assert len(script.requests) == 6  # none for the blank document
    texts = [document.text for document in DOCUMENTS]
    longer = [
        Document(document.doc_id, document.title, "\n".join([text, *queries]))
        for document, text, queries in zip(DOCUMENTS, texts, expanded.expansions, strict=True)
    ]
    plain = Sparse().index(Corpus(longer, language="en"))
    for query in ("howto open a file", "sort"):
        found, expected = expanded.search([query], 4), plain.search([query], 4)
        np.testing.assert_array_equal(found.numbers, expected.numbers)
        np.testing.assert_array_equal(found.scores, expected.scores)
    assert len(script.requests) == 6  # a search asks nothing
    assert [document.text for document in corpus.documents] == texts


def test_each_passage_of_a_long_document_is_asked_for_a_query(script_lm) -> None:
    language_model, script = script_lm(answer)
    sentences = [f"Step {number} opens the next file of the archive." for number in "abcdef"]
    document = Document("d", "Archives", " ".join(sentences))
    expanded = Expanded(Sparse(), queries=3, document_words=12)
    expanded.index(Corpus([document], language_model=language_model, language="en"))
    shown = [messages[-1] for messages in script.requests]
    assert shown == [f"Document: Archives {sentences[number]}" for number in (0, 2, 4)]
    assert script.requests[0][0] == STYLES["question"].instruction
    assert script.requests[0][1:-1:2] == [f"Document: {' '.join(text.split())}" for text in EXCERPTS]


def test_queries_in_another_language_than_english_are_asked_for_in_it(script_lm) -> None:
    language_model, script = script_lm(lambda messages: "comment ouvrir un fichier ?")
    french = [Document("d", "", "La fonction ouvre un fichier et renvoie un flux.")]
    Expanded(Sparse(), queries=1, style="keywords").index(Corpus(french, language_model=language_model, language="fr"))
    (messages,) = script.requests
    assert messages == [f"{STYLES['keywords'].instruction} Write in French.", f"Document: {french[0].text}"]


UNUSABLE = {
    "empty": "",
    "copied from the prompt": STYLES["question"].queries[1],
    "a text of the prompt": " ".join(EXCERPTS[0].split()[:8]),
    "another script": "как открыть файл",
}


@pytest.mark.parametrize("text", UNUSABLE.values(), ids=UNUSABLE)
def test_a_document_without_a_usable_query_stays_as_it_is(script_lm, text: str) -> None:
    language_model, _ = script_lm(lambda messages: text if "stream" in messages[-1] else answer(messages))
    expanded = Expanded(Sparse(), queries=1).index(Corpus(DOCUMENTS, language_model=language_model, language="en"))
    assert expanded.expansions == [("howto str.strip",), (), ("howto list.sort",), ()]
    assert notes(Hybrid([expanded, Sparse()])) == {"expanded": "2 of 4 documents, by 1.0 queries on average"}
    assert list(expanded.search(["stream"], 1).numbers[0]) == [1]


def test_nothing_is_indexed_with_mostly_unusable_answers(script_lm) -> None:
    language_model, _ = script_lm(lambda messages: "" if "Document: str" not in messages[-1] else "howto strip")
    with pytest.raises(InputError, match="2 of 3 answers are unusable"):
        Expanded(Sparse(), queries=1).index(Corpus(DOCUMENTS, language_model=language_model, language="en"))


def test_texts_are_scored_as_they_are(asked) -> None:
    corpus, _ = asked
    expanded = Expanded(CharacterNgrams(), queries=1).index(corpus)
    texts = [[corpus.contents[0], f"{corpus.contents[0]} howto"]]
    (scores,) = expanded.score(["howto"], texts)
    assert scores[0] < scores[1]
    np.testing.assert_array_equal(scores, expanded.retriever.score(["howto"], texts)[0])


def test_a_saved_model_needs_no_language_model(asked, tmp_path: Path) -> None:
    corpus, _ = asked
    expanded = Expanded(Sparse(), queries=2).index(corpus)
    expanded.save(tmp_path)
    loaded = load_retriever(tmp_path, Corpus(DOCUMENTS, language="en"))
    assert isinstance(loaded, Expanded)
    assert loaded.expansions == expanded.expansions
    np.testing.assert_array_equal(loaded.search(["howto"], 4).scores, expanded.search(["howto"], 4).scores)
    assert loaded.corpus.contents == corpus.contents


def rows_of(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / EXPANSIONS_FILE).read_text(encoding="utf-8").splitlines()]


ALTERED: dict[str, tuple[Callable[[list[dict[str, object]]], object], str]] = {
    "a document is missing": (list.pop, "not the queries of the program's documents"),
    "another order": (list.reverse, "not the queries of the program's documents"),
    "a number as a query": (lambda rows: rows[0].update(queries=[{}]), r"expansions.jsonl:1: 'queries' is .*a string"),
    "no id": (lambda rows: rows[1].pop("doc_id"), r"expansions.jsonl:2: the key 'doc_id' is missing"),
}


@pytest.mark.parametrize("case", ALTERED)
def test_altered_queries_are_refused(asked, tmp_path: Path, case: str) -> None:
    corpus, _ = asked
    alter, says = ALTERED[case]
    Expanded(Sparse(), queries=1).index(corpus).save(tmp_path)
    rows = rows_of(tmp_path)
    alter(rows)
    (tmp_path / EXPANSIONS_FILE).write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    with pytest.raises(InputError, match=says):
        load_retriever(tmp_path, corpus)


def test_missing_queries_are_refused(asked, tmp_path: Path) -> None:
    corpus, _ = asked
    Expanded(Sparse(), queries=1).index(corpus).save(tmp_path)
    (tmp_path / EXPANSIONS_FILE).unlink()
    with pytest.raises(InputError, match=r"expansions.jsonl: cannot be read"):
        load_retriever(tmp_path, corpus)


def test_new_documents_are_expanded_and_others_keep_their_queries(asked, script_lm) -> None:
    corpus, script = asked
    expanded = Expanded(Sparse(), queries=1).index(corpus)
    asked_before = len(script.requests)
    documents = [*DOCUMENTS[1:], Document("close", "", "Close the stream.")]
    changed = with_corpus(
        expanded, Corpus(documents, language_model=corpus.language_model, language="en"), np.array([1, 2, 3])
    )
    assert len(script.requests) == asked_before + 1
    assert changed.expansions == [("howto Open",), ("howto list.sort",), (), ("howto Close",)]
    assert expanded.expansions[0] == ("howto str.strip",)
    fresh = Expanded(Sparse(), queries=1).index(Corpus(documents, language_model=script_lm(answer)[0], language="en"))
    np.testing.assert_array_equal(changed.search(["howto close"], 4).scores, fresh.search(["howto close"], 4).scores)


def test_without_a_language_model_documents_can_be_removed_but_not_added(asked) -> None:
    corpus, _ = asked
    expanded = Expanded(Sparse(), queries=1).index(corpus)
    fewer = with_corpus(expanded, Corpus(DOCUMENTS[1:], language="en"), np.array([1, 2, 3]))
    assert fewer.expansions == expanded.expansions[1:]
    more = [*DOCUMENTS, Document("close", "", "Close the stream.")]
    with pytest.raises(InputError, match="expanding documents needs a language model"):
        with_corpus(expanded, Corpus(more, language="en"), np.arange(4))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"queries": 0}, "queries: Input should be greater than or equal to 1"),
        ({"style": "judgments"}, "style: Input should be 'question', "),
        ({"document_words": 7}, "document_words: Input should be greater than or equal to 8"),
    ],
)
def test_settings_out_of_range_are_rejected(wrong, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Expanded(Sparse(), **wrong)


def test_the_real_smollm2_expands_documents_and_resumes(docstrings: list[Document], tmp_path: Path) -> None:
    few = docstrings[:3]
    with open_lm(LMSettings(name="smollm2", context=1024), tmp_path, seed=0) as language_model:
        first = Expanded(Sparse(), queries=2, document_words=30).index(
            Corpus(few[:2], language_model=language_model, language="en")
        )
        calls = language_model.usage.calls
        expanded = Expanded(Sparse(), queries=2, document_words=30).index(
            Corpus(few, language_model=language_model, language="en")
        )
        assert (calls, language_model.usage.calls, language_model.usage.cached) == (4, 6, 4)
    assert expanded.expansions[:2] == first.expansions
    words = {word for queries in expanded.expansions for query in queries for word in query.split()}
    assert len(words) > 5
    assert notes(expanded)["expanded"].startswith("3 of 3 documents")
