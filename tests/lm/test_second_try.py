"""An answer that cannot be parsed is asked for once more, and never answered by a request that somebody else made."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy.clients.cache import Cache

from zero2ir.lm.factory import LanguageModel, LMFailure, MeteredLM

Scripted = Callable[[Callable[[Sequence[str]], str]], tuple[LanguageModel, Any]]
ASK = dspy.Predict("question -> answer")
SAMPLED = {"rollout_id": 1, "temperature": 0.7}


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """The rollout and the temperature of every request, in the order of asking."""
    seen = []
    ask = MeteredLM.__call__

    def noted(self: MeteredLM, *prompt: Any, **given: Any) -> Any:
        seen.append((given.get("rollout_id"), given.get("temperature", self.kwargs["temperature"])))
        return ask(self, *prompt, **given)

    monkeypatch.setattr(MeteredLM, "__call__", noted)
    return seen


def answering(answers: Iterator[str], folder: Path, script_lm: Scripted) -> LanguageModel:
    """One after the other says the next of these, and is remembered."""
    language_model, _ = script_lm(lambda _: next(answers))
    language_model.lm.cache, language_model.lm.answers = True, Cache(False, True, str(folder))
    return language_model


def test_the_second_try_of_a_sampled_request_is_another_request(tmp_path: Path, script_lm: Scripted) -> None:
    language_model = answering(iter(["", "useful"]), tmp_path, script_lm)
    (answer,) = language_model.map(ASK, [{"question": "Why?", "config": SAMPLED}], "asking")
    assert answer.answer == "useful"
    assert (language_model.usage.retries, language_model.usage.cached) == (1, 0)


def test_a_second_try_does_not_reuse_another_callers_request(tmp_path: Path, script_lm: Scripted) -> None:
    language_model = answering(iter(["", "second", "third"]), tmp_path, script_lm)
    inputs: list[dict[str, Any]] = [{"question": "Why?"}, {"question": "Why?", "config": SAMPLED}]
    assert [answer.answer for answer in language_model.map(ASK, inputs, "asking")] == ["second", "third"]


@pytest.mark.parametrize(
    ("config", "asked"),
    [
        (None, [(None, 0.0), (-1, 0.7)]),
        ({"rollout_id": 2, "temperature": 0.4}, [(2, 0.4), (-3, 0.7)]),
        ({"rollout_id": 1, "temperature": 1.2}, [(1, 1.2), (-2, 1.2)]),
    ],
)
def test_there_is_one_second_try_and_it_is_sampled(
    script_lm: Scripted, options: list[Any], config: dict[str, Any] | None, asked: list[Any]
) -> None:
    language_model, _ = script_lm(lambda _: "")
    (answer,) = language_model.map(ASK, [{"question": "Why?"} | ({"config": config} if config else {})], "asking")
    assert isinstance(answer, LMFailure)
    assert options == asked


def test_the_second_try_keeps_the_temperature_of_the_program(script_lm: Scripted, options: list[Any]) -> None:
    language_model, _ = script_lm(lambda _: "")
    language_model.map(dspy.Predict("question -> answer", temperature=0.9), [{"question": "Why?"}], "asking")
    assert options == [(None, 0.9), (-1, 0.9)]
