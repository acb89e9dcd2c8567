"""A notebook as a part of a page."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]


def notebook_markdown(name: str) -> str:
    """The cells of a notebook of the project, and their stored text outputs; headings are one level deeper."""
    cells = json.loads((PROJECT / name).read_text(encoding="utf-8"))["cells"]
    return "\n\n".join(part for cell in cells for part in _parts(cell))


def _parts(cell: dict[str, Any]) -> Iterator[str]:
    text = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield re.sub("^#", "##", text, flags=re.MULTILINE)
        return
    yield f"```python\n{text}\n```"
    for output in cell["outputs"]:
        printed = "".join(output["text"] if "text" in output else output["data"]["text/plain"])
        yield f"```text\n{printed.rstrip()}\n```"
