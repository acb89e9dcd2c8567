"""What modules import from each other."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"


def test_no_module_imports_private_names_of_another() -> None:
    private = [
        f"{path.relative_to(SOURCE)}:{node.lineno}: {name.name}"
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("zero2ir")
        for name in node.names
        if name.name.startswith("_")
    ]
    assert not private
