"""200 hostile inputs of every kind, the same ones every time; ``make promises`` tries 10,000 others.

What was found by more of them stands below with its right value.
"""

import json
import tempfile
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest
from hypothesis import strategies as st

from benchmarks import hostile_inputs
from benchmarks.hostile.answers import Answer, completion, language_model
from benchmarks.hostile.contract import Broken, Kind, reply, require, trials
from benchmarks.hostile.readers import READERS, lay
from benchmarks.hostile_inputs import KINDS, NUMBER
from zero2ir.config import read_panel
from zero2ir.errors import InputError
from zero2ir.experiments.reproduction import read_reproduction
from zero2ir.experiments.stage_digests import read_stage_digests
from zero2ir.lm.adapter import escape_untrusted_text
from zero2ir.models.pointwise import parse_relevance, relevance_judge

FEW = 200


def test_there_are_10000_inputs() -> None:
    assert NUMBER == 10_000


@pytest.mark.parametrize(
    ("number", "seed"), [(FEW, 0), pytest.param(10 * FEW, 1, marks=pytest.mark.slow)], ids=["few", "many"]
)
@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_hostile_inputs(kind: Kind, number: int, seed: int) -> None:
    found = trials(kind, round(number * kind.number / NUMBER), seed)
    assert found.tried == round(number * kind.number / NUMBER)
    assert not found.broken, "\n".join(found.broken)


def test_what_breaks_the_contract_is_counted_and_ends_nothing() -> None:
    def check(number: int) -> None:
        require(number % 2, f"{number} is even")
        reply(partial(int, "x"))  # a traceback

    kind = Kind("numbers", "No number breaks", st.integers(), lambda: nullcontext(check), 10)
    found = trials(kind, 10, 0)
    assert (found.tried, len(found.broken)) == (10, 10)
    assert found == trials(kind, 10, 0)
    assert all(line.startswith(("numbers: Broken:", "numbers: ValueError:")) for line in found.broken)
    outcome = hostile_inputs.outcome(kind, found, 0)
    assert (outcome.tried, outcome.kept, "ValueError" in outcome.notes) == (10, 0, True)


@pytest.mark.parametrize("message", ["two\nlines", "red \x1b[31m", "x" * 3000])
def test_a_refusal_is_one_line(message: str) -> None:
    def refuse() -> None:
        error = InputError("")
        error.args = (message,)
        raise error

    with pytest.raises(Broken):
        reply(refuse)


def read(reader: str, altered: dict[str, bytes]) -> object:
    """What a reader makes of its folder with some other files."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "given")
        lay({**READERS[reader].files(), **altered}, folder)
        return READERS[reader].read(folder)


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_reads_what_is_not_altered(reader: str) -> None:
    assert read(reader, {}) is not None


@pytest.mark.parametrize(
    ("reader", "file", "content", "message"),
    [
        ("losses", "losses.csv", b"step,loss\n1,0.5\n", "missing or no loss curve"),
        ("losses", "losses.csv", b"step,loss,held_out_loss\n1,nan,\n", "finite number"),
        ("losses", "losses.csv", b"step,loss,held_out_loss\n1,\xff,\n", "missing or no loss curve"),
        ("card of queries", "card.json", b"{", "missing or no JSON"),
        ("card of queries", "card.json", b'{"seed": 0, "sections": [{"title": "a", "b": 1}]}', r"sections\.0"),
        ("provenance of queries", "provenance.json", b"\xff", "missing or no JSON"),
        ("provenance of queries", "provenance.json", b'{"settings": {"round_trip": "x"}}', r"settings\.round_trip"),
        ("results", "system.json", b"\xff", "incomplete or damaged results folder"),
        ("results", "metrics.json", b"[]", "incomplete or damaged results folder"),
        ("collection", "manifest.json", b"{}", "sha256: Field required"),
        ("collection", "manifest.json", b'{"sha256": {"documents.parquet": 1}}', r"sha256\.documents\.parquet"),
        ("other project", "collection/manifest.json", b"[]", "manifest.json: "),
        ("auxiliary collections", "metadata.json", b'[{"source": "x"}]', r"0\.name: Field required"),
        ("unlabelled queries", "unlabelled.json", b'{"a": 1}', "should be a valid list"),
        ("candidates", "candidates.json", b'{"q0": [1]}', r"q0\.0: Input should be a valid string"),
    ],
)
def test_a_damaged_file_between_stages_is_named(reader: str, file: str, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(reader, {file: content})


def test_parameters_that_are_nested_too_deeply_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for depth in (300, 3000):
        (tmp_path / "params.yaml").write_text('{"a":' * depth)
        with pytest.raises(InputError, match=r"params\.yaml: "):
            read_panel()


def test_a_number_of_too_many_digits_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    readers = {"params.yaml": read_panel, "reproduction.yaml": read_reproduction, "stages.lock": read_stage_digests}
    for name, read_file in readers.items():
        (tmp_path / name).write_text(f"a: {'9' * 5000}\n")
        with pytest.raises(InputError, match=rf"^{name}: .{{1,300}}$"):
            read_file()


@pytest.mark.parametrize("file", ["losses.csv", "stages.lock"])
def test_a_folder_in_the_place_of_a_file_is_refused(file: str, tmp_path: Path) -> None:
    reader = {"losses.csv": "losses", "stages.lock": "digests of stages"}[file]
    (tmp_path / file).mkdir()
    with pytest.raises(InputError, match=file):
        READERS[reader].read(tmp_path)


@pytest.mark.parametrize(
    ("logprob", "expected"), [(1e6, 0.5), (0.0, 0.5), (-0.1, 0.909), (float("nan"), None), ("0", None), (None, None)]
)
def test_wrong_log_probabilities_are_no_error(logprob: object, expected: float | None) -> None:
    whole = completion("yes")
    tokens = whole["choices"][0]["logprobs"]["content"][0]["top_logprobs"] = [
        {"token": "yes", "logprob": logprob, "bytes": None},
        {"token": "no", "logprob": logprob if logprob != -0.1 else -2.4, "bytes": None},
    ]
    assert len(tokens) == 2
    lm = language_model(Answer("", 200, json.dumps(whole).encode()))
    (answer,) = lm.map(relevance_judge([], True), [{"query": "a", "document": "b"}], "judging")
    value = parse_relevance(answer)
    assert value == pytest.approx(expected, abs=1e-3) if expected is not None else value != value or 0 <= value <= 1


def test_no_control_character_of_an_answer_is_kept() -> None:
    assert escape_untrusted_text("a\x83b\x9b31mc\x85d\x7fe") == "ab31mc de"
