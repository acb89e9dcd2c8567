"""The real SmolLM2 behind its real server; a few short answers."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import dspy
import pytest

from zero2ir.lm.factory import LanguageModel, LMFailure, open_lm
from zero2ir.lm.settings import LMSettings

SETTINGS = LMSettings(name="smollm2", context=1024, max_tokens=12)


class WriteQuery(dspy.Signature):
    """Write the search query that this document answers."""

    document: str = dspy.InputField()
    query: str = dspy.OutputField()


class Judge(dspy.Signature):
    """Is the document about files?"""

    document: str = dspy.InputField()
    verdict: Literal["yes", "no"] = dspy.OutputField()
    grade: Literal[0, 1, 2] = dspy.OutputField()


WRITE = dspy.Predict(WriteQuery)
WRITE.demos = [dspy.Example(document="str.strip removes white space at both ends", query="trim a string")]
INPUTS = [{"document": doc.__doc__} for doc in (str.upper, list.sort, dict.get, str.join)]


def queries(language_model: LanguageModel, inputs: list[dict[str, str | None]]) -> list[str]:
    return [answer.query for answer in language_model.map(WRITE, inputs, "writing")]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def smollm2(cache: Path) -> Iterator[LanguageModel]:
    with open_lm(SETTINGS, cache, seed=0) as language_model:
        yield language_model


def test_a_repeated_request_is_answered_and_counted_by_the_cache(smollm2: LanguageModel) -> None:
    first = queries(smollm2, INPUTS)
    assert all(first)
    usage = smollm2.usage.as_dict()
    assert (usage["calls"], usage["cached"], usage["failures"]) == (len(INPUTS), 0, 0)
    assert usage["prompt_tokens"] > usage["completion_tokens"] > 0
    assert usage["cost"] is None  # nobody sells this model
    assert queries(smollm2, INPUTS) == first
    assert smollm2.usage.as_dict() == {**usage, "cached": len(INPUTS), "seconds": smollm2.usage.seconds}


def test_log_probabilities_survive_the_disk_cache(tmp_path: Path) -> None:
    writer = dspy.Predict("document -> query", logprobs=True, top_logprobs=2)
    told = []
    for _ in range(2):  # each time with nothing in memory
        with open_lm(SETTINGS, tmp_path, seed=0) as language_model:
            (answer,) = language_model.map(writer, INPUTS[:1], "writing")
            told.append(answer.logprobs["content"][0]["top_logprobs"])
    assert told[0] == told[1]
    assert len(told[0]) == 2
    assert (language_model.usage.calls, language_model.usage.cached) == (0, 1)


def test_answers_do_not_depend_on_server_or_order(
    smollm2: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = queries(smollm2, INPUTS)  # the first server still runs, on a port of its own
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # nothing listens there; loopback must not go that way
    with open_lm(SETTINGS, tmp_path, seed=1) as again:
        assert queries(again, INPUTS[::-1]) == expected[::-1]
        assert again.usage.calls == len(INPUTS)


def test_two_servers_give_the_same_answers(smollm2: LanguageModel, tmp_path: Path) -> None:
    both = SETTINGS.model_copy(update={"slots": 2, "concurrency": 2})
    with open_lm(both, tmp_path, seed=0) as language_model:
        assert queries(language_model, INPUTS) == queries(smollm2, INPUTS)
        assert language_model.usage.calls == len(INPUTS)


def test_sampled_answers_depend_only_on_seed_and_request(smollm2: LanguageModel) -> None:
    def sample(seed: int, inputs: list[dict[str, str | None]]) -> list[str]:
        lm = smollm2.lm.copy(seed=seed, temperature=0.8, cache=False)
        with dspy.context(lm=lm, adapter=smollm2.adapter):
            return [WRITE(**values).query for values in inputs]

    first = sample(1, INPUTS[:2])
    assert sample(1, INPUTS[1::-1]) == first[::-1]
    assert sample(2, INPUTS[:2]) != first


def test_typed_answers_always_parse(smollm2: LanguageModel) -> None:
    answers = smollm2.map(dspy.Predict(Judge, max_tokens=40), INPUTS[:2], "judging")
    assert all(answer.verdict in ("yes", "no") and answer.grade in (0, 1, 2) for answer in answers)


def test_an_unparsable_answer_is_requested_once_more_then_counted(smollm2: LanguageModel) -> None:
    before = smollm2.usage.as_dict()
    (answer,) = smollm2.map(dspy.Predict(Judge, max_tokens=2), INPUTS[:1], "judging")  # too short for any JSON
    assert isinstance(answer, LMFailure)
    after = smollm2.usage.as_dict()
    assert [after[name] - before[name] for name in ("calls", "retries", "failures")] == [2, 1, 1]


def test_a_prompt_beyond_the_context_is_a_failure_of_that_input_only(smollm2: LanguageModel) -> None:
    long, short = smollm2.map(WRITE, [{"document": "word " * 2000}, INPUTS[0]], "writing")
    assert isinstance(long, LMFailure)
    assert "context" in long.reason
    assert short.query


def test_a_killed_process_keeps_its_cached_answers_and_frees_its_port(smollm2: LanguageModel, tmp_path: Path) -> None:
    script = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_server import *
with open_lm(SETTINGS, Path({str(tmp_path)!r}), seed=0) as language_model:
    print(language_model.lm.engine.url, *queries(language_model, INPUTS[:1]), sep="|", flush=True)
    signal.pause()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        url, query = child.stdout.readline().strip().split("|")
        address = (urlsplit(url).hostname, urlsplit(url).port)
        socket.create_connection(address, timeout=5).close()
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert child.stderr.read() == ""  # llama.cpp's log and the HTTP client's stay quiet
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)
    with open_lm(SETTINGS, tmp_path, seed=0) as again:
        assert queries(again, INPUTS[:1]) == [query] == queries(smollm2, INPUTS[:1])
        assert (again.usage.calls, again.usage.cached) == (0, 1)
