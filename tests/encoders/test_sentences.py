"""Sentence encoders: splitting into sentences, one vector for each, and saving."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.config import LibraryConfig, compose
from zero2ir.encoders.base import save_encoded
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.loading import load_encoded
from zero2ir.encoders.making import make_encoder
from zero2ir.encoders.sentences import (
    MAX_SENTENCE_WORDS,
    MAX_SENTENCES,
    MIN_SENTENCE_WORDS,
    SentenceEncoder,
    split_document_sentences,
)
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.errors import InputError

TEXTS = ["Opening\nThis opens a file. Then it reads the whole file!", "", "open a file", "a \ud800 b"]


@pytest.fixture(scope="module")
def encoder(tiny_transformer_settings: EncoderSettings) -> SentenceEncoder:
    return SentenceEncoder(tiny_transformer_settings)


def test_a_title_is_one_piece_and_short_pieces_join_the_previous_one() -> None:
    text = "Files\nOpen it. This opens a file and reads it. See above. No?\n\nA second part starts here"
    assert split_document_sentences(text) == [
        "Files Open it.",
        "This opens a file and reads it. See above. No?",
        "A second part starts here",
    ]
    assert split_document_sentences("A title of five words\nIts only sentence has six.") == [
        "A title of five words",
        "Its only sentence has six.",
    ]


def test_lines_that_were_wrapped_are_one_sentence() -> None:
    assert split_document_sentences("Title of the long page\nThis sentence goes\non in the next\nline.") == [
        "Title of the long page",
        "This sentence goes on in the next line.",
    ]


def test_no_text_is_one_empty_piece_and_long_ones_are_cut() -> None:
    assert split_document_sentences("") == [""]
    assert [len(piece.split()) for piece in split_document_sentences("word " * 150)] == [
        MAX_SENTENCE_WORDS,
        MAX_SENTENCE_WORDS,
        22,
    ]
    assert len(split_document_sentences("This is a sentence. " * 100_000)) == MAX_SENTENCES


def test_short_pieces_join_up_to_a_limit() -> None:
    pieces = split_document_sentences("Answers\n" + "Yes. Not now. " * 100)
    assert len(pieces) == 5  # of 301 words
    assert max(len(piece.split()) for piece in pieces) < MAX_SENTENCE_WORDS + MIN_SENTENCE_WORDS


@given(st.text())
def test_any_text_gives_its_words_in_order(text: str) -> None:
    pieces = split_document_sentences(text)
    assert pieces
    if len(pieces) < MAX_SENTENCES:
        assert "".join("".join(pieces).split()) == "".join(text.split())
        if text.isascii():
            assert " ".join(pieces).split() == text.split()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("刹车发出尖叫时,把刹车皮前端向内调一毫米。冬天在冰上骑车要用带钉的轮胎！", 2),
        ("ブレーキが鳴るときはパッドを調整する。油は使わないでください。", 2),
        ("साइकिल की चेन पर तेल की बूंद डालिए। ब्रेक आवाज़ करें तो पैड को तिरछा कीजिए।", 2),
        ("هل تصر المكابح عند كل توقف؟ ضع قطرة زيت على السلسلة.", 2),
    ],
)
def test_sentences_of_other_scripts_end_at_their_marks(text: str, expected: int) -> None:
    pieces = split_document_sentences(f"\n{text}")[1:]
    assert len(pieces) == expected
    assert "".join("".join(pieces).split()) == "".join(text.split())


def test_a_documents_vectors_are_its_sentences_rounded(
    encoder: SentenceEncoder, tiny_transformer: DenseEncoder
) -> None:
    tokens = encoder.encode(TEXTS)
    assert tokens.vectors.dtype == np.int8
    assert tokens.lengths.tolist() == [3, 1, 1, 1]
    expected = tiny_transformer.encode(["Opening", "This opens a file.", "Then it reads the whole file!"])
    np.testing.assert_allclose(tokens.text(0), expected, atol=0.5 / 127 + 1e-6)
    assert encoder.encode([]).vectors.shape == (0, 32)


def test_a_query_is_one_vector(encoder: SentenceEncoder, tiny_transformer: DenseEncoder) -> None:
    tokens = encoder.encode_queries(TEXTS[:3])
    np.testing.assert_array_equal(tokens.vectors, tiny_transformer.encode_queries(TEXTS[:3]))
    assert tokens.lengths.tolist() == [1, 1, 1]


def test_a_pretrained_encoder_is_saved_without_weights(encoder: SentenceEncoder, tmp_path: Path) -> None:
    save_encoded(encoder, encoder.encode(TEXTS), tmp_path)
    loaded, rows = load_encoded(tmp_path, len(TEXTS))
    assert isinstance(loaded, SentenceEncoder)
    assert not (tmp_path / "weights").exists()
    np.testing.assert_array_equal(rows.vectors, encoder.encode(TEXTS).vectors)
    assert loaded.digest() == encoder.digest() != DenseEncoder(encoder.settings).digest()


def test_an_encoder_from_scratch_is_refused() -> None:
    pretraining = compose("library", LibraryConfig, []).pretraining
    with pytest.raises(InputError, match="choose encoder=minilm"):
        make_encoder("sentences", Corpus([]), EncoderSettings(name="s", source="static"), pretraining, 0)
