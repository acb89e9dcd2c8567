"""A small labelling that takes no network and no encoder."""

from collections.abc import Callable
from pathlib import Path

import pytest

import zero2ir
from zero2ir.labelling.session import Session

QUERIES = [
    "get rid of the spaces before and after my input",
    "cut a sentence into a list of words",
    "glue a list of strings together with a separator",
    "pad a number with zeros on the left",
    "compare without regard to lower and upper case",
    "does the string end with a suffix",
    "replace one substring by another",
    "count how often a substring occurs",
    "find the lowest index of a substring",
    "are all characters digits",
    "are all characters whitespace",
    "swap upper and lower case",
]
SPARSE = ["~model@committee.dense", "~model@committee.static"]


@pytest.fixture
def session(tmp_path: Path, string_methods: list[dict[str, str]]) -> Callable[..., Session]:
    """Opens a sitting over str's methods; what was answered before stands."""

    def opened(output: Path | None = None, settings: tuple[str, ...] = ()) -> Session:
        path = tmp_path / "annotations.jsonl"
        labelling = zero2ir.api.label(string_methods, QUERIES, path, model="sparse", settings=[*SPARSE, *settings])
        return Session(labelling, "me", output)

    return opened
