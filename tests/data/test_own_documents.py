"""Own documents: the document with the id and the text of a query."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.own_documents import is_own_document, own_documents
from zero2ir.data.records import Document, Judgment

QUESTION = "How do I oil a chain?"


@pytest.mark.parametrize(
    "document",
    [
        Document("q", "", QUESTION),
        Document("q", "", "  how do I OIL\na chain "),  # case, white space and punctuation at the end do not matter
        Document("q", QUESTION, "It squeaks when I ride. I have a can of oil and a rag, but no stand for the bicycle."),
        Document("q", "Chains", QUESTION),
        Document("q", "", f"Care: {QUESTION}"),  # nearly all of the document
        Document("q", "How do I", "oil a chain?"),
    ],
)
def test_a_document_with_the_text_of_the_query_is_the_query(document: Document) -> None:
    assert is_own_document(QUESTION, document)


@pytest.mark.parametrize(
    ("query", "document"),
    [
        (QUESTION, Document("q", "", "What is the best way to lubricate a bicycle chain?")),
        ("chain", Document("q", "", "A chain drives the rear wheel.")),  # a word of the document
        ("oil a chain", Document("q", "", QUESTION)),  # half of the document
        ("il a chain", Document("q", "", "Oil a chain")),  # no whole words
        ("?", Document("q", "!", "")),  # nothing is left of either text
        ("", Document("q", "", "")),
    ],
)
def test_other_texts_are_other_documents(query: str, document: Document) -> None:
    assert not is_own_document(query, document)


def test_ids_that_coincide_by_chance_are_no_own_documents() -> None:
    documents = [Document(str(number), "", f"document number {number}") for number in range(3)]
    assert own_documents({"1": "what is a chain", "2": "document number 2", "9": "document number 0"}, documents) == {
        "2": "2"
    }


def test_a_document_judged_relevant_stays() -> None:
    documents = [Document("a", "Known item", ""), Document("b", "Another item", "")]
    queries = {"a": "known item", "b": "another item"}
    judgments = [Judgment("a", "a", 1), Judgment("b", "a", 1), Judgment("b", "b", 0)]
    assert own_documents(queries, documents, judgments) == {"b": "b"}


def test_keys_need_not_be_the_ids() -> None:
    documents = [Document("a", "", "one"), Document("b", "", "two")]
    assert own_documents({"q0": "one", "q1": "two", "a": "one"}, documents, ids={"q0": "a", "q1": "a"}) == {"q0": "a"}


@given(st.text(), st.text(), st.text())
def test_the_answer_does_not_depend_on_case_and_white_space(query: str, title: str, text: str) -> None:
    document = Document("d", title, text)
    assert is_own_document(query, document) == is_own_document(f"  {query}\n", document)
