"""The glossary's code names exist."""

import inspect
import re
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
TEXT = (PROJECT / "docs" / "glossary.md").read_text(encoding="utf-8")
PROSE = " ".join(TEXT.split())
NAMES = sorted(set(re.findall(r"`(zero2ir\.[\w.]+)`", PROSE)))
ARGUMENTS = sorted(set(re.findall(r"`(\w+)` of `(zero2ir\.[\w.]+)`", PROSE)))
KEYS = sorted(set(re.findall(r"key `([\w.]+)` of `([\w./]+\.yaml)`", PROSE)))
FOLDERS = sorted(set(re.findall(r"files? of `(conf/\w+)`", PROSE)))
TERMS = re.findall(r"^(\w[^\n]*)\n  \S", TEXT, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_exists(name: str) -> None:
    assert resolve_name(name) is not None


@pytest.mark.parametrize(("argument", "function"), ARGUMENTS)
def test_an_argument_exists(argument: str, function: str) -> None:
    assert argument in inspect.signature(resolve_name(function)).parameters


@pytest.mark.parametrize(("key", "file"), KEYS)
def test_a_key_exists(key: str, file: str) -> None:
    value: Any = yaml.safe_load((PROJECT / file).read_text(encoding="utf-8"))
    if file.startswith("conf/") and key == "committee":  # composed by its defaults list
        assert "@committee." in (PROJECT / file).read_text(encoding="utf-8")
        return
    for part in key.split("."):
        assert part in value
        value = value[part]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_exists(folder: str) -> None:
    assert list((PROJECT / folder).rglob("*.yaml"))


def test_terms_are_sorted_and_unique() -> None:
    assert len(TERMS) > 30
    assert sorted(set(TERMS), key=str.casefold) == TERMS
