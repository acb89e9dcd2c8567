"""How bytes and JSON are changed into hostile ones."""

import json
from typing import Any

from hypothesis import strategies as st

TOKENS = [
    *(b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfeq\x00", b"\x1b[31m", b"\x7f", b"\x1f\x8b"),
    *(b'"', b"'", b"{", b"}", b"[", b"]", b",", b";", b":", b"\\", b"\t", b"\n", b"\r", b"\r\n", b" ", b"#", b"="),
    *(b"NaN", b"Infinity", b"-1", b"1e999", b"0x1", b"1.5", b"null", b"true", b'""', b"{}", b"[]"),
    *(b"\\ud800", b"\\u0000", b"\xe2\x80\xa8", b"\xc2\x85", b"\xc2\xa0", b"\xe2\x80\x8b", b"\xe2\x80\xae", b"\xe9"),
    *(b"9" * 5000, b"[" * 3000, b'{"a":' * 3000, b"x" * 20000, b"\n\n\n", b"query-id\tcorpus-id\tscore\n"),
    *(b'{"doc_id": 7, "text": []}\n', b"q9 0 d0 1\n", b"q0 0 d9 1\n", b"q0\td0\t0\n", b"doc_id,title,text\n"),
]  # fmt: skip
ODD_TEXTS = [
    *("", " ", "x", "nan", "-1", "../../etc/passwd", "\x00", "\x1b[31mred", "\u202e", "\ud800", "a\nb", "x" * 3000),
    *("<script>alert(1)</script>", "=1+1", "%s%n", "${jndi:x}", "{{7*7}}", "'; DROP TABLE documents; --", "é" * 50),
]
ODD_NUMBERS = [0, 1, -1, 2, 10**6, 2**31, 2**63, 10**30, 0.5, -0.5, 1e300, 5e-324, float("nan"), float("inf")]


def odd_json() -> st.SearchStrategy[Any]:
    """Draws any JSON, and numbers that are none."""
    plain = st.one_of(
        st.none(), st.booleans(), st.sampled_from(ODD_TEXTS), st.sampled_from(ODD_NUMBERS), st.text(max_size=8)
    )
    keys = st.sampled_from(["", "x", "doc_id", "text", "content", "__class__", "_target_"])
    return st.recursive(
        plain,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
        max_leaves=5,
    )


@st.composite
def changed(draw: st.DrawFn, value: Any, odd: st.SearchStrategy[Any]) -> Any:
    """Draws a value with one odd part, or without a part, or an odd value in its place."""
    if isinstance(value, list | tuple) and value and draw(st.integers(0, 4)):
        place = draw(st.integers(0, len(value) - 1))
        return type(value)([*value[:place], draw(changed(value[place], odd)), *value[place + 1 :]])
    if isinstance(value, dict) and value and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(list(value)))
        match draw(st.integers(0, 5)):
            case 0:
                return {name: one for name, one in value.items() if name != key}
            case 1:
                return {**value, draw(st.sampled_from(["__class__", key.upper(), *ODD_TEXTS])): draw(odd)}
        return {**value, key: draw(changed(value[key], odd))}
    return draw(odd)


@st.composite
def altered(draw: st.DrawFn, content: bytes) -> bytes:
    """Draws other bytes for a file: changes of its bytes, or of a value where it is JSON or a line of it is."""
    if draw(st.booleans()) and (lines := _json_lines(content)):
        place = draw(st.integers(0, len(lines) - 1))
        lines[place] = draw(changed(lines[place], odd_json()))
        return "\n".join(json.dumps(line) for line in lines).encode()
    return draw(mutated(content))


def _json_lines(content: bytes) -> list[Any]:
    """The values of JSON Lines, or the one of a file of JSON; none of other bytes."""
    try:
        return [json.loads(content)]
    except ValueError:
        pass
    try:
        return [json.loads(line) for line in content.splitlines()]
    except ValueError:
        return []


@st.composite
def mutated(draw: st.DrawFn, content: bytes) -> bytes:
    """Draws a file's bytes after one to three changes."""
    for _ in range(draw(st.integers(1, 3))):
        lines = content.splitlines(keepends=True) or [b""]
        place, line = draw(st.integers(0, len(content))), draw(st.integers(0, len(lines) - 1))
        match draw(
            st.sampled_from(["insert", "delete", "cut", "replace", "drop", "repeat", "swap", "random", "cells"])
        ):
            case "insert":
                content = content[:place] + draw(st.sampled_from(TOKENS)) + content[place:]
            case "delete":
                content = content[:place] + content[place + draw(st.integers(1, 12)) :]
            case "cut":
                content = content[:place]
            case "replace":
                token = draw(st.sampled_from(TOKENS))
                content = content[:place] + token + content[place + len(token) :]
            case "drop":
                content = b"".join([*lines[:line], *lines[line + 1 :]])
            case "repeat":
                content = b"".join([*lines[: line + 1], lines[line], *lines[line + 1 :]])
            case "swap":
                content = b"".join([*lines[line:], *lines[:line]])
            case "random":
                content = b"".join([*lines[:line], draw(st.binary(max_size=30)), b"\n", *lines[line:]])
            case "cells":
                for delimiter in (b"\t", b" ", b","):
                    if delimiter in lines[line]:
                        lines[line] = delimiter.join(draw(st.permutations(lines[line].split(delimiter))))
                        break
                content = b"".join(lines)
    return content
