"""The cache lies where a variable says, and one that cannot be written is named with the variable."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zero2ir.errors import InputError
from zero2ir.io.paths import open_cache


@pytest.mark.parametrize(("value", "folder"), [(None, ".cache"), ("", ".cache"), ("/some where", "/some where")])
def test_a_variable_places_the_cache(value: str | None, folder: str) -> None:
    environment = {name: one for name, one in os.environ.items() if name != "ZERO2IR_CACHE"}
    environment |= {} if value is None else {"ZERO2IR_CACHE": value}
    command = [sys.executable, "-c", "from zero2ir.io import paths; print(paths.CACHE_FOLDER)"]
    assert subprocess.run(command, env=environment, capture_output=True, text=True).stdout == f"{folder}\n"


@pytest.mark.parametrize("folder", ["file/cache", "/proc/cache"])
def test_a_cache_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(InputError, match=r"cannot be written .*; set ZERO2IR_CACHE to a folder that can$") as one:
        open_cache(Path(folder))
    assert str(one.value).startswith(f"{folder}: ")
