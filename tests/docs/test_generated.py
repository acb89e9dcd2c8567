"""The documentation's generated parts say what the parser, the schemas and reproduction.yaml say."""

import re
from pathlib import Path
from typing import Annotated

import pytest
import typer
from command_reference import tree_markdown
from generated import MARKER, fill
from pydantic import BaseModel, Field
from result_tables import promises_markdown
from settings_reference import (
    CONF,
    comments,
    documented,
    group_markdown,
    groups,
    keys_table,
    panel_markdown,
    schema_rows,
)
from typer.main import get_command

from benchmarks.fake_endpoint import FAULTS
from zero2ir.data.languages import LANGUAGES

PROJECT = Path(__file__).parents[2]
PAGES = sorted((PROJECT / "docs").rglob("*.md"))


def test_commands_come_from_the_parser() -> None:
    app = typer.Typer()

    @app.command()
    def train(
        folder: Annotated[Path, typer.Argument(help="documents")],
        settings: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="further | ones")] = None,
        depth: Annotated[int, typer.Option("-k", help="how many")] = 10,
        seed: Annotated[int, typer.Option(help="of everything")] = 0,
        fast: Annotated[bool, typer.Option("--fast", help="no checks")] = False,
    ) -> None:
        """Trains a program."""

    @app.command(epilog="example: zero2ir search x")
    def search() -> None:
        """Searches."""

    text = tree_markdown(get_command(app), "zero2ir")
    assert "## `zero2ir train`\n\nTrains a program.\n" in text
    assert "| `FOLDER` | path | required | documents |" in text
    assert "| `--set` | KEY=VALUE, repeated |  | further \\| ones |" in text
    assert "| `-k` | number | `10` | how many |" in text
    assert "| `--seed` | number | `0` | of everything |" in text
    assert "| `--fast` |  |  | no checks |" in text
    assert "## `zero2ir search`\n\nSearches.\n" in text
    assert "example: zero2ir search x" in text


class Inner(BaseModel):
    """Inside.

    Attributes:
        rate: how fast,
            in steps.
    """

    rate: Annotated[float, Field(gt=0)] = 0.5
    names: tuple[str, ...] = ("a", "b")


class Outer(BaseModel):
    """Outside.

    Attributes:
        depth: how deep.
    """

    depth: int
    inner: Inner = Inner()
    label: str | None = None


def test_settings_come_from_a_schema_and_fall_back_to_the_file() -> None:
    rows = list(schema_rows(Outer, "", {"depth": 7}, {"label": "from a comment"}))
    assert rows == [
        ("depth", "integer", "`7`", "how deep."),
        ("inner", "settings", "", ""),
        ("inner.rate", "number", "`0.5`", "how fast, in steps."),
        ("inner.names", "list of text", "`[a, b]`", ""),
        ("label", "text or null", "`null`", "from a comment"),
    ]
    assert next(schema_rows(Outer, "", {}, {}))[2] == "required"
    assert "| `inner.rate` | number | `0.5` | how fast, in steps. |" in keys_table(rows)


def test_comments_of_a_file_have_their_keys_path(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_text("# about it\na: 1  # first\nb:  # second\n  c: [1, 2] # third\n  d: 'x#y'\ne: null\n")
    assert comments([path]) == {"a": "first", "b": "second", "b.c": "third"}


def test_a_docstring_explains_its_arguments() -> None:
    def fit(rate: float, steps: int) -> None:
        """Fits.

        Args:
            rate: how fast.
            steps: how long,
                at most.
        """

    assert documented(fit) == {"rate": "how fast.", "steps": "how long, at most."}


def test_every_group_of_the_configuration_has_its_section() -> None:
    page = (PROJECT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    assert sorted(found[2] for found in MARKER.finditer(page) if found[1] == "settings") == groups()


@pytest.mark.parametrize("group", groups())
def test_a_group_lists_its_files_and_keys(group: str) -> None:
    text = group_markdown(group)
    for path in (CONF / group).rglob("*.yaml"):
        assert f"| `{path.relative_to(CONF / group).with_suffix('').as_posix()}` |" in text
    assert "| key | type | default | meaning |" in text


def test_the_panel_lists_the_keys_of_params_yaml() -> None:
    import yaml

    text = panel_markdown()
    assert all(f"| `{key}" in text for key in yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8")))


@pytest.mark.parametrize(("page", "group"), [("model-types", "model"), ("strategies", "strategy")])
def test_every_choice_is_described(page: str, group: str) -> None:
    text = (PROJECT / "docs" / "reference" / f"{page}.md").read_text(encoding="utf-8")
    lines = re.findall(r"^(?:\| )?(`\w+`(?:, `\w+`)*)(?: \||$)", text, re.MULTILINE)
    named = {name for line in lines for name in re.findall(r"\w+", line)}
    assert named == {path.stem for path in (CONF / group).glob("*.yaml")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_no_marker_stays_unfilled(page: Path) -> None:
    assert not MARKER.search(fill(page.read_text(encoding="utf-8")))


def test_every_language_has_a_row() -> None:
    table = fill("<!-- languages -->")
    assert "| German | `de` | between spaces | Snowball | yes |" in table
    assert "| Hebrew | `he` | between spaces | no | no |" in table
    assert "| Thai | `th` | characters | not needed | no |" in table
    assert table.count("\n") == len(LANGUAGES) + 1


def test_outcomes_with_cells_stand_in_a_table() -> None:
    text = promises_markdown("language_models")
    assert text.startswith("- **")
    head, _, *rows = (line for line in text.splitlines() if line.startswith("|"))
    assert head.endswith("| kept | results at 1% | results at 10% | results at 30% | results at 100% |")
    assert len(rows) == len(FAULTS)
    assert all(row.count("|") == head.count("|") for row in rows)
