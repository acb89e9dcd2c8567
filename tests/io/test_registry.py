"""Classes that register themselves: what a file names is found, and nothing else is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zero2ir.errors import InputError
from zero2ir.io.registry import Registry


class Shape:
    """What the kinds of these tests are."""


def test_a_class_is_found_by_its_own_kind() -> None:
    registry = Registry[Shape]("zero2ir.models", "shape")

    class Square(Shape):
        kind = "square"

    class Unnamed(Square):
        pass

    registry.add(Square)
    registry.add(Unnamed)
    assert registry.find("square") is Square


def test_one_kind_is_one_class() -> None:
    registry = Registry[Shape]("zero2ir.models", "shape")
    for number in range(2):  # a notebook's cell that runs again
        registry.add(type("Square", (Shape,), {"kind": "square", "number": number}))
    assert registry.find("square").number == 1  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="already has the kind 'square'"):
        registry.add(type("Other", (Shape,), {"kind": "square"}))


@pytest.mark.parametrize("kind", ["antigravity", "os", "../models", "models.sparse", "ranking", ""])
def test_no_other_module_is_imported_whatever_a_file_names(kind: str) -> None:
    with pytest.raises(InputError, match=r"unknown kind of model: .*; import the module that defines it first"):
        Registry[Shape]("zero2ir.models", "model").find(kind)
    assert "antigravity" not in sys.modules


def test_a_sparse_model_is_opened_without_torch_and_other_models() -> None:
    code = (
        "import sys; from zero2ir.models.base import MODELS; MODELS.find('sparse'); "
        "print([name for name in ('torch', 'zero2ir.models.dense', 'zero2ir.models.hybrid') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_kind_of_an_installed_package_is_found_by_its_entry_point(tmp_path: Path) -> None:
    (tmp_path / "own-1.0.dist-info").mkdir()
    (tmp_path / "own-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    (tmp_path / "own-1.0.dist-info" / "entry_points.txt").write_text("[zero2ir.models]\nmine = own:Mine\n")
    (tmp_path / "own.py").write_text(
        "from zero2ir.models.sparse import Sparse\nclass Mine(Sparse):\n    kind = 'mine'\n"
    )
    code = "from zero2ir.models.base import MODELS; print(MODELS.find('mine').__module__)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (ended.stdout, ended.stderr) == ("own\n", "")
