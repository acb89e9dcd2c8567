"""lm=gguf serves the user's own file, with its own template and a context that fits memory."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.config import LibraryConfig, compose
from zero2ir.errors import DataWarning, InputError
from zero2ir.lm.factory import open_lm
from zero2ir.lm.gguf_header import MIN_CONTEXT, RESERVED_BYTES, GgufHeader, read_header
from zero2ir.lm.settings import LMSettings
from zero2ir.lm.weights import PLAIN_LINES, fit_to_weights, weights_file

PACKAGED = LMSettings(name="smollm2", max_tokens=12)
ASK = dspy.Predict("document -> query")
GENERAL = {"general.architecture": "llama"}
SIZES = {
    "llama.block_count": 30,
    "llama.context_length": 8192,
    "llama.embedding_length": 576,
    "llama.attention.head_count": 9,
    "llama.attention.head_count_kv": 3,
}


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed file, at a place of the user's own."""
    path = tmp_path_factory.mktemp("my models") / "any (v2).gguf"
    path.symlink_to(weights_file(PACKAGED, path.parent))
    return path


def own(path: Path | str, **changes: Any) -> LMSettings:
    return LMSettings(**{"name": "gguf", "weights": str(path), "max_tokens": 12, **changes})


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def gguf(**metadata: int | str) -> bytes:
    """A GGUF file without weights."""
    fields = b"".join(
        text(key) + (struct.pack("<I", 8) + text(value) if isinstance(value, str) else struct.pack("<II", 4, value))
        for key, value in metadata.items()
    )
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(metadata)) + fields


def test_a_file_of_ones_own_answers_as_the_packaged_one(
    smollm2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(smollm2.parent)
    answers = []
    for settings in (own(smollm2.name), PACKAGED):
        with open_lm(settings, tmp_path, seed=0) as language_model:
            (answer,) = language_model.map(ASK, [{"document": "str.strip removes white space"}], "asking")
            answers.append(answer.query)
    assert answers[0]
    assert answers[0] == answers[1]


def test_the_configuration_names_the_file_and_a_saved_program_finds_it_from_any_folder(
    smollm2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(smollm2.parent)
    named = compose("library", LibraryConfig, ["lm=gguf", "lm.weights=any.gguf"]).lm
    assert named.weights == str(smollm2.parent / "any.gguf")
    with pytest.raises(InputError, match=r"lm\.weights: has no default; set it"):
        compose("library", LibraryConfig, ["lm=gguf"])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda whole: whole[: len(whole) // 2], "truncated or altered; copy or download it again"),
        (lambda whole: whole[:-1], "truncated or altered"),
        (lambda whole: whole[:1000], "truncated or altered"),
        (lambda whole: whole[:4], "truncated or altered"),
        (lambda whole: whole[:20] + b"\xff" * 1000, "truncated or altered"),
        (lambda whole: b"", "not a GGUF file; correct lm.weights"),
        (lambda whole: b"<html>Not found</html>", "not a GGUF file; correct lm.weights"),
        (lambda whole: b"version https://git-lfs.github.com/spec/v1\n", "not a GGUF file; correct lm.weights"),
        (lambda whole: gguf(), "contains no model, not a model that writes text"),
        (lambda whole: gguf(**{"general.architecture": "bert", "bert.block_count": 6}), "contains bert, not a model"),
        (lambda whole: gguf(**{"general.architecture": "clip", "clip.block_count": 6}), "contains clip, not a model"),
    ],
)
def test_a_wrong_file_is_one_line(content: Callable[[bytes], bytes], says: str, smollm2: Path, tmp_path: Path) -> None:
    path = tmp_path / "wrong.gguf"
    path.write_bytes(written := content(smollm2.read_bytes()))
    with pytest.raises(InputError, match=says) as error:
        open_lm(own(path), tmp_path / "cache", seed=0).__enter__()
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    assert path.read_bytes() == written


@pytest.mark.parametrize("place", ["absent.gguf", ".", "folder-that-is-not-there/x.gguf"])
def test_an_absent_file_is_one_line_and_is_not_made(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"lm=gguf: .*: no such file; correct lm\.weights"):
        open_lm(own(place), tmp_path / "cache", seed=0).__enter__()
    assert not list(tmp_path.glob("*.gguf"))


def test_the_header_is_that_of_the_file(smollm2: Path) -> None:
    header = read_header(smollm2)
    assert header.size == smollm2.stat().st_size
    assert {key: header.metadata[key] for key in SIZES} == SIZES
    assert header.bytes_per_token() == 30 * 3 * (64 + 64) * 2  # layers, heads, lengths of key and value, float16
    assert header.metadata["tokenizer.ggml.tokens"] is None  # the vocabulary is skipped


def test_layers_may_have_heads_and_lengths_of_their_own() -> None:
    changes = {"llama.attention.head_count_kv": [1, 0, 2], "llama.attention.key_length": 100}
    assert GgufHeader({**GENERAL, **SIZES, **changes}, 0).bytes_per_token() == 3 * (100 + 64) * 2
    assert GgufHeader(GENERAL, 0).bytes_per_token() == 0


@given(st.integers(1, 1 << 17), st.integers(1, 4), st.integers(-(1 << 34), 1 << 34))
def test_a_context_fits_memory_and_training(wanted: int, slots: int, free: int) -> None:
    header = GgufHeader({**GENERAL, **SIZES}, 0)
    context = header.context(wanted, slots, free)
    assert context <= min(wanted, 8192)
    assert context * slots * header.bytes_per_token() <= max(0, free - RESERVED_BYTES)
    if context == 0:
        assert min(wanted, MIN_CONTEXT) * slots * header.bytes_per_token() > free - RESERVED_BYTES


@pytest.mark.parametrize(("beside_the_weights", "context"), [(1 << 40, 4096), (RESERVED_BYTES + 1000 * 23040, 1000)])
def test_a_context_is_shortened_to_the_free_memory(
    beside_the_weights: int, context: int, smollm2: Path, monkeypatch: pytest.MonkeyPatch, recwarn: Any
) -> None:
    available = smollm2.stat().st_size + beside_the_weights
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": available}))
    assert fit_to_weights(own(smollm2), smollm2).context == context
    assert [str(one.message) for one in recwarn if one.category is DataWarning] == (
        [] if context == 4096 else ["lm=gguf: a context of 1000 tokens, which fits memory"]
    )


def test_a_model_that_does_not_fit_memory_is_one_line(smollm2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 100_000_000}))
    with pytest.raises(InputError, match=r"does not fit memory \(0\.1 GB of weights, 0\.1 GB are free\)"):
        fit_to_weights(own(smollm2), smollm2)


@pytest.mark.parametrize(("written", "template"), [({}, PLAIN_LINES), ({"tokenizer.chat_template": "x"}, None)])
def test_a_file_without_a_template_gets_plain_lines(
    written: dict[str, str], template: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "base.gguf"
    path.write_bytes(gguf(**{"general.architecture": "llama", "llama.block_count": 2, **written}))
    assert fit_to_weights(own(path), path).chat_template == template
    assert fit_to_weights(own(path, chat_template="mine"), path).chat_template == "mine"
