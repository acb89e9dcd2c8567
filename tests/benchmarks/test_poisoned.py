"""A slice of the poisoned documents, and the checks that find what comes through."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.poisoned import (
    ATTACKS,
    CARRIERS,
    in_csv,
    in_folder,
    in_html,
    in_json_lines,
    in_latex,
    in_log,
    in_markdown,
    in_process,
    in_prometheus,
    in_svg,
    in_text,
    in_yaml,
    piped,
    poison,
)


def test_every_attack_comes_by_every_carrier() -> None:
    made = poison(200, seed=1)
    assert len({one.document.doc_id for one in made}) == len({one.query_id for one in made}) == 200
    assert len({one.query for one in made}) == 200
    assert not any(part != "".join(part.split()) for one in made for part in (one.document.doc_id, one.query_id))
    assert sum(map(len, ATTACKS.values())) * len(CARRIERS) <= 200
    assert poison(200, seed=1) == made != poison(200, seed=2)


@pytest.mark.parametrize(
    ("check", "bad", "good"),
    [
        (in_text, "a \x1b[31m", "a é �"),
        (in_text, "\u202eexe.jpg", "a\n\tb"),
        (in_html, "<script>pwned()</script>", "<script>1</script> &lt;script&gt;pwned()"),
        (in_html, "<img src=x onerror=pwned()>", '<img src="x" alt="onerror=pwned()">'),
        (in_html, '<a href="javascript:pwned()">', '<a title="javascript:pwned()" href="#1">'),
        (in_html, "<!-- pwned -->", "<!-- ours -->"),
        (in_markdown, "[pwned](javascript:x) <b onclick=pwned()>", "\\<b onclick=pwned()\\>"),
        (in_latex, "\\pwned{}", "\\textbackslash{}pwned\\{\\}"),
        (in_svg, "<svg>\x00</svg>", "<svg><text>a</text></svg>"),
        (in_csv, 'a,b\n"=1+1",2\n', "a,b\n'=1+1,-2.5\n"),
        (in_csv, "a,b\n1\n", "a,b\n1,2\n"),
        (in_json_lines, '{"a": "b\u2028"}\n', '{"a": "b\\u2028"}\n'),
        (in_json_lines, '{"a": 1}\n{"pwned": 1}\n', '{"a": "pwned"}\n'),
        (in_yaml, "a: b\x85\x9f: [", 'a: "b"'),
        (in_prometheus, "pwned_total 1\n", "zero2ir_searches_total 1\n"),
        (in_log, 'query "a\nERROR pwned"', '2026-12-01 10:00:00,123 query "a\\nERROR"'),
    ],
)
def test_a_check_finds_what_came_through(check: Callable[[str], list[str]], bad: str, good: str) -> None:
    assert check(bad)
    assert not check(good)


def test_a_name_from_a_document_is_found(tmp_path: Path) -> None:
    (tmp_path / "pwned").write_text("")
    assert [problems for _, problems in in_folder(tmp_path)] == [["a name from a document"]]


def test_some_poisoned_documents_break_nothing(tmp_path: Path) -> None:
    surfaces = list(in_process(tmp_path, poison(16, seed=3)))
    assert [(one.name, one.problems) for one in surfaces if one.problems] == []
    assert len(surfaces) > 80


@pytest.mark.slow
def test_the_pipeline_holds_against_poisoned_documents(tmp_path: Path) -> None:
    surfaces = list(piped(tmp_path, poison(60, seed=4)))
    assert [(one.name, one.problems) for one in surfaces if one.problems] == []
