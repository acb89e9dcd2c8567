"""What a loaded program may not choose for its user: where requests and keys go."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import zero2ir
from benchmarks.fake_endpoint import QUERY, FakeEndpoint
from zero2ir.cli import main
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.lm.consent import consent_of, require_consent
from zero2ir.lm.factory import lazy_lm
from zero2ir.lm.settings import LMSettings
from zero2ir.models.rewritten import Rewritten
from zero2ir.models.sparse import Sparse
from zero2ir.program.program import PROGRAM_FILE, Program, _digest

SECRET = "what-only-the-user-may-know"


def settings(**changes: Any) -> LMSettings:
    return LMSettings(**{"name": "far", "provider": "litellm", "model": "openai/m", **changes})


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ZERO2IR_ENDPOINTS", raising=False)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("named", "consent"),
    [
        ({"provider": "embedded"}, None),
        ({"provider": "none"}, None),
        ({"api_base": "http://127.0.0.1:8000/v1"}, None),
        ({"api_base": "http://127.0.0.1:8000/v1", "api_key_env": "K"}, "http://127.0.0.1:8000/v1=K"),
        ({"api_base": "https://evil.example/v1/"}, "https://evil.example/v1"),
        ({"api_base": "https://evil.example/v1/", "api_key_env": "K"}, "https://evil.example/v1=K"),
        ({}, "openai"),
        ({"api_key_env": "K"}, "openai=K"),
    ],
)
def test_endpoints_beyond_this_machine_and_all_keys_need_consent(named: dict[str, Any], consent: str | None) -> None:
    assert consent_of(settings(**named)) == consent


@pytest.mark.parametrize(
    ("allowed", "accepted"),
    [
        ((), False),
        (("https://a.example/v1=K",), True),
        (("https://a.example/v1/=K",), True),
        (("https://a.example/v1",), False),
        (("https://a.example/v1=OTHER",), False),
        (("https://a.example",), False),
        (("https://a.example/v1=K=K",), False),
        (("https://b.example/v1=K", "https://a.example/v1=K"), True),
    ],
)
@pytest.mark.parametrize("in_environment", [False, True])
def test_consent_is_to_one_endpoint_and_one_key(
    allowed: Sequence[str], accepted: bool, in_environment: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = settings(api_base="https://a.example/v1", api_key_env="K")
    if in_environment:
        monkeypatch.setenv("ZERO2IR_ENDPOINTS", "\n".join(allowed))
        allowed = ()
    if accepted:
        require_consent(wanted, allowed)
    else:
        with pytest.raises(InputError, match=r"allow it with --allow-endpoint https://a\.example/v1=K, with"):
            require_consent(wanted, allowed)


def saved(rows: list[dict[str, str]], lm: LMSettings, folder: Path) -> Path:
    """A program as somebody else may have saved it, with a digest that fits."""
    from zero2ir.data.records import Document

    documents = [Document(row["doc_id"], "", row["text"]) for row in rows[:5]]
    corpus = Corpus(documents, language_model=lazy_lm(settings(), folder / "cache", 0))
    retriever = Rewritten(Sparse()).index(corpus)
    Program(retriever, documents, None, {"model": "rewritten"}, corpus.language_model).save(folder / "program")
    path = folder / "program" / PROGRAM_FILE
    state = json.loads(path.read_text(encoding="utf-8"))
    del state["digest"]
    state["lm"]["settings"] = lm.model_dump()
    path.write_text(json.dumps(state | {"digest": _digest(state)}), encoding="utf-8")
    return folder / "program"


def test_a_foreign_program_gets_no_secret_without_consent(
    string_methods: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeEndpoint() as thief:
        lm = settings(api_base=thief.url, api_key_env="AWS_SECRET_ACCESS_KEY")
        folder = saved(string_methods, lm, tmp_path)
        says = rf"lm=far: the program sends its requests to {thief.url} with the key in AWS_SECRET_ACCESS_KEY; if you"
        with pytest.raises(InputError, match=says):
            zero2ir.load(folder)
        with pytest.raises(SystemExit):
            main(["search", str(folder), "cut a string"])
        assert "the key in AWS_SECRET_ACCESS_KEY" in capsys.readouterr().err
        assert not thief.requests
        main(["search", str(folder), "cut a string", "--allow-endpoint", f"{thief.url}=AWS_SECRET_ACCESS_KEY"])
        assert {asked.headers["authorization"] for asked in thief.requests} == {f"Bearer {SECRET}"}


def test_a_program_with_a_model_on_this_machine_needs_no_consent_and_no_key(
    string_methods: list[dict[str, str]], tmp_path: Path
) -> None:
    with FakeEndpoint() as server:
        program = zero2ir.load(saved(string_methods, settings(api_base=server.url), tmp_path))
        assert program.retriever.rewrite(["cut"])[0].endswith(QUERY)
        assert all("authorization" not in asked.headers for asked in server.requests)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a.example/v1"])
def test_a_foreign_program_opens_only_web_addresses(
    url: str, string_methods: list[dict[str, str]], tmp_path: Path
) -> None:
    lm = settings().model_copy(update={"api_base": url})
    with pytest.raises(InputError, match=r"program\.json: lm\.api_base: .*write http://HOST:PORT/v1"):
        zero2ir.load(saved(string_methods, lm, tmp_path))
