"""A language model that fails, hangs or talks nonsense costs quality, and never an answer."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest
from faulty_endpoint import FAULTS, Fault, FaultyEndpoint

from zero2ir.data.records import Document
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.lm.factory import lazy_lm
from zero2ir.lm.limits import Limits, lm_limits
from zero2ir.lm.settings import LMSettings
from zero2ir.models.base import Retriever
from zero2ir.models.rewritten import Rewritten
from zero2ir.models.sparse import Sparse
from zero2ir.program.fallback import FallbackSettings
from zero2ir.program.program import FallbackLink, Program, load_program

DEADLINE = 2.0  # of which the language model has one
ENDPOINT = {"name": "faulty", "provider": "litellm", "model": "openai/faulty", "retries": 3, "timeout": 120.0}


def program(rows: list[dict[str, str]], url: str, folder: Path, retriever: Retriever) -> Program:
    """What asks the endpoint, with BM25 behind it."""
    documents = [Document(row["doc_id"], "", row["text"]) for row in rows]
    language_model = lazy_lm(LMSettings(**ENDPOINT, api_base=url, concurrency=4), folder / "lm", 0)
    corpus = Corpus(documents, language_model=language_model)
    links = [FallbackLink("sparse", Sparse().index(corpus))]
    settings = FallbackSettings(deadline=DEADLINE, max_failures=3, reset_seconds=60.0)
    about = {"model": "asking"}
    return Program(retriever.index(corpus), documents, None, about, language_model, links=links, fallback=settings)


def queries(number: int) -> list[str]:
    return [f"cut string {number} into a list" for number in range(number)]


@pytest.mark.parametrize("fault", FAULTS)
def test_every_query_is_answered_in_time_and_counted(
    string_methods: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    with FaultyEndpoint(fault, 0.3) as endpoint:
        asking = program(string_methods, endpoint.url, tmp_path, Rewritten(Sparse()))
        endpoint.rate = 0.0
        asking.retriever.search(["the first one opens the client, and nobody waits"], 1)
        answers = []
        for rate in (0.0, 0.3, 1.0):
            endpoint.rate, endpoint.counts = rate, endpoint.counts.__class__()
            asking.chain.breakers["asking"].record_outcome(True)  # type: ignore[union-attr]
            served = []
            for query in queries(8):
                start = time.monotonic()
                answer = asking(query=f"{query} at rate {rate}")
                assert time.monotonic() - start < DEADLINE
                assert answer.docids
                served.append((answer.served_by, [step["reason"] for step in answer.steps]))
            answers.append(served)
    well, some, none = answers
    assert well == [("asking", [])] * 8
    assert {name for name, _ in none} == {"sparse"}
    assert {reasons[0] for _, reasons in none[:3]} == {"time-out" if fault == "hangs" else "error"}
    assert {reasons[0] for _, reasons in none[3:]} == {"circuit open"}
    assert endpoint.counts[fault] <= 2 * 3  # an empty answer is asked for once more
    assert 0 < [name for name, _ in some].count("asking") < 8 or fault in ("empty", "nonsense")  # a second try may help


@pytest.mark.parametrize(("unusable", "refused"), [(2, False), (3, True)])
def test_many_unusable_answers_are_an_error(script_lm: Callable[[Any], Any], unusable: int, refused: bool) -> None:
    language_model, _ = script_lm(lambda messages: "" if int(messages[-1][-1]) < unusable else "an answer")
    ask, inputs = dspy.Predict("question -> answer"), [{"question": f"number {number}"} for number in range(4)]
    assert len(language_model.map(ask, inputs, "asking")) == 4  # in a training a failure is counted
    with lm_limits(Limits(seconds=5.0, max_unusable_share=0.5)):
        if refused:
            with pytest.raises(InputError, match="3 of 4 answers are unusable"):
                language_model.map(ask, inputs, "asking")
        else:
            assert len(language_model.map(ask, inputs, "asking")) == 4


def test_a_saved_program_keeps_its_deadline(
    string_methods: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with FaultyEndpoint("hangs", 1.0) as endpoint:
        program(string_methods, endpoint.url, tmp_path, Rewritten(Sparse())).save(tmp_path / "program")
        loaded = load_program(tmp_path / "program")
        assert [link.name for link in loaded.links] == ["sparse"]
        assert loaded.fallback.deadline == DEADLINE
        start = time.monotonic()
        answer = loaded(query="cut a string")
        assert time.monotonic() - start < DEADLINE
        assert (answer.served_by, answer.steps[0]["reason"]) == ("sparse", "time-out")
    assert "unused" not in (tmp_path / "program" / "program.json").read_text(encoding="utf-8")
