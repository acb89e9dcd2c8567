"""Published figures: README and documentation have the tables of reproduction.yaml, and a check finds differences."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.errors import InputError
from zero2ir.experiments.preset import Condition, condition, read_preset
from zero2ir.experiments.reproduction import (
    ColumnSpec,
    FigureCheck,
    PublishedFigure,
    Reproduction,
    TableSpec,
    figures,
    measure_again,
    needed_condition,
    numbers,
    read_reproduction,
    tables_in,
    with_tables,
    write_tables,
)
from zero2ir.experiments.workspaces import Workspace

PROJECT = Path(__file__).parents[2]
PUBLISHED = read_reproduction(PROJECT / "reproduction.yaml")
README = (PROJECT / "README.md").read_text(encoding="utf-8")


def figure(expected: str, tolerance: float = 0.002, system: str = "{row}", row: str = "sparse") -> PublishedFigure:
    column = ColumnSpec(head="cranfield", panel={"dataset": "cranfield"}, system=system, figure="nDCG@10")
    spec = TableSpec(
        command="x",
        preset="paper",
        strategy="fine_tune",
        tolerance=tolerance,
        columns=(ColumnSpec(head="system"), column),
        rows=((row, expected),),
    )
    return PublishedFigure("some", row, column, spec, expected)


def test_the_readme_has_the_current_tables() -> None:
    """After an edit: zero2ir check --write README.md"""
    assert with_tables(README, PUBLISHED.tables) == README


def test_every_table_is_in_the_documentation_once() -> None:
    pages = [page.read_text(encoding="utf-8") for page in (PROJECT / "docs").rglob("*.md")]
    shown = [name for page in pages for name in re.findall(r"^<!-- table: (\S+) -->$", page, re.MULTILINE)]
    assert sorted(shown) == sorted(PUBLISHED.tables)


def test_a_cell_repeats_a_cell_of_a_table_above(tmp_path: Path) -> None:
    def read(reference: str) -> Reproduction:
        path = tmp_path / "reproduction.yaml"
        tables = (
            f"tables: {{a: {{command: x, columns: [{{head: s}}, {{head: c}}], rows: [[r, '0.3']]}}, "
            f"b: {{command: x, columns: [{{head: s}}, {{head: d}}], rows: [[q, '{reference}']]}}}}"
        )
        path.write_text(tables, encoding="utf-8")
        return read_reproduction(path)

    assert read("=a; r; c").tables["b"].rows == (("q", "0.3"),)
    for wrong in ("=z; r; c", "=a; z; c", "=a; r; z", "=a"):
        with pytest.raises(InputError, match="no such cell"):
            read(wrong)


def test_no_two_figures_share_a_name() -> None:
    names = [one.name for one in figures(PUBLISHED)]
    assert len(names) > 40
    assert sorted(set(names)) == sorted(names)


def test_every_figure_has_a_condition_and_a_tolerance() -> None:
    groups: dict[tuple[str, str], list[PublishedFigure]] = {}
    for one in figures(PUBLISHED):
        assert one.tolerance > 0
        groups.setdefault((str(one.spec.preset), str(one.column.panel)), []).append(one)
    folders = set()
    for (preset, _), group in groups.items():
        found = needed_condition(preset, group)
        assert found.panel.dataset == group[0].column.panel["dataset"]
        folders.add((preset, found.name))
    assert len(folders) == len(groups)


def test_columns_of_one_dataset_have_a_condition_each() -> None:
    def conditioned(queries: int) -> Condition:
        made = figure("0.1", row="dense")
        panel = {"dataset": "cranfield", "budget.queries": queries}
        return needed_condition("paper", [made._replace(column=made.column.model_copy(update={"panel": panel}))])

    one, ten = conditioned(1), conditioned(10)
    assert (one.panel.budget.queries, ten.panel.budget.queries) == (1, 10)
    assert one.panel.budget.documents_per_query == ten.panel.budget.documents_per_query == 5
    assert one.name != ten.name


def test_only_the_wanted_systems_run() -> None:
    wanted = figures(PUBLISHED, ["paper/sparse/zero_shot/cranfield", "paper/static/zero_shot/cran*"])
    assert [one.expected for one in wanted] == ["0.371 [0.337, 0.406]", "0.389 [0.355, 0.425]"]
    found = needed_condition("paper", wanted)
    assert (found.panel.models, found.panel.strategies) == (("sparse", "static"), ("zero_shot",))
    with pytest.raises(InputError, match="--only nothing: matches no figure"):
        figures(PUBLISHED, ["nothing"])


def test_a_difference_names_both_its_systems() -> None:
    assert figure("+0.1", row="full − hybrid").systems == ["full/fine_tune", "hybrid/fine_tune"]
    made = figure("+0.1", system="{row}/meta − {row}/zero_shot")
    assert made.systems == ["sparse/meta", "sparse/zero_shot"]
    assert needed_condition("paper", [made]).panel.strategies == ("meta", "zero_shot")


@pytest.mark.parametrize(
    ("expected", "found", "agrees"),
    [
        ("0.355 [0.321, 0.390]", "0.356 [0.321, 0.389]", True),
        ("0.355 [0.321, 0.390]", "0.359 [0.321, 0.390]", False),
        ("0.355 [0.321, 0.390]", "0.355 [0.321, 0.394]", False),
        ("0.355", "0.355 [0.1, 0.9]", True),
        ("+0.016 [+0.000, +0.034]", "−0.016 [+0.000, +0.034]", False),
        ("0 (smoothing was fitted away)", "+0.001 [−0.100, +0.100]", True),
        ("0.355 [0.321, 0.390]", "0.355", False),
        ("–", "0.355", False),
    ],
)
def test_every_published_number_must_be_reproduced(expected: str, found: str, agrees: bool) -> None:
    checked = FigureCheck(figure(expected), found, "")
    assert checked.agrees is agrees
    assert checked.line.startswith("OK " if agrees else "DIFFERS ")
    assert agrees or f"instead of {expected} (tolerance 0.002)" in checked.line


def test_a_failed_figure_says_why() -> None:
    line = FigureCheck(figure("0.3"), "", "ingest failed").line
    assert line == "FAILED  some/sparse/cranfield: ingest failed"


@given(st.floats(0, 1), st.floats(-0.05, 0.05))
def test_within_the_tolerance_is_within_the_tolerance(value: float, off: float) -> None:
    published, found = f"{value:.3f}", f"{value + off:.3f}"
    checked = FigureCheck(figure(published, 0.01), found, "")
    assert checked.agrees is (abs(float(published) - float(found)) <= 0.0105 + 1e-9)


def test_numbers_of_a_cell() -> None:
    assert numbers("1,655") == [1655.0]
    assert numbers("−0.003 [−0.009, +0.001]") == [-0.003, -0.009, 0.001]
    assert numbers("– as before") == []


def test_printed_tables_are_read_back() -> None:
    text = "**cranfield**\n\n| a | b |\n|---|---|\n| − title | 0.1 |\n| x |  |\n\ntext\n\n| c |\n|---|\n| 1 |\n"
    assert list(tables_in(text)) == [(["a", "b"], [["− title", "0.1"], ["x", ""]]), (["c"], [["1"]])]


def test_a_printed_figure_is_of_the_commit_that_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = Workspace("check-paper", condition({"dataset": "cranfield"}, {}), read_preset("paper"), "a" * 40)
    monkeypatch.chdir(tmp_path)  # no project with a commit of its own
    copy.printed.parent.mkdir(parents=True)
    copy.printed.write_text("| system | mean |\n|---|---|\n| sparse | 0.3 |\n")
    made = figure("0.3")
    column = made.column.model_copy(update={"figure": None, "printed": "mean"})
    assert measure_again(made._replace(column=column), copy, None).line == "OK      some/sparse/cranfield: 0.3"


def test_tables_are_written_between_their_markers(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text("before\n\n<!-- table: some -->\n| old |\n<!-- end -->\n\nafter\n", encoding="utf-8")
    write_tables(document, {"some": figure("0.3").spec})
    expected = (
        "before\n\n<!-- table: some -->\n| system | cranfield |\n|---|---|\n| sparse | 0.3 |\n<!-- end -->\n\nafter\n"
    )
    assert document.read_text(encoding="utf-8") == expected
    with pytest.raises(InputError, match=r"table some: not in reproduction\.yaml; it has other"):
        write_tables(document, {"other": figure("0.3").spec})
    assert document.read_text(encoding="utf-8") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tables: [", "reproduction.yaml: while parsing"),
        ("tables: {a: {command: x, columns: [{head: a}, {head: b}], rows: [[c]]}}", "the row 'c' has 1 cells"),
        ("tables: {a: {command: x, columns: [{head: a}, {head: b, tolerence: 1}], rows: []}}", "tolerence"),
    ],
)
def test_a_mistake_in_the_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "reproduction.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as refused:
        read_reproduction(path)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
