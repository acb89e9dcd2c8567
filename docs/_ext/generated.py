"""A Sphinx extension that fills a page's markers when the page is read; nothing that it writes is committed.

``<!-- table: NAME -->`` becomes a table of reproduction.yaml and the command that makes it, ``<!-- commands -->`` the
commands of the command line, ``<!-- settings: GROUP -->`` a group of the configuration, ``<!-- languages -->`` the
supported languages, ``<!-- reproductions -->`` the log of checked figures, ``<!-- promises: PART -->`` the trials of
promises, ``<!-- notebook: FILE -->`` a notebook with its outputs. The page of all figures is written beside the built
pages, as figures/index.html.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from command_reference import commands_markdown
from language_table import languages_markdown
from notebook_cells import notebook_markdown
from result_tables import promises_markdown, reproductions_markdown, table_markdown, write_figures
from settings_reference import group_markdown, panel_markdown, stages_markdown

WRITERS: dict[str, Callable[[str], str]] = {
    "table": table_markdown,
    "settings": group_markdown,
    "commands": lambda _: commands_markdown(),
    "stages": lambda _: stages_markdown(),
    "languages": lambda _: languages_markdown(),
    "panel": lambda _: panel_markdown(),
    "reproductions": lambda _: reproductions_markdown(),
    "promises": promises_markdown,
    "notebook": notebook_markdown,
}
MARKER = re.compile(rf"^<!-- ({'|'.join(WRITERS)})(?:: (\S+))? -->$", re.MULTILINE)


def fill(page: str) -> str:
    """The page with what its markers stand for."""
    return MARKER.sub(lambda found: WRITERS[found[1]](found[2] or ""), page)


def _fill_source(app: Any, docname: str, source: list[str]) -> None:
    source[0] = fill(source[0])


def _always_outdated(app: Any, env: Any, *changed: set[str]) -> list[str]:
    """Pages with markers are read at each build: what they show comes from elsewhere."""
    return [name for name in env.found_docs if MARKER.search(Path(env.doc2path(name)).read_text(encoding="utf-8"))]


def _write_figures(app: Any, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        write_figures(Path(app.outdir) / "figures")


def setup(app: Any) -> dict[str, bool]:
    app.connect("source-read", _fill_source)
    app.connect("env-get-outdated", _always_outdated)
    app.connect("build-finished", _write_figures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
