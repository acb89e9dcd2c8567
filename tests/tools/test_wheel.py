"""The wheel has every file of the package, also when it is built from the source distribution."""

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

PROJECT = Path(__file__).parents[2]
SOURCES = ("src", "conf", "stages", "dvc.yaml", "params.yaml", ".dvcignore", ".gitignore", ".dvc")
ABOUT = ("pyproject.toml", "README.md", "LICENSE")
IGNORED = shutil.ignore_patterns("__pycache__", "*.egg-info", "cache", "tmp")
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


def build(kind: str, folder: Path, output: Path) -> Path:
    """Builds a distribution of the project in a folder, and returns its path."""
    command = [sys.executable, "-c", BUILD, f"build_{kind}", str(output)]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return output / built.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    for name in (*SOURCES, *ABOUT):
        source, copy = PROJECT / name, folder / "checkout" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, symlinks=True, ignore=IGNORED)
        else:
            shutil.copyfile(source, copy)
    archive = build("sdist", folder / "checkout", folder)
    shutil.unpack_archive(archive, folder, filter="data")
    return ZipFile(build("wheel", folder / archive.name.removesuffix(".tar.gz"), folder))


def files_of(folder: Path) -> set[str]:
    """Every file below a folder, also through links, relative to its parent."""
    found = set()
    for path in folder.iterdir():
        if path.is_dir():
            found |= {f"{folder.name}/{name}" for name in files_of(path)}
        else:
            found.add(f"{folder.name}/{path.name}")
    return found


def test_the_wheel_has_every_file_of_the_package(wheel: ZipFile) -> None:
    package = {name for name in files_of(PROJECT / "src" / "zero2ir") if "/__pycache__/" not in name}
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == package
    for name in ("conf/model/hybrid.yaml", "data/pydocs/qrels.tsv", "report/page.html.j2", "py.typed"):
        assert f"zero2ir/{name}" in packed
    for name, source in (("stages/train.py", "stages/train.py"), ("pipeline.yaml", "dvc.yaml")):
        assert wheel.read(f"zero2ir/experiments/template/{name}") == (PROJECT / source).read_bytes()


def test_the_wheel_has_the_licence_and_the_extras(wheel: ZipFile) -> None:
    (licence,) = (name for name in wheel.namelist() if name.endswith(".dist-info/licenses/LICENSE"))
    assert wheel.read(licence) == (PROJECT / "LICENSE").read_bytes()
    (about,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    assert "Provides-Extra: pipeline\n" in wheel.read(about).decode()
