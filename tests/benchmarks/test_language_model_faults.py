"""A slice of the trials with a language model that fails, and the endpoint that fails."""

import base64
import json
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from benchmarks.fake_endpoint import FAULTS, Asked, FakeEndpoint, Faulty, Reply, helpful
from benchmarks.language_model_faults import (
    CLEARLY,
    COUNTED,
    KEY,
    KEY_VARIABLE,
    PAID_ONCE,
    RATES,
    SAME,
    SECRET,
    USERS,
    Trial,
    drawn_trials,
    files_with,
    one_line,
    run,
    run_once,
    tried,
    without_faults,
)
from benchmarks.outcomes import Tally


def ask(url: str, number: int) -> str:
    """What came of one request."""
    body = {"messages": [{"role": "user", "content": f"Document: some text number {number} of words"}]}
    try:
        answer = httpx.post(f"{url}/chat/completions", json=body, timeout=0.5)
        return str(answer.status_code) if answer.status_code >= 300 else str(json.loads(answer.content)["choices"])
    except (httpx.HTTPError, ValueError) as error:
        return type(error).__name__


@pytest.mark.parametrize("fault", ["HTTP 500", "reset in the body", "cut JSON", "null"])
def test_faults_come_at_their_rate_and_depend_on_seed_and_request_alone(fault: str) -> None:
    said = []
    for seed, order in ((0, range(30)), (0, reversed(range(30))), (1, range(30))):
        with FakeEndpoint() as endpoint:
            endpoint.answer = faulty = Faulty(fault, 0.3, seed)
            said.append({number: ask(endpoint.url, number) for number in order})
        assert 3 <= faulty.faults <= 16
        assert faulty.faults + len(faulty.answered) == 30
    assert said[0] == said[1] != said[2]


def test_a_time_out_sends_nothing() -> None:
    with FakeEndpoint() as endpoint:
        endpoint.answer = Faulty("time-out", 1.0, 0)
        assert ask(endpoint.url, 0) == "ReadTimeout"


def test_every_user_meets_every_fault_and_in_the_end_at_every_rate() -> None:
    trials = drawn_trials(seed=3)
    pairs = len(USERS) * len(FAULTS)
    assert len({(one.user, one.fault) for one in trials[:pairs]}) == pairs
    assert {one.rate for one in trials[:pairs] if one.user == "rewritten"} == set(RATES)
    assert len(set(trials)) == len(trials) == pairs * len(RATES)


@pytest.mark.parametrize("form", [KEY, quote(KEY, safe=""), KEY.encode().hex(), KEY.replace("/", "\\/")])
def test_a_key_is_found_in_its_forms(form: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"said {form} and more")
    assert files_with(KEY, tmp_path) == [tmp_path / "log"]


@pytest.mark.parametrize("before", ["", "x", "xy", "Bearer "])
def test_a_key_is_found_in_base64_at_any_place(before: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(base64.b64encode(f"{before}{KEY} and more".encode()))
    assert files_with(KEY, tmp_path) == [tmp_path / "log"]


def test_promises_are_counted_as_broken() -> None:
    assert not one_line("lm=m: failed")
    assert not one_line("lm=m: failed;\n do this")
    assert one_line("lm=m: failed; do this")


@pytest.mark.parametrize("user", ["rewritten", "label suggestions", "written queries"])
@pytest.mark.parametrize("fault", ["HTTP 500", "null", "echo of the key"])
def test_some_users_keep_all_promises(user: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    tally = Tally()
    tried(Trial(user, fault, 0.3), without_faults(USERS[user]), tmp_path, 0, tally)
    assert not tally.broken


@pytest.mark.slow
def test_some_of_all_users_keep_all_promises() -> None:
    whatever_the_load = {CLEARLY, COUNTED, PAID_ONCE, SAME, SECRET}  # a busy machine changes the rest
    outcomes = [one for one in run(12, seed=1) if one.promise in whatever_the_load]
    assert [one.line() for one in outcomes if one.kept < one.tried] == []
    assert len(outcomes) == len(whatever_the_load)


DIES_AFTER = 12


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["HTTP 500", "HTML with 200"])
@pytest.mark.parametrize("user", ["prompt_bootstrap", "prompt_copro", "prompt_mipro", "prompt_gepa"])
def test_an_optimizer_stops_when_its_language_model_fails(
    user: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(asked: Asked, number: int) -> Reply:
        good = helpful(asked, number)
        return good if number < DIES_AFTER else FAULTS[fault](asked, good)

    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with FakeEndpoint() as endpoint:
        endpoint.answer = dies
        done = run_once(USERS[user], endpoint.url, tmp_path, retries=1)
        asked = len(endpoint.posts)
    if fault == "HTTP 500":  # others fail for one request alone, which may be another prompt's fault
        assert one_line(done.error), done.error
        assert asked <= DIES_AFTER + 2
    else:
        assert done.result or one_line(done.error), done.error
