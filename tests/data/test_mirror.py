"""Copying a mirror of source files."""

import subprocess
import sys

import pytest

from zero2ir.data.mirror import copy_mirror
from zero2ir.errors import InputError


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "home"))
    (tmp_path / "mirror" / "beir").mkdir(parents=True)
    (tmp_path / "mirror" / "beir" / "source.zip").write_bytes(b"zip")
    (tmp_path / "mirror" / "cran.tar.gz").write_bytes(b"tar")
    return tmp_path / "mirror"


def test_only_what_is_missing_or_differs_is_copied(mirror, capsys):
    home = mirror.parent / "home"
    copy_mirror(mirror)
    assert (home / "beir" / "source.zip").read_bytes() == b"zip"
    assert capsys.readouterr().out == "beir/source.zip: copied, 3 bytes\ncran.tar.gz: copied, 3 bytes\n"
    (home / "cran.tar.gz").write_bytes(b"TAR")  # of the same size
    copy_mirror(mirror)
    assert (home / "cran.tar.gz").read_bytes() == b"tar"
    assert capsys.readouterr().out == "beir/source.zip: up to date\ncran.tar.gz: copied, 3 bytes\n"


@pytest.mark.parametrize("name", ["nowhere", "home"])
def test_nothing_to_copy_is_an_error(mirror, name):
    (mirror.parent / "home").mkdir()
    with pytest.raises(InputError, match=r"set MIRROR="):
        copy_mirror(mirror.parent / name)


def test_the_command_line_complains_in_one_line(mirror):
    command = [sys.executable, "-m", "zero2ir.data.mirror", str(mirror / "nowhere")]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 2
    assert process.stderr.endswith("set MIRROR=<folder with a mirror of the source files>\n")
    assert len(process.stderr.splitlines()) == 1
