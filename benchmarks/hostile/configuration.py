"""Hostile values of the configuration: overrides of the command line and of Python, and files of parameters."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import chdir, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from benchmarks.hostile.changes import mutated
from benchmarks.hostile.contract import Kind, reply, require
from zero2ir.config import LibraryConfig, Panel, build, compose, read_panel

CHOICES = ["task=ranking", "model=sparse", "strategy=zero_shot", "encoder=static", "lm=none"]
GROUPS = ["lm", "model", "strategy", "encoder", "pretraining", "task"]
NO_KEYS = ["hydra.run.dir", "nothing.like.it", "", "tuning.", "model.k1", "seed"]
VALUES = [
    *(
        "3",
        "-1",
        "0",
        "1e999",
        "nan",
        "inf",
        "null",
        "~",
        "true",
        "[1,2]",
        "[5,50]",
        "{a:1}",
        "{}",
        "[]",
        "",
        " ",
        "x y",
    ),
    *("${seed}", "${oc.env:HOME}", "${now:%Y}", "$(id)", "???", "a=b", "a,b", "range(3)", "glob(*)", "é", "\x00", "\n"),
    *(
        "sparse",
        "none",
        "../../etc/passwd",
        "x" * 3000,
        "[" * 500,
        "nDCG@10",
        "!!python/object:os.system",
        "*a",
        "&a",
    ),
]
PARAMETERS = Path(__file__).parents[2].joinpath("params.yaml").read_bytes()
LETTERS = st.text("ab.=[]{}(),:'\"\\$@!~+-#% \t\n\x00é\u2028/0159", max_size=12)


@cache
def keys() -> list[str]:
    """Every key of the configuration, as it is composed."""
    return sorted(_keys(compose("library", LibraryConfig, CHOICES).model_dump()))


def _keys(value: Any, before: str = "") -> Iterator[str]:
    for key, one in value.items() if isinstance(value, Mapping) else ():
        yield f"{before}{key}"
        yield from _keys(one, f"{before}{key}.")


@st.composite
def overrides(draw: st.DrawFn) -> str:
    """Draws an override of any key."""
    key = draw(st.one_of(*[st.sampled_from(keys())] * 3, st.sampled_from(NO_KEYS), st.sampled_from(GROUPS), LETTERS))
    value = draw(st.one_of(*[st.sampled_from(VALUES)] * 2, LETTERS))
    sign = draw(st.sampled_from(["", "", "", "", "+", "++", "~", "-"]))
    return draw(
        st.sampled_from([f"{sign}{key}={value}"] * 6 + [f"{sign}{key}", value, f"{key}:{value}", f"{key}@x={value}"])
    )


def _check_override(word: str) -> None:
    def composed() -> LibraryConfig:
        config = compose("library", LibraryConfig, [*CHOICES, word])
        build(config.model, "model")
        return config

    value, refusal, _ = reply(composed)
    key, equals, given_value = word.lstrip("+~").partition("=")
    if refusal or word.startswith("~"):
        return
    assert equals, f"{word!r} is taken without a value"
    found: Any = value.model_dump()
    for part in key.strip().partition("@")[0].split("."):
        assert isinstance(found, Mapping), f"{word!r} is taken, but {key!r} is no key"
        assert part in found, f"{word!r} is taken, but {key!r} is no key"
        found = found[part]
    if "${" in given_value:  # another value, or the year
        return
    if isinstance(found, int | float) and not isinstance(found, bool) and given_value.strip("'\" "):
        assert float(given_value.strip("'\" ")) == found, f"{word!r} became {found!r}"


@st.composite
def parameters(draw: st.DrawFn) -> bytes:
    """Draws a file of parameters."""
    return draw(mutated(PARAMETERS))


def _check_parameters(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as place, chdir(place):
        Path("params.yaml").write_bytes(content)
        value = reply(read_panel).value
    require(value is None or isinstance(value, Panel), f"{type(value)} is no panel")


def _check(case: str | bytes) -> None:
    _check_override(case) if isinstance(case, str) else _check_parameters(case)


CONFIGURATION = Kind(
    "values of the configuration",
    "A wrong override or parameter is refused in one line, and a right one is taken as it is written",
    st.one_of(overrides(), overrides(), parameters()),
    lambda: nullcontext(_check),
    1000,
)
