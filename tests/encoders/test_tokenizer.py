"""Learned tokenizers: WordPieces, the same in every process."""

import json
import subprocess
import sys

import pytest

from zero2ir.data.records import Document
from zero2ir.encoders.tokenizer import SPECIAL, make_tokenizer

LEARN = """
import json, sys
from zero2ir.data.records import Document
from zero2ir.encoders.tokenizer import make_tokenizer
documents = [Document(*row) for row in json.load(sys.stdin)]
print(json.dumps(make_tokenizer("collection", documents, 1500).get_vocab()))
"""


def test_the_same_documents_make_the_same_vocabulary_in_another_process(docstrings: list[Document]) -> None:
    """The library numbers letters by a hash table whose order differs from process to process."""
    texts = json.dumps(docstrings)
    other = subprocess.run([sys.executable, "-c", LEARN], input=texts, capture_output=True, text=True, check=True)
    assert make_tokenizer("collection", docstrings, 1500).get_vocab() == json.loads(other.stdout)


def test_frequent_words_are_single_tokens_and_none_is_unknown(docstrings: list[Document]) -> None:
    tokenizer = make_tokenizer("collection", docstrings, 2000)
    assert tokenizer.get_vocab_size() <= 2000
    assert {tokenizer.id_to_token(number) for number in range(5)} == set(SPECIAL)
    default = make_tokenizer("default", docstrings, 2000)
    pieces = {name: 0 for name in ("collection", "default")}
    for document in docstrings:
        own = tokenizer.encode(document.content).tokens
        assert "[UNK]" not in own
        assert (own[0], own[-1]) == ("[CLS]", "[SEP]")
        pieces["collection"] += len(own)
        pieces["default"] += len(default.encode(document.content).tokens)
    assert pieces["collection"] < 1.15 * pieces["default"]  # with a fifteenth of its vocabulary


@pytest.mark.parametrize("text", ["Größe", "Ğüzel", "日本語", "हिन्दी में", "naïve café"])
def test_other_scripts_survive_the_round_trip(text: str) -> None:
    tokenizer = make_tokenizer("collection", [Document("d", "", f"{text} {text}")], 1000)
    assert "[UNK]" not in tokenizer.encode(text).tokens


def test_a_lone_surrogate_is_no_error() -> None:
    make_tokenizer("collection", [Document("d", "", "a \ud800 b")], 1000)
