import re
from typing import Literal

import dspy
import pytest
from dspy.utils.exceptions import AdapterParseError
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.lm.adapter import CompactAdapter, bare_line, escape_untrusted_text, unusable_reason


class WriteQuery(dspy.Signature):
    """Write the search query that this document answers."""

    document: str = dspy.InputField()
    query: str = dspy.OutputField()


class Grade(dspy.Signature):
    """Grade the passages."""

    query: str = dspy.InputField()
    passages: list[str] = dspy.InputField()
    best: int = dspy.OutputField(desc="number of the best passage")
    verdict: Literal["yes", "no"] = dspy.OutputField()


ADAPTER = CompactAdapter()
DEMOS = [{"document": "str.strip: remove\nwhitespace", "query": "trim a string"}]
CONTROL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<start_of_turn>", "<end_of_turn>", "</s>", "<s>", "<bos>"]
CONTROL += ["[INST]", "[/INST]", "<repo_name>", "<｜User｜>"]
hostile = st.lists(st.one_of(st.sampled_from([*CONTROL, "<", "|", ">", "\n", "\u2028", "system"]), st.text())).map(
    "".join
)


def test_the_constant_part_comes_first_and_the_input_last() -> None:
    messages = ADAPTER.format(WriteQuery, DEMOS, {"document": "shutil.copy: copy\n\na file"})
    assert messages == [
        {"role": "system", "content": "Write the search query that this document answers."},
        {"role": "user", "content": "Document: str.strip: remove whitespace"},
        {"role": "assistant", "content": "trim a string"},
        {"role": "user", "content": "Document: shutil.copy: copy a file"},
    ]


@given(hostile, hostile)
def test_only_the_last_message_depends_on_the_document(one: str, other: str) -> None:
    first, second = (ADAPTER.format(WriteQuery, DEMOS, {"document": document}) for document in (one, other))
    assert first[:-1] == second[:-1]
    assert len(first) == 4
    assert first[-1]["role"] == "user"


@given(hostile)
def test_a_document_stays_one_line_of_data(document: str) -> None:
    text = escape_untrusted_text(document)
    assert len(text.splitlines()) <= 1
    assert not re.search(r"<[|｜]|[|｜]>", text)
    assert not any(token in text for token in CONTROL)
    assert escape_untrusted_text(text) == text
    text.encode()


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "Zs"])))
def test_plain_words_pass_unchanged(document: str) -> None:
    assert escape_untrusted_text(document) == " ".join(document.split())


def test_other_markup_passes_unchanged() -> None:
    assert escape_untrusted_text("if a <b> c[INSTANCE] || d <= e") == "if a <b> c[INSTANCE] || d <= e"


@pytest.mark.parametrize(
    "answer",
    [
        "trim a string",
        "Query: trim a string",
        '"trim a string"',
        '**Query:** "trim a string"',
        "\n\nSearch query: trim a string\nMore text",
        "“trim a string”",
        "Query:\ntrim a string",
    ],
)
def test_labels_and_quotes_are_removed_from_a_line(answer: str) -> None:
    assert ADAPTER.parse(WriteQuery, answer) == {"query": "trim a string"}


@pytest.mark.parametrize("query", ['how to print "hello"', '"a" versus "b"', "what's a class's __dict__"])
def test_quotes_inside_a_query_are_kept(query: str) -> None:
    assert bare_line(query, "query") == query


def test_a_colon_inside_a_query_is_not_a_label() -> None:
    assert bare_line("sql query: how to join", "query") == "sql query: how to join"


@pytest.mark.parametrize("answer", ["", "  \n ", '""', "Query:"])
def test_an_empty_line_is_unusable(answer: str) -> None:
    with pytest.raises(AdapterParseError):
        ADAPTER.parse(WriteQuery, answer)


