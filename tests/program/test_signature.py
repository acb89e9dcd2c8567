"""Programs that are signed: what the key lets pass, and what it refuses."""

import json
import pickle
from pathlib import Path

import pytest

import zero2ir
from zero2ir.errors import InputError
from zero2ir.models.sparse import Sparse
from zero2ir.program.program import PROGRAM_FILE, Program, load_program, program_digest
from zero2ir.program.signature import KEY_VARIABLE

KEY, OTHER = "0123456789abcdef" * 2, "fedcba9876543210" * 2


@pytest.fixture
def program(string_methods: list[dict[str, str]]) -> Program:
    return zero2ir.train(string_methods, (), model="sparse", strategy="zero_shot")


@pytest.fixture
def signed(program: Program, tmp_path: Path) -> Path:
    program.save(tmp_path / "signed", sign=KEY)
    return tmp_path / "signed"


def test_a_signed_program_opens_with_its_key_and_without_one(signed: Path) -> None:
    assert isinstance(zero2ir.load(signed, key=KEY).retriever, Sparse)
    assert isinstance(zero2ir.load(signed).retriever, Sparse)


def test_another_key_refuses_it(signed: Path) -> None:
    with pytest.raises(InputError, match=rf"program\.json: not signed with the key in {KEY_VARIABLE}"):
        load_program(signed, key=OTHER)


def test_the_key_refuses_a_program_without_a_signature(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.save(tmp_path / "unsigned")
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with pytest.raises(InputError, match=r"program\.json: not signed, but ZERO2IR_SIGNING_KEY is set"):
        load_program(tmp_path / "unsigned")


def test_an_altered_program_with_a_new_digest_is_refused(signed: Path) -> None:
    altered = json.loads((signed / PROGRAM_FILE).read_text())
    altered["about"]["model"] = "dense"
    (signed / PROGRAM_FILE).write_text(json.dumps(altered))
    with pytest.raises(InputError, match="truncated or altered"):
        load_program(signed, key=KEY)
    from zero2ir.program.program import _digest

    altered["digest"] = _digest({name: value for name, value in altered.items() if name not in ("digest", "signature")})
    (signed / PROGRAM_FILE).write_text(json.dumps(altered))
    with pytest.raises(InputError, match="not signed with the key"):
        load_program(signed, key=KEY)


def test_the_key_of_the_environment_signs_all_that_is_saved(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.save(tmp_path / "before")
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    program.save(tmp_path / "after")
    assert load_program(tmp_path / "after").name == "sparse"
    assert pickle.loads(pickle.dumps(program)).name == "sparse"
    assert program_digest(tmp_path / "before") == program_digest(tmp_path / "after"), "it is the same program"
    assert KEY not in (tmp_path / "after" / PROGRAM_FILE).read_text()


def test_a_short_key_is_an_error_before_anything_is_written(program: Program, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="9 characters are too few for a key"):
        program.save(tmp_path / "program", sign="too short")
    assert not (tmp_path / "program").exists()
