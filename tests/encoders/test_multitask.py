"""Multi-task encoders: passages of a text, spans, classes, and saving without pickle."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data.answers import NO_SPAN
from zero2ir.encoders.base import save_encoded
from zero2ir.encoders.batching import BATCH_LOCK
from zero2ir.encoders.loading import load_encoded, load_encoder
from zero2ir.encoders.multitask import HEADS_WEIGHTS_FILE, MultitaskEncoder, best_token_span, pieces
from zero2ir.errors import InputError


@given(st.text(st.sampled_from("ab .!?\n\t"), max_size=200), st.integers(1, 9))
def test_passages_have_every_word_once_in_order(text: str, words: int) -> None:
    found = pieces(text, words)
    assert [word for start, end in found for word in text[start:end].split()] == text.split()
    assert all(len(text[start:end].split()) <= words for start, end in found)
    assert all(end <= start for (_, end), (start, _) in pairwise(found))


def test_whole_sentences_are_joined_and_a_long_one_is_cut() -> None:
    text = "One two. Three four five. Six seven eight nine ten eleven."
    assert [text[start:end] for start, end in pieces(text, 5)] == [
        "One two. Three four five.",
        "Six seven eight nine ten",
        "eleven.",
    ]


def test_the_best_span_begins_before_it_ends_and_lies_in_the_passage() -> None:
    places = np.array([[0, 0], [-9, -4], [0, 3], [4, 7], [8, 11], [0, 0]])  # mark, question, three words, mark
    values = np.array([[1, 1], [9, 9], [0, 3], [2, 0], [0, 2], [9, 9]], dtype=float)
    span = best_token_span("ant bee cow", places, values)
    assert (span.text, span.start, span.end, span.score) == ("bee cow", 4, 11, 2.0)
    assert best_token_span("", places[:2], values[:2]) == NO_SPAN


def test_a_long_text_is_read_to_its_end(tiny_multitask_encoder: MultitaskEncoder) -> None:
    text = "Nothing is said here. " * 60 + "It was Gregory."
    found = tiny_multitask_encoder.find_answers(["who was it", ""], [[text, ""], []])
    assert [len(row) for row in found] == [2, 0]
    (span, none) = found[0]
    assert text[span.start : span.end] == span.text
    assert np.isfinite(span.score)
    assert none == NO_SPAN
    (alone,) = tiny_multitask_encoder.find_answers(["who was it"], [["It was Gregory."]])[0]
    assert span.score >= alone.score - 1e-4  # the best passage counts


def test_concurrent_readers_take_turns(tiny_multitask_encoder: MultitaskEncoder) -> None:
    asked = (["who was it"], [["It was Gregory."]])
    expected = tiny_multitask_encoder.find_answers(*asked)
    with ThreadPoolExecutor(1) as pool:
        with BATCH_LOCK:
            call = pool.submit(tiny_multitask_encoder.find_answers, *asked)
            with pytest.raises(TimeoutError):
                call.result(0.5)
        assert call.result(30) == expected


def test_probabilities_are_of_all_classes(tiny_multitask_encoder: MultitaskEncoder) -> None:
    for task in ("classify_query", "classify_document"):
        likely = tiny_multitask_encoder.classify(task, ["open a file", ""])
        assert likely.shape == (2, len(tiny_multitask_encoder.heads.labels))
        np.testing.assert_allclose(likely.sum(axis=1), 1, atol=1e-5)
        assert tiny_multitask_encoder.classify(task, []).shape[0] == 0


def test_heads_are_saved_without_pickle_and_damage_is_an_error(
    tiny_multitask_encoder: MultitaskEncoder, tmp_path: Path
) -> None:
    tiny_multitask_encoder.save(tmp_path)
    opened = load_encoder(tmp_path)
    assert isinstance(opened, MultitaskEncoder)
    assert opened.heads.about() == tiny_multitask_encoder.heads.about()
    asked = (["who opens it"], [["A file is opened by the user."]])
    assert opened.find_answers(*asked) == tiny_multitask_encoder.find_answers(*asked)
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} <= {".json", ".safetensors", ".txt"}
    (tmp_path / HEADS_WEIGHTS_FILE).write_bytes(b"short")
    with pytest.raises(InputError, match="missing or damaged"):
        load_encoder(tmp_path)


def test_encoder_and_encoded_documents_are_saved_together(
    tiny_multitask_encoder: MultitaskEncoder, tmp_path: Path
) -> None:
    rows = tiny_multitask_encoder.encode(["open a file", "sort a list"])
    save_encoded(tiny_multitask_encoder, rows, tmp_path)
    opened, read = load_encoded(tmp_path, documents=2)
    np.testing.assert_array_equal(read, rows)
    np.testing.assert_allclose(opened.encode(["open a file", "sort a list"]), rows, atol=1e-6)