def test_typed_outputs_are_json_with_numbered_passages() -> None:
    demo = {"query": "q", "passages": ["a", "b"], "best": 2, "verdict": "yes"}
    messages = ADAPTER.format(Grade, [demo], {"query": "q", "passages": ["x\ny", "<|im_end|>"]})
    assert "Best: number of the best passage" in messages[0]["content"]
    assert messages[2]["content"] == '{"best": 2, "verdict": "yes"}'
    assert messages[3]["content"] == "Query: q\nPassages: \n[1] x y\n[2] < |im_end| >"
    assert ADAPTER.parse(Grade, '```json\n{"best": 1, "verdict": "no"}\n```') == {"best": 1, "verdict": "no"}


@pytest.mark.parametrize(
    "answer", ["", "no", '{"best": 1}', '{"best": "one", "verdict": "no"}', '{"best": 1, "verdict"']
)
def test_json_that_does_not_fit_the_signature_is_unusable(answer: str) -> None:
    with pytest.raises(AdapterParseError):
        ADAPTER.parse(Grade, answer)


def test_a_demonstration_without_its_answer_is_left_out() -> None:
    assert len(ADAPTER.format(WriteQuery, [{"document": "only a document"}], {"document": "x"})) == 2


@pytest.mark.parametrize(
    "answer",
    [
        "<think>",
        "<think>\nThe user wants",
        "<THINK>a</THINK>",
        "<thinking>a\nb</thinking>\n",
        '<think mode="deep">a',
        "a thought without a start</think>  ",
        "[THINK]a",
        "[THINK]a[/THINK]\n",
        "◁think▷a◁/think▷",
        "<reasoning>a</reasoning>",
        "<|channel|>analysis<|message|>The user wants",
    ],
)
def test_thoughts_are_no_answer(answer: str) -> None:
    assert unusable_reason(answer) == "The answer holds only thoughts."
    for signature in (WriteQuery, Grade):
        with pytest.raises(AdapterParseError, match="only thoughts"):
            ADAPTER.parse(signature, answer)


@pytest.mark.parametrize(
    "thoughts",
    [
        "<think>\nmaybe: chain oil\n</think>\n\n",
        "maybe: chain oil</think>",
        "<think>a</think><think>b</think>",
        "[THINK]a[/THINK]",
        "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>",
    ],
)
def test_an_answer_after_thoughts_is_used(thoughts: str) -> None:
    assert ADAPTER.parse(WriteQuery, f"{thoughts}oil for the chain") == {"query": "oil for the chain"}


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't help with that request.",
        "I’m sorry, I can’t assist with that.",
        "I am really sorry, but I am unable to write this query.",
        '"Sorry, I cannot help with this."',
        "I cannot fulfill your request.",
        "I can't assist with that",
        "I'm unable to help with this request",
        "I won't engage with that topic.",
        "As an AI language model, I cannot write queries.",
        "Unfortunately, I'm not able to do that.",
        "I apologize, but I can't provide that.",
        "My apologies, but I cannot do that.",
        "Es tut mir leid, aber dabei kann ich nicht helfen.",
        "Lo siento, pero no puedo ayudar con eso.",
        "Je suis désolé, mais je ne peux pas aider.",
        "抱歉，我无法满足这个请求。",
        "申し訳ありませんが、お答えできません。",
    ],
)
def test_a_refusal_is_no_answer(answer: str) -> None:
    with pytest.raises(AdapterParseError, match="refusal"):
        ADAPTER.parse(WriteQuery, answer)


@pytest.mark.parametrize(
    "query",
    [
        "I can't open my csv file in python",
        "i cannot log in after the update",
        "sorry I can change the chain?",
        "how to say sorry",
        "I'm sorry song lyrics",
        "sorry sorry lyrics super junior",
        "as an aide, how do I file taxes",
        "is a person who says I can't help it responsible",
        "I won't be able to pay rent, what now",
        "i can not provide proof of income for a lease",
        "I do not understand gears",
        "tut mir leid Lied",
        "think about html tags",
        "what does the <thinking> tag do",
        "the <b> tag and the <thing> tag",
        "reasoning in large language models",
    ],
)
def test_queries_that_resemble_refusals_and_thoughts_are_answers(query: str) -> None:
    assert ADAPTER.parse(WriteQuery, query) == {"query": query}
