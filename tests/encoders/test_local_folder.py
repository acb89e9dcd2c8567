"""encoder=hub with a local sentence-transformers folder."""

import shutil
from pathlib import Path

import pytest

from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.settings import EncoderSettings, model_folder
from zero2ir.errors import InputError


def hub(place: Path | str) -> EncoderSettings:
    return EncoderSettings(name=str(place), source="hub", model=str(place))


def test_a_local_folder_encodes_from_any_path(
    tiny_transformer_settings: EncoderSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my models" / "é5 (v2)"
    shutil.copytree(tiny_transformer_settings.model, folder)
    monkeypatch.chdir(tmp_path / "my models")
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = DenseEncoder(hub(tiny_transformer_settings.model)).encode(["remove white space"]).tolist()
    encoders = [DenseEncoder(hub(place)) for place in (folder, "é5 (v2)", "./é5 (v2)", "~/my models/é5 (v2)")]
    monkeypatch.chdir("/")
    for encoder in encoders:
        assert encoder.encode(["remove white space"]).tolist() == expected


def test_a_folder_without_a_model_is_one_line(
    tiny_transformer_settings: EncoderSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    shutil.copytree(tiny_transformer_settings.model, tmp_path / "truncated")
    weights = tmp_path / "truncated" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    shutil.copytree(tiny_transformer_settings.model, tmp_path / "bare")
    for path in (tmp_path / "bare").rglob("*"):
        if path.name in ("modules.json", "config.json"):
            path.unlink()
    for place, says in (
        (tmp_path / "absent", r"no such folder; correct encoder\.model"),
        ("./absent", r"no such folder; correct encoder\.model"),
        ("~/absent", r"no such folder; correct encoder\.model"),
        ("file", r"no such folder; correct encoder\.model"),
        ("empty", r"no sentence-transformers model .*; correct encoder\.model"),
        ("bare", r"no sentence-transformers model .*; correct encoder\.model"),
        ("truncated", "cannot load '.*truncated'"),
    ):
        with pytest.raises(InputError, match=says) as error:
            DenseEncoder(hub(place)).encode(["a"])
        assert "\n" not in str(error.value)


def test_a_name_of_the_hub_is_no_folder() -> None:
    assert model_folder("BAAI/bge-small-en-v1.5", "encoder.model") is None
