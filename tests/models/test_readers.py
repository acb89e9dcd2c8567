"""Readers: where they point, what the head learns, and who reads where it does not pay."""

from pathlib import Path

import numpy as np
import pytest

from zero2ir.data.answer_words import answer_kind
from zero2ir.data.answers import NO_SPAN
from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.examples import Example
from zero2ir.errors import InputError
from zero2ir.models.base import load_model
from zero2ir.models.capabilities import find_reader
from zero2ir.models.lexical_reader import LexicalReader
from zero2ir.models.reranked import Reranked
from zero2ir.models.span_reader import SpanReader, WordVectors, span_texts
from zero2ir.models.sparse import Sparse

COLOURS = ["red", "green", "blue", "white", "black", "brown"]
ANIMALS = ["fox", "hen", "crow", "goat", "mole", "bear", "wolf", "duck", "frog", "seal", "lynx", "hare"]
TEXTS = [
    "After the fall of Ani in 1045, masses migrated to Cilicia. Nineteen years later nothing had changed.",
    "The lamp was lit by Mary Smith. Ships saw it from eighteen miles away.",
]


@pytest.fixture(scope="module")
def lexical() -> LexicalReader:
    return LexicalReader().index(Corpus([Document(str(number), "", text) for number, text in enumerate(TEXTS)]))


@pytest.mark.parametrize(
    ("query", "text", "kind", "answer"),
    [
        ("when did Ani fall?", TEXTS[0], "date", "1045"),
        ("who lit the lamp?", TEXTS[1], "name", "Mary Smith"),
        ("how many miles away did ships see it?", TEXTS[1], "number", "eighteen"),
        ("to what place did the masses migrate?", TEXTS[0], "name", "Cilicia"),
    ],
)
def test_the_answer_is_of_the_kind_that_is_asked_for_and_near(
    lexical: LexicalReader, query: str, text: str, kind: str, answer: str
) -> None:
    assert answer_kind(query) == kind
    ((span,),) = lexical.read([query], [[text]])
    assert span.text == answer
    assert text[span.start : span.end] == answer


def test_a_text_without_words_has_no_answer_and_no_score(lexical: LexicalReader) -> None:
    assert lexical.read(["who?", ""], [["", "the of ..."], []]) == [[NO_SPAN, NO_SPAN], []]
    (scores,) = lexical.score(["fall of Ani"], [["", TEXTS[0]]])
    assert np.isnan(scores[0])
    assert np.isfinite(scores[1])


@pytest.fixture(scope="module")
def colours(tiny_transformer: DenseEncoder) -> Corpus:
    """Each animal has a colour, which stands far from the animal, and a nearer word that answers nothing."""
    documents = [
        Document(animal, "", f"{animal} zqx, and what is said at the end of it all is {COLOURS[n % 6]}")
        for n, animal in enumerate(ANIMALS)
    ]
    return Corpus(documents, {"pretrained": tiny_transformer})


def pairs(corpus: Corpus) -> list[Example]:
    return [
        Example(f"what about {animal}", n, ((n + 1) % 12,), answers=(COLOURS[n % 6],))
        for n, animal in enumerate(ANIMALS)
    ]


def test_the_head_learns_where_the_lexical_reader_is_wrong(colours: Corpus, tmp_path: Path) -> None:
    reader = SpanReader(fit={"penalty": 0.001}).index(colours)
    examples = pairs(colours)
    learned = reader.learn(examples[:9], seed=0)
    assert learned is not None
    assert reader.head is None  # a copy has learned
    queries, texts = [one.query for one in examples[9:]], [[colours.contents[one.positive]] for one in examples[9:]]
    assert [span.text for (span,) in reader.read(queries, texts)] == ["zqx"] * 3
    found = learned.read(queries, texts)
    assert [(span.text,) for (span,) in found] == [one.answers for one in examples[9:]]
    again = reader.learn(examples[:9], seed=0)
    assert again is not None
    assert again.read(queries, texts) == found
    learned.save(tmp_path)
    assert load_model(tmp_path, Corpus(colours.documents)).read(queries, texts) == found  # type: ignore[attr-defined]


def test_nothing_is_learned_where_it_does_not_pay_or_cannot_be_told(colours: Corpus) -> None:
    reader = SpanReader().index(colours)
    right = [one._replace(answers=("zqx",)) for one in pairs(colours)]  # what the lexical reader says anyway
    assert reader.learn(right, seed=0) is None
    assert reader.learn(pairs(colours)[:1], seed=0) is None
    assert reader.learn([one._replace(answers=("nowhere",)) for one in right], seed=0) is None
    assert reader.learn([one._replace(answers=()) for one in right], seed=0) is None
    assert reader.learn([], seed=0) is None


def test_nothing_to_learn_from_needs_no_encoder(colours: Corpus) -> None:
    reader = SpanReader().index(Corpus(colours.documents))
    assert reader.learn([], seed=0) is None
    assert reader.learn([one._replace(answers=()) for one in pairs(colours)], seed=0) is None


def test_it_needs_token_vectors(tiny_encoder: DenseEncoder, colours: Corpus) -> None:
    reader = SpanReader("static").index(Corpus(colours.documents, {"static": tiny_encoder}))
    with pytest.raises(InputError, match="'static' is no transformer"):
        reader.learn(pairs(colours), seed=0)


def test_the_words_of_a_text_get_the_vectors_of_their_tokens(colours: Corpus) -> None:
    words = WordVectors.from_corpus(colours, "pretrained", 4)
    texts = ["", "unbelievably  short", "one " * 200]  # more tokens than the encoder sees
    words.prepare(texts)
    assert [words.of_text(text).shape for text in texts] == [(0, 4), (2, 4), (200, 4)]
    assert all(np.isfinite(words.of_text(text)).all() for text in texts)
    assert span_texts("two delegates, and the vote") == ["two", "two delegates", "delegates", "vote"]


def test_the_vectors_of_what_is_read_now_stay(colours: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zero2ir.models.span_reader.VECTOR_CACHE_TEXTS", 2)
    words = WordVectors.from_corpus(colours, "pretrained", 4)
    words.prepare(["red fox", "green hen"])
    words.prepare(["red fox", "blue crow"])
    assert [words.of_text(text).shape for text in ("red fox", "blue crow")] == [(2, 4), (2, 4)]
    assert len(words._kept) == 2


def test_a_retriever_reads_by_its_reranker(colours: Corpus) -> None:
    inner = Reranked(Sparse(), LexicalReader(), 4, 0.2).index(colours)
    assert find_reader(inner) is inner.reranker
    assert find_reader(Sparse().index(colours)) is None
