"""Endpoints of language models: a real server with many moods, and where keys, requests and answers go."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dspy
import pytest
import yaml
from pydantic import ValidationError

import zero2ir
from benchmarks.fake_endpoint import (
    FAILING,
    MODELS,
    MOODS,
    QUERY,
    UNUSABLE,
    USABLE,
    FakeEndpoint,
    Reply,
    dripping,
    message,
)
from zero2ir.errors import DataWarning, InputError
from zero2ir.lm import endpoint as endpoint_module
from zero2ir.lm.endpoint import is_loopback, open_endpoint
from zero2ir.lm.factory import LanguageModel, LMFailure, open_lm
from zero2ir.lm.limits import Limits, lm_limits
from zero2ir.lm.settings import LMSettings
from zero2ir.lm.usage import Usage

CONF = Path(__file__).parents[2] / "conf" / "lm"
KEY = "sk-very-secret-0123456789"
ASK = dspy.Predict("document -> query")
ENDPOINTS = [path.stem for path in sorted(CONF.glob("*.yaml")) if "litellm" in path.read_text()]


def conf(name: str, url: str, **changes: Any) -> LMSettings:
    """A file of conf/lm, at another address."""
    written = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    return LMSettings(**{**written, "api_base": url, "retries": 1, **changes})


def ask(language_model: LanguageModel, document: str = "Bicycles need oil.") -> Any:
    (answer,) = language_model.map(ASK, [{"document": document}], "asking")
    return answer


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of OpenAI in the environment, as many people have it, and no proxy."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_module, "MAX_WAIT_SECONDS", 0.2)
    monkeypatch.setattr(endpoint_module, "MAX_ANSWER_BYTES", 1_000_000)
    monkeypatch.setattr("dspy.clients.execution._delay", lambda error, attempt: error.retry_after or 0.0)


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with FakeEndpoint() as server:
        yield server


@pytest.fixture(scope="module", params=ENDPOINTS)
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The language model of each file of conf/lm that names an endpoint, and the server behind it."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch, FakeEndpoint() as server:
        patch.setenv("OPENAI_API_KEY", KEY)
        with open_lm(conf(request.param, server.url), folder, seed=0) as language_model:
            yield language_model, server


@pytest.mark.parametrize("mood", MOODS)
def test_every_mood_gives_an_answer_a_counted_failure_or_one_line(opened: Any, mood: str) -> None:
    shared, server = opened
    name = shared.settings.name
    language_model = LanguageModel(shared.settings, 0, Usage(), connect=lambda: shared.lm)
    server.answer = MOODS[mood]
    server.requests.clear()
    start = time.monotonic()
    if mood in FAILING:
        with pytest.raises(InputError, match=f"lm={name}: ") as error:
            ask(language_model, mood)
        assert "\n" not in str(error.value)
        assert KEY not in str(error.value)
    elif mood in UNUSABLE:
        assert isinstance(ask(language_model, mood), LMFailure)
        assert language_model.usage.failures == 1
        with pytest.raises(InputError, match=f"lm={name}: 1 of 1 answers are unusable"):
            language_model.require_usable_answers()
    else:
        assert mood in USABLE
        echoed = f"a bicycle with {'Bearer [hidden key]' if name == 'openai' else 'None'}"
        assert ask(language_model, mood).query == (echoed if mood == "echo" else QUERY)
        language_model.require_usable_answers()
    assert 1 <= len(server.posts) <= 4
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("name", ENDPOINTS)
def test_a_key_goes_only_to_the_endpoint_that_names_it(name: str, endpoint: FakeEndpoint, tmp_path: Path) -> None:
    with open_lm(conf(name, endpoint.url), tmp_path, seed=0) as language_model:
        ask(language_model)
    expected = f"Bearer {KEY}" if name == "openai" else None
    assert [asked.headers.get("authorization") for asked in endpoint.requests] == [expected] * 2
    assert KEY not in json.dumps([asked.headers for asked in endpoint.requests]) or name == "openai"


@pytest.mark.parametrize("name", ["ollama", "vllm"])
def test_a_local_model_needs_no_key(
    name: str, endpoint: FakeEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with open_lm(conf(name, endpoint.url), tmp_path, seed=0) as language_model:
        assert ask(language_model).query == QUERY


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_local_model_is_reached_past_a_proxy(
    host: str, endpoint: FakeEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeEndpoint("html", models=Reply(503, b"<html>host unreachable</html>")) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.origin)
        url = endpoint.url.replace("127.0.0.1", host)
        with open_lm(conf("vllm", url), tmp_path, seed=0) as language_model:
            assert ask(language_model).query == QUERY
        assert not proxy.requests
        with pytest.raises(InputError, match=r"HTTP 503, maybe from a proxy\); start the server or correct"):
            open_lm(conf("vllm", "http://models.example/v1"), tmp_path, seed=0).__enter__()
        assert proxy.requests


@pytest.mark.parametrize(
    "models",
    [
        Reply(503, b"<html>host unreachable</html>"),
        Reply(503, {"error": {"message": "loading"}}),
        Reply(200, b"<html>It works!</html>"),
        Reply(200, {"status": "ok"}),
        Reply(200, ["m"]),
        Reply(200, b"[" * 100_000),
        Reply(404, b"404 page not found"),
        Reply(404, {"detail": "Not Found"}),
        Reply(403, b"<html>blocked</html>"),
        Reply(302, b"", {"location": "http://127.0.0.1:9/v1/models"}),
        Reply(200, {"data": ["m" * 2_000_000]}),
    ],
)
def test_only_an_answer_of_the_protocol_shows_that_an_endpoint_is_there(models: Reply, tmp_path: Path) -> None:
    with FakeEndpoint(models=models) as server:
        with pytest.raises(InputError, match="lm=vllm: ") as error:
            open_lm(conf("vllm", server.url), tmp_path, seed=0).__enter__()
        assert "correct lm.api_base" in str(error.value)
        assert server.url in str(error.value) or "bytes" in str(error.value)
        assert "\n" not in str(error.value)
        assert not server.posts


@pytest.mark.parametrize(
    "models",
    [MODELS, Reply(200, {"object": "list", "data": None}), Reply(404, {"error": {"message": "no such path"}})],
)
def test_an_endpoint_may_have_no_models_or_no_list_of_them(models: Reply, tmp_path: Path) -> None:
    with FakeEndpoint(models=models) as server, open_lm(conf("vllm", server.url + "/"), tmp_path, seed=0) as model:
        assert ask(model).query == QUERY


@pytest.mark.parametrize(("name", "advice"), [("openai", "check it"), ("vllm", "set lm.api_key_env to the name")])
def test_a_rejected_key_is_reported_with_advice(name: str, advice: str, tmp_path: Path) -> None:
    reply = Reply(401, {"error": {"message": f"wrong key {KEY}"}})
    with FakeEndpoint(models=reply) as server, pytest.raises(InputError, match=advice) as error:
        open_lm(conf(name, server.url), tmp_path, seed=0).__enter__()
    assert KEY not in str(error.value)


def test_a_redirect_is_not_followed(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    with FakeEndpoint() as thief, open_lm(conf("openai", endpoint.url), tmp_path, seed=0) as language_model:
        endpoint.answer = lambda asked, number: Reply(307, b"", {"location": f"{thief.url}/chat/completions?k={KEY}"})
        with pytest.raises(InputError, match=r"redirects to .*; correct lm\.api_base") as error:
            ask(language_model)
        assert KEY not in str(error.value)
        assert not thief.requests
        assert len(endpoint.posts) == 1


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://h/v1", "gopher://h", "h:8000/v1", "/v1", "http://", ""])
def test_only_web_addresses_are_accepted(url: str) -> None:
    with pytest.raises(ValidationError, match="write http://HOST:PORT/v1"):
        conf("vllm", url)


def test_a_password_in_the_address_is_refused_and_not_shown() -> None:
    with pytest.raises(ValidationError, match="put secrets into the variable that api_key_env names"):
        conf("vllm", "http://me:secret-of-mine@127.0.0.1:8000/v1")


@pytest.mark.parametrize("key", ["", "  ", "two words", "line\nend-0123456789", "schlüssel-0123456789"])
def test_a_value_that_cannot_be_a_key_is_named_by_its_variable(
    key: str, endpoint: FakeEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(InputError, match="OPENAI_API_KEY") as error:
        open_lm(conf("openai", endpoint.url), tmp_path, seed=0).__enter__()
    assert not key.strip() or key not in str(error.value)
    assert not endpoint.requests


def test_a_line_end_after_the_key_is_dropped(
    endpoint: FakeEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
    with open_lm(conf("openai", endpoint.url), tmp_path, seed=0) as language_model:
        ask(language_model)
    assert endpoint.posts[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(("name", "field"), [("ollama", "max_tokens"), ("openai", "max_completion_tokens")])
def test_the_length_of_an_answer_is_limited_in_the_field_that_the_server_reads(
    name: str, field: str, endpoint: FakeEndpoint, tmp_path: Path
) -> None:
    with open_lm(conf(name, endpoint.url), tmp_path, seed=0) as language_model:
        ask(language_model)
    (asked,) = endpoint.posts
    assert asked.body is not None
    assert {key: value for key, value in asked.body.items() if key.startswith("max_")} == {field: 256}


def test_equal_model_names_at_two_endpoints_have_their_own_answers(tmp_path: Path) -> None:
    with FakeEndpoint("echo") as first, FakeEndpoint("plain") as second:
        answers = []
        for url in (first.url, second.url, f"{second.url}/", first.url):
            with open_lm(conf("vllm", url), tmp_path, seed=0) as language_model:
                answers.append(ask(language_model).query)
        assert answers == ["a bicycle with None", QUERY, QUERY, "a bicycle with None"]
        assert (len(first.posts), len(second.posts)) == (1, 1)


@pytest.mark.parametrize("mood", ["thoughts", "null", "refusal", "html"])
def test_unusable_answers_are_not_cached(mood: str, tmp_path: Path) -> None:
    with FakeEndpoint(mood) as server:
        with open_lm(conf("vllm", server.url), tmp_path, seed=0) as language_model:
            assert isinstance(ask(language_model), LMFailure)
        server.answer = MOODS["plain"]
        with open_lm(conf("vllm", server.url), tmp_path, seed=0) as language_model:
            assert ask(language_model).query == QUERY


@pytest.mark.parametrize("key", [KEY, "sk-1"])
@pytest.mark.parametrize("mood", ["echo", "echo in an error", "echo in html", "echo in a header"])
def test_an_echoed_key_reaches_no_answer_log_trace_or_file(
    mood: str,
    key: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    caplog.set_level(logging.DEBUG)
    with FakeEndpoint(mood) as server, open_lm(conf("openai", server.url), tmp_path, seed=0) as language_model:
        try:
            shown = str(ask(language_model))
        except InputError as error:
            shown = str(error)
        lm = language_model.lm
        shown += f"{lm!r}{lm.dump_state()}{lm.history}{lm.kwargs}{language_model!r}{language_model.usage}"
        shown += f"{dspy.clients.base_lm.GLOBAL_HISTORY[-1:]}"
    assert "[hidden key]" in shown or mood == "echo in a header"
    assert key not in shown + caplog.text + "".join(capfd.readouterr())
    assert all(key.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize("word", ["none", "EMPTY", "unused"])
def test_a_placeholder_for_a_key_may_be_part_of_an_answer(
    word: str, endpoint: FakeEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", word)
    endpoint.answer = lambda asked, number: message(f"why is it {word}")
    with open_lm(conf("openai", endpoint.url), tmp_path, seed=0) as language_model:
        assert ask(language_model).query == f"why is it {word}"


def test_an_echo_in_escaped_form_is_found(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in KEY)
    body = json.dumps(message("ANSWER").content).replace("ANSWER", f"{QUERY} {escaped}").encode()
    endpoint.answer = lambda asked, number: Reply(200, body)
    with open_lm(conf("openai", endpoint.url), tmp_path, seed=0) as language_model:
        assert ask(language_model).query == f"{QUERY} [hidden key]"


def test_no_wait_is_longer_than_the_longest(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    endpoint.answer = MOODS["busy once"]
    with open_lm(conf("vllm", endpoint.url), tmp_path, seed=0) as language_model:
        start = time.monotonic()
        assert ask(language_model).query == QUERY
        assert 0.2 <= time.monotonic() - start < 5


def test_concurrent_requests_are_spread_over_servers_that_give_the_same_answers(endpoint: FakeEndpoint) -> None:
    both_are_asked = threading.Barrier(2, timeout=5)

    def answer(asked: Any, number: int) -> Reply:
        both_are_asked.wait()
        return MOODS["plain"](asked, number)

    with (
        FakeEndpoint() as copy,
        open_endpoint("openai/m", endpoint.url, None, 10, copies=[copy.url]) as engine,
        ThreadPoolExecutor(2) as pool,
    ):
        endpoint.answer = copy.answer = answer
        lm = dspy.LM("openai/m", engine=engine, cache=False)
        assert list(pool.map(lm, ["one", "two"])) == [[QUERY], [QUERY]]
        assert (len(endpoint.posts), len(copy.posts)) == (1, 1)


def test_an_answer_that_never_ends_is_cut_off(tmp_path: Path) -> None:
    settings = conf("vllm", "http://unused", timeout=0.5, retries=0)
    with dripping(0.05) as url, open_lm(settings.model_copy(update={"api_base": url}), tmp_path, seed=0) as model:
        start = time.monotonic()
        with pytest.raises(InputError, match="did not end in time"):
            ask(model)
        assert time.monotonic() - start < 3


def test_limits_of_an_interactive_call_hold_for_the_connection(tmp_path: Path) -> None:
    with dripping(0.05) as url, open_lm(conf("vllm", url), tmp_path, seed=0) as language_model:
        start = time.monotonic()
        with lm_limits(Limits(0.5, 0.5)), pytest.raises(InputError, match="did not end in time"):
            ask(language_model)
        assert time.monotonic() - start < 3


def test_mostly_unusable_answers_are_an_error_only_if_something_is_trained_on_them(
    endpoint: FakeEndpoint, tmp_path: Path
) -> None:
    unusable = {"document 1", "document 2", "document 3"}

    def some(asked: Any, number: int) -> Reply:
        text = asked.body["messages"][-1]["content"]
        return MOODS["null" if any(one in text for one in unusable) else "plain"](asked, number)

    endpoint.answer = some
    with open_lm(conf("vllm", endpoint.url), tmp_path, seed=0) as language_model:
        language_model.map(ASK, [{"document": f"document {number}"} for number in range(6)], "asking")
        with pytest.warns(DataWarning, match="lm=vllm: 3 of 6 answers are unusable"):
            language_model.require_usable_answers()
        language_model.map(ASK, [{"document": "again document 1"}], "asking")
        with pytest.raises(InputError, match=r"lm=vllm: 4 of 7 answers are unusable \(.*null.*\); if the model thinks"):
            language_model.require_usable_answers()


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://127.8.9.1/v1", True),
        ("http://localhost:1/v1", True),
        ("http://LOCALHOST/v1", True),
        ("http://api.localhost/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://0.0.0.0:8000/v1", True),
        ("http://10.0.0.1/v1", False),
        ("http://localhost.example/v1", False),
        ("http://127.0.0.1.example/v1", False),
        ("http://127.0.0.1@example.org/v1", False),
        ("https://api.openai.com/v1", False),
    ],
)
def test_addresses_of_this_machine(url: str, local: bool) -> None:
    assert is_loopback(url) == local


def test_an_unknown_protocol_is_named(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lm\.model=nobody/m: unknown protocol; write openai/ and"):
        open_lm(conf("vllm", endpoint.url, model="nobody/m"), tmp_path, seed=0).__enter__()


@pytest.mark.parametrize(
    ("model", "usage", "cost"), [("openai/gpt-4o-mini", 8, True), ("openai/a-model-that-nobody-sells", 8, False)]
)
def test_the_price_is_known_for_models_on_sale(
    model: str, usage: int, cost: bool, endpoint: FakeEndpoint, tmp_path: Path
) -> None:
    with open_lm(conf("openai", endpoint.url, model=model), tmp_path, seed=0) as language_model:
        ask(language_model)
        assert (language_model.usage.cost is not None and language_model.usage.cost > 0) == cost


@pytest.mark.parametrize("mood", ["thoughts", "null", "refusal", "html"])
@pytest.mark.parametrize("command", ["train", "compare"])
def test_a_training_and_a_comparison_on_mostly_unusable_answers_stop(
    mood: str,
    command: str,
    string_methods: list[dict[str, str]],
    string_judgments: list[tuple[str, str, int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    choices: dict[str, Any] = {
        "train": {"model": "rewritten"},
        "compare": {"models": ["rewritten"], "strategies": ["zero_shot"], "folds": 2},
    }
    with FakeEndpoint(mood) as server:
        choice = {"lm": "vllm", "settings": [f"lm.api_base={server.url}"], **choices[command]}
        with pytest.raises(InputError, match=r"lm=vllm: (\d+) of \1 answers are unusable"):
            getattr(zero2ir, command)(string_methods, string_judgments, **choice)
