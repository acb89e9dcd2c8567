"""The documentation builds without a warning: no link leads nowhere, and every table and reference is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
FOREIGN = re.compile(r'<(?:script|link|img)[^>]*(?:src|href)="https?://')


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "--builder", "html"]
    done = subprocess.run([*command, PROJECT / "docs", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_built(built: Path) -> None:
    pages = {path.relative_to(PROJECT / "docs").with_suffix("") for path in (PROJECT / "docs").rglob("*.md")}
    assert pages <= {path.relative_to(built).with_suffix("") for path in built.rglob("*.html")}


def test_no_page_needs_a_network(built: Path) -> None:
    assert [path.name for path in built.rglob("*.html") if FOREIGN.search(path.read_text(encoding="utf-8"))] == []


def test_the_readme_is_short() -> None:
    assert len((PROJECT / "README.md").read_text(encoding="utf-8").split()) <= 700


def test_links_of_the_readme_lead_to_files() -> None:
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]
    assert len(targets) > 10
    assert [target for target in targets if not (PROJECT / target).is_file()] == []
