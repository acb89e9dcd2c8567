"""Every code block of the README and of the documentation runs, the blocks of a page in their order.

A comment in front of a block says where it does not: ``<!-- skip: next "reason" -->`` never runs here,
``<!-- skip: next if(fast, reason="...") -->`` runs in ``make test-all``. Sybil reads both.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import SkipTest

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

PROJECT = Path(__file__).parents[2]
QUICKSTART = PROJECT / "docs" / "quickstart.md"
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
SECONDS = 900


def run_shell(example: Example) -> None:
    """Runs a shell block in the current folder, with this Python's commands in front."""
    binaries = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", str(example.parsed)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, f"{example.path}:{example.line}\n{done.stdout}\n{done.stderr}"


BLOCKS = Sybil(parsers=[PythonCodeBlockParser(), CodeBlockParser("sh", run_shell), SkipParser()])


def run_page(page: Path, fast: bool) -> None:
    """Runs the blocks of a page in the current folder; they share their names."""
    document = BLOCKS.parse(page)
    document.namespace["fast"] = fast
    for example in document.examples():
        try:
            example.evaluate()
        except SkipTest:
            continue


def with_blocks() -> list[Path]:
    """The pages that have anything to run."""
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES}
    return [page for page, text in texts.items() if any(mark in text for mark in ("```python\n", "```sh\n"))]


@pytest.fixture(scope="session")
def fast(request: pytest.FixtureRequest) -> bool:
    """Whether slow tests are left out, and slow blocks with them."""
    return "not slow" in str(request.config.getoption("markexpr"))


@pytest.fixture(scope="module")
def quickstart(fast: bool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after the quickstart: my-folder and my-program, which other pages go on from."""
    folder = tmp_path_factory.mktemp("quickstart")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_page(QUICKSTART, fast)
    return folder


def in_folder(page: Path, quickstart: Path, folder: Path) -> Path:
    """A copy of the quickstart's folder for another page; an empty folder for those that begin with nothing."""
    work = folder / "work"
    if page == PROJECT / "README.md":
        work.mkdir()
    else:
        shutil.copytree(quickstart, work)
    return work


def test_the_quickstart_ends_in_a_program(quickstart: Path) -> None:
    assert (quickstart / "my-program" / "program.json").is_file()


@pytest.mark.parametrize(
    "page",
    [page for page in with_blocks() if page != QUICKSTART],
    ids=lambda page: page.relative_to(PROJECT).as_posix(),
)
def test_the_blocks_of_a_page_run(
    page: Path, fast: bool, quickstart: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(in_folder(page, quickstart, tmp_path))
    run_page(page, fast)
